"""Where the text of every sample of a benchmark lies, and what its lines say beside the numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import msgspec

from ns_eval.errors import DataError
from ns_eval.records import Json, loads
from ns_eval.scores import find_outputs

Key: TypeAlias = tuple[str, int | None]
# What question files call the kind of a question. One is shown as a part where it has a few values.
FACETS = ("domain", "task_type", "subject", "category", "topic", "level", "difficulty", "subset_for_metrics")
_MOST_PARTS = 40


class _Judging(msgspec.Struct):
    prompt_hash: str = ""
    model: str = ""
    scale: tuple[float, float] | None = None
    status: str = "ok"


class _Line(msgspec.Struct):
    id: str | int | None = None
    problem: str | None = None
    question: str | None = None
    expected_answer: Json = None
    judging: dict[str, _Judging] = msgspec.field(default_factory=dict)
    generation_meta: dict[str, Json] = msgspec.field(default_factory=dict)
    domain: Json = None
    task_type: Json = None
    subject: Json = None
    category: Json = None
    topic: Json = None
    level: Json = None
    difficulty: Json = None
    subset_for_metrics: Json = None


@dataclass(frozen=True, slots=True)
class Place:
    """One line of a file."""

    path: Path
    offset: int
    length: int


@dataclass(slots=True)
class Lines:
    """What the output files of one benchmark hold beside their numbers. `facets` is by name, then by question.

    `rubrics` counts the lines of each version of a judge's prompt, `scale` is that of its ratings; `extended` holds, of
    samples that were asked again with more room, the limit before and after.
    """

    places: dict[Key, Place] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    expected: dict[str, str] = field(default_factory=dict)
    facets: dict[str, dict[str, str]] = field(default_factory=dict)
    judges: set[str] = field(default_factory=set)
    rubrics: dict[str, Counter[str]] = field(default_factory=dict)
    scale: tuple[float, float] | None = None
    extended: dict[Key, Mapping[str, Json]] = field(default_factory=dict)

    def text(self, question: str, seed: int | None) -> dict[str, Json] | None:
        """The whole line of a sample; None where only the small table is left, or the file has changed since."""
        place = self.places.get((question, seed))
        if place is None or not place.path.exists():
            return None
        with place.path.open("rb") as file:
            file.seek(place.offset)
            try:
                return loads(file.read(place.length))
            except ValueError:
                return None

    def parts(self) -> dict[str, dict[str, str]]:
        """The facets that split the questions into a few parts, the same split only once."""
        found: dict[str, dict[str, str]] = {}
        for name, values in self.facets.items():
            several = 1 < len(set(values.values())) <= _MOST_PARTS
            if several and len(values) == len(self.problems) and values not in found.values():
                found["subset" if name == "subset_for_metrics" else name] = values
        return found


def read(folder: Path) -> Lines:
    """The lines of a benchmark's output files; empty where only the small table is left.

    Raises:
        DataError: a line that is none, or ratings of two versions of one rubric.
    """
    found = Lines()
    for output in find_outputs(folder):
        position = 0
        for path in output.paths:
            for number, place, line in _lines(path):
                name = f"#{position:06d}" if line.id is None else str(line.id)
                position += 1
                _take(found, (name, output.seed), place, line)
                if any(len(versions) > 1 for versions in found.rubrics.values()):
                    _refuse_mixed(found, path, number)
    return found


def _take(found: Lines, key: Key, place: Place, line: _Line) -> None:
    name = key[0]
    found.places[key] = place
    found.problems.setdefault(name, line.problem or line.question or "")
    if line.expected_answer is not None:
        found.expected.setdefault(name, str(line.expected_answer))
    for facet in FACETS:
        value = getattr(line, facet)
        if value is not None and not isinstance(value, list | dict):
            found.facets.setdefault(facet, {}).setdefault(name, str(value))
    for judge, told in line.judging.items():
        if told.prompt_hash:
            found.rubrics.setdefault(judge, Counter())[told.prompt_hash] += 1
        if told.model:
            found.judges.add(told.model)
        found.scale = told.scale or found.scale
    if "extended" in line.generation_meta:
        found.extended[key] = line.generation_meta["extended"]


def _lines(path: Path) -> Iterator[tuple[int, Place, _Line]]:
    offset = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            line = None if raw.isspace() else _decoded(raw, path, number)
            if line is not None:
                yield number, Place(path, offset, len(raw)), line
            offset += len(raw)


_decode = msgspec.json.Decoder(_Line).decode


def _decoded(raw: bytes, path: Path, number: int) -> _Line | None:
    """The line; None for one that a running process is just writing."""
    try:
        return _decode(raw)
    except msgspec.DecodeError as error:
        if path.name.endswith("-async") and not raw.endswith(b"\n"):
            return None
        raise DataError(f"{path}:{number}: not a sample ({error})", hint=f"mv {path} {path}.broken") from error


def _refuse_mixed(found: Lines, path: Path, number: int) -> None:
    judge, versions = next((judge, counts) for judge, counts in found.rubrics.items() if len(counts) > 1)
    raise DataError(
        f"{path}:{number}: judged with another version of the prompt of `{judge}` ({_named(list(versions))}) than the lines "
        "before: ratings by two rubrics are no one score",
        hint="judge this folder anew with one rubric, into a new --output_dir or with --rerun_done",
    )


def _named(hashes: Sequence[str]) -> str:
    return " and ".join(text[:12] for text in hashes)
