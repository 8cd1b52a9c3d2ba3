"""The embedded engine's own checks and sizes: which GGUF file, how many slots, how much context, how many threads."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path

from ns_eval.config import ServerConfig
from ns_eval.engines.gguf_file import gguf_context
from ns_eval.errors import ServerError, UsageError

# Up to here a model is tiny: one thread decodes 32 answers of tinymath at 9,000 tokens/s, and a second thread, spinning on a
# busy machine, made the same work 25 times slower. Larger ones get every core, and fewer slots: each slot holds a context.
_TINY_BYTES = 64 * 2**20
_TINY_SLOTS, _SLOTS = 32, 4
_MOST_CONTEXT = 32768


def embedded(server: ServerConfig, path: str) -> tuple[ServerConfig, str]:
    """The server with its sizes filled in, and the GGUF file that `path` means.

    Raises:
        ServerError: xllamacpp is not installed.
        UsageError, DataError: the path holds no GGUF file.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise ServerError("the embedded engine is not installed", hint="pip install 'ns-eval[embedded]'")
    file = gguf_below(path)
    trained = gguf_context(file)
    tiny = file.stat().st_size <= _TINY_BYTES
    sized = replace(
        server,
        max_num_seqs=server.max_num_seqs or (_TINY_SLOTS if tiny else _SLOTS),
        context=server.context or min(trained or _MOST_CONTEXT, _MOST_CONTEXT),
        threads=server.threads or (1 if tiny else _cores()),
    )
    return sized, str(file)


def gguf_below(path: str) -> Path:
    """The GGUF file itself, or the only one in a folder."""
    given = Path(path)
    if not given.exists():
        raise UsageError(f"the model {path} does not exist", hint="give a .gguf file, or a name that `ns show models` lists")
    if not given.is_dir():
        return given
    files = sorted(given.glob("*.gguf"))
    if len(files) == 1:
        return files[0]
    if not files:
        hint = f"ns convert --input_model={path} --convert_to=gguf …, or serve the folder: --server_type=vllm"
        raise UsageError(f"{path} holds no .gguf file, which the embedded engine needs", hint=hint)
    names = ", ".join(file.name for file in files)
    raise UsageError(f"{path} holds several GGUF files: {names}", hint=f"--model={files[0]}")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
