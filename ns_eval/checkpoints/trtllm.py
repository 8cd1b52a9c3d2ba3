"""TensorRT-LLM's tools: which of them are installed, and the argument lists that make an engine. Nothing of it is imported.

Engines and `trtllm-build` last existed in 1.3.0rc20; later versions serve Hugging Face folders only. Option names are of
https://github.com/NVIDIA/TensorRT-LLM: tensorrt_llm/commands/build.py (65f1d153),
examples/models/core/qwen/convert_checkpoint.py (0df9aaf3), examples/quantization/quantize.py.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ns_eval.errors import UsageError, suggest

# model_type of config.json -> the folder of its conversion script, which is also what --model_type names.
FAMILIES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen": "qwen",
    "qwen2": "qwen",
    "qwen2_moe": "qwen",
    "qwen3": "qwen",
    "qwen3_moe": "qwen",
    "deepseek_v3": "deepseek_v3",
}
QUANTIZATIONS = ("fp8", "nvfp4", "int4_awq")
_CONTAINER_EXAMPLES = Path("/app/tensorrt_llm/examples")
_PROBE_TIMEOUT_S = 300.0  # `trtllm-build --help` imports torch and TensorRT, from a network disk perhaps
_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")
_OTHER_NAMES = {
    "--max_decoder_seq_len": "--max_seq_len",
    "--max_multimodal_len": "--max_prompt_embedding_table_size",
    "-sq": "--smoothquant",
}


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What of TensorRT-LLM is on PATH. `options` are those that the builder's --help names; `examples` holds the scripts."""

    version: str | None
    builder: str | None
    options: frozenset[str]
    server: str | None
    python: str
    examples: Path | None

    @property
    def found(self) -> bool:
        return bool(self.version or self.builder or self.server)

    def script(self, family: str) -> Path | None:
        """The checkpoint script of a family; older releases had no models/core."""
        if self.examples is None:
            return None
        places = (self.examples / "models/core" / family, self.examples / family)
        return next(
            (place / "convert_checkpoint.py" for place in places if (place / "convert_checkpoint.py").is_file()), None
        )

    def quantizer(self) -> Path | None:
        path = self.examples / "quantization/quantize.py" if self.examples else None
        return path if path and path.is_file() else None


def probe(examples: str | None = None) -> Toolchain:
    """Looks for the tools in this environment; to be called where the conversion runs."""
    builder, server = shutil.which("trtllm-build"), shutil.which("trtllm-serve")
    python = _python_beside(builder or server)
    told = _output([builder, "--help"]) if builder else None
    options = frozenset(_OPTION.findall(told or ""))
    version = _output([python, "-c", "from importlib.metadata import version; print(version('tensorrt_llm'))"])
    folder = Path(examples) if examples else _CONTAINER_EXAMPLES
    return Toolchain(
        version=version.strip() if version else None,
        builder=builder if "--checkpoint_dir" in options else None,
        options=options,
        server=server,
        python=python,
        examples=folder if folder.is_dir() else None,
    )


@dataclass(frozen=True, slots=True)
class Build:
    """The two commands of an engine, and the options of the second as they will stand."""

    checkpoint: tuple[str, ...]
    engine: tuple[str, ...]
    options: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Split:
    """Ranks of an engine: GPUs of a node (tensor parallel) times nodes (pipeline parallel)."""

    gpus: int
    nodes: int

    def options(self) -> dict[str, str | None]:
        return {"--tp_size": str(self.gpus), "--pp_size": str(self.nodes)}


def checkpoint_argv(
    tools: Toolchain, script: Path, folders: tuple[Path, Path], options: Mapping[str, str | None], more: str
) -> list[str]:
    """The first command: a Hugging Face folder -> TensorRT-LLM's own checkpoint. `more` is the user's, and wins."""
    source, target = folders
    fixed = {"--model_dir": str(source), "--output_dir": str(target)}
    return [tools.python, str(script), *words({**fixed, **_overlaid(options, more, "trt_prepare_args")})]


def build_argv(tools: Toolchain, folders: tuple[Path, Path], options: Mapping[str, str | None]) -> list[str]:
    """The second command: that checkpoint -> engine files."""
    source, target = folders
    assert tools.builder is not None
    return [tools.builder, *words({"--checkpoint_dir": str(source), "--output_dir": str(target), **options})]


def build_options(tools: Toolchain, options: Mapping[str, str | None], more: str) -> dict[str, str | None]:
    """The builder's options, each once: ours, then the user's of --trt_build_args, which win.

    Raises:
        UsageError: an option that this builder does not have.
    """
    found = _overlaid(options, more, "trt_build_args")
    for name in found:
        if not any(known.startswith(name) for known in tools.options):  # argparse takes a beginning for the whole
            nearest = suggest(name, tools.options)
            raise UsageError(f"this trtllm-build has no option `{name}`, {nearest}", hint="trtllm-build --help")
    return found


def words(options: Mapping[str, str | None]) -> list[str]:
    """Options as an argument list; None is a bare flag."""
    return [word for name, value in options.items() for word in ([name] if value is None else [name, *shlex.split(value)])]


def _overlaid(options: Mapping[str, str | None], text: str, key: str) -> dict[str, str | None]:
    found = dict(options)
    for name, value in _given(text, key):
        full = _full_name(name, found)
        found.pop(full, None)
        found[full] = value
    return found


def _full_name(name: str, known: Iterable[str]) -> str:
    """One name for all spellings of an option, so that none is given twice."""
    plain = _OTHER_NAMES.get(name, name)
    matches = [option for option in known if option.startswith(plain)]
    return matches[0] if len(matches) == 1 else plain


def _given(text: str, key: str) -> list[tuple[str, str | None]]:
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--{key}: {error}: {text}") from error
    found: list[tuple[str, list[str]]] = []
    for word in parts:
        name, equals, value = word.partition("=")
        if _OPTION.fullmatch(name):
            found.append((name, [value] if equals else []))
        elif found:
            found[-1][1].append(word)
        else:
            raise UsageError(f"--{key} begins with `{word}`, which is no option", hint=f'--{key}="--name value"')
    return [(name, shlex.join(values) if values else None) for name, values in found]


def _python_beside(tool: str | None) -> str:
    """The interpreter of the environment that a tool is installed in."""
    beside = Path(tool).with_name("python3") if tool else None
    return str(beside) if beside and beside.exists() else shutil.which("python3") or "python3"


def _output(argv: list[str]) -> str | None:
    """What a command prints; None where it fails or does not exist."""
    try:
        told = subprocess.run(argv, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout if told.returncode == 0 else None
