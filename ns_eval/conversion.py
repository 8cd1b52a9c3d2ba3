"""`ns convert`: from the checkpoint that one has to what a server loads, as steps that resume."""

from __future__ import annotations

import hashlib
import json
import logging
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from ns_eval.arguments import Spellings
from ns_eval.checkpoints import adapters, conversion_request, staging
from ns_eval.checkpoints.checkpoint import Checkpoint, check_split
from ns_eval.checkpoints.conversion_request import Request
from ns_eval.checkpoints.conversion_routes import route
from ns_eval.checkpoints.staging import Building
from ns_eval.checkpoints.trtllm import QUANTIZATIONS, Split, probe
from ns_eval.checkpoints.weights import FORMATS, require
from ns_eval.errors import UsageError
from ns_eval.files import sha256
from ns_eval.models import identity
from ns_eval.options import PlaceConfig
from ns_eval.records import Json
from ns_eval.schema import REQUIRED, build

log = logging.getLogger(__name__)

_MODES = ("auto", "engine", "checkpoint")
# What does not shape the result: where the job runs, where input and result lie, whether an earlier try is used.
_NOT_SHAPING = {item.name for item in fields(PlaceConfig)}
_NOT_SHAPING |= {"input_model", "output_model", "adapter", "trt_reuse_tmp_engine"}


@dataclass
class ConvertDetails:
    """Switches that are seldom needed."""

    mode: str = "auto"
    """For trtllm: engine (built by trtllm-build), checkpoint (the folder staged), auto (an engine where it can be built)."""
    examples: str | None = None
    """TensorRT-LLM's examples folder, where its checkpoint scripts lie. Default: /app/tensorrt_llm/examples."""
    link: bool = True
    """Stage weights as hard links where input and output are on one disk; false copies them."""


@dataclass
class ConvertConfig(PlaceConfig):
    """Convert a checkpoint for a server: TensorRT-LLM, llama.cpp (GGUF), or another Hugging Face form; merge an adapter.

    Examples:
        ns convert --input_model=/models/OpenMath-Nemotron-1.5B --output_model=/models/openmath-1.5b-trtllm \\
            --convert_from=hf --convert_to=trtllm --model_type=qwen --num_gpus=1 --max_input_len 50000 --max_seq_len 50000
        ns convert --input_model=/models/qwen3-8b --output_model=/models/qwen3-8b-mine --convert_to=hf --adapter=/runs/lora
        ns convert --input_model=/models/qwen3-8b --output_model=qwen3-8b.gguf --convert_to=gguf --dtype=q8_0
    """

    input_model: str = REQUIRED
    """The checkpoint: a Hugging Face folder."""
    output_model: str = REQUIRED
    """The folder to make, or a file that ends with .gguf. It appears when it is whole; the same command again goes on."""
    convert_from: str = "hf"
    """hf, the only form that is read."""
    convert_to: str = REQUIRED
    """trtllm, hf or gguf."""
    model_type: str | None = None
    """llama, qwen or deepseek_v3. Default: what config.json says; given, it must agree."""
    hf_model_name: str | None = None
    """The hub id that the checkpoint came from; recorded."""
    dtype: str | None = None
    """bf16, fp16, fp32; for gguf fp16, fp32, q8_0. Default: the checkpoint's own; bf16 for an engine, fp16 for gguf."""
    quantization: str | None = None
    """fp8, nvfp4 or int4_awq, for trtllm and hf: by TensorRT-LLM's script for an engine, else by ModelOpt."""
    calib_dataset: str | None = None
    """A JSONL file of texts or problems that a quantisation is calibrated on; it asks for one."""
    calib_size: int = 512
    """How many of its rows."""
    num_gpus: int = 1
    """GPUs of a node that share the model (tensor parallel); `ns eval --server_gpus` must be the same."""
    num_nodes: int = 1
    """Nodes that share the model (pipeline parallel)."""
    max_input_len: int | None = None
    """Tokens of the longest prompt. Default of an engine: 4096."""
    max_seq_len: int | None = None
    """Tokens of prompt and answer together. Default of an engine: 8192."""
    max_batch_size: int | None = None
    """Requests decoded together. Default of an engine: 512."""
    max_num_tokens: int | None = None
    """Tokens of one step over all requests. Default: the larger of 8192 and max_input_len."""
    adapter: str | None = None
    """A LoRA adapter (a folder of PEFT, or name:folder) that is merged first."""
    weights_format: str = "safetensors"
    """safetensors or bin, for --convert_to=hf."""
    trt_prepare_args: str = ""
    """Further options of TensorRT-LLM's checkpoint script, as one text: quantisation switches live here."""
    trt_build_args: str = ""
    """Further options of trtllm-build, as one text."""
    trt_reuse_tmp_engine: bool = True
    """Go on where an earlier try stopped; false begins anew."""
    convert: ConvertDetails = field(default_factory=ConvertDetails)
    """Switches that are seldom needed."""
    dry_run: bool = False
    """Print the steps and their commands, start nothing."""


CONVERT_SPELLINGS = Spellings(
    ignored={
        "expname": "a conversion is known by its output",
        "reuse_code": "jobs run the installed code",
        "skip_hf_home_check": "nothing needs HF_HOME",
    },
    refused={
        "log_dir": "what the tools say lies in <output_model>/conversion-logs",
        "run_after": "chain with the shell: `ns … && ns convert …`, or use the cluster's own dependencies",
        "precision": "write --dtype=bf16",
        "max_shard_size": "shards stay as they are; a merged model comes in shards of 5 GB",
        "reuse_code_exp": "jobs run the installed code",
    },
)


