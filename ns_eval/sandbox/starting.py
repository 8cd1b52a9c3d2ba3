"""The command line that starts a zygote, behind whatever stands around it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ns_eval.sandbox import containers
from ns_eval.sandbox.config import SandboxConfig
from ns_eval.sandbox.containers import TOOLS
from ns_eval.sandbox.root import readable

_PACKAGE = str(Path(__file__).resolve().parents[2])
# Run with -P -s, so that neither the working directory nor a user's packages are importable.
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from ns_eval.sandbox import zygote; sys.path.pop(0);"
    " zygote.main(sys.argv[2], sys.argv[3])"
)
# What bubblewrap needs to build the same root; only where own namespaces are refused and it has the right to make them.
_BWRAP = ("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL")
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
# The order of a set of strings must not differ from run to run.
_REPEATABLE = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"}
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", **dict.fromkeys(_ONE_THREAD, "1"), **_REPEATABLE}


def command(config: SandboxConfig, mode: str, preload: Sequence[str], channel: str, scratch: str | None) -> list[str]:
    """`channel`: the number of a descriptor, or the path of a socket; `scratch`: where sessions without a /tmp of their own
    write."""
    settings = {
        "mode": "landlock" if mode in TOOLS else mode,
        "scratch": scratch,
        "preload": [*preload],
        "memory_bytes": config.memory_mb << 20,
        "tmp_bytes": config.tmp_mb << 20,
        "file_bytes": config.tmp_mb << 20,
        "cpu_s": config.cpu_s,
        "processes": config.processes,
        "open_files": config.open_files,
    }
    python = interpreter(config, mode)
    program = [python, "-P", "-s", "-c", _PROGRAM, _PACKAGE, channel, json.dumps(settings)]
    if mode in TOOLS:
        assert scratch is not None
        return containers.command(mode, config.image, program, ENVIRONMENT, scratch, f"{_PACKAGE}/ns_eval")
    if mode != "bwrap":
        return program
    assert scratch is not None
    shown = [*readable(), str(Path(python).parent.parent), f"{_PACKAGE}/ns_eval"]
    binds = [word for path in shown for word in ("--ro-bind-try", path, path)]
    tree = [*binds, "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--bind", scratch, scratch]
    return [*_BWRAP, *tree, *program]


def interpreter(config: SandboxConfig, mode: str) -> str:
    """As a shell here would find it: it is started in another folder and with another PATH."""
    if mode in TOOLS:
        return config.python or "python3"
    found = shutil.which(config.python or sys.executable)
    return config.python if found is None else str(Path(found).absolute())
