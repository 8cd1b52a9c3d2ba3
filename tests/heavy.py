"""torch and peft for the tests that need them: of this environment, or of the one that NS_VLLM_PYTHON names."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.paths import REPO

NAMES = ("torch", "transformers", "peft")


def packages() -> str:
    """The site-packages folder where they lie; empty where that is nowhere special. Skips where they are nowhere."""
    if all(find_spec(name) for name in NAMES):
        return ""
    python = os.environ.get("NS_VLLM_PYTHON", "")
    if not python:
        pytest.skip("torch and peft are not installed, and NS_VLLM_PYTHON names no environment: NOT TESTED")
    folder = _told(python, "import sysconfig; print(sysconfig.get_path('purelib'))")
    # Beside the packages of this environment, as its processes will see them.
    _told(sys.executable, f"import site; site.addsitedir({folder!r}); import {', '.join(NAMES)}; print('fine')")
    return folder


def python_path(below: Path, found: str) -> str:
    """A PYTHONPATH under which this interpreter searches the folder `found` last."""
    site = below / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(f"import site\nsite.addsitedir({found!r})\n" if found else "")
    return os.pathsep.join([str(site), str(REPO)])


def _told(python: str, code: str) -> str:
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{python} has not all of {', '.join(NAMES)}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip().splitlines()[-1]
