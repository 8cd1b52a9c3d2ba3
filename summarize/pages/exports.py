"""`ns export OUT… --output_dir=reports`: the files of source 000, section 5.2; docs/report.md lists their keys.

outputs_{model}.parquet  judgments_{model}.parquet  merged_results.parquet  summary.json  insights.json
plots/per_model_scores.png
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ns_eval.errors import UsageError
from ns_eval.files import replacing, write_text
from ns_eval.records import Json
from ns_eval.schema import positional
from summarize.frames import frame
from summarize.pages.insights import insights
from summarize.pages.lines import Key
from summarize.pages.report import require_readable
from summarize.pages.runs import Book, Part, Run, load
from summarize.pages.standings import (
    by_facet,
    ceiling,
    comparison,
    distribution,
    facets,
    headline,
    score_of,
    shares_scores,
    standings,
)
from summarize.tables import Table

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
_OUTPUT = (
    "id",
    "model_id",
    "output",
    "tokens_in",
    "tokens_out",
    "latency_ms",
    "raw_response",
    "benchmark",
    "seed",
    "status",
)
# What of a line is the model's reply rather than the question or a verdict.
_RAW = (
    "reasoning_content",
    "finish_reason",
    "num_attempts",
    "error",
    "generation_meta",
    "generation_start_time",
    "sample_meta",
)


@dataclass
class ExportConfig:
    """Write runs as the files of a rubric pipeline: Parquet for each model, merged results, summary, insights, a plot.

    Examples:
        ns export out --output_dir=reports
    """

    runs: list[str] = positional(many=True)  # noqa: RUF009
    """Run folders, or a folder of run folders."""
    output_dir: str = "reports"
    """Where the files go."""
    benchmarks: list[str] = field(default_factory=list)
    """Only these."""
    level: float = 0.95
    """The confidence level of intervals and findings."""


def main(config: ExportConfig) -> int:
    """Writes the files and prints their names.

    Raises:
        UsageError: no run.
        DataError: a run that cannot be read.
    """
    if not config.runs:
        raise UsageError("which runs?", hint="ns export OUTPUT_DIR --output_dir=reports")
    book = load([Path(run) for run in config.runs], config.benchmarks, config.level)
    require_readable(book)
    folder = Path(config.output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in _write(book, folder):
            print(path)
    except OSError as error:
        raise UsageError(f"--output_dir={folder} cannot be written: {error.strerror}") from error
    return 0


def _write(book: Book, folder: Path) -> Iterator[Path]:
    merged = []
    for run in book.runs:
        rows = [row for part in run.parts for row in _rows(run, part)]
        criteria = list(dict.fromkeys(name for row in rows for name in row.judged))
        name = run.name.replace("/", "__")
        yield _parquet(folder / f"outputs_{name}.parquet", [row.output for row in rows], _OUTPUT)
        if criteria:
            judged = [{"id": row.output["id"], "model_id": run.name, **row.judged} for row in rows]
            columns = ["id", "model_id", *(own for own in criteria if own != "overall_score")]
            yield _parquet(folder / f"judgments_{name}.parquet", judged, columns)
        merged += [row.merged for row in rows]
    columns = list(dict.fromkeys(name for row in merged for name in row))
    yield _parquet(folder / "merged_results.parquet", merged, columns)
    for name, found in (("summary.json", summary(book)), ("insights.json", findings(book))):
        write_text(folder / name, msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
        yield folder / name
    yield from _plotted(book, folder / "plots" / "per_model_scores.png")


def summary(book: Book) -> dict[str, Json]:
    """What summary.json holds."""
    found: dict[str, Json] = {}
    for benchmark in book.benchmarks:
        order = standings(book, benchmark, comparison(book, benchmark)) if shares_scores(book, benchmark) else []
        ranks = {item.run.name: item for item in order}
        models: dict[str, Json] = {}
        for run, part in book.of(benchmark):
            models[run.name] = {**_metrics(part, part.whole), **_truncation(part.whole)}
            if run.name in ranks:
                item = ranks[run.name]
                told = {"best": item.first, "worst": item.last, "group": item.letter}
                models[run.name] |= {"rank": told, "of_best": item.of_best, "gap_to_best": item.gap}
        parts: dict[str, Json] = {}
        for facet in facets(book, benchmark):
            parts[facet] = {}
            for run, value, table in by_facet(book, benchmark, facet):
                parts[facet].setdefault(value, {})[run.name] = _metrics(None, table)
        cut = sum(part.whole.coverage.truncated for _, part in book.of(benchmark))
        graded = sum(part.whole.coverage.graded for _, part in book.of(benchmark))
        total = {"responses": graded, "truncated": cut, "share": cut / graded if graded else None}
        found[benchmark] = {"models": models, "parts": parts, "truncation": total}
    return {"format": FORMAT, "level": book.level, "benchmarks": found}


def findings(book: Book) -> dict[str, Json]:
    """What insights.json holds."""
    return {"format": FORMAT, "level": book.level, "findings": [asdict(item) for item in insights(book)]}


def _metrics(part: Part | None, table: Table) -> dict[str, Json]:
    """Each score of the headline row: mean, standard error, interval, questions; of ratings their distribution too."""
    row = headline(table)
    found: dict[str, Json] = {}
    for score, cell in row.cells.items():
        own: dict[str, Json] = {"mean": cell.value, "se": cell.error, "questions": cell.questions}
        own["interval"] = None if cell.low is None else [cell.low, cell.high]
        if part is not None and (counts := distribution(part, score)) and score != "score_overall_score":
            own["distribution"] = {str(level): count for level, count in counts.items()}
        if part is not None and (top := ceiling(part, score)) is not None:
            own["at_the_top"] = top
        found[score.removeprefix("score_")] = own
    covered = table.coverage
    return {
        "headline": score_of(table).removeprefix("score_"),
        "metrics": found,
        "graded": covered.graded,
        "expected": covered.expected,
    }


def _truncation(table: Table) -> dict[str, Json]:
    cut = headline(table).truncation
    return {"truncated": None if cut is None else cut.share, "among_completed": None if cut is None else cut.among_completed}


@dataclass(frozen=True, slots=True)
class _Row:
    """One sample: as source 000's output, its judgement, and both with the prompt."""

    output: dict[str, Json]
    judged: dict[str, Json]
    merged: dict[str, Json]


