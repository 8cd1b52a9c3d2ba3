"""Two judged math runs for the pages: mathematics to typeset, judges that disagree, answers that try to be markup."""

from __future__ import annotations

import json
from pathlib import Path

from ns_eval.records import Generation, Question, Sample, Verdict, dumps, sample_row
from tests.runs_on_disk import expected

HOSTILE = (
    "<script>window.hacked=1;fetch('http://203.0.113.9/x')</script>"
    '<img src=http://203.0.113.9/y onerror="window.hacked=1">'
    " ![p](http://203.0.113.9/z.png) <b>bold</b> :smile: [a](javascript:alert(1)) $\\href{javascript:window.hacked=1}{x}$"
    " $\\includegraphics{http://203.0.113.9/k.png}$"
)
SEEDS = 4


def _sample(
    number: int, seed: int, right: bool, *, status: str = "ok", text: str | None = None, judge: bool | None
) -> Sample:
    answer = None if status in ("truncated", "no_answer", "error") else str(number * number) if right else str(number + 1)
    question = Question(
        f"m{number}",
        f"Let $x = {number}$. What is $x^2$ if $\\sum_{{k=1}}^{{n}} \\frac{{k}}{{2}} \\ge 0$?",
        str(number * number),
        subset=("algebra", "geometry")[number % 2],
        meta={"level": str(1 + number % 3)},
    )
    said = (
        text
        or f"We have \\(x^2 = {number * number}\\), so\n\n$$x^2 = \\int_0^{{{number}}} 2t\\,dt$$\n\nand \\boxed{{{answer}}}."
    )
    generation = Generation(
        "" if status == "error" else said,
        finish_reason="length" if status == "truncated" else "stop",
        prompt_tokens=20,
        completion_tokens=200 + 10 * number,
        seconds=1.0,
        error="server gone" if status == "error" else None,
    )
    verdicts = (Verdict("symbolic", right and answer is not None, answer=answer, extracted=answer), Verdict("judge", judge))
    return Sample(question, seed, status, generation, () if status == "error" else verdicts)  # type: ignore[arg-type]


def math_run(run: Path, model: str, questions: int, shift: int) -> Path:
    """`shift` moves which questions are solved. Question 0 of every seed holds hostile text."""
    folder = run / "eval-results-judged" / "math-pages"
    expected(folder, questions, list(range(SEEDS)))
    for seed in range(SEEDS):
        lines = []
        for number in range(questions):
            right = (number + shift + seed) % 4 != 0
            status = "truncated" if (number + seed) % 11 == 10 else "no_answer" if (number + seed) % 13 == 12 else "ok"
            said = (right or number % 17 == 5) and status == "ok"
            made = _sample(number, seed, right, status=status, text=HOSTILE if number == 0 else None, judge=said)
            kept = {"source": "model", "status": "ok", "prompt_hash": "77aa", "model": "qwen2.5-32b", "shown_characters": 9}
            lines.append(
                dumps({**sample_row(made), "judgement": f"Judgement: {'Yes' if said else 'No'}", "judging": {"judge": kept}})
            )
        (folder / f"output-rs{seed}.jsonl").write_bytes(b"".join(lines))
    entry = {
        "command": f"ns eval --model={model} --benchmarks=math-pages:{SEEDS}",
        "config": {"model": model, "inference": {"temperature": 0.6 + shift / 10}},
        "benchmarks": {},
        "versions": {"ns-eval": "0.1.0"},
        "code": {},
        "model": model,
        "start": 1.76e9,
        "end": 1.76e9 + 60,
        "outcome": "done",
    }
    (run / "run.json").write_text(json.dumps({"commands": [entry]}))
    return run


def math_pair(folder: Path, questions: int = 40) -> list[Path]:
    return [math_run(folder / "base", "base-7b", questions, 0), math_run(folder / "tuned", "tuned-7b", questions, 2)]
