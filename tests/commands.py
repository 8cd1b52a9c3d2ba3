"""`ns …` as a user runs it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.paths import REPO


def start(*words: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """The command, running."""
    # The checkout is found from any folder; nothing else of this process's surroundings matters to it.
    surroundings = {**os.environ, "PYTHONPATH": str(REPO), "NO_COLOR": "1", **(env or {})}
    command = [sys.executable, "-m", "ns_eval", *map(str, words)]
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ns(
    *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, code: int = 0, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """The command, ended with the exit code that is expected of it; never with a traceback."""
    process = start(*words, cwd=cwd, env=env)
    out, err = process.communicate(timeout=timeout_s)
    assert "Traceback" not in err, err
    if process.returncode != code:
        pytest.fail(f"`ns {' '.join(map(str, words))}` ended with {process.returncode}, not {code}:\n{out}\n{err}")
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
