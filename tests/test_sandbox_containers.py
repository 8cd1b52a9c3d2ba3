"""Docker, Podman and Apptainer as walls: what they are told, and that sessions work behind them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ns_eval.errors import UsageError
from ns_eval.sandbox import Execution, Sandbox, SandboxConfig, SandboxError, landlock
from tests.paths import REPO
from tests.peers.standins import script

IMAGES = {"docker": "python:3.12-slim", "podman": "python:3.12-slim", "apptainer": "/images/python.sif"}
pytestmark = pytest.mark.skipif(landlock.abi() == 0, reason="sessions in a container are kept apart by Landlock")


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-ins on PATH, and a secret in the launcher's environment."""
    (tmp_path / "bin").mkdir()
    for tool in IMAGES:
        script(tmp_path / "bin" / tool, f'exec "{sys.executable}" "{REPO}/tests/peers/containers.py" {tool} "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NS_TEST_SECRET", "tell-nobody")


def used(config: SandboxConfig) -> tuple[str, list[Execution]]:
    """The line about the walls, and what three calls came to."""

    async def run() -> tuple[str, list[Execution]]:
        async with Sandbox(config) as sandbox:
            session = sandbox.session("s")
            cells = [await session.run(code) for code in ("x = 6", "x * 7")]
            return sandbox.walls, [*cells, await sandbox.program("def f(): return 1", tests="assert f() == 1")]

    return asyncio.run(run())


@pytest.mark.parametrize("tool", IMAGES)
def test_sessions_live_in_the_container(tool: str, tmp_path: Path) -> None:
    line, executions = used(SandboxConfig(walls=tool, image=IMAGES[tool], preload=[]))
    assert f"{tool} container of {IMAGES[tool]}" in line and "out of reach" in line
    assert [execution.stdout for execution in executions[:2]] == ["", "42\n"]
    assert executions[2].proved
    told: dict[str, Any] = json.loads((tmp_path / "told.json").read_text())
    assert told["network"] == "none"
    assert "NS_TEST_SECRET" not in told["environment"], "the tool needs none of the launcher's secrets"
    assert not [item for item in told["env"] if "SECRET" in item]
    if tool != "apptainer":
        assert (told["cap_drop"], told["read_only"], told["security_opt"]) == (["ALL"], True, ["no-new-privileges"])
        assert told["user"] != "0:0" and told["pull"] == "never"
        writable = [item for item in told["volume"] if not item.endswith(":ro")]
        assert len(writable) == 1 and "ns-sandbox-" in writable[0]
    else:
        assert told["containall"] and told["cleanenv"] and told["no_privs"]


def test_an_image_that_is_not_there_is_said_in_the_tools_own_words() -> None:
    with pytest.raises(SandboxError, match=r"podman: .*python:9: image not known"):
        used(SandboxConfig(walls="podman", image="python:9"))


def test_no_image_and_no_tool_are_one_sentence_each(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="walls=docker needs an image"):
        used(SandboxConfig(walls="docker"))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match="apptainer is not installed"):
        used(SandboxConfig(walls="apptainer", image="x.sif"))
