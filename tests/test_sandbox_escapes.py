"""Nothing that model-written code tries gets out: as root, as an ordinary user, and where namespaces are refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.paths import REPO
from tests.peers.attacks import ATTACKS, BOMBS, DISK, MARK

SCRIPT = REPO / "tests" / "peers" / "attacks.py"
SECRET = "tell-nobody-7f3a"
ORDINARY = 23456
_IS_ROOT = os.geteuid() == 0
IMAGE = os.environ.get("NS_TEST_IMAGE", "")
WAYS = {
    "as we are": "namespaces",
    "as an ordinary user": "namespaces",
    "without namespaces": "landlock",
    "as an ordinary user without namespaces": "landlock",
    "as an ordinary user in bubblewrap": "bwrap",
    "in a container of podman": "podman",
}
# Not by raising, but by being ended: what must be said of each.
ENDED = {
    "memory bomb of children": "killed", "endless output": "killed", "endless errors": "killed",
    "deaf to interrupts": "timeout", "a long C call": "timeout", "a stopped process": "timeout",
    "garbage on the control channel": "killed", "the control channel closed": "killed", "a forged answer": "killed",
}  # fmt: skip


def _open_interpreter() -> str | None:
    """One that an ordinary user can start: ours may lie in root's home."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        asked = [candidate, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            if shutil.which(candidate) and not subprocess.run(asked, user=ORDINARY, extra_groups=[]).returncode:
                return candidate
        except OSError:
            continue
    return None


@cache
def attacked(way: str) -> Mapping[str, Any]:
    """All attacks, made once for each way of starting the sandbox."""
    interpreter = sys.executable
    rights: dict[str, Any] = {}
    if way.startswith("as an ordinary user"):
        if not _IS_ROOT:
            pytest.skip("we are an ordinary user already")
        found = _open_interpreter()
        if found is None:
            pytest.skip("no Python 3.11 that an ordinary user can start")
        interpreter = found
        rights = {"user": ORDINARY, "group": ORDINARY, "extra_groups": []}
    walls = WAYS[way]
    if walls == "bwrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    if walls == "podman" and not IMAGE:
        pytest.skip("NS_TEST_IMAGE names no image that is here")
    with tempfile.TemporaryDirectory() as temporary:
        Path(temporary).chmod(0o777)
        done = subprocess.run(
            [interpreter, str(SCRIPT), walls, *([IMAGE] if walls == "podman" else [])],
            env={**os.environ, "NS_TEST_SECRET": SECRET, "HOME": "/", "TMPDIR": temporary},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=400,
            **rights,
        )
    if "no wall can be raised" in done.stderr:
        pytest.skip(f"this machine refuses {walls}: {done.stderr.strip().splitlines()[-3]}")
    assert done.returncode == 0, done.stderr
    told: Mapping[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_contained(way: str, attack: str) -> None:
    found = attacked(way)["executions"]
    if attack in DISK and attack not in found:
        pytest.skip("without namespaces /tmp has no size, and the line about the walls says so")
    execution = found[attack]
    assert "ESCAPED" not in execution["stdout"]
    assert "tried" in execution["stdout"]
    if attack in ENDED:
        assert execution["status"] == ENDED[attack]
    elif attack not in BOMBS and attack != "32-bit calls":
        assert execution["status"] == "ok"


@pytest.mark.parametrize("way", WAYS)
def test_the_sandbox_and_the_host_are_as_before(way: str) -> None:
    found = attacked(way)
    assert found["after"] == "42\n", "a session after all attacks works"
    assert found["received"] == "", "no datagram came out"
    assert found["files"] == ["canary", "socket"], "nothing was written beside the canary"
    assert not _processes_of(MARK), "the daemon went with its session"
    assert (found["processes"], found["temporary"]) == ([], []), "neither processes nor files are left, nor their memory"


def test_the_launcher_itself_held_the_secret() -> None:
    # Else the attacks on it would prove nothing.
    asked = "import os; print(os.environ['NS_TEST_SECRET'])"
    shown = subprocess.run([sys.executable, "-c", asked], env={"NS_TEST_SECRET": SECRET}, capture_output=True, text=True)
    assert shown.stdout.strip() == SECRET


@pytest.mark.slurm
@pytest.mark.skipif(shutil.which("srun") is None, reason="no Slurm")
def test_attacks_inside_a_slurm_job_are_contained() -> None:
    done = subprocess.run(
        ["srun", "-n1", "--mem=4000", sys.executable, str(SCRIPT), "namespaces"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and done.stdout, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    escaped = [name for name, execution in found["executions"].items() if "ESCAPED" in execution["stdout"]]
    assert escaped == []
    assert len(found["executions"]) == len(ATTACKS)
    assert found["after"] == "42\n"


def _processes_of(word: str) -> list[str]:
    """Living processes with that word on their command line; the kernel may need a moment to take them down."""
    for _ in range(50):
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if word.encode() in path.read_bytes().split(b"\0"):
                    found.append(path.parent.name)
            except OSError:
                continue
        if not found:
            return []
        time.sleep(0.05)
    return found
