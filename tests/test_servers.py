"""A server is started, awaited, watched, started again and ended as a whole; what is wrong is one clear sentence."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ns_eval.client import Client
from ns_eval.errors import NsError, ServerError, UsageError
from ns_eval.records import Generation, Request, Sampling
from ns_eval.servers import Running
from tests.paths import REPO
from tests.peers.standins import CHECKPOINT, ask, chat, configured, engines_on_path, nothing, script, served  # noqa: F401


@pytest.mark.parametrize("name", ["vllm", "sglang", "trtllm"])
def test_each_engine_starts_with_options_it_knows_and_answers(name: str, tmp_path: Path) -> None:
    async def use(running: Running) -> Generation:
        assert running.slots == 256 and running.context == 2048
        async with Client(running.endpoint, alive=running.alive) as client:
            return await client.complete(chat(1, temperature=0.7, top_p=0.95, max_tokens=64), timeout_s=20)

    found = served(configured(name, context=2048), tmp_path, use)
    assert (found.text, found.error) == ("base", None)


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_the_text_route_gets_the_room_that_is_left(name: str, tmp_path: Path) -> None:
    async def use(running: Running) -> Generation:
        async with Client(running.endpoint, alive=running.alive) as client:
            return await client.complete(Request("q", 1, Sampling(), text="2 + 2 ="), timeout_s=20)

    found = served(configured(name), tmp_path, use, chat=False)
    assert found.error is None, "SGLang refuses prompt + max_tokens > context, vLLM shortens"


def test_a_later_option_wins_and_none_is_given_twice(tmp_path: Path) -> None:
    given = "--max_model_len 1024 -tp 1 --enforce-eager --max-num-seqs=8"
    running = served(configured("vllm", context=2048, server_args=given), tmp_path, nothing)
    argv = list(running.argv)
    assert "--max-model-len" not in argv and argv[argv.index("--max_model_len") + 1] == "1024"
    assert "--max-num-seqs" not in argv and "--max-num-seqs=8" in argv
    assert argv.count("--enforce-eager") == 1 and "--tensor-parallel-size" not in argv


@pytest.mark.parametrize("name", ["vllm", "sglang", "trtllm"])
def test_a_misspelt_option_of_the_server_is_told_in_its_own_words(name: str, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"ended while starting \(exit code 2\).*--no-such-option"):
        served(configured(name, server_args="--no-such-option 1"), tmp_path, nothing)


@pytest.mark.parametrize(
    ("log", "shown", "hint"),
    [
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
            "CUDA out of memory",
            "out of memory: lower",
        ),
        (
            "SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered\n"
            "RuntimeError: Engine core initialization failed. See root cause above.\nkill_process_tree called: 12",
            "incomplete metadata, file not fully covered",
            "the whole log",
        ),
        (
            "ValueError: User-specified max_model_len (4096) is greater than the derived max_model_len",
            "4096",
            "the whole log",
        ),
    ],
)
@pytest.mark.parametrize("code", [0, 1, 137])
def test_the_last_error_of_a_server_that_dies_at_start_is_shown(
    log: str, shown: str, hint: str, code: int, tmp_path: Path
) -> None:
    with pytest.raises(ServerError) as raised:
        served(configured("vllm", {"fail": log, "exit": code}), tmp_path, nothing)
    assert f"vllm ended while starting (exit code {code})" in raised.value.message
    assert shown in raised.value.message
    assert hint in (raised.value.hint or "")


def test_a_server_that_is_never_ready_has_a_time_limit(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="vllm did not answer within 1 s: "):
        served(configured("vllm", {"ready_s": 600}, ready_timeout_s=1.0), tmp_path, nothing)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="there is no program `no-such-engine` on this machine"):
        served(configured("vllm", argv=["no-such-engine", "serve"]), tmp_path, nothing)


def test_another_models_name_is_refused_although_the_server_would_answer(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="serves `llama`, not `m`"):
        served(configured("sglang", {"names": ["llama"]}), tmp_path, nothing)


def test_a_healthy_server_that_refuses_requests_is_not_ready(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="refuses a one-token request") as raised:
        served(configured("vllm", {"template": False}), tmp_path, nothing)
    assert "endpoint_type=text" in (raised.value.hint or "")


def test_a_port_that_is_taken_is_refused_before_the_model_is_loaded(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} is taken"):
            served(configured("vllm", port=port), tmp_path, nothing)
    assert not (tmp_path / "log" / "server.log").exists()


@pytest.mark.parametrize("code", [0, 1])
def test_a_server_that_dies_after_some_requests_is_started_again_and_the_work_goes_on(code: int, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    plan = {"die_after": 40, "exit": code, "starts": str(starts)}
    found = served(configured("vllm", plan), tmp_path, lambda running: ask(running, range(100)))
    assert [item.text for item in found] == ["base"] * 100
    assert len(starts.read_text().splitlines()) == 3, "each start serves one probe and 39 answers"


def test_a_server_that_dies_after_a_while_is_started_again_although_nobody_asks_it(tmp_path: Path) -> None:
    starts = tmp_path / "starts"

    async def use(running: Running) -> list[Generation]:
        before = await ask(running, range(2))
        while len(starts.read_text().splitlines()) < 2:
            await asyncio.sleep(0.02)
        return before + await ask(running, range(2, 4))

    server = configured("vllm", {"die_after_s": 2.0, "exit": 0, "starts": str(starts)})
    found = served(server, tmp_path, use)
    assert [item.text for item in found] == ["base"] * 4
    assert "EngineCore died by itself" in (tmp_path / "log/server.log").read_text()


def test_a_server_that_keeps_dying_is_given_up_with_its_last_error(tmp_path: Path) -> None:
    server = configured("vllm", {"die_after": 1, "exit": 0}, restarts=2)
    with pytest.raises(ServerError, match=r"EngineCore encountered an issue.*given up after 2 restarts"):
        served(server, tmp_path, lambda running: ask(running, range(4)))


def test_a_server_that_hangs_is_started_again(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    server = configured("vllm", {"hang_after": 3, "starts": str(starts)}, health_timeout_s=0.4)
    found = served(server, tmp_path, lambda running: ask(running, range(4)))
    assert [item.text for item in found] == ["base"] * 4
    assert len(starts.read_text().splitlines()) >= 2


def test_everything_is_gone_at_the_end(tmp_path: Path) -> None:
    child = tmp_path / "child"
    running = served(configured("vllm", {"orphan": str(child)}), tmp_path, nothing)
    assert not alive(int(child.read_text())), "the child that vLLM leaves behind"
    with pytest.raises(ConnectionRefusedError), socket.create_connection(address_of(running), timeout=5):
        pass


def test_everything_is_gone_when_we_are_killed(tmp_path: Path) -> None:
    child = tmp_path / "child"
    code = f"""
