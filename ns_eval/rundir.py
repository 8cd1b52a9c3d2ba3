"""Every path under output_dir, and what a benchmark's folder is to hold.

    eval-results/<benchmark>/output-rs<S>.jsonl-async   in progress: append-only, one writer a file
    eval-results/<benchmark>/output-rs<S>_chunk_<i>.jsonl-async   the same, of a job that asks a part of the questions
    eval-results/<benchmark>/output-rs<S>.jsonl         finished: dataset order; `.done` beside it where nothing failed
    eval-results/<benchmark>/expected.json              how many rows there will be, and the settings that shape them

`seed_file.py` writes and mends the first three.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ns_eval.errors import DataError, UsageError
from ns_eval.files import write_text
from ns_eval.records import Json, read_record
from ns_eval.seed_file import output_name

_OUTPUT = re.compile(r"output(?:-rs(\d+))?\.jsonl")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a benchmark's folder will hold when it is complete, and the settings that shape its answers.

    `upstream_rows` is set where the prepared file has fewer or more questions than its origin.
    """

    benchmark: str
    questions: int
    seeds: tuple[int | None, ...]
    metric_type: str
    settings: Mapping[str, Json]
    judge: Mapping[str, Json]
    upstream_rows: int | None = None


def expect(folder: Path, expected: Expected, *, force: bool = False) -> None:
    """Records what will be there; more seeds than before are added to those that are there.

    Raises:
        UsageError: samples of other settings are there; names the first key that differs.
    """
    path = folder / "expected.json"
    # As JSON knows them, or a tuple would differ from the list that it became on disk.
    expected = msgspec.json.decode(msgspec.json.encode(expected), type=Expected)
    before = read_record(path, Expected)
    seeds = list(expected.seeds)
    if before is not None:
        differing = _differing(before.settings, expected.settings)
        if differing and not force and any(folder.glob("output*.jsonl*")):
            key = differing[0]
            raise UsageError(
                f"{folder} holds answers of other settings: `{key}` was {_shown(before.settings, key)}, "
                f"is {_shown(expected.settings, key)}",
                hint="choose another --output_dir, or --rerun_done to ask everything anew, or ++force=true to mix them",
            )
        seeds = [*before.seeds, *(seed for seed in seeds if seed not in before.seeds)]
    _write_expected(folder, dataclasses.replace(expected, seeds=tuple(seeds)))


def _write_expected(folder: Path, expected: Expected) -> None:
    write_text(folder / "expected.json", msgspec.json.format(msgspec.json.encode(expected), indent=2).decode() + "\n")


def outputs(folder: Path, seeds: Sequence[int | None] | None = None) -> dict[int | None, Path]:
    """The finished output files of a benchmark by seed, the greedy answer first; all of them, or those of `seeds`.

    Raises:
        DataError: none is there, one of `seeds` is not, or, where none is named, one that the run expects is not finished.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    found = _outputs_in(folder)
    if not found:
        unfinished = " (only unfinished -async files: run the evaluation to its end)" if list(folder.glob("*-async")) else ""
        raise DataError(f"{folder}: no output*.jsonl in it{unfinished}", hint="--input_dir=out/eval-results/<benchmark>")
    expected = read_record(folder / "expected.json", Expected)
    wanted = seeds if seeds is not None else expected.seeds if expected else tuple(found)
    missing = [seed for seed in wanted if seed not in found]
    if missing:
        there = ",".join(str(seed) for seed in found if seed is not None)
        end = "run the evaluation to its end, or take what is there"
        hint = f"{end}: --random_seeds={there}" if there else f"{end}: the greedy answer, without seeds"
        raise DataError(
            f"{folder}: {output_name(missing[0])} is missing; {len(missing)} of {len(wanted)} seeds are not there", hint=hint
        )
    return {seed: path for seed, path in found.items() if seeds is None or seed in seeds}


def _outputs_in(folder: Path) -> dict[int | None, Path]:
    names = {path: _OUTPUT.fullmatch(path.name) for path in folder.glob("output*.jsonl")}
    found = {int(named[1]) if named[1] else None: path for path, named in names.items() if named}
    return {seed: found[seed] for seed in sorted(found, key=lambda seed: -1 if seed is None else seed)}


def expect_derived(source: Path, folder: Path) -> None:
    """Records of a folder that was made of another one's outputs what that one expects, for the seeds that are there."""
    expected = read_record(source / "expected.json", Expected)
    if expected is not None:
        _write_expected(folder, dataclasses.replace(expected, seeds=tuple(_outputs_in(folder))))


def question_set(folder: Path) -> Json:
    """What tells the questions of a benchmark's folder from others: their fingerprint, or nothing where no run wrote it."""
    expected = read_record(folder / "expected.json", Expected)
    return None if expected is None else expected.settings.get("questions")


def set_aside(folder: Path) -> None:
    """Moves a benchmark's folder beside itself, for `--rerun_done`: nothing is deleted."""
    if not folder.exists():
        return
    number = 1
    while (aside := folder.with_name(f"{folder.name}-logs-before-{number}")).exists():
        number += 1
    folder.rename(aside)


def _differing(before: Mapping[str, Json], now: Mapping[str, Json]) -> list[str]:
    return sorted(key for key in {*before, *now} if before.get(key) != now.get(key))


def _shown(settings: Mapping[str, Json], key: str) -> str:
    text = str(settings.get(key))
    return f"`{text}`" if len(text) <= 60 else f"`{text[:57]}…`"
