"""A session is a notebook that cannot hurt anybody: it keeps its state, its limits, and says what became of the code."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from ns_eval.errors import UsageError
from ns_eval.sandbox import Execution, Sandbox, SandboxConfig, SandboxError

T = TypeVar("T")
BARE = SandboxConfig(preload=[], memory_mb=512)


def using(work: Callable[[Sandbox], Awaitable[T]], config: SandboxConfig = BARE) -> T:
    async def run() -> T:
        async with Sandbox(config) as sandbox:
            return await work(sandbox)

    return asyncio.run(run())


def cells(*codes: str, config: SandboxConfig = BARE, timeout_s: float = 10.0) -> list[Execution]:
    """The cells of one session, one after the other."""

    async def work(sandbox: Sandbox) -> list[Execution]:
        return [await sandbox.session("s").run(code, timeout_s) for code in codes]

    return using(work, config)


def test_a_session_keeps_its_variables_and_prints_a_last_expression() -> None:
    first, second, third = cells("import math\nx = 3", "x += 1; math.factorial(x)", "print(_); None")
    assert (first.stdout, second.stdout, third.stdout) == ("", "24\n", "24\n")
    assert {e.status for e in (first, second, third)} == {"ok"}


def test_an_exception_is_shown_with_its_line_and_the_session_goes_on() -> None:
    failed, after = cells("x = 5\nx / 0", "x")
    assert (failed.status, failed.error) == ("error", "ZeroDivisionError")
    assert failed.stderr.startswith('Traceback (most recent call last):\n  File "<cell 1>", line 2')
    assert "x / 0" in failed.stderr and "ns_eval" not in failed.stderr
    assert after.stdout == "5\n"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("def f(:", "SyntaxError"),
        ("exit(3)", "SystemExit"),
        ("input()", "EOFError"),
        ("x = '\\ud800'; print(x); y", "NameError"),
    ],
)
def test_what_goes_wrong_is_named(code: str, error: str) -> None:
    failed, after = cells(code, "1 + 1")
    assert (failed.status, failed.error) == ("error", error)
    assert after.stdout == "2\n"


def test_past_its_time_a_cell_is_interrupted_and_the_state_is_kept() -> None:
    _, late, after = cells("x = 7", "print('so far')\nwhile True: pass", "x", timeout_s=0.5)
    assert (late.status, late.state_lost) == ("timeout", False)
    assert late.stdout == "so far\n"
    assert "timed out after 0.5 seconds" in late.stderr
    assert after.stdout == "7\n"


def test_what_hears_no_interrupt_is_killed_and_the_loss_is_said() -> None:
    _, late, after = cells("x = 7", "sum(range(10 ** 12))", "x", timeout_s=0.5)
    assert (late.status, late.state_lost) == ("timeout", True)
    assert "all variables are lost" in late.stderr
    assert after.error == "NameError"


def test_a_crash_is_named_and_the_next_cell_starts_anew() -> None:
    crashed, after = cells("import ctypes; ctypes.string_at(0)", "6 * 7")
    assert (crashed.status, crashed.state_lost) == ("killed", True)
    assert crashed.reason == "its process ended: segmentation fault"
    assert (after.stdout, after.state_lost) == ("42\n", False)


def test_output_is_cut_with_a_mark() -> None:
    (execution,) = cells("print('a' * 5000)", config=SandboxConfig(preload=[], output_kb=1))
    assert execution.truncated
    assert execution.stdout == "a" * 1024 + "<output cut>"


@pytest.mark.parametrize("harm", ["close()", "detach()", "buffer.close()", "write = lambda text: 0", "flush = None"])
def test_what_a_cell_does_to_its_output_ends_with_it(harm: str) -> None:
    *_, after = cells("import sys", f"sys.stdout.{harm}", "sys.stdout = sys.__stdout__ = None", "print('whole')")
    assert (after.status, after.stdout) == ("ok", "whole\n")


def test_code_tests_and_output_may_be_long() -> None:
    async def work(sandbox: Sandbox) -> tuple[Execution, Execution]:
        filler = "# " + "x" * 100_000
        session = sandbox.session("s")
        tested = await sandbox.program(f"{filler}\ndef f(): return 1", tests=f"{filler}\nassert f() == 1")
        return await session.run(f"{filler}\nprint('a' * 200_000)"), tested

    printed, tested = using(work)
    assert (printed.stdout, printed.truncated) == ("a" * 200_000 + "\n", False)
    assert tested.proved


def test_sessions_do_not_see_each_other() -> None:
    async def work(sandbox: Sandbox) -> tuple[Execution, ...]:
        poison = (
            "import builtins, json, sys\nopen('/tmp/x', 'w')\n"
            "builtins.sum = json.dumps = sys.stdout.write = lambda *a: 'poison'"
        )
        await sandbox.session("a").run(poison)
        check = "import json, os\nprint(sum([1, 2]), json.dumps(3), os.listdir('/tmp'), len(os.listdir('/proc')) > 0)"
        return await asyncio.gather(sandbox.session("b").run(check), sandbox.session("c").run("poison"))

    seen, other = using(work)
    assert seen.stdout == "3 3 [] True\n"
    assert other.error == "NameError"


def test_random_numbers_and_the_order_of_sets_are_the_same_in_every_run() -> None:
    code = "import random; print(random.random(), {'a', 'b', 'c', 'd', 'e'})"
    assert cells(code)[0].stdout == cells(code)[0].stdout


def test_what_a_cell_started_ends_with_it() -> None:
    started, after = cells(
        "import os, time\npid = os.fork()\nif pid == 0: time.sleep(60)\npid > 0",
        "try:\n    os.kill(pid, 0); print('lives')\nexcept ProcessLookupError: print('gone')",
    )
    assert started.stdout == "True\n"
    assert after.stdout == "gone\n"


def test_a_dead_zygote_is_replaced_and_the_loss_is_said() -> None:
    async def work(sandbox: Sandbox) -> tuple[Execution, Execution]:
        session = sandbox.session("s")
        await session.run("x = 1")
        pid = sandbox.sessions_from.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        lost = await session.run("x")
        while not lost.state_lost:  # the kernel takes the sessions down a moment later
            lost = await session.run("x")
        return lost, await session.run("40 + 2")

    lost, after = using(work)
    assert lost.state_lost
    assert "all variables are lost" in lost.stderr
    assert after.stdout == "42\n"


def test_a_zygote_killed_while_code_runs_is_a_recorded_state() -> None:
    async def work(sandbox: Sandbox) -> tuple[Execution, Execution]:
        session = sandbox.session("s")
        await session.run("1")
        running = asyncio.ensure_future(session.run("import time; time.sleep(30)"))
        await asyncio.sleep(0.1)
        pid = sandbox.sessions_from.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        return await running, await session.run("1 + 1")

    killed, after = using(work)
    assert (killed.status, killed.state_lost) == ("killed", True)
    assert after.stdout == "2\n"


@pytest.mark.parametrize("walls", ["namespaces", "landlock"])
def test_a_killed_run_leaves_nothing_behind(walls: str, tmp_path: Path) -> None:
    mark = f"4711.{os.getpid()}"
    work = (
        "import asyncio, sys; sys.path.insert(0, sys.argv[1]); from ns_eval.sandbox import Sandbox, SandboxConfig\n"
        "async def main():\n"
        "    async with Sandbox(SandboxConfig(preload=[], walls=sys.argv[2])) as sandbox:\n"
        "        print('ready', flush=True)\n"
        f"        await sandbox.session('a').run('import subprocess; subprocess.run([\"sleep\", \"{mark}\"])', 60)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", work, str(Path(__file__).parents[1]), walls],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as run:
        assert run.stdout is not None and run.stdout.readline() == "ready\n"
        assert _settles(mark, running=True), "the code started"
        run.kill()
    assert _settles(mark, running=False)
    assert _comes_true(lambda: not list(tmp_path.iterdir())), "nor anything on disk"


def _settles(word: str, *, running: bool) -> bool:
    """Whether a process with that word on its command line comes, or goes, within some seconds."""

    def is_so() -> bool:
        lines = (_command_line(path) for path in Path("/proc").glob("[0-9]*/cmdline"))
        return any(line.startswith(b"sleep\0" + word.encode()) for line in lines) is running

    return _comes_true(is_so)


def _comes_true(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def _command_line(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_cancelled_call_leaves_nothing_running_and_the_session_usable() -> None:
    async def work(sandbox: Sandbox) -> Execution:
        session = sandbox.session("s")
        running = asyncio.ensure_future(session.run("import time; time.sleep(30)"))
        await asyncio.sleep(0.2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return await session.run("'ready'")

    start = time.monotonic()
    assert using(work).stdout == "'ready'\n"
    assert time.monotonic() - start < 10


def test_many_sessions_live_at_once_and_leave_no_descriptor_behind() -> None:
    async def work(sandbox: Sandbox) -> list[str]:
        before = len(list(Path("/proc/self/fd").iterdir()))
        sessions = [sandbox.session(str(number)) for number in range(200)]
        await asyncio.gather(*(session.run(f"x = {number}") for number, session in enumerate(sessions)))
        said = await asyncio.gather(*(session.run("print(x)") for session in sessions))
        await asyncio.gather(*(session.close() for session in sessions))
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 4
        assert sandbox.session_names == []
        return [execution.stdout for execution in said]

    assert using(work) == [f"{number}\n" for number in range(200)]


def test_without_a_wall_nothing_runs_unless_it_is_allowed(tmp_path: Path) -> None:
    # An interpreter that cannot start is a machine where no wall can be raised.
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(SandboxError) as caught:
        cells("1", config=SandboxConfig(python=str(broken)))
    assert "no wall can be raised" in caught.value.message
    assert "python ended without a word" in caught.value.message
    assert "namespaces: " in caught.value.message and "landlock: " in caught.value.message
    assert "allow_unsafe" in (caught.value.hint or "")


@pytest.mark.skipif(os.geteuid() != 0, reason="taking the rights away needs them")
def test_where_the_kernel_refuses_namespaces_landlock_stands_and_the_line_says_so() -> None:
    # A user namespace of its own in which no further one may be made, entered without any capability.
    inside = (
        "import asyncio, sys; sys.path.insert(0, sys.argv[1]); from ns_eval.sandbox import Sandbox, SandboxConfig\n"
        "async def main():\n"
        "    async with Sandbox(SandboxConfig(preload=[])) as sandbox:\n"
        "        print(sandbox.walls); print((await sandbox.session('a').run('6 * 7')).stdout)\n"
        "asyncio.run(main())"
    )
    shell = (
        "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "
        '"$0" -c "$1" "$2"'
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", shell, sys.executable, inside, str(Path(__file__).parents[1])],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "Operation not permitted" in done.stderr and not done.stdout:
        pytest.skip("this machine has no user namespaces to take away")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("no namespaces: files by Landlock")
    assert done.stdout.endswith("42\n\n")


@pytest.mark.parametrize("walls", ["namespaces", "landlock"])
def test_a_root_that_is_the_only_user_of_its_container_has_walls_too(walls: str) -> None:
    # As Pyxis, enroot and `apptainer --fakeroot` can make it: user 0 inside is the user who started it outside.
    inside = (
        "import asyncio, sys; sys.path.insert(0, sys.argv[1]); from ns_eval.sandbox import Sandbox, SandboxConfig\n"
        "async def main():\n"
        "    async with Sandbox(SandboxConfig(preload=[], walls=sys.argv[2])) as sandbox:\n"
        "        print((await sandbox.session('a').run('6 * 7')).stdout)\n"
        "asyncio.run(main())"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", inside, str(Path(__file__).parents[1]), walls],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.stderr.startswith("unshare: "):
        pytest.skip("this machine has no user namespaces")
    assert done.stdout == "42\n\n", done.stderr


def test_with_permission_it_runs_unwalled_and_says_it_loudly() -> None:
    async def work(sandbox: Sandbox) -> tuple[str, str]:
        return sandbox.walls, (await sandbox.session("s").run("6 * 7")).stdout

    config = SandboxConfig(preload=[], walls="bwrap", allow_unsafe=True) if os.geteuid() == 0 else None
    if config is None:
        pytest.skip("only for root is bubblewrap refused for certain")
    walls, said = using(work, config)
    assert walls.startswith("NO WALL")
    assert said == "42\n"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (SandboxConfig(walls="namespace"), "known: .*namespaces|did you mean `namespaces`"),
        (SandboxConfig(python="python4711"), "sandbox.python=python4711: there is no such program"),
        (SandboxConfig(memory_mb=0), "sandbox.memory_mb=0: expected a positive number"),
        (SandboxConfig(parallel=-1), "sandbox.parallel=-1: expected a positive number"),
    ],
)
def test_what_no_machine_could_do_is_refused_by_name(config: SandboxConfig, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        cells("1", config=config)


def test_an_interpreter_is_found_as_a_shell_would_find_it(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(sys.executable).parent
    monkeypatch.chdir(folder.parent)
    assert cells("6 * 7", config=SandboxConfig(preload=[], python=f"{folder.name}/python"))[0].stdout == "42\n"