import asyncio, sys
from pathlib import Path
from tests.test_servers import configured, served
async def wait(running):
    print("ready", flush=True)
    await asyncio.Event().wait()
served(configured("vllm", {{"orphan": {str(child)!r}}}), Path({str(tmp_path)!r}), wait)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=REPO) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        keeper = next(iter(children(process.pid)))
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: not alive(int(child.read_text())) and not alive(keeper))


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    keeper = subprocess.Popen(
        [sys.executable, "-I", str(REPO / "ns_eval" / "keeper.py"), "0.2", sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert keeper.stdout is not None and keeper.stdout.readline() == b"up\n"
    keeper.communicate(timeout=20)
    assert keeper.returncode == 128 + signal.SIGKILL


def test_a_generic_server_is_any_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a command"):
        served(configured("generic"), tmp_path, nothing)
    entry = tmp_path / "serve.sh"
    script(entry, f'exec "{sys.executable}" -m tests.peers.engines vllm serve "$2" --port "$6" --served-model-name m')
    server = configured("generic", entrypoint=f"{entry} ", gpus=None)
    with pytest.raises(NsError):
        served(replace(server, args={"port": "{port}"}), tmp_path, nothing)
    found = served(server, tmp_path, lambda running: ask(running, range(2)))
    assert [item.text for item in found] == ["base", "base"]


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def address_of(running: Running) -> tuple[str, int]:
    host, port = running.endpoint.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    return host, int(port)


def wait_until(holds: Callable[[], bool]) -> None:
    import time

    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it did not happen within 20 s"
        time.sleep(0.02)
