"""`ns status`: how far a run is and what became of its jobs, from any machine that sees the run folder."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ns_eval import job_files, progress
from ns_eval.cluster.job_status import Current, current
from ns_eval.cluster.slurm_queue import Watch
from ns_eval.errors import DataError, JobError
from ns_eval.progress import Snapshot
from ns_eval.schema import positional
from ns_eval.scores.lines import find_outputs, read_lines

_WATCH_S = 2.0
# Reading every sample of a large run takes seconds: while watching, not at every look.
_RECOUNT_S = 60.0
_FAILED = 5


@dataclass
class StatusConfig:
    """How far a run is, and what became of its jobs.

    Exit code: 0 while all is well, 5 where a job failed, was stopped, or can never start.

    Examples:
        ns status out
        ns status out --watch        # until nothing more will happen
        ns status out --json
    """

    output_dir: str = positional()
    """The run folder."""
    watch: bool = False
    """Look again every two seconds until all jobs have ended; Slurm is asked every ten."""
    json: bool = False
    """One JSON object a look, for programs."""


class Counts(msgspec.Struct, frozen=True):
    """What is on disk of a benchmark. `accuracy` is the mean over questions of the share of right answers so far, with the
    half width of its 95 % interval, questions as clusters; None where nothing, or too little, is judged.
    """

    benchmark: str
    expected: int | None
    done: int
    accuracy: float | None
    half_width: float | None
    truncated: int
    no_answer: int
    errors: int


class _Expected(msgspec.Struct):
    """What a look needs of expected.json; see `rundir.Expected`."""

    questions: int
    seeds: tuple[int | None, ...]


class JobRow(msgspec.Struct, frozen=True):
    """One job for people and programs."""

    name: str
    state: str
    reason: str
    node: str
    job_id: str
    attempt: int
    left_s: int | None
    counts: Snapshot
    log: str


class Report(msgspec.Struct, frozen=True):
    """One look. `ok`: nothing has failed so far; `over`: nothing more will happen by itself."""

    output_dir: str
    jobs: tuple[JobRow, ...]
    benchmarks: tuple[Counts, ...]
    ok: bool
    over: bool
    scheduler_calls: int


def main(config: StatusConfig) -> int:
    """Prints a look, or one after the other."""
    output_dir = Path(config.output_dir).absolute()
    watch = Watch()
    counts: tuple[Counts, ...] = ()
    counted = float("-inf")
    while True:
        if time.monotonic() - counted >= _RECOUNT_S:
            counts, counted = tuple(count(output_dir)), time.monotonic()
        report = look(output_dir, watch, counts)
        print(msgspec.json.encode(report).decode() if config.json else text(report, clear=config.watch), flush=True)
        if not config.watch or report.over:
            return 0 if report.ok else _FAILED
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(_WATCH_S)
            continue
        return 130


def look(output_dir: Path, watch: Watch, counts: Sequence[Counts]) -> Report:
    """The state of every job. Where Slurm does not answer, what the files say."""
    table = job_files.read_table(output_dir)
    try:
        found = current(table.jobs, watch)
    except JobError as error:
        print(f"{error.message}: showing what the files say", file=sys.stderr)
        found = [_by_files(job) for job in table.jobs]
    rows = tuple(_row(output_dir, now) for now in found)
    last = {job.name for job in job_files.last_of_chains(table.jobs)}
    bad = any(now.state in ("failed", "stopped", "blocked") for now in found if now.job.name in last)
    return Report(str(output_dir), rows, tuple(counts), not bad, all(now.over for now in found), watch.calls)


def count(output_dir: Path) -> Iterable[Counts]:
    """What is on disk of each benchmark, finished or in progress."""
    for folder in sorted([*output_dir.glob("eval-results/*/"), *output_dir.glob("*/eval-results/*/")]):
        if "-logs-" in folder.name:
            continue
        with contextlib.suppress(DataError):  # a summary names what is broken; a look goes on
            run = folder.parent.parent
            yield _count(folder, folder.name if run == output_dir else f"{run.name}: {folder.name}")


def text(report: Report, *, clear: bool = False) -> str:
    """The look as two small tables."""
    jobs = [["job", "state", "samples", "right", "tokens/s", "truncated", "errors", "left", "of limit", "why"]]
    jobs += [_cells(row) for row in report.jobs]
    benchmarks = [["benchmark", "samples", "right so far", "truncated", "no answer", "errors"]]
    for item in report.benchmarks:
        right = "" if item.accuracy is None else f"{item.accuracy:.1%}"
        right += "" if item.half_width is None else f" ± {item.half_width:.1%}"
        done = f"{item.done}/{'?' if item.expected is None else item.expected}"
        benchmarks.append([item.benchmark, done, right, str(item.truncated), str(item.no_answer), str(item.errors)])
    failed = [row for row in report.jobs if row.state in ("failed", "stopped", "blocked") and not report.ok]
    lines = [*_aligned(jobs), *(["", *_aligned(benchmarks)] if report.benchmarks else [])]
    if failed:
        lines += ["", f"ns logs {report.output_dir} {failed[0].name}    # what it said"]
        lines += [f"ns retry {report.output_dir}    # runs again what failed; what is on disk is kept"]
    elif report.over:
        lines += ["", f"all done: ns summarize_results {report.output_dir}"]
    return ("\x1b[H\x1b[2J" if clear and sys.stdout.isatty() else "") + "\n".join(lines)


def _count(folder: Path, shown_as: str) -> Counts:
    by_question: dict[str, list[bool]] = {}
    statuses = {"truncated": 0, "no_answer": 0, "error": 0}
    done = 0
    for output in find_outputs(folder):
        last = {str(line.id): line for path in output.paths for _, line in read_lines(path)}
        done += len(last)
        for name, line in last.items():
            if line.status in statuses:
                statuses[line.status] += 1
            verdict = next(iter((line.verdicts or {}).values()), None)
            if verdict is not None and verdict.correct is not None:
                by_question.setdefault(name, []).append(verdict.correct)
    accuracy, half_width = _mean([sum(answers) / len(answers) for answers in by_question.values()])
    return Counts(
        shown_as,
        _expected(folder),
        done,
        accuracy,
        half_width,
        statuses["truncated"],
        statuses["no_answer"],
        statuses["error"],
    )


def _expected(folder: Path) -> int | None:
    try:
        asked = msgspec.json.decode((folder / "expected.json").read_bytes(), type=_Expected)
    except (OSError, msgspec.DecodeError):
        return None
    return asked.questions * len(asked.seeds)


def _mean(shares: Sequence[float]) -> tuple[float | None, float | None]:
    """The mean over questions, and 1.96 of its standard errors: the seeds of a question are not independent.

    Clusters of the same weight; Miller 2024, arXiv:2411.00640, section 2.2.
    """
    if not shares:
        return None, None
    mean = sum(shares) / len(shares)
    if len(shares) < 2:
        return mean, None
    variance = sum((share - mean) ** 2 for share in shares) / (len(shares) - 1)
    return mean, 1.96 * math.sqrt(variance / len(shares))


def _by_files(job: job_files.Submitted) -> Current:
    own = job_files.read_state(job.folder, job.name)
    return Current(job, own.state, own.error or "", own.host, None, own)


def _row(output_dir: Path, now: Current) -> JobRow:
    counts = progress.read(job_files.progress_path(output_dir, now.job.name))
    name = now.job.name
    return JobRow(
        name, now.state, now.reason, now.node, now.job.job_id, now.own.attempt, now.left_s, counts, str(now.job.log)
    )


def _cells(row: JobRow) -> list[str]:
    counts = row.counts
    asked = counts.done - counts.before
    running = row.state == "running"
    left = (counts.total - counts.done) * counts.seconds / asked if asked > 0 and running else None
    return [
        row.name,
        row.state + (f" ({row.attempt})" if row.attempt > 1 else ""),
        f"{counts.done}/{counts.total}" if counts.total else "",
        f"{counts.right / counts.judged:.1%}" if counts.judged else "",
        f"{counts.tokens / counts.seconds:,.0f}" if counts.tokens and counts.seconds else "",
        str(counts.truncated) if counts.total else "",
        str(counts.errors) if counts.total else "",
        "" if left is None else _clock(left),
        "" if row.left_s is None else _clock(row.left_s),
        " ".join(filter(None, [row.reason, f"[{row.node}]" if row.node and running else "", _stage(row)])),
    ]


def _stage(row: JobRow) -> str:
    quiet = ("sampling", "done", "stopped")
    return row.counts.stage if row.state == "running" and row.counts.stage not in quiet else ""


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell; a column that is empty below its title is left out."""
    kept = [index for index in range(len(rows[0])) if any(row[index] for row in rows[1:])] or [0]
    widths = {index: max(len(row[index]) for row in rows) for index in kept}
    return ["  ".join(row[index].ljust(widths[index]) for index in kept).rstrip() for row in rows]
