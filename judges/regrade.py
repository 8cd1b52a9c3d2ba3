"""`ns regrade`: judges the generations of a finished run again, and shows which verdicts turned."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judges.symbolic import GRADER_VERSION
from ns_eval import manifest
from ns_eval.errors import DataError
from ns_eval.files import write_text
from ns_eval.grading import Grader
from ns_eval.loop import status_of
from ns_eval.records import Generation, Sample, Verdict, read_jsonl, sample_from_row, sample_row, write_jsonl
from ns_eval.resources import conf_file
from ns_eval.schema import load_yaml, positional
from ns_eval.seed_file import output_name

# Beside the outputs: which grader their verdicts come from.
GRADER_FILE = "grader.json"


@dataclass
class RegradeConfig:
    """Grades a finished run again. Generations stay as they are; the old grades are kept beside the new ones.

    Examples:
        ns regrade /runs/qwen
        ns regrade /runs/qwen --benchmarks=aime24,math-500 ++judge_options.percent=value
        ns regrade /runs/qwen --dry_run
    """

    output_dir: str = positional()
    """The run folder."""
    benchmarks: list[str] = field(default_factory=list)
    """Only these; all of the run without it."""
    judge: str = "symbolic"
    """conf/judge/<name>.yaml; not a judge that asks a model."""
    judge_options: dict[str, Any] = field(default_factory=dict)
    """Switches of that judge."""
    workers: int | None = None
    """Grading processes. Default: the cores, at most 8."""
    show: int = 20
    """How many turned pairs to print for each benchmark."""
    dry_run: bool = False
    """Show what would turn, write nothing."""


@dataclass(frozen=True, slots=True)
class Flip:
    """One verdict that turned."""

    id: str
    seed: int | None
    before: bool | None
    after: bool | None
    gold: str | None
    answer: str | None
    step: str | None


@dataclass(frozen=True, slots=True)
class Regraded:
    """One benchmark. Scores are means over judged samples, 0 to 1; None where none is judged."""

    benchmark: str
    samples: int
    before: float | None
    after: float | None
    unjudged: int
    flips: tuple[Flip, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done, as the run's manifest records it."""

    grader: str
    judge: Mapping[str, Any]
    benchmarks: tuple[Regraded, ...]


def main(config: RegradeConfig) -> int:
    """Prints for each benchmark the score before and after and the pairs that turned."""
    outcome = regrade(config)
    if not config.dry_run:
        _record(config, outcome)
    for found in outcome.benchmarks:
        for line in _report(found, config.show):
            print(line)
    return 0


def _record(config: RegradeConfig, outcome: Outcome) -> None:
    """Adds the regrading to run.json: the grader's version, and each score before and after."""
    output_dir = Path(config.output_dir)
    graded = {
        found.benchmark: {"grader": outcome.grader, "before": found.before, "after": found.after, "flips": len(found.flips)}
        for found in outcome.benchmarks
    }
    entries = manifest.read(output_dir).commands
    manifest.begin(output_dir, dataclasses.asdict(config), graded, entries[-1].model if entries else "")
    manifest.end(output_dir, "done")


def regrade(config: RegradeConfig) -> Outcome:
    """Grades every finished output file again and replaces its verdicts, unless it is a dry run.

    Raises:
        DataError: no finished output, an unknown benchmark, a line that this project did not write.
        UsageError: an unknown judge or option.
    """
    folders = _folders(Path(config.output_dir), config.benchmarks)
    spec = {**load_yaml(conf_file("judge", config.judge)), **config.judge_options}
    return asyncio.run(_regrade(config, folders, spec))


def _folders(output_dir: Path, names: Sequence[str]) -> list[Path]:
    found = {path.parent.name: path.parent for path in sorted(output_dir.glob("eval-results/*/output*.jsonl"))}
    unknown = [name for name in names if name not in found]
    if not found or unknown:
        what = f"no results of {', '.join(unknown)}" if unknown else "no finished results"
        raise DataError(f"{output_dir}: {what} under eval-results/", hint=f"ns status {output_dir}")
    return [found[name] for name in (names or sorted(found))]


async def _regrade(config: RegradeConfig, folders: Sequence[Path], spec: Mapping[str, Any]) -> Outcome:
    done = []
    async with Grader(spec, workers=config.workers) as grader:
        for folder in folders:
            paths = sorted(folder.glob("output*.jsonl"))
            if not config.dry_run:
                _keep_old(folder, paths)
            pairs: list[tuple[Sample, Sample]] = []
            for path in paths:
                pairs += await _one_file(grader, path, write=not config.dry_run)
            if not config.dry_run:
                write_text(
                    folder / GRADER_FILE, json.dumps({"grader": GRADER_VERSION, "judge": dict(spec)}, indent=1) + "\n"
                )
            done.append(_compared(folder.name, pairs, grader.judge.name))
    return Outcome(GRADER_VERSION, spec, tuple(done))


