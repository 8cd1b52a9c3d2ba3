"""Prompts from several files -> one drawn set of id, prompt, domain, task_type, balanced over a column.

a.parquet, b.parquet -> prompts.parquet -> the question file of the benchmark
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_prepare.readers import Raw, read
from ns_eval.errors import DataError, UsageError
from ns_eval.files import replacing
from ns_eval.records import Json

COLUMNS = ("id", "prompt", "domain", "task_type")
# What other projects call these columns.
_ALIASES = {
    "id": ("id", "prompt_id", "uid", "question_id"),
    "prompt": ("prompt", "question", "problem", "instruction", "input", "user_prompt"),
    "domain": ("domain", "field", "discipline", "subject"),
    "task_type": ("task_type", "task", "type", "category"),
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """The drawn rows, and what a person should know of the drawing."""

    rows: tuple[Mapping[str, str], ...]
    notes: tuple[str, ...]


def draw(files: Sequence[Path], samples: int, balance: str | None, seed: int) -> Drawn:
    """`samples` different prompts, the same for the same seed; shared out over the values of `balance` as evenly as can be.

    Raises:
        DataError: no prompt in a row, an id of two prompts, too few prompts, a row without the column to balance over.
        UsageError: a column that there is none of.
    """
    if balance is not None and balance not in COLUMNS[2:]:
        raise UsageError(f"--balance={balance}: expected domain or task_type")
    found, dropped = _different(files, balance)
    if len(found) < samples:
        raise DataError(
            f"{len(found)} different prompts in {', '.join(map(str, files))} ({dropped} more are duplicates), "
            f"--samples={samples} asks for more",
            hint=f"--samples={len(found)}, or another file behind a comma in --source",
        )
    groups: dict[str, list[Mapping[str, str]]] = {}
    for row in found:
        groups.setdefault(row[balance] if balance else "", []).append(row)
    quotas = shares({name: len(rows) for name, rows in groups.items()}, samples)
    rng = random.Random(seed)
    drawn = [row for name in sorted(groups) for row in rng.sample(groups[name], quotas[name])]
    order = {id(row): at for at, row in enumerate(found)}
    notes = [f"{dropped} duplicate prompts were dropped"] if dropped else []
    even = samples / len(groups)
    short = [f"{name} has only {quota}" for name, quota in sorted(quotas.items()) if quota < int(even)]
    if balance and short:
        notes.append(f"not balanced: {'; '.join(short)}, the others of {even:g} share the rest")
    return Drawn(tuple(sorted(drawn, key=lambda row: order[id(row)])), tuple(notes))


def shares(sizes: Mapping[str, int], samples: int) -> dict[str, int]:
    """Even shares of `samples`, none above its size: largest remainders, which are equal here, go to the larger groups
    first, then by name; what a small group cannot fill is shared by the others."""
    taken = dict.fromkeys(sizes, 0)
    left = samples
    while left:
        open_groups = sorted((name for name in sizes if taken[name] < sizes[name]), key=lambda name: (-sizes[name], name))
        if not open_groups:
            break
        each, over = divmod(left, len(open_groups))
        for at, name in enumerate(open_groups):
            more = min(each + (at < over), sizes[name] - taken[name])
            taken[name] += more
            left -= more
    return taken


def write_prompts(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """prompts.parquet, as source 000 names its columns."""
    table = pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in COLUMNS})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        pq.write_table(table, file)


def _different(files: Sequence[Path], balance: str | None) -> tuple[list[Mapping[str, str]], int]:
    """The rows with different prompts, first come; and how many others there are."""
    rows: list[Mapping[str, str]] = []
    places: dict[str, str] = {}
    prompts: set[str] = set()
    dropped = 0
    for raw, row in _standard(files, balance):
        text = " ".join(row["prompt"].split()).casefold()
        if text in prompts:
            dropped += 1
            continue
        if row["id"] in places:
            raise DataError(
                f"{raw.where}: the id `{row['id']}` stands there with another prompt than at {places[row['id']]}",
                hint="ids name prompts: make them different, or leave the column out",
            )
        places[row["id"]] = raw.where
        prompts.add(text)
        rows.append(row)
    return rows, dropped


def _standard(files: Sequence[Path], balance: str | None) -> Iterator[tuple[Raw, Mapping[str, str]]]:
    for path in files:
        for number, raw in enumerate(read(path)):
            row = {name: _value(raw.values, names) for name, names in _ALIASES.items()}
            if not row["prompt"]:
                raise DataError(f"{raw.where}: no prompt; its columns are {', '.join(_own(raw))}")
            if balance is not None and not row[balance]:
                raise DataError(
                    f"{raw.where}: no {balance}, and --balance={balance} was asked for; "
                    f"its columns are {', '.join(_own(raw))}",
                    hint="leave --balance out, or add the column",
                )
            yield raw, {**row, "id": row["id"] or f"{path.stem}-{number}"}


def _value(values: Mapping[str, Json], names: Sequence[str]) -> str:
    found = next((values[name] for name in names if values.get(name) not in (None, "")), "")
    return str(found).strip()


def _own(raw: Raw) -> list[str]:
    return [name for name in raw.values if not name.startswith("_")]
