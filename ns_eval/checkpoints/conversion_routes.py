"""What a conversion consists of: which steps, in which order. Nothing is run here."""

from __future__ import annotations

import functools
import logging
from dataclasses import asdict, replace
from pathlib import Path

from ns_eval.checkpoints import trtllm_engine
from ns_eval.checkpoints.checkpoint import Limits, inspect
from ns_eval.checkpoints.conversion_request import Request, Route
from ns_eval.checkpoints.staging import Step, partial, same_disk, stage
from ns_eval.checkpoints.trtllm import Toolchain
from ns_eval.records import Json

log = logging.getLogger(__name__)

_BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "F32": 4.0, "F16": 2.0, "Q8_0": 34 / 32}


def route(request: Request, tools: Toolchain | None) -> Route:
    """How to get there; `tools` is what of TensorRT-LLM is there, None where it is not known yet or not needed.

    Raises:
        UsageError: an engine is asked for, and its builder or script is missing.
    """
    if request.target == "gguf":
        return _gguf(request)
    if request.target == "trtllm" and tools is not None and trtllm_engine.builds(request, tools):
        kept = replace(request, dtype=None)  # the checkpoint script casts by itself
        first = _reshaped(kept, request.source.kind, partial(request.output) / "reshaped")
        return trtllm_engine.engine(request, tools, first)
    return _folder(request, tools)


def _folder(request: Request, tools: Toolchain | None) -> Route:
    """A Hugging Face folder: merged, rewritten, quantised, or staged as it is."""
    folder = partial(request.output)
    between = folder / "reshaped"
    form = request.form if request.target == "hf" else "safetensors"
    first = _reshaped(request, form, between if request.quantization else folder)
    steps, packages, needed = list(first.steps), list(first.packages), first.needed_bytes
    if request.quantization and request.calibration:
        quantize = functools.partial(_quantize, first.origin, folder, request.quantization, request.calibration)
        steps.append(Step("quantize", f"quantising to {request.quantization} by ModelOpt", quantize))
        packages += ["modelopt", "torch", "transformers"]
        needed += request.source.size_bytes
    elif not steps:
        steps.append(Step("stage", f"staging {request.source.path}", functools.partial(_stage, request, folder)))
        needed += 0 if request.link and same_disk(request.source.path, request.output) else request.source.size_bytes
    serves = request.target == "trtllm"
    facts = _serving_facts(request, tools) if serves else {}
    mode = "checkpoint" if serves else "hf"
    return Route(mode, tuple(steps), tuple(packages), needed, folder, facts, scratch=(between, *first.scratch))


def _reshaped(request: Request, form: str, target: Path) -> Route:
    """The steps that merge an adapter and change dtype or form; none where the checkpoint is right as it is."""
    source, adapter = request.source, request.adapter
    size = int(source.size_bytes * _BYTES.get(request.dtype or source.dtype, 4.0) / _BYTES.get(source.dtype, 4.0))
    if adapter is None and not request.casts and form == source.kind:
        return Route("hf", (), (), 0, source.path)
    if adapter is None:
        dtype = request.dtype if request.casts else None
        action = functools.partial(_rewrite, source.path, target, form, dtype)
        return Route("hf", (Step("rewrite", f"writing {form} weights", action),), ("torch", "safetensors"), size, target)
    merged = target if form == "safetensors" else partial(request.output) / "merged"
    steps = [Step("merge", f"merging {adapter.name} into {source.path}", functools.partial(_merge, request, merged))]
    if form != "safetensors":
        steps.append(Step("rewrite", f"writing {form} weights", functools.partial(_rewrite, merged, target, form, None)))
    packages = ("torch", "transformers", "peft", "safetensors")
    scratch = () if merged == target else (merged,)
    return Route("hf", tuple(steps), packages, size * len(steps), target, scratch=scratch)


def _gguf(request: Request) -> Route:
    folder = partial(request.output)
    is_file = request.output.suffix == ".gguf"
    name = request.output.name if is_file else f"{request.output.name}-{request.gguf_type.lower()}.gguf"
    # GGUF has its own types: of the steps before it only those are needed that bring plain safetensors about.
    first = _reshaped(replace(request, dtype=None), "safetensors", folder / "reshaped")
    export = functools.partial(_export, first.origin, request.gguf_type, folder / name, request.output.stem)
    elements = request.source.size_bytes / _BYTES.get(request.source.dtype, 4.0)
    return Route(
        mode="gguf",
        steps=(*first.steps, Step("gguf", f"writing {name} ({request.gguf_type})", export)),
        packages=(*first.packages, "gguf"),
        needed_bytes=first.needed_bytes + int(elements * _BYTES[request.gguf_type]),
        origin=folder,
        facts={"gguf_type": request.gguf_type},
        product=folder / name if is_file else None,
        scratch=(folder / "reshaped", *first.scratch),
    )


def _serving_facts(request: Request, tools: Toolchain | None) -> dict[str, Json]:
    sizes = dict(request.sizes)
    if "max_input_len" in sizes:
        sizes.setdefault("max_num_tokens", max(trtllm_engine.SIZES["max_num_tokens"], sizes["max_input_len"]))
    limits = Limits("checkpoint", **sizes, tp_size=request.split.gpus, pp_size=request.split.nodes)
    unchecked: list[str] = []
    if tools is not None and not tools.found:
        unchecked = [
            f"whether its version serves {request.source.architecture}",
            "whether these limits fit the GPUs' memory",
        ]
        log.warning("TensorRT-LLM is not found here: the checkpoint is staged, not checked is %s", " and ".join(unchecked))
    return {"limits": asdict(limits), "toolchain": trtllm_engine.tools_found(tools), "unchecked": unchecked}


def _stage(request: Request, target: Path) -> dict[str, Json]:
    return stage(request.source, target, link=request.link)


def _merge(request: Request, target: Path) -> dict[str, Json]:
    from ns_eval.checkpoints.merging import merge

    assert request.adapter is not None
    return asdict(merge(request.source, request.adapter, target, request.dtype or request.source.dtype or "float32"))


def _rewrite(source: Path, target: Path, form: str, dtype: str | None) -> None:
    from ns_eval.checkpoints.weights import rewrite

    rewrite(inspect(source), target, form, dtype)


def _export(source: Path, kind: str, target: Path, name: str) -> None:
    from ns_eval.checkpoints.gguf_export import export

    export(inspect(source), kind, target, name)


def _quantize(origin: Path, target: Path, form: str, calibration: tuple[Path, int]) -> dict[str, Json]:
    from ns_eval.checkpoints.quantizing import calibration_texts, quantize

    return quantize(inspect(origin), target, form, calibration_texts(*calibration))
