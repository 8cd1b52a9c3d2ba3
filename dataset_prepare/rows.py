"""Rows as the upstream writes them -> rows of a question file, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from dataset_prepare.readers import Raw
from dataset_prepare.sources import PrepareSource
from ns_eval.config import BenchmarkConfig
from ns_eval.errors import DataError
from ns_eval.questions import check_row
from ns_eval.records import Json
from ns_eval.resources import locate

Row = dict[str, Json]
# A loader makes any number of questions of one upstream row; it may raise what a row of another shape makes it raise.
Loader = Callable[..., Iterable[Row]]
_SHAPE_ERRORS = (KeyError, IndexError, TypeError, ValueError, AttributeError)
_TEXTS = ("id", "expected_answer", "subset_for_metrics")


@dataclass(frozen=True, slots=True)
class Column:
    """One entry of `columns:`. `names` are the upstream's, the first that is there counts; `constant` needs none."""

    ours: str
    names: tuple[str, ...]
    optional: bool = False
    constant: str | None = None


def question_rows(
    raws: Iterable[Raw], benchmark: BenchmarkConfig, source: PrepareSource, name: str, ids: frozenset[str] | None
) -> Iterator[Row]:
    """The question rows of split `name`, in the upstream's order.

    Raises:
        DataError: a column that is not there, a row its loader cannot read, no problem, no answer, an id twice; each with
            its place in the upstream's file.
    """
    split = source.splits[name]
    columns = [parse_column(ours, text) for ours, text in source.columns.items()]
    loader: Loader | None = locate(source.rows) if source.rows else None
    prefix = benchmark.name if name == benchmark.split else f"{benchmark.name}-{name}"
    first_at: dict[str, str] = {}
    index = 0
    for raw in raws:
        if any(_value(raw, column) != value for column, value in split.where.items()):
            continue
        mapped = Raw(raw.where, _mapped(raw, columns)) if columns else raw
        for made in _loaded(mapped, loader, source):
            row = finished(made, f"{prefix}-{index}")
            if ids is not None and row["id"] not in ids:
                continue
            index += 1
            check_row(row, benchmark.needs, raw.where)
            if first_at.setdefault(row["id"], raw.where) is not raw.where:
                raise DataError(f"{raw.where}: id `{row['id']}` stands already at {first_at[row['id']]}")
            yield row


def parse_column(ours: str, text: str) -> Column:
    """`a | b`, `a?`, `=text` as written in a YAML."""
    if text.startswith("="):
        return Column(ours, (), constant=text[1:])
    names = text.removesuffix("?").split("|")
    return Column(ours, tuple(name.strip() for name in names), optional=text.endswith("?"))


def finished(made: Mapping[str, Json], default_id: str) -> Row:
    """A row with an id, its texts as texts and its answer stripped; what is None is left out."""
    row = {"id": default_id, **{key: value for key, value in made.items() if value is not None}}
    for key in _TEXTS:
        if key in row and not isinstance(row[key], str):
            row[key] = _text(row[key])
    if "expected_answer" in row:
        row["expected_answer"] = row["expected_answer"].strip()
    return row


def _text(value: Json) -> str:
    # 204.0 in a column that pandas once read is the answer 204.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _mapped(raw: Raw, columns: list[Column]) -> Row:
    row: Row = {}
    for column in columns:
        name = next((name for name in column.names if _has(raw.values, name)), None)
        if name is not None:
            row[column.ours] = _dig(raw.values, name)
        elif column.constant is not None:
            row[column.ours] = column.constant
        elif not column.optional:
            wanted = " or ".join(f"`{name}`" for name in column.names)
            raise DataError(f"{raw.where}: no column {wanted}; it has {', '.join(_visible(raw.values))}", hint=_CHANGED)
    return row


def _loaded(raw: Raw, loader: Loader | None, source: PrepareSource) -> Iterable[Row]:
    if loader is None:
        return [{key: value for key, value in raw.values.items() if not key.startswith("_")}]
    try:
        return list(loader(raw.values, **source.options))
    except _SHAPE_ERRORS as error:
        reason = f"no column {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        columns = ", ".join(_visible(raw.values))
        raise DataError(f"{raw.where}: {source.rows} cannot read this row ({reason}); it has {columns}", _CHANGED) from error


def _value(raw: Raw, column: str) -> Json:
    if not _has(raw.values, column):
        raise DataError(f"{raw.where}: no column `{column}`; it has {', '.join(_visible(raw.values))}", hint=_CHANGED)
    return _dig(raw.values, column)


def _has(values: Mapping[str, Json], path: str) -> bool:
    if path in values:
        return True
    head, dot, rest = path.partition(".")
    return bool(dot) and isinstance(values.get(head), Mapping) and _has(values[head], rest)


def _dig(values: Mapping[str, Json], path: str) -> Json:
    if path in values:
        return values[path]
    head, _, rest = path.partition(".")
    return _dig(values[head], rest)


def _visible(values: Mapping[str, Json]) -> list[str]:
    return [key for key in values if not key.startswith("_")]


_CHANGED = "the upstream changed its columns, or this is another file: compare `prepare.columns` in conf/benchmark"
