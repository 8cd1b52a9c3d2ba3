"""Output files as judges read them: one sample at a time, found again by its place, so that no run has to fit in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from judges.pairwise import with_baseline
from ns_eval.errors import DataError
from ns_eval.records import Json, Sample, loads, sample_from_row

_SEED = re.compile(r"output-rs(\d+)\.jsonl")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sample stands; `number` counts lines from 1, and names a sample that has no id."""

    path: Path
    offset: int
    number: int


class Outputs:
    """The samples of some output files; where there is a `baseline`, each with that run's answer to the same question."""

    def __init__(self, paths: Sequence[Path], baseline: Sequence[Path] = ()) -> None:
        self.paths = tuple(paths)
        self._baseline: dict[str, _Stored] | None = _answers(baseline) if baseline else None

    def rows(self, path: Path) -> Iterator[tuple[Place, dict[str, Json], Sample]]:
        """Every line of one of the files.

        Raises:
            DataError: a line that is no sample; a question that the baseline does not answer.
        """
        for place, row, sample in _lines(path):
            yield place, row, self._paired(sample)

    def samples(self) -> Iterator[tuple[Place, Sample]]:
        """Every sample of all files."""
        for path in self.paths:
            for place, _, sample in self.rows(path):
                yield place, sample

    def at(self, place: Place) -> Sample:
        return self._paired(_sample_at(place))

    def _paired(self, sample: Sample) -> Sample:
        if self._baseline is None:
            return sample
        return with_baseline(sample, self._baseline.get(sample.question.id, _Stored()))


class _Stored(Mapping[int | None, Sample]):
    """The baseline's answers to one question by seed, read when they are wanted."""

    def __init__(self) -> None:
        self.places: dict[int | None, Place] = {}

    def __getitem__(self, seed: int | None) -> Sample:
        return _sample_at(self.places[seed])

    def __iter__(self) -> Iterator[int | None]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


def _answers(paths: Sequence[Path]) -> dict[str, _Stored]:
    found: dict[str, _Stored] = {}
    for path in paths:
        for place, _, sample in _lines(path):
            found.setdefault(sample.question.id, _Stored()).places[sample.seed] = place
    return found


def _lines(path: Path) -> Iterator[tuple[Place, dict[str, Json], Sample]]:
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = loads(line)
                yield Place(path, offset, number), row, sample_of(row, path, number)
            except (ValueError, KeyError) as error:
                raise DataError(f"{path}:{number}: not a sample ({error!r})") from error
            offset += len(line)


def _sample_at(place: Place) -> Sample:
    with place.path.open("rb") as file:
        file.seek(place.offset)
        return sample_of(loads(file.readline()), place.path, place.number)


def sample_of(row: Mapping[str, Json], path: Path, number: int) -> Sample:
    """A row of ours, or of a NeMo-Skills folder: there the place is the id, and the file's name says the seed."""
    if "status" in row and "verdicts" in row:
        return sample_from_row(row)
    named = _SEED.fullmatch(path.name)
    seed = int(named[1]) if named else None
    verdicts = {}
    if "predicted_answer" in row:
        answer = row["predicted_answer"]
        correct = row.get("symbolic_correct", row.get("is_correct"))
        verdicts["symbolic"] = {"correct": correct, "extracted": answer} | ({} if answer else {"comment": "no answer"})
    given = {
        "id": str(number),
        "problem": row.get("question", ""),
        "generation": "",
        **row,
        "seed": seed,
        "verdicts": verdicts,
    }
    return sample_from_row({**given, "status": row.get("status", "error" if row.get("error") else "ok")})
