"""Which models one command asks: the base, and the base with each LoRA adapter; where each answers, and how it is served.

A server that serves adapters holds them beside the base, and all are asked at once. For any other server an adapter is
merged into a checkpoint of its own first, which is then served after the base.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ns_eval import conversion, models
from ns_eval.checkpoints import adapters
from ns_eval.checkpoints.adapters import Adapter
from ns_eval.config import ServerConfig
from ns_eval.conversion import ConvertConfig
from ns_eval.engines.embedded import gguf_below
from ns_eval.engines.engine_commands import check_model
from ns_eval.engines.gguf_file import gguf_metadata
from ns_eval.errors import UsageError
from ns_eval.files import sha256
from ns_eval.options import AskConfig

# llama.h, enum llama_ftype (ggml-org/llama.cpp, 7bffd79): a merged model is written in its base's form, or the two would
# differ by their rounding as well.
_GGUF_DTYPES = {0: "fp32", 1: "fp16", 7: "q8_0"}


@dataclass(frozen=True, slots=True)
class Variant:
    """One model that is asked. `adapter` is empty for the base, `folder` the run folder of its answers."""

    adapter: str
    folder: Path
    identity: str


@dataclass(frozen=True, slots=True)
class Variants:
    """The models of a command. `server` has the adapters to load; `merges` says of each other one how it is made."""

    asked: tuple[Variant, ...]
    server: ServerConfig
    merges: Mapping[str, ConvertConfig] = field(default_factory=dict)


def variants(config: AskConfig, output_dir: Path) -> Variants:
    """What `--model`, `--adapter` and `--adapter_only` ask; without adapters the run folder is `output_dir` itself.

    Raises:
        UsageError: an adapter that is named twice, that the server or the engine cannot take, or none where one is needed.
        DataError: an adapter that is not whole, or that was made for another model.
    """
    model = models.weights(config.model)
    identity = models.identity(model)
    if not config.adapter:
        if config.adapter_only:
            raise UsageError("--adapter_only, and no adapter is named", hint="add --adapter=NAME:FOLDER")
        return Variants((Variant("", output_dir, identity),), config.server)
    found = _named(config)
    label = models.label(config.model)
    asked = [] if config.adapter_only else [Variant("", output_dir / label, identity)]
    asked += [Variant(name, output_dir / f"{label}+{name}", _identity(identity, name, path)) for name, path in found.items()]
    paths = {name: str(path or "") for name, path in found.items()}
    if config.server.base_url:
        return Variants(tuple(asked), dataclasses.replace(config.server, adapters=paths))
    local = {name: _inspected(name, path) for name, path in found.items()}
    if config.server.adapter_args:
        _check_served(config, model, list(local.values()))
        return Variants(tuple(asked), dataclasses.replace(config.server, adapters=paths))
    merges = {name: _merge(config, model, adapter, output_dir) for name, adapter in local.items()}
    return Variants(tuple(asked), config.server, merges)


def _named(config: AskConfig) -> dict[str, Path | None]:
    """Name -> folder; None for an adapter that a remote server has under that name already."""
    found: dict[str, Path | None] = {}
    for text in config.adapter:
        name, path = adapters.parse(text)
        if name in found or name == config.model:
            raise UsageError(f"--adapter: `{name}` names two models", hint="--adapter=NAME:FOLDER gives it another name")
        found[name] = None if config.server.base_url and name == text and not path.exists() else path
    return found


def _inspected(name: str, path: Path | None) -> Adapter:
    return adapters.inspect(f"{name}:{path}")


def _identity(base: str, name: str, path: Path | None) -> str:
    """What tells one adapter on one base from another: its content; its name where only the server has it."""
    if path is None or not path.is_dir():
        return f"{base} + {name}"
    digest = hashlib.sha256()
    for file in [path / "adapter_config.json", *sorted(path.glob("adapter_model.*"))]:
        if file.is_file():
            digest.update(sha256(file).encode())
    return f"{base} + {digest.hexdigest()[:16]}"


def _check_served(config: AskConfig, model: str, found: Sequence[Adapter]) -> None:
    """Rank and base of adapters that a server is to hold, as far as they can be known before it starts."""
    base = check_model(config.server, model, chat=False)
    for adapter in found:
        if base is not None:
            adapters.check_base(adapter, base)
    adapters.serving_rank(found)


def _merge(config: AskConfig, model: str, adapter: Adapter, output_dir: Path) -> ConvertConfig:
    """The conversion that makes a model of base and adapter for a server that serves none."""
    embedded = config.server.name == "llamacpp"
    file = gguf_below(model) if embedded else None
    source = Path(model) if file is None or Path(model).is_dir() else file.parent
    if not (source / "config.json").is_file():
        raise UsageError(
            f"adapter {adapter.name} is merged into the checkpoint that {model} was made of, and {source} does not hold it",
            hint="--model=FOLDER, one that holds the Hugging Face checkpoint and its GGUF file",
        )
    output = output_dir / "merged" / f"{adapter.name}{'.gguf' if embedded else ''}"
    merged = ConvertConfig(
        input_model=str(source),
        output_model=str(output),
        convert_to="gguf" if embedded else "hf",
        adapter=f"{adapter.name}:{adapter.path.resolve()}",
        dtype=_form_of(file) if file else None,
    )
    conversion.check(merged)
    return merged


def _form_of(file: Path) -> str:
    kind = gguf_metadata(file).get("general.file_type")
    if kind not in _GGUF_DTYPES:
        raise UsageError(
            f"{file} is quantised in a form (file type {kind}) that a merged adapter cannot be written in",
            hint=f"compare on a base of {', '.join(_GGUF_DTYPES.values())}: ns convert --convert_to=gguf --dtype=fp16 …",
        )
    return _GGUF_DTYPES[kind]
