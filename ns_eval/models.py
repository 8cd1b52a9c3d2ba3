"""What `--model` and `--server_type` mean: the YAMLs that lie under the command line, and where the weights are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ns_eval.arguments import Override
from ns_eval.checkpoints.checkpoint import MANIFEST
from ns_eval.checkpoints.tensor_files import json_object
from ns_eval.compose import flatten
from ns_eval.config import ModelConfig, ServerConfig
from ns_eval.errors import UsageError, suggest
from ns_eval.resources import conf_file, conf_names, folder
from ns_eval.schema import build, load_yaml, refuse_unknown

_REPLACED = {
    "nemo": "convert the checkpoint to Hugging Face form with NeMo's own exporter, then use vllm, sglang or trtllm",
    "megatron": "convert the checkpoint to Hugging Face form with Megatron Bridge, then use vllm, sglang or trtllm",
}


def find(name: str) -> ModelConfig | None:
    """The registry entry of a model, None where `name` is a path or a name only its server knows."""
    path = conf_names("model").get(name)
    return build(ModelConfig, load_yaml(path), str(path)) if path else None


def weights(model: str) -> str:
    """The path or hub id behind `--model`: a registry name is looked up, anything else is itself."""
    entry = find(model)
    if entry is None:
        return model
    if entry.path.startswith("shipped:"):
        return str(folder("shipped") / entry.path.removeprefix("shipped:"))
    return entry.path or model


def label(model: str) -> str:
    """The name of a model's folder where one command asks several: its registry name, or the last part of its path."""
    plain = model if find(model) is not None or not Path(model).exists() else Path(model).resolve().name
    return plain.strip("/").replace("/", "__")


def layers(given: Sequence[Override]) -> list[Override]:
    """The settings under the command line, weakest first: the server type's YAML, then the model's."""
    typed = {item.key: item.text for item in given}
    if "model" not in typed:
        return []
    entry = find(typed["model"])
    if entry is not None and entry.status == "unavailable":
        raise UsageError(f"{entry.name} is unavailable: {entry.reason}", hint="ns show models --ready")
    server_type = typed.get("server_type") or _server_type(entry, typed)
    path = _server_file(server_type)
    server = load_yaml(path)
    refuse_unknown(ServerConfig, server, str(path))
    found = [Override("server_type", server_type, str), *_nested("server", server)]
    if entry is not None:
        refuse_unknown(ServerConfig, entry.server, f"conf/model/{entry.name}.yaml", "server.")
        chosen = {key: value for key, value in asdict(entry.inference).items() if value not in (None, {})}
        found += [*_nested("server", entry.server), *_nested("inference", chosen)]
        found += _nested("price", {key: value for key, value in asdict(entry.price).items() if value is not None})
        if entry.max_concurrent_requests is not None:
            found.append(Override("max_concurrent_requests", str(entry.max_concurrent_requests), int))
        if entry.prompt_template:
            found.append(Override("prompt_template", entry.prompt_template, str))
    return found


def _nested(prefix: str, values: dict[str, Any]) -> list[Override]:
    return flatten(values, f"{prefix}.")


def _server_type(entry: ModelConfig | None, typed: dict[str, str]) -> str:
    if typed.get("server.base_url"):
        return "openai"
    if entry is not None and entry.server_type:
        return entry.server_type
    model = Path(typed["model"])
    if model.suffix == ".gguf":
        return "llamacpp"
    raise UsageError(
        f"which server runs `{typed['model']}`? It is no name in conf/model and no GGUF file",
        hint="add --server_type=vllm (or sglang, trtllm), or --server_address=http://…/v1; `ns show models` lists names",
    )


def _server_file(server_type: str) -> Path:
    if server_type in _REPLACED:
        raise UsageError(f"--server_type={server_type} is not served here", hint=_REPLACED[server_type])
    return conf_file("server", server_type)


def identity(model: str) -> str:
    """What tells two models apart in a run folder: the content of a local one, wherever it lies, else its name.

    A checkpoint's weights are not read whole: config and the names and sizes of the weight files stand for them.
    """
    path = Path(model)
    if path.is_file():
        with path.open("rb") as file:
            start = hashlib.sha256(file.read(1 << 20)).hexdigest()
        return f"{path.name} {path.stat().st_size} {start[:16]}"
    if not path.is_dir():
        return model
    digest = hashlib.sha256()
    if (path / "config.json").is_file():
        digest.update((path / "config.json").read_bytes())
    for suffix in ("safetensors", "bin", "gguf"):
        for weight in sorted(path.glob(f"*.{suffix}")):
            digest.update(f"{weight.name} {weight.stat().st_size}".encode())
    return f"{path.name} {digest.hexdigest()[:16]}"


def origin(path: str) -> str:
    """What a model was made of, by its identity: a conversion of it, on whatever engine, should compute the same."""
    given = Path(path)
    record = given / MANIFEST if given.is_dir() else given.with_name(f"{given.name}.{MANIFEST}")
    if not record.is_file():
        return identity(path)
    source = json_object(record).get("source") or {}
    adapter = (source.get("adapter") or {}).get("sha256")
    return str(source.get("identity") or identity(path)) + (f" + {adapter}" if adapter else "")


def check_weights(model: str, server_type: str) -> None:
    """Refuses a local path that is no checkpoint for this server, before anything is started.

    Raises:
        UsageError: the path does not exist, or holds nothing that the server loads.
    """
    path = Path(model)
    if not path.exists():
        if server_type != "llamacpp" and re.fullmatch(r"[\w.-]+/[\w.-]+", model):
            return  # a hub id: the engine fetches it
        known = suggest(model, conf_names("model"))
        raise UsageError(f"--model={model}: there is no such file or folder, and no model of that name: {known}")
    if server_type == "llamacpp":
        if path.suffix != ".gguf" and len(list(path.glob("*.gguf"))) != 1:
            raise UsageError(f"--model={model}: llamacpp loads a GGUF file, or a folder with exactly one")
    elif path.is_file() or not (path / "config.json").is_file():
        raise UsageError(
            f"--model={model} is no checkpoint: {'it is a file' if path.is_file() else 'config.json is missing'}",
            hint="a Hugging Face folder holds config.json, tokenizer files and *.safetensors",
        )