def _rows(run: Run, part: Part) -> Iterator[_Row]:
    for key in part.lines.places:
        line = part.lines.text(*key)
        if line is not None:
            yield _row(run, part, key, line)


def _row(run: Run, part: Part, key: Key, line: Mapping[str, Json]) -> _Row:
    seconds = line.get("generation_time")
    status = str(line.get("status") or "ok")
    output = {
        "id": key[0],
        "model_id": run.name,
        "output": line.get("generation"),
        "tokens_in": line.get("num_input_tokens"),
        "tokens_out": line.get("num_generated_tokens"),
        "latency_ms": None if seconds is None else 1000 * seconds,
        "raw_response": json.dumps(
            {name: line[name] for name in _RAW if line.get(name) not in (None, {})}, ensure_ascii=False
        ),
        "benchmark": part.name,
        "seed": key[1],
        "status": status,
    }
    judged = _judged(line)
    prompt = {"prompt": part.lines.problems.get(key[0]), "domain": line.get("domain"), "task_type": line.get("task_type")}
    verdicts = {name: line[name] for name in line if name.endswith("_correct") and line[name] is not None}
    overall = {"overall_score": judged.get("overall_score"), "is_truncated": status == "truncated"}
    rest = {name: value for name, value in judged.items() if name != "overall_score"}
    return _Row(output, judged, {"id": key[0], **prompt, **output, **rest, **verdicts, **overall})


def _judged(line: Mapping[str, Json]) -> dict[str, Json]:
    """The criteria of the judges that rate, their comment and who they were."""
    found: dict[str, Json] = {}
    for judge, told in (line.get("judging") or {}).items():
        verdict = (line.get("verdicts") or {}).get(judge, {})
        if not verdict.get("scores") and told.get("scale") is None:
            continue
        found |= dict(verdict.get("scores") or {})
        found |= {"comments": verdict.get("comment"), "judge_model": told.get("model"), "judge_status": told.get("status")}
    return found


def _parquet(path: Path, rows: Sequence[Mapping[str, Json]], columns: Sequence[str]) -> Path:
    table: pd.DataFrame = frame({name: [row.get(name) for row in rows] for name in columns})
    with replacing(path) as file:
        table.to_parquet(file, index=False)
    return path


def _plotted(book: Book, path: Path) -> Iterator[Path]:
    from summarize.plots import per_model

    bars = []
    for benchmark in book.benchmarks:
        if shares_scores(book, benchmark):
            order = standings(book, benchmark, comparison(book, benchmark))
            bars.append((benchmark, [(item.run.name, item.cell, item.rated) for item in order]))
    colour = {run.name: at for at, run in enumerate(book.runs)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        per_model(path, bars, colour)
        yield path
    except UsageError as error:
        print(f"{path.name} is not drawn: {error.message}; {error.hint}", file=sys.stderr)
