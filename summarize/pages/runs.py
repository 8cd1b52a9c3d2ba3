"""Run folders -> a book of runs: of each what the terminal prints, the place of its texts, and what state it is in."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ns_eval import manifest
from ns_eval.errors import DataError, NsError
from ns_eval.records import Json
from ns_eval.scores import find_outputs
from summarize.discover import discover, run_folders
from summarize.pages import lines
from summarize.pages.lines import Lines
from summarize.results import Loaded, ResultsConfig, run_labels, summaries
from summarize.tables import Table

# A file that grew this recently is being written.
_FRESH_S = 120.0


@dataclass(frozen=True, slots=True)
class Part:
    """One benchmark of one run: the numbers, and where the texts lie."""

    loaded: Loaded
    lines: Lines

    @property
    def name(self) -> str:
        return self.loaded.found.name

    @property
    def whole(self) -> Table:
        return self.loaded.tables[0]


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder. `state` is complete, partial, running, empty, gone or unreadable; `note` says why it shows nothing.

    `name` is the model's where that tells the runs apart, else the folder's.
    """

    path: Path
    name: str
    model: str
    state: str
    note: str
    parts: tuple[Part, ...]
    groups: tuple[Table, ...] = ()
    entry: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """The runs of one page. A run keeps its place, and with it its colour, on every chart."""

    runs: tuple[Run, ...]
    level: float = 0.95

    @property
    def benchmarks(self) -> list[str]:
        return list(dict.fromkeys(part.name for run in self.runs for part in run.parts))

    def of(self, benchmark: str) -> list[tuple[Run, Part]]:
        """The runs that hold a benchmark, in their order."""
        return [(run, part) for run in self.runs for part in run.parts if part.name == benchmark]

    @property
    def unfinished(self) -> bool:
        return any(run.state in ("running", "empty", "partial") for run in self.runs)


def load(paths: Sequence[Path], benchmarks: Sequence[str] = (), level: float = 0.95) -> Book:
    """The book of these folders; a folder that holds several runs stands for each of them.

    A run that cannot be read is in the book with the reason.
    """
    every = [own for path in paths for own in run_folders(path)]
    labels = run_labels(every) if every else []
    entries = [_entry(path) for path in every]
    models = [str((entry.get("config") or {}).get("model") or "") for entry in entries]
    short = [model.rstrip("/").rpartition("/")[2] if model.startswith(("/", ".")) else model for model in models]
    names = short if all(short) and len(set(short)) == len(short) else labels
    return Book(
        tuple(
            _run(path, name, model, entry, benchmarks, level)
            for path, name, model, entry in zip(every, names, models, entries, strict=True)
        ),
        level,
    )


def stamp(paths: Sequence[Path]) -> tuple[tuple[str, int, int], ...]:
    """Changes when a file behind the pages does, when a run stops growing, or when a folder goes."""
    return tuple(_stamps(paths))


def _stamps(paths: Sequence[Path]) -> Iterator[tuple[str, int, int]]:
    for path in (own for given in paths for own in run_folders(given)):
        yield str(path), path.is_dir(), _grows(path)
        for file in sorted([path / "run.json", *_outputs(path)]):
            with contextlib.suppress(OSError):
                seen = file.stat()
                yield str(file), seen.st_size, seen.st_mtime_ns


def _outputs(path: Path) -> list[Path]:
    with contextlib.suppress(NsError, OSError):
        found = [own for item in discover(path).benchmarks for output in find_outputs(item.folder) for own in output.paths]
        return found or [item.folder / "scores.parquet" for item in discover(path).benchmarks]
    return []


def _run(path: Path, name: str, model: str, entry: Mapping[str, Json], benchmarks: Sequence[str], level: float) -> Run:
    if not path.is_dir():
        return Run(path, name, model, "gone", f"{path} is not there (any more)", ())
    if not _outputs(path):
        running = entry.get("end") is None and bool(entry)
        note = "no answer is on disk yet" if running else "no results in it: no output*.jsonl"
        return Run(path, name, model, "running" if running else "empty", note, (), (), entry)
    try:
        (summary,) = summaries(ResultsConfig(results_dirs=[str(path)], benchmarks=list(benchmarks), level=level))
        parts = tuple(Part(item, lines.read(item.found.folder)) for item in summary.loaded)
        _check_known(path, parts)
    except (NsError, OSError) as error:
        told = error.message if isinstance(error, NsError) else str(error)
        return Run(path, name, model, "unreadable", told, (), (), entry)
    return Run(path, name, model, _state(path, parts), "", parts, summary.groups, entry)


def _state(path: Path, parts: Sequence[Part]) -> str:
    if all(part.whole.coverage.complete for part in parts):
        return "complete"
    return "running" if _grows(path) else "partial"


def _grows(path: Path) -> bool:
    for file in path.glob("eval-results*/*/*-async"):
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime < _FRESH_S:
                return True
    return False


def _check_known(path: Path, parts: Sequence[Part]) -> None:
    """A judgement belongs to an answer: refuses judged lines of questions that the run never asked."""
    for part in parts:
        folder = part.loaded.found.folder
        answered = path / "eval-results" / part.name
        if "eval-results-judged" not in folder.parts or not find_outputs(answered):
            continue
        strangers = sorted(set(part.lines.problems) - set(lines.read(answered).problems))
        if strangers:
            raise DataError(
                f"{folder}: judgements of {len(strangers)} questions that are not in {answered}, such as `{strangers[0]}`",
                hint="keep the judged files of one run in its own folder",
            )


def _entry(path: Path) -> Mapping[str, Json]:
    """The last command of run.json."""
    with contextlib.suppress(NsError, OSError):
        commands = manifest.read(path).commands
        if commands:
            last = commands[-1]
            return {name: getattr(last, name) for name in last.__struct_fields__}
    return {}
