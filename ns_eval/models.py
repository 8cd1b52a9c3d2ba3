"""What `--model` and `--server_type` mean: the YAMLs that lie under the command line, and where the weights are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ns_eval.arguments import Override
from ns_eval.compose import flatten
from ns_eval.config import ModelConfig, ServerConfig, build, load_yaml, refuse_unknown
from ns_eval.errors import UsageError
from ns_eval.resources import conf_file, conf_names, folder

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


def layers(given: Sequence[Override]) -> list[Override]:
    """The settings under the command line, weakest first: the server type's YAML, then the model's."""
    typed = {item.key: item.text for item in given}
    if "model" not in typed:
        return []
    entry = find(typed["model"])
    server_type = typed.get("server_type") or _server_type(entry, typed)
    path = _server_file(server_type)
    server = load_yaml(path)
    refuse_unknown(ServerConfig, server, str(path))
    found = [Override("server_type", server_type, str), *_nested("server", server)]
    if entry is not None:
        refuse_unknown(ServerConfig, entry.server, f"conf/model/{entry.name}.yaml", "server.")
        chosen = {key: value for key, value in asdict(entry.inference).items() if value not in (None, {})}
        found += [*_nested("server", entry.server), *_nested("inference", chosen)]
    return found


def _nested(prefix: str, values: dict[str, Any]) -> list[Override]:
    return flatten(values, f"{prefix}.")


def _server_type(entry: ModelConfig | None, typed: dict[str, str]) -> str:
    if typed.get("server_address"):
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