def described(manifest: Mapping[str, Json], output: Path) -> str:
    """What was made, in one line."""
    limits = {key: value for key, value in (manifest.get("limits") or {}).items() if value is not None}
    told = ", ".join(f"{key} {value}" for key, value in limits.items() if key != "mode")
    return f"{output}  {manifest['mode']}{': ' if told else ''}{told}"


def run_job(**config: Json) -> None:
    """What a job calls: the same as `convert`, its configuration as plain values."""
    convert(build(ConvertConfig, config, "ns convert"))


def convert(config: ConvertConfig) -> dict[str, Json]:
    """Checks, plans and runs a conversion in this environment; returns the manifest.

    Raises:
        NsError: as `check` and `plan`, or a step that failed; then `<output>.partial` keeps what is done.
    """
    if not config.trt_reuse_tmp_engine:
        staging.forget(Path(config.output_model))
    building = plan(config)
    made = staging.made(building.output, building.fingerprint)
    if made is not None:
        log.info("%s is made already, by the same conversion", building.output)
        return made
    return staging.run(building)


def check(config: ConvertConfig) -> Request:
    """All that can be checked without the environment of the job: for the machine that submits it.

    Raises:
        UsageError: a direction or a setting that does not exist or does not fit the model.
        DataError: a checkpoint or adapter that is not whole, too little disk.
    """
    request = _request(config)
    staging.check_room(request.output, route(request, None).needed_bytes)
    return request


def plan(config: ConvertConfig) -> Building:
    """What will be done, in this environment. Nothing is written yet.

    Raises:
        NsError: as `check`; a library or a tool that is missing here; an output that is something else.
    """
    request = _request(config)
    found = route(request, probe(request.examples) if request.target == "trtllm" else None)
    facts = {"mode": found.mode, "command": _command(), "source": _origin(config, request), **found.facts}
    building = Building(
        request.output, _fingerprint(config, request, facts), found.steps, facts, found.product, found.scratch
    )
    if staging.made(building.output, building.fingerprint) is None:
        require(*found.packages)
        _check_gguf(request)
        staging.check_room(request.output, found.needed_bytes)
    return building


def _request(config: ConvertConfig) -> Request:
    target, source = config.convert_to, _source(config)
    asked = config.quantization or (config.dtype if config.dtype in QUANTIZATIONS else None)
    quantization = conversion_request.quantization(asked, target, config.calib_dataset)
    adapter = adapters.inspect(config.adapter) if config.adapter else None
    if adapter is not None:
        adapters.check_base(adapter, source)
    if source.quantized and (adapter or quantization or config.dtype):
        raise UsageError(f"{source.path} is quantised already: merge, cast or quantise the model that it was made of")
    names = ("max_input_len", "max_seq_len", "max_batch_size", "max_num_tokens")
    return Request(
        source=source,
        output=Path(config.output_model),
        target=target,
        family=conversion_request.family(config.model_type, source),
        adapter=adapter,
        dtype=conversion_request.dtype(config.dtype, target),
        form=conversion_request.one_of("weights_format", config.weights_format, FORMATS),
        gguf_type=conversion_request.gguf_type(config.dtype) if target == "gguf" else "",
        quantization=quantization,
        calibration=(Path(config.calib_dataset), config.calib_size) if config.calib_dataset else None,
        split=Split(config.num_gpus, config.num_nodes),
        sizes=conversion_request.sizes({name: getattr(config, name) for name in names}, target, source),
        prepare_args=config.trt_prepare_args,
        build_args=config.trt_build_args,
        mode=conversion_request.one_of("convert.mode", config.convert.mode, _MODES),
        examples=config.convert.examples,
        link=config.convert.link,
    )


def _source(config: ConvertConfig) -> Checkpoint:
    path = Path(config.input_model)
    source = conversion_request.source(config.convert_from, config.convert_to, path)
    if Path(config.output_model).resolve() == path.resolve():
        raise UsageError(f"--output_model={config.output_model} is the input as well", hint="give another folder")
    if config.convert_to == "trtllm":
        check_split(source, config.num_gpus, config.num_nodes)
    return source


def _check_gguf(request: Request) -> None:
    from ns_eval.checkpoints.gguf_export import layout

    if request.target == "gguf" and request.source.kind == "safetensors":
        layout(request.source, request.gguf_type)


def _origin(config: ConvertConfig, request: Request) -> dict[str, Json]:
    """What the manifest says of the input."""
    found: dict[str, Json] = {"path": str(request.source.path.resolve()), "identity": identity(str(request.source.path))}
    found |= {"architecture": request.source.architecture, "dtype": request.source.dtype}
    if config.hf_model_name:
        found["hf_model_name"] = config.hf_model_name
    if request.adapter is not None:
        adapter = request.adapter
        weights = sorted(adapter.path.glob("adapter_model.*"))
        found["adapter"] = {"name": adapter.name, "base": adapter.base, "rank": adapter.rank, "sha256": sha256(weights[-1])}
    return found


def _fingerprint(config: ConvertConfig, request: Request, facts: Mapping[str, Json]) -> str:
    """One value for all that shapes the result."""
    settings = {key: value for key, value in asdict(config).items() if key not in _NOT_SHAPING}
    origin = {key: value for key, value in facts["source"].items() if key != "path"}
    shaping = [settings, origin, facts["mode"], facts.get("limits"), request.gguf_type]
    return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
