"""LoRA adapters in PEFT's form: what one is, and whether it fits a base model and a server. Nothing is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ns_eval.checkpoints.checkpoint import Checkpoint
from ns_eval.checkpoints.tensor_files import Tensor, json_object, safetensors
from ns_eval.errors import DataError, UsageError
from ns_eval.records import Json

# What vLLM 0.32.0 takes for --max-lora-rank; SGLang and TensorRT-LLM take any number.
SERVED_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
_NAMED = re.compile(r"([A-Za-z0-9][\w.-]*):(.+)")
_PREFIX = "base_model.model."
_LOW_RANK = re.compile(r"(.+)\.lora_(?:embedding_)?([AB])(?:\.weight)?")


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter. `base` is the model that it names, which may have moved since; `rank` the largest it has."""

    name: str
    path: Path
    rank: int
    base: str
    config: Mapping[str, Json]
    tensors: Mapping[str, Tensor] = field(default_factory=dict, repr=False)


def parse(text: str) -> tuple[str, Path]:
    """`name:path` or a path, whose last part is then the name."""
    named = _NAMED.fullmatch(text)
    if named and not Path(text).exists():
        return named[1], Path(named[2])
    return Path(text).name, Path(text)


def inspect(text: str) -> Adapter:
    """The adapter that `--adapter=name:path` or `--adapter=path` means.

    Raises:
        DataError: no adapter there, or a weight file that is cut or damaged.
        UsageError: another method than LoRA.
    """
    name, path = parse(text)
    if not (path / "adapter_config.json").is_file():
        there = "there is no such folder" if not path.exists() else "adapter_config.json is missing"
        raise DataError(f"--adapter={text}: {path} is no adapter: {there}", hint="give a folder that PEFT saved")
    config = json_object(path / "adapter_config.json")
    method = str(config.get("peft_type") or "none named")
    if method.upper() != "LORA":
        raise UsageError(f"--adapter={text}: its method is {method}, and only LoRA is supported")
    weights = path / "adapter_model.safetensors"
    if not weights.is_file() and not (path / "adapter_model.bin").is_file():
        raise DataError(f"--adapter={text}: {weights} is missing", hint="copy the adapter again, whole")
    tensors = safetensors(weights) if weights.is_file() else {}
    patterns = config.get("rank_pattern") or {}
    rank = max([int(config.get("r") or 0), *(int(value) for value in patterns.values())])
    return Adapter(name, path, rank, str(config.get("base_model_name_or_path") or ""), config, tensors)


def check_base(adapter: Adapter, base: Checkpoint) -> None:
    """Refuses an adapter that was made for another model: every module it changes must be there, in its shape.

    Raises:
        DataError: with the first module that does not fit.
    """
    if not base.tensors or not adapter.tensors:
        return  # a .bin file does not list its tensors; PEFT then says it itself when it loads them
    made_for = f" (it was made for {adapter.base})" if adapter.base else ""
    for module, wanted in sorted(_module_shapes(adapter).items()):
        tensor = base.tensors.get(f"{module}.weight")
        if tensor is None:
            raise DataError(f"adapter {adapter.name} does not fit {base.path}: there is no module `{module}`{made_for}")
        shape = tensor.shape[::-1] if adapter.config.get("fan_in_fan_out") else tensor.shape
        misfit = [side for side, have in zip(wanted, shape, strict=False) if side not in (None, have)]
        if misfit:
            there, here = " x ".join(map(str, shape)), " x ".join(str(side or "?") for side in wanted)
            raise DataError(
                f"adapter {adapter.name} does not fit {base.path}: `{module}` is {there} there and {here} here{made_for}",
                hint="give the model that it was trained on",
            )


def serving_rank(adapters: Sequence[Adapter], limit: int | None = None) -> int:
    """The rank that a server is to make room for: the smallest of SERVED_RANKS that holds every adapter.

    Raises:
        UsageError: an adapter that servers refuse, or of a rank above `limit`.
    """
    for adapter in adapters:
        reason = _unservable(adapter)
        if reason:
            raise UsageError(
                f"adapter {adapter.name}: servers do not take it, {reason}",
                hint=f"merge it: ns convert --convert_to=hf --adapter={adapter.path} --input_model=… --output_model=…",
            )
        if limit is not None and adapter.rank > limit:
            raise UsageError(
                f"adapter {adapter.name} has rank {adapter.rank}, and the server makes room for {limit}",
                hint=f"raise the server's rank: --max-lora-rank {_room(adapter.rank)}",
            )
    return _room(max((adapter.rank for adapter in adapters), default=0))


def _room(rank: int) -> int:
    for room in SERVED_RANKS:
        if rank <= room:
            return room
    raise UsageError(f"rank {rank} is more than servers take ({SERVED_RANKS[-1]})", hint="merge the adapter: ns convert")


def _unservable(adapter: Adapter) -> str | None:
    config = adapter.config
    if config.get("use_dora"):
        return "it is a DoRA adapter"
    if config.get("modules_to_save"):
        return f"it replaces whole modules ({', '.join(map(str, config['modules_to_save']))})"
    if config.get("bias") not in (None, "none"):
        return "it changes biases"
    return None


def _module_shapes(adapter: Adapter) -> dict[str, tuple[int | None, int | None]]:
    """Module of the base -> (outputs, inputs) as far as the adapter's two factors tell them."""
    found: dict[str, tuple[int | None, int | None]] = {}
    for module, side, shape in _factors(adapter):
        outputs, inputs = found.get(module, (None, None))
        found[module] = (outputs, shape[1]) if side == "A" else (shape[0], inputs)
    return found


def _factors(adapter: Adapter) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    for name, tensor in adapter.tensors.items():
        factor = _LOW_RANK.fullmatch(name.removeprefix(_PREFIX))
        if factor is None or len(tensor.shape) != 2:
            continue
        if "lora_embedding" in name:
            # PEFT keeps A as (rank, vocabulary) and B as (width, rank), and the table is (vocabulary, width).
            yield factor[1], "B" if factor[2] == "A" else "A", tensor.shape[::-1]
        else:
            yield factor[1], factor[2], tensor.shape
