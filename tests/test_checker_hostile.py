"""Hostile answers get a verdict in time, run nothing, and are never equal to what they are not."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from judges.symbolic import equal
from ns_eval.grading import Grader
from ns_eval.records import Generation, Question
from tests.checker_hostile import cases

# The promise is 2.5 s a case; the test allows for a machine that does other things too.
LONGEST_S = 5.0


def test_every_hostile_answer_gets_a_true_verdict_in_time(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    equal(r"\int_0^1 x\,dx", r"\frac{1}{2}")  # the process for the last step starts once
    late, wrong, count = [], [], 0
    for gold, given, forbidden in cases(str(canary)):
        start = time.monotonic()
        verdict = equal(gold, given)
        taken, count = time.monotonic() - start, count + 1
        if taken > LONGEST_S:
            late.append((gold[:40], given[:40], taken))
        if forbidden is not None and verdict is forbidden:
            wrong.append((gold[:40], given[:40], verdict))
    assert (late, wrong) == ([], [])
    assert count > 800
    assert not canary.exists()


def test_the_same_through_the_grading_pool(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    chosen = list(cases(str(canary)))[::5]

    async def grade_all() -> list[tuple[str, str]]:
        async with Grader({"_target_": "judges.symbolic.SymbolicJudge"}, workers=2) as grader:
            asked = [
                grader.grade(Question(str(number), "?", gold), Generation(f"\\boxed{{{given}}}"))
                for number, (gold, given, _) in enumerate(chosen)
            ]
            verdicts = await asyncio.gather(*asked)
        pairs = zip(chosen, verdicts, strict=True)
        return [(gold[:40], given[:40]) for (gold, given, bad), found in pairs if bad is True and found.correct is True]

    assert asyncio.run(grade_all()) == []
    assert not canary.exists()