async def _one_file(grader: Grader, path: Path, *, write: bool) -> list[tuple[Sample, Sample]]:
    """Each sample before and after, without its text, which one file at a time holds in memory."""
    old = _samples(path)
    new = await _grade(grader, old)
    if write:
        write_jsonl(path, map(sample_row, new))
    return [(_light(before), _light(after)) for before, after in zip(old, new, strict=True)]


def _light(sample: Sample) -> Sample:
    return dataclasses.replace(sample, generation=Generation(""), meta={})


def _samples(path: Path) -> list[Sample]:
    found = []
    for number, row in read_jsonl(path):
        try:
            found.append(sample_from_row(row))
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}:{number}: not a sample that ns-eval wrote ({error})") from error
    return found


async def _grade(grader: Grader, samples: Sequence[Sample]) -> list[Sample]:
    """The samples with this judge's verdict in the place of its old one; failed requests keep what they have."""
    asked = [sample for sample in samples if sample.generation.error is None]
    verdicts = await asyncio.gather(*(grader.grade(sample.question, sample.generation) for sample in asked))
    new = dict(zip(map(id, asked), verdicts, strict=True))
    return [_with_verdict(sample, new[id(sample)]) if id(sample) in new else sample for sample in samples]


def _with_verdict(sample: Sample, verdict: Verdict) -> Sample:
    others = [old for old in sample.verdicts if old.judge != verdict.judge]
    place = next((index for index, old in enumerate(sample.verdicts) if old.judge == verdict.judge), 0)
    verdicts = (*others[:place], verdict, *others[place:])
    return dataclasses.replace(sample, verdicts=verdicts, status=status_of(sample.generation, verdicts))


def _keep_old(folder: Path, paths: Sequence[Path]) -> None:
    """Writes the old grades before any row is replaced."""
    write_jsonl(_kept_path(folder), (_grade_row(sample) for path in paths for sample in _samples(path)))


def _kept_path(folder: Path) -> Path:
    """grades-<version that gave them>.jsonl; numbered where that version has been kept before, with other options."""
    known = folder / GRADER_FILE
    version = str(json.loads(known.read_text(encoding="utf-8"))["grader"]) if known.exists() else "original"
    path, number = folder / f"grades-{version}.jsonl", 2
    while path.exists():
        path, number = folder / f"grades-{version}-{number}.jsonl", number + 1
    return path


def _grade_row(sample: Sample) -> dict[str, Any]:
    row = sample_row(sample)
    return {"id": sample.question.id, "seed": sample.seed, "status": sample.status, "verdicts": row.get("verdicts", {})}


def _compared(benchmark: str, pairs: Sequence[tuple[Sample, Sample]], judge: str) -> Regraded:
    flips, before, after = [], [], []
    for old, new in pairs:
        was, now = _verdict(old, judge), _verdict(new, judge)
        before.append(was.correct if was else None)
        after.append(now.correct if now else None)
        if before[-1] is not after[-1]:
            gold, answer, step = old.question.expected_answer, now.extracted if now else None, now.comment if now else None
            flips.append(Flip(old.question.id, old.seed, before[-1], after[-1], gold, answer, step))
    return Regraded(benchmark, len(pairs), _mean(before), _mean(after), after.count(None), tuple(flips))


def _verdict(sample: Sample, judge: str) -> Verdict | None:
    return next((verdict for verdict in sample.verdicts if verdict.judge == judge), None)


def _mean(verdicts: Sequence[bool | None]) -> float | None:
    judged = [verdict for verdict in verdicts if verdict is not None]
    return sum(judged) / len(judged) if judged else None


def _report(found: Regraded, most: int) -> list[str]:
    lines = [
        f"{found.benchmark}: {_percent(found.before)} -> {_percent(found.after)}, {len(found.flips)} of {found.samples}"
        f" verdicts turned, {found.unjudged} unjudged"
    ]
    names = {True: "right", False: "wrong", None: "unjudged"}
    for flip in found.flips[:most]:
        where = f"{flip.id} {output_name(flip.seed).removeprefix('output').removesuffix('.jsonl')}".rstrip(" -")
        turned = f"{names[flip.before]} -> {names[flip.after]}"
        lines.append(f"  {turned}  {_short(flip.gold)} | {_short(flip.answer)}  ({flip.step}; {where})")
    if len(found.flips) > most:
        lines.append(f"  … and {len(found.flips) - most} more (--show={len(found.flips)})")
    return lines


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}%"


def _short(text: str | None) -> str:
    return "-" if text is None else repr(text if len(text) <= 60 else text[:57] + "…")
