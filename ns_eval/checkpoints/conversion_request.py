"""A conversion that is asked for: what is possible, what the settings mean for this model, and what is refused."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ns_eval.checkpoints.adapters import Adapter
from ns_eval.checkpoints.checkpoint import Checkpoint, inspect
from ns_eval.checkpoints.staging import Step
from ns_eval.checkpoints.trtllm import FAMILIES, QUANTIZATIONS, Split
from ns_eval.errors import DataError, UsageError, suggest
from ns_eval.records import Json

log = logging.getLogger(__name__)

_ELSEWHERE = {
    "nemo": "NeMo's own exporter does it: `nemo.collections.llm.export_ckpt`, or scripts/checkpoint_converters of NeMo 1",
    "megatron": "Megatron Bridge does it: `AutoBridge.export_ckpt` and `AutoBridge.import_ckpt`",
}
_TARGETS = ("trtllm", "hf", "gguf")
_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "f16": "float16", "fp32": "float32", "f32": "float32"}
_DTYPES |= {name: name for name in ("bfloat16", "float16", "float32")}
_GGUF_TYPES = {"": "F16", "q8_0": "Q8_0"} | {
    name: {"float16": "F16", "float32": "F32"}.get(to, "") for name, to in _DTYPES.items()
}


@dataclass(frozen=True, slots=True)
class Request:
    """A conversion that is possible, in plain values. `dtype` None keeps the checkpoint's; `sizes` are those given."""

    source: Checkpoint
    output: Path
    target: str
    family: str
    adapter: Adapter | None
    dtype: str | None
    form: str
    gguf_type: str
    quantization: str | None
    calibration: tuple[Path, int] | None
    split: Split
    sizes: Mapping[str, int]
    prepare_args: str = ""
    build_args: str = ""
    mode: str = "auto"
    examples: str | None = None
    link: bool = True

    @property
    def casts(self) -> bool:
        """Whether the dtype changes."""
        return self.dtype is not None and self.dtype != self.source.dtype


@dataclass(frozen=True, slots=True)
class Route:
    """The steps of a conversion and what is known of it before they run.

    `origin` is the folder that holds the result, or what the next steps begin with; `product` the file that becomes the
    output, where it is a file; `scratch` are folders that only the steps need.
    """

    mode: str
    steps: tuple[Step, ...]
    packages: tuple[str, ...]
    needed_bytes: int
    origin: Path
    facts: Mapping[str, Json] = field(default_factory=dict)
    product: Path | None = None
    scratch: tuple[Path, ...] = ()


def source(convert_from: str, convert_to: str, path: Path) -> Checkpoint:
    """The checkpoint to be converted, checked.

    Raises:
        UsageError: a direction that is not taken here, with what takes it.
        DataError: the folder is not whole.
    """
    for key, form, known in (("convert_from", convert_from, ("hf",)), ("convert_to", convert_to, _TARGETS)):
        if form in _ELSEWHERE:
            raise UsageError(f"--{key}={form} is not done here", hint=_ELSEWHERE[form])
        one_of(key, form, known)
    if path.suffix == ".gguf":
        raise UsageError(f"--input_model={path} is a GGUF file", hint="give the Hugging Face folder that it was made of")
    found = inspect(path)
    if found.kind == "engine":
        raise UsageError(f"--input_model={path} is an engine already", hint="give the Hugging Face folder it was made of")
    return found


def family(given: str | None, source: Checkpoint) -> str:
    """TensorRT-LLM's name of the family; empty where it has none for this model, which then can only be staged.

    Raises:
        UsageError: another one than config.json says.
    """
    found = FAMILIES.get(source.model_type, "")
    if given is None:
        return found
    one_of("model_type", given, sorted(set(FAMILIES.values())))
    if found and given != found:
        says = f"{source.path / 'config.json'} says it is {source.model_type}"
        raise UsageError(f"--model_type={given}: {says}", hint=f"--model_type={found}, or leave it out")
    return given


def sizes(given: Mapping[str, int | None], target: str, source: Checkpoint) -> dict[str, int]:
    """The limits that were given, checked against each other and the model.

    Raises:
        UsageError: limits that contradict each other, or that this target does not take.
    """
    found = {name: value for name, value in given.items() if value is not None}
    for name, value in found.items():
        if target != "trtllm":
            raise UsageError(f"--{name} belongs to --convert_to=trtllm; other servers take limits when they start")
        if value < 1:
            raise UsageError(f"--{name}={value}: expected at least 1")
    longest = found.get("max_seq_len")
    if longest is not None and found.get("max_input_len", 0) > longest:
        raise UsageError(f"--max_input_len={found['max_input_len']} is more than --max_seq_len={longest}, which counts both")
    if longest is not None and source.context is not None and longest > source.context:
        log.warning("--max_seq_len=%d is more than the %d tokens that the model was trained for", longest, source.context)
    return found


def dtype(given: str | None, target: str) -> str | None:
    """torch's name of a dtype; None keeps the checkpoint's. GGUF has its own types, and a quantisation is none."""
    if given is None or target == "gguf" or given in QUANTIZATIONS:
        return None
    return _DTYPES[one_of("dtype", given, _DTYPES | dict.fromkeys(QUANTIZATIONS, ""))]


def gguf_type(given: str | None) -> str:
    """F32, F16 or Q8_0."""
    found = _GGUF_TYPES[one_of("dtype", (given or "").lower(), _GGUF_TYPES)]
    if not found:
        raise UsageError(f"--dtype={given}: GGUF files are written in fp16, fp32 or q8_0", hint="--dtype=fp16")
    return found


def quantization(given: str | None, target: str, calibration: str | None) -> str | None:
    """What is asked for, checked with the texts it needs.

    Raises:
        UsageError: a form that is not known, or no texts.
        DataError: the file of the texts does not exist.
    """
    if given is None:
        return None
    one_of("quantization", given, QUANTIZATIONS)
    if target == "gguf":
        raise UsageError(f"--quantization={given} is not for gguf", hint="--convert_to=gguf --dtype=q8_0")
    if not calibration:
        hint = "--calib_dataset=FILE.jsonl, rows with `text` or `problem`: problems of the kind that you will ask"
        raise UsageError(f"--quantization={given} is calibrated on texts, and none are given", hint=hint)
    if not Path(calibration).is_file():
        raise DataError(f"--calib_dataset={calibration}: there is no such file")
    return given


def one_of(key: str, value: str, known: Iterable[str]) -> str:
    """The value itself; UsageError where it is none of those known."""
    names = [name for name in known if name]
    if value not in known:
        raise UsageError(f"--{key}={value}: {suggest(value, names)}")
    return value
