"""Whether a judge takes the reference answers for right, and an empty and a wrong one for not right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence

from ns_eval.checks.lines import Line
from ns_eval.grading import Grader, SelfLimited, build_judge
from ns_eval.records import Generation, Question, Verdict
from ns_eval.runs import BenchmarkRun, questions_of

Grade = Callable[[Question, Generation], Awaitable[Verdict]]
_WRONG_PROGRAM = "```python\nraise SystemExit\n```"
# So many questions are named in a line.
_NAMED = 3


async def golds(run: BenchmarkRun, most: int, *, quick: bool = False) -> list[Line]:
    """Grades up to `most` references, an empty answer and a wrong one; `quick` leaves out judges that start processes."""
    name = f"golds {run.name}"
    # What the log-probabilities say is in no text that could be graded here.
    judge = build_judge(run.judge) if run.judge and not run.likelihood else None
    if judge is None or not (hasattr(judge, "grade") or isinstance(judge, SelfLimited)):
        return [] if quick else [Line("ok", name, "a model judges these answers: there is nothing to check here")]
    asked = [question for question in questions_of(run) if next(_forms(question), None) is not None][:most]
    if not asked:
        return [] if quick else [Line("ok", name, "the questions hold no references: there is nothing to check here")]
    if not quick:
        async with Grader(run.judge) as grader:
            return [await _line(name, asked, grader.grade)]
    if isinstance(judge, SelfLimited) or hasattr(judge, "timeout_s"):
        return []

    async def here(question: Question, generation: Generation) -> Verdict:
        verdict: Verdict = judge.grade(question, generation)
        return verdict

    return [await _line(name, asked, here)]


async def _line(name: str, asked: Sequence[Question], grade: Grade) -> Line:
    failed, passed = [], {}
    for question in asked:
        for text in _forms(question):
            if _right(await grade(question, Generation(text))):
                passed[question.id] = text
                break
        else:
            failed.append(question.id)
    if not passed:
        todo = "compare a question of the file with what the judge reads: ns check_answer; docs/checker.md"
        return Line("fail", name, f"none of {len(asked)} references is right to its own judge", todo)
    taken = await _taken(asked, passed, grade)
    if taken is not None:
        return Line("fail", name, f"the judge takes {taken} for right", "another judge, or other ++judge_options")
    said = f"{len(passed)} of {len(asked)} references are right, an empty and a wrong answer are not"
    if failed:
        shown = ", ".join(failed[:_NAMED]) + (", …" if len(failed) > _NAMED else "")
        return Line("warn", name, f"{said}; not right to its own judge: {shown}", "no model can score on these questions")
    return Line("ok", name, said)


async def _taken(asked: Sequence[Question], passed: dict[str, str], grade: Grade) -> str | None:
    """What was taken for right and is not; None where nothing was."""
    first = next(question for question in asked if question.id in passed)
    if _right(await grade(first, Generation(""))):
        return f"an empty answer to {first.id}"
    wrong = next(_wrong(first, asked, passed), None)
    if wrong is not None and _right(await grade(first, Generation(wrong))):
        return f"`{wrong[:60]}` as an answer to {first.id}, whose reference is `{(first.expected_answer or '')[:60]}`"
    return None


def _wrong(question: Question, asked: Sequence[Question], passed: dict[str, str]) -> Iterator[str]:
    """The right answers of other questions that are not this one's, in the form that their judge reads."""
    if "canonical_solution" in question.meta:
        yield _WRONG_PROGRAM
    for other in asked:
        if other.id in passed and other.expected_answer != question.expected_answer:
            yield passed[other.id]


def _forms(question: Question) -> Iterator[str]:
    """How an answer may be written that says what the reference says."""
    solution = question.meta.get("canonical_solution")
    if solution:
        yield f"```python\n{question.meta.get('starter_code') or ''}{solution}\n```"
        yield f"```python\n{solution}\n```"
    if question.expected_answer is not None:
        yield f"\\boxed{{{question.expected_answer}}}"
        yield f"Answer: {question.expected_answer}"
        yield question.expected_answer


def _right(verdict: Verdict) -> bool:
    """Right; where a judge only measures, the highest score it has."""
    if verdict.correct is not None:
        return verdict.correct
    return verdict.error is None and bool(verdict.scores) and max(verdict.scores.values()) >= 1.0
