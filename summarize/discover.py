"""Finds the benchmark folders of a results_dir, in the three shapes that NeMo-Skills' summarize_results takes.

the folder of one benchmark: it holds output*.jsonl itself (or only scores.parquet)
a run folder: it holds eval-results/, and perhaps eval-results-judged/, which is read before it
a folder of benchmarks or of groups of them: */output*.jsonl or */*/output*.jsonl
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ns_eval.errors import DataError, UsageError, suggest
from ns_eval.scores import find_outputs

_KINDS = ("eval-results-judged", "eval-results")


@dataclass(frozen=True, slots=True)
class Found:
    """One benchmark's folder. `name` is its path below the results folder, `run` the run folder where there is one."""

    name: str
    folder: Path
    run: Path | None


@dataclass(frozen=True, slots=True)
class Results:
    """What one results_dir holds, and where its metrics.json belongs."""

    path: Path
    benchmarks: tuple[Found, ...]
    metrics: Path


def discover(path: Path, only: Sequence[str] = ()) -> Results:
    """The benchmarks of one results_dir.

    Raises:
        DataError: there is no such folder, or nothing of a run in it.
        UsageError: `only` names one that is not there.
    """
    if not path.is_dir():
        raise DataError(f"{path} is not a folder", hint="ns summarize_results takes an --output_dir of ns eval")
    if _is_benchmark(path):
        run = next((parent.parent for parent in path.parents if parent.name in _KINDS), None)
        found = [Found(path.name, path, run)]
        home = path
    else:
        kinds = [path / kind for kind in _KINDS if (path / kind).is_dir()]
        found = [item for base in kinds for item in _below(base, path)] if kinds else _below(path, None)
        home = path / "eval-results" if (path / "eval-results").is_dir() else path
    named = {item.name: item for item in reversed(found)}
    if not named:
        raise DataError(
            f"{path}: no results: no output*.jsonl in it, nor in eval-results/<benchmark>",
            hint="ns status PATH says whether a run is still going; its first answers make the first table",
        )
    for name in only:
        if name not in named:
            raise UsageError(f"{path} holds no benchmark `{name}`, {suggest(name, named)}")
    kept = tuple(named[name] for name in sorted(named) if not only or name in only)
    return Results(path, kept, home / "metrics.json")


def run_folders(path: Path) -> list[Path]:
    """The run folders that a command with several models made below `path`; `path` itself where there are none."""
    if _is_benchmark(path) or any((path / kind).is_dir() for kind in _KINDS):
        return [path]
    below = sorted({found.parent for kind in _KINDS for found in path.glob(f"*/{kind}/")})
    return below or [path]


def _is_benchmark(path: Path) -> bool:
    return bool(find_outputs(path)) or (path / "scores.parquet").exists()


def _below(base: Path, run: Path | None) -> list[Found]:
    """Benchmarks one or two levels down; folders of logs, of judges' calls and those set aside hold none."""
    found = []
    for path in sorted([*base.glob("*/"), *base.glob("*/*/")]):
        if any("-logs" in part or part == "judge-calls" for part in path.relative_to(base).parts):
            continue
        if _is_benchmark(path):
            found.append(Found(path.relative_to(base).as_posix(), path, run or base))
    return found
