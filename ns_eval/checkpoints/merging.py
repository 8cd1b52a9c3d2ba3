"""A LoRA adapter merged into its base model, and the proof that the two are one model then. Owns transformers, peft."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ns_eval.checkpoints.adapters import Adapter
from ns_eval.checkpoints.checkpoint import Checkpoint, inspect
from ns_eval.checkpoints.weights import copy_rest, set_dtype
from ns_eval.errors import DataError

log = logging.getLogger(__name__)

_PROBE = (
    "Solve the following math problem. Anna has 12 apples and buys 3 bags of 15 apples each. How many apples does she have? "
    "Bought: 3 * 15 = 45. Total: 12 + 45 = 57. The final answer is 57."
)
_SHARD_SIZE = "5GB"
# Mean Kullback-Leibler divergence in nats a token that rounding to the dtype may cost. Measured on tinymath and its adapter,
# which moves the probe by 0.29: 1e-8, 4e-7 and 3e-5.
_TOLERANCE = {"float32": 1e-6, "float16": 1e-4, "bfloat16": 3e-3}


@dataclass(frozen=True, slots=True)
class Merged:
    """What the check of a merge found, on a fixed text: divergences in nats a token, and the largest of a log-probability.

    `adapter_effect` is how far the adapter moves the base, `divergence` how far the saved model is from the two together.
    """

    dtype: str
    computed_in: str
    adapter_effect: float
    divergence: float
    largest_difference: float


def merge(base: Checkpoint, adapter: Adapter, target: Path, dtype: str) -> Merged:
    """Writes the merged checkpoint to `target`: safetensors, with the base's own configuration and tokenizer.

    Raises:
        DataError: the adapter changes nothing, or the saved model does not answer as base and adapter did.
    """
    computed_in = _computing_dtype(base)
    tokens = tokenizer(base.path)(_PROBE, return_tensors="pt")["input_ids"]
    model = load(base.path, computed_in)
    plain = _log_probabilities(model, tokens)
    wrapped = _with_adapter(model, base, adapter)
    adapted = _log_probabilities(wrapped, tokens)
    effect = _divergence(adapted, plain)
    if effect == 0.0:
        raise DataError(f"adapter {adapter.name} changes nothing in {base.path}: its weights are zero, or fit no module")
    merged = _cast(wrapped.merge_and_unload(), dtype)
    merged.save_pretrained(target, max_shard_size=_SHARD_SIZE)
    del model, wrapped, merged
    # The library rewrites config.json in its own newest spelling, which other engines misread; the base's is known to work.
    copy_rest(base.path, target)
    set_dtype(target, dtype)
    inspect(target, tokenizer=False)
    saved = _log_probabilities(load(target, computed_in), tokens)
    found = Merged(dtype, computed_in, effect, _divergence(adapted, saved), float((adapted - saved).abs().max()))
    return _checked(found, adapter, target)


def _with_adapter(model: Any, base: Checkpoint, adapter: Adapter) -> Any:
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, str(adapter.path), torch_device="cpu").eval().requires_grad_(False)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise DataError(f"adapter {adapter.name} does not fit {base.path}: {reason}") from error


def _checked(found: Merged, adapter: Adapter, target: Path) -> Merged:
    log.info(
        "adapter %s moves the probe text by %.2g nats a token; the merged model is %.2g from it (largest difference %.2g)",
        *(adapter.name, found.adapter_effect, found.divergence, found.largest_difference),
    )
    tolerance = max(_TOLERANCE[found.dtype], _TOLERANCE[found.computed_in])
    if not found.divergence <= tolerance:  # not a number is no agreement either
        raise DataError(
            f"{target}: merged and saved in {found.dtype}, the model is {found.divergence:.2g} nats a token from base and "
            f"adapter together; up to {tolerance:g} would be rounding",
            hint="merge in float32: --dtype=fp32",
        )
    return found


def load(path: Path, dtype: str) -> Any:
    """A causal model of transformers, to be asked only; `dtype` by name, or auto. DataError where it cannot be loaded."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    try:
        return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=dtype).eval().requires_grad_(False)
    except (OSError, ValueError) as error:
        raise DataError(f"transformers cannot load {path}: {str(error).splitlines()[0]}") from error


def tokenizer(path: Path) -> Any:
    """The tokenizer of a checkpoint folder."""
    import transformers

    try:
        return transformers.AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise DataError(f"transformers cannot load the tokenizer of {path}: {str(error).splitlines()[0]}") from error


def _log_probabilities(model: Any, tokens: Any) -> Any:
    return model(input_ids=tokens).logits.float().log_softmax(-1)


def _divergence(reference: Any, other: Any) -> float:
    """Mean over the tokens of the Kullback-Leibler divergence of `other` from `reference`, in nats."""
    return float((reference.exp() * (reference - other)).sum(-1).mean())


def _cast(model: Any, dtype: str) -> Any:
    return {"float32": model.float, "float16": model.half, "bfloat16": model.bfloat16}[dtype]()


def _computing_dtype(base: Checkpoint) -> str:
    """float32, so that only the saving rounds; the checkpoint's own dtype where memory does not hold that."""
    parameters = sum(tensor.elements for tensor in base.tensors.values()) or base.size_bytes // 2
    needed = int(parameters * 4 * 1.3)
    if needed <= _memory_bytes():
        return "float32"
    log.warning("%.0f GB of memory would be needed to merge in float32: merging in %s", needed / 1e9, base.dtype)
    return base.dtype


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") + _cache_bytes()
    except (ValueError, OSError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _cache_bytes() -> int:
    """What the kernel would give back at once: Linux counts its file cache as used."""
    info = Path("/proc/meminfo")
    if not info.is_file():
        return 0
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in info.read_text().splitlines() if ":" in line}
    return 1024 * max(0, kilobytes.get("MemAvailable", 0) - kilobytes.get("MemFree", 0))
