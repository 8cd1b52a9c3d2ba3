"""The route to a TensorRT-LLM engine: its own two commands, then what the engine folder lacks."""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ns_eval.checkpoints import trtllm
from ns_eval.checkpoints.checkpoint import Limits
from ns_eval.checkpoints.conversion_request import Request, Route
from ns_eval.checkpoints.staging import LOGS, Step, command, partial
from ns_eval.checkpoints.trtllm import Toolchain
from ns_eval.errors import UsageError
from ns_eval.records import Json

log = logging.getLogger(__name__)

# What the reference gives to trtllm-build: NeMo-Skills at its release of OpenMath-Nemotron, nemo_skills/pipeline/convert.py.
SIZES = {"max_batch_size": 512, "max_input_len": 4096, "max_seq_len": 8192, "max_num_tokens": 8192}
_MOST_WORKERS = 16
_TOKENIZER_FILES = ("tokenizer", "special_tokens", "added_tokens", "vocab", "merges", "chat_template", "tekken", "spiece")


def builds(request: Request, tools: Toolchain) -> bool:
    """Whether an engine is to be built, as asked or as found.

    Raises:
        UsageError: it is asked for and cannot be.
    """
    if request.mode == "checkpoint":
        return False
    quantizer = request.quantization is not None
    script = tools.quantizer() if quantizer else tools.script(request.family)
    if tools.builder and script and request.family:
        return True
    missing = "trtllm-build is not installed here, or builds no engines any more" if not tools.builder else ""
    missing = missing or f"TensorRT-LLM's {'quantize.py' if quantizer else 'checkpoint script'} is not found"
    if request.mode == "engine":
        hint = "run it in a TensorRT-LLM container up to 1.3.0rc20, or name its scripts: ++convert.examples=…/examples"
        raise UsageError(f"no engine can be built: {missing}", hint=hint)
    if tools.builder:
        log.warning("%s (++convert.examples=…), so no engine is built: the checkpoint is staged for trtllm-serve", missing)
    return False


def engine(request: Request, tools: Toolchain, first: Route) -> Route:
    """The steps of `first`, which end with a Hugging Face folder, and those from there to the engine."""
    folder = partial(request.output)
    halfway = folder / "trt-checkpoint"
    prepare = _prepare_argv(request, tools, first.origin, halfway)
    options = _build_options(request, tools)
    build = trtllm.build_argv(tools, (halfway, folder), options)
    logs = folder / LOGS
    made = halfway / "config.json"
    steps = (
        *first.steps,
        Step("prepare", "making TensorRT-LLM's checkpoint", _command(prepare, logs / "prepare.log", made), prepare),
        Step("build", "building the engine", _command(build, logs / "build.log", folder / "rank0.engine"), build),
        Step("tokenizer", "copying the tokenizer", functools.partial(_copy_tokenizer, request.source.path, folder)),
    )
    facts = {"limits": asdict(_engine_limits(request, options)), "toolchain": tools_found(tools), "unchecked": []}
    size = request.source.size_bytes * 2 + first.needed_bytes
    scratch = (halfway, folder / "reshaped", *first.scratch)
    return Route("engine", steps, first.packages, size, folder, facts, scratch=scratch)


def _prepare_argv(request: Request, tools: Toolchain, origin: Path, halfway: Path) -> list[str]:
    split = request.split.options()
    if request.quantization:
        script = tools.quantizer()
        calibration = request.calibration
        options = {"--qformat": request.quantization, "--dtype": request.dtype or "bfloat16", **split}
        if calibration:
            options |= {"--calib_dataset": str(calibration[0]), "--calib_size": str(calibration[1])}
    else:
        script = tools.script(request.family)
        workers = min(_MOST_WORKERS, request.split.gpus * request.split.nodes)
        options = {"--dtype": request.dtype or "bfloat16", **split, "--workers": str(workers)}
    assert script is not None
    return trtllm.checkpoint_argv(tools, script, (origin, halfway), options, request.prepare_args)


def _build_options(request: Request, tools: Toolchain) -> dict[str, str | None]:
    sizes = dict(SIZES)
    if request.source.context is not None:
        sizes["max_seq_len"] = min(sizes["max_seq_len"], request.source.context)
    sizes |= request.sizes
    if "max_input_len" not in request.sizes:
        sizes["max_input_len"] = min(sizes["max_input_len"], sizes["max_seq_len"])
    if "max_num_tokens" not in request.sizes:
        # Without chunked prefill a prompt must fit one step.
        sizes["max_num_tokens"] = max(sizes["max_num_tokens"], sizes["max_input_len"])
    # auto is the checkpoint's own dtype, which a quantisation or the user's own switches decide.
    decided_there = request.quantization or "--dtype" in request.prepare_args
    plugin = "auto" if decided_there else request.dtype or "bfloat16"
    options: dict[str, str | None] = {"--gpt_attention_plugin": plugin, "--use_paged_context_fmha": "enable"}
    options |= {f"--{name}": str(value) for name, value in sizes.items()}
    return trtllm.build_options(tools, options, request.build_args)


def _engine_limits(request: Request, options: Mapping[str, str | None]) -> Limits:
    sizes = {name: int(value) for name in SIZES if (value := options.get(f"--{name}"))}
    return Limits("engine", **sizes, tp_size=request.split.gpus, pp_size=request.split.nodes)


def _command(argv: list[str], log_file: Path, produces: Path) -> functools.partial[None]:
    return functools.partial(command, argv, log_file, produces)


def _copy_tokenizer(source: Path, target: Path) -> dict[str, Json]:
    names = []
    for file in sorted(source.iterdir()):
        wanted = (
            file.name.startswith(_TOKENIZER_FILES) or file.suffix == ".tiktoken" or file.name == "generation_config.json"
        )
        if file.is_file() and wanted:
            shutil.copyfile(file, target / file.name)
            names.append(file.name)
    return {"files": names}


def tools_found(tools: Toolchain | None) -> dict[str, Json]:
    if tools is None:
        return {}
    return {"tensorrt_llm": tools.version, "trtllm-build": tools.builder, "trtllm-serve": tools.server}
