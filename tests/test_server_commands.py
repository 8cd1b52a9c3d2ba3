"""`ns start_server` and `ns run_cmd`: a server for as long as the command lives."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from ns_eval.config import ServerConfig
from ns_eval.errors import UsageError
from ns_eval.server_commands import RunCmdConfig, StartServerConfig, run_cmd, start_server
from tests import commands
from tests.paths import REPO

# What the door does, for a command given as words.
DOOR = """
import sys
from ns_eval import models, server_commands
from ns_eval.compose import compose, overrides
schema, run = {
    "start_server": (server_commands.StartServerConfig, server_commands.start_server),
    "run_cmd": (server_commands.RunCmdConfig, server_commands.run_cmd),
}[sys.argv[1]]
given = overrides(schema, sys.argv[2:], server_commands.SERVER_SPELLINGS)
sys.exit(run(compose(schema, given, models.layers(given))))
"""


def ns(*words: str, folder: Path) -> subprocess.Popen[str]:
    """A command started in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", DOOR, *words], cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True
    )


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_start_server_prints_its_address_and_serves_until_it_is_told_to_stop(told: signal.Signals, tmp_path: Path) -> None:
    with ns("start_server", "--model=tinymath", "++server.max_num_seqs=4", folder=tmp_path) as process:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}/models") as reply:
            assert b"tinymath" in reply.read()
        process.send_signal(told)
        assert process.wait(timeout=30) == 0
        assert "4 requests at once, 2048 tokens each" in process.stderr.read()
    host, port = address.removeprefix("http://").removesuffix("/v1").split(":")
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port)), timeout=5):
        pass
    assert (tmp_path / "server.log").is_file()


def test_a_server_as_a_job_prints_its_address_and_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    told = commands.ns("start_server", "--model=tinymath", "--detach", "--output_dir=srv", cwd=tmp_path)
    address = told.stdout.strip()
    with urllib.request.urlopen(f"{address}/models") as reply:
        assert b"tinymath" in reply.read()
    assert "ns cancel" in told.stderr
    commands.ns("cancel", "srv", cwd=tmp_path)
    host, port = address.removeprefix("http://").removesuffix("/v1").split(":")
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port)), timeout=5):
        pass


def test_a_command_finds_the_server_and_its_exit_code_is_ours(tmp_path: Path) -> None:
    look = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1] + '/models').status, sys.argv[2]); sys.exit(7)"
    words = ("run_cmd", "--model=tinymath", "--", sys.executable, "-c", look, "{address}", "{model}")
    with ns(*words, folder=tmp_path) as process:
        shown, _ = process.communicate(timeout=60)
    assert (shown, process.returncode) == ("200 tinymath\n", 7)
    with ns("run_cmd", "--model=tinymath", 'echo "at $OPENAI_BASE_URL" | tr a A', folder=tmp_path) as process:
        shown, _ = process.communicate(timeout=60)
    assert shown.startswith("At http://127.0.0.1:") and process.returncode == 0


def test_a_command_that_is_killed_has_the_shells_code(tmp_path: Path) -> None:
    with ns("run_cmd", "--", "kill -9 $$", folder=tmp_path) as process:
        process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGKILL


def test_what_cannot_be_started_is_said() -> None:
    with pytest.raises(UsageError, match="no command to run"):
        run_cmd(RunCmdConfig())
    with pytest.raises(UsageError, match="cannot run no-such-program"):
        run_cmd(RunCmdConfig(command=["no-such-program", "x"]))
    with pytest.raises(UsageError, match="a server that runs already"):
        start_server(StartServerConfig(model="m", server=ServerConfig(base_url="http://h/v1")))
    with pytest.raises(UsageError, match="expected chat or text"):
        start_server(StartServerConfig(model="m", endpoint_type="chatt"))
