"""The grading pool: every case gets a verdict, a stuck one delays nobody, and nothing outlives its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from ns_eval.errors import UsageError
from ns_eval.grading import Grader, build_judge
from ns_eval.pool.workers import CallFailed, Limits, Pool
from ns_eval.records import Generation, Question, Verdict
from tests.paths import REPO

T = TypeVar("T")
MOODY = {"_target_": "tests.peers.judge_peers.Moody"}
QUESTION = Question("1", "?", "ok")


def graded(body: Callable[[Grader], Awaitable[T]], *, workers: int = 2, timeout_s: float = 1.0) -> T:
    async def run() -> T:
        async with Grader(MOODY, workers=workers, timeout_s=timeout_s) as grader:
            return await body(grader)

    return asyncio.run(run())


async def grade(grader: Grader, text: str) -> Verdict:
    return await grader.grade(QUESTION, Generation(text))


def test_a_case_that_hangs_dies_raises_or_eats_memory_is_unjudged_and_says_why() -> None:
    async def body(grader: Grader) -> list[Verdict]:
        return await asyncio.gather(*(grade(grader, text) for text in ("ok", "hang", "die", "eat", "raise", "no")))

    ok, hang, die, eat, raised, no = graded(body)
    assert (ok.correct, no.correct) == (True, False)
    assert [case.correct for case in (hang, die, eat, raised)] == [None] * 4
    assert hang.error == "moody: stopped after 1 s"
    assert die.error == "moody: the process that graded it died"
    assert eat.error == "moody: out of memory"
    assert raised.error == "moody: ValueError: of no use"


def test_stuck_answers_hold_up_no_other_one() -> None:
    async def body(grader: Grader) -> tuple[float, list[Verdict]]:
        stuck = [asyncio.create_task(grade(grader, "sleep")) for _ in range(4)]
        await asyncio.sleep(0)
        start = time.monotonic()
        verdicts = await asyncio.gather(*(grade(grader, "ok") for _ in range(300)))
        taken = time.monotonic() - start
        await asyncio.gather(*stuck)
        return taken, verdicts

    taken, verdicts = graded(body, timeout_s=8.0)
    assert all(verdict.correct for verdict in verdicts)
    assert taken < 5.0  # the stuck ones take 10 s


def test_a_worker_is_replaced_after_it_was_killed() -> None:
    async def body(grader: Grader) -> list[str | None]:
        first = await grade(grader, "ok")
        os.kill(int(first.comment or 0), signal.SIGKILL)
        return [(await grade(grader, "ok")).error for _ in range(20)]

    assert graded(body, workers=1) == [None] * 20


def test_the_pool_survives_the_death_of_the_process_that_forks_its_workers() -> None:
    async def body(grader: Grader) -> list[str | None]:
        first = await grade(grader, "ok")
        stat = Path(f"/proc/{first.comment}/stat").read_text()
        os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
        return [(await grade(grader, "ok")).error for _ in range(50)]

    assert graded(body, workers=1) == [None] * 50


def test_long_generations_arrive_whole() -> None:
    text = "é" * 200_000 + "the end"

    async def body(grader: Grader) -> list[Verdict]:
        return await asyncio.gather(*(grade(grader, text) for _ in range(40)))

    assert {verdict.answer for verdict in graded(body)} == {text}


def test_a_pool_serves_many_threads_at_once() -> None:
    pool = Pool(MOODY, "grade", Limits(workers=2))
    found: list[bool | None] = []

    def ask() -> None:
        for _ in range(50):
            found.append(pool.submit(QUESTION, Generation("ok")).result(timeout=60).correct)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.close()
    assert found == [True] * 400
    with pytest.raises(CallFailed, match="the pool was closed"):
        pool.submit(QUESTION, Generation("ok")).result(timeout=5)


def test_what_a_judge_prints_does_not_reach_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    async def body(grader: Grader) -> Verdict:
        return await grade(grader, "print")

    graded(body)
    assert capfd.readouterr().out == ""


def test_a_judge_that_cannot_be_built_or_warmed_is_an_error_at_once() -> None:
    with pytest.raises(UsageError, match=r"tests\.peers\.judge_peers\.Broken` refuses its options: .*needed"):
        build_judge({"_target_": "tests.peers.judge_peers.Broken"})
    with pytest.raises(UsageError, match=r"cannot load `judges\.absent\.Judge`"):
        build_judge({"_target_": "judges.absent.Judge"})
    pool = Pool({"_target_": "tests.peers.judge_peers.Cold"}, "grade", Limits(workers=1))
    with pytest.raises(CallFailed, match="RuntimeError: no library here"):
        pool.submit(QUESTION, Generation("ok")).result(timeout=60)
    pool.close()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_when_their_parent_dies(ending: signal.Signals) -> None:
    script = (
        "from ns_eval.pool.workers import Pool, Limits\n"
        "from ns_eval.records import Question, Generation\n"
        "pool = Pool({'_target_': 'tests.peers.judge_peers.Moody'}, 'grade', Limits(workers=1, timeout_s=600))\n"
        "print(pool.submit(Question('1', '?', 'ok'), Generation('ok')).result().comment, flush=True)\n"
        "pool.submit(Question('1', '?', 'ok'), Generation('hang')).result()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=REPO, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = Path("/proc") / parent.stdout.readline().strip()
    assert worker.exists()
    parent.send_signal(ending)
    parent.wait()
    deadline = time.monotonic() + 20
    while _is_alive(worker) and time.monotonic() < deadline:
        os.sched_yield()
    assert not _is_alive(worker)


def _is_alive(process: Path) -> bool:
    """A zombie, which only waits for somebody to collect it, counts as gone."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
