"""`ns prepare_data --discover=DIR`: a benchmark YAML proposed for every set of data files below a folder."""

from __future__ import annotations

import itertools
import json
import re
import string
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from dataset_prepare.columns import Guess, guess_columns
from dataset_prepare.readers import format_of, read
from ns_eval.errors import DataError, NsError, UsageError
from ns_eval.files import write_text
from ns_eval.records import Json
from ns_eval.resources import conf_names

SAMPLED_ROWS = 200
SHOWN_ROWS = 3
_FORMATS = ("jsonl", "json", "csv", "tsv", "parquet", "arrow")
_SPLIT = re.compile(r"(?i)^(?:.*[-_.])?(train|test|validation|valid|val|dev)(?=[-_.]|$)")
# What lies beside data and is none: records about it, results of runs, caches of downloads.
_NO_DATA = re.compile(
    r"(?i)^(?:dataset_?infos?|dataset_dict|state|metadata|meta|manifest|config|package(?:-lock)?|tokenizer.*|vocab"
    r"|generation_config|special_tokens.*|summary|summaries|results?|metrics|scores|expected|leaderboard|logs?|run|jobs"
    r"|.*\.origin|output(?:-rs\d+)?)$"
)
_NO_FOLDERS = {"downloads", "logs", "eval-logs", "eval-results", "node_modules", "__pycache__", "wandb"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """The files of one data set: split -> files, its first rows, and what its columns seem to be.

    `header` names the columns of a CSV file that has no line for them.
    """

    name: str
    folder: Path
    splits: Mapping[str, tuple[Path, ...]]
    rows: tuple[Mapping[str, Json], ...]
    guess: Guess
    header: tuple[str, ...] = ()


def report(folder: Path, conf: Path | None) -> int:
    """Prints each proposal with three rows; with `conf` writes those that have a question to `<conf>/benchmark/`."""
    if not folder.is_dir():
        raise UsageError(f"--discover: {folder} is not a folder")
    count = 0
    for found in discover(folder):
        count += 1
        print(f"# {found.folder / found.name}: {found.guess.sentence()}")
        for row in found.rows[:SHOWN_ROWS]:
            print(f"#   {_short(row)}")
        if not found.guess.columns:
            continue
        text = proposal(found)
        print(text)
        if conf is not None:
            _write(found.name, text, conf)
    print(f"{count} data set{'' if count == 1 else 's'} below {folder}", file=sys.stderr)
    if count and conf is None:
        print("nothing was written; --write=CONF writes them to CONF/benchmark/", file=sys.stderr)
    return 0


def discover(folder: Path) -> Iterator[Found]:
    """Every data set below a folder, in the order of its path; files that cannot be read are named on stderr."""
    for (parent, name), splits in _grouped(folder).items():
        first = next(iter(splits.values()))[0]
        try:
            rows, header = _first_rows(first)
        except NsError as error:
            print(f"left out: {error.message}", file=sys.stderr)
            continue
        if rows:
            yield Found(name, parent, splits, rows, guess_columns(rows), header)
        else:
            print(f"left out: {first}: it has no rows", file=sys.stderr)


def _first_rows(path: Path) -> tuple[tuple[Mapping[str, Json], ...], tuple[str, ...]]:
    """Some rows, and the names given to the columns where the first line of a CSV file is itself a question."""
    rows = tuple(raw.values for raw in itertools.islice(read(path), SAMPLED_ROWS))
    names = [name for name in rows[0] if not name.startswith("_")] if rows else []
    options = len(names) - 2
    if format_of(path) not in ("csv", "tsv") or options < 2 or not re.fullmatch("[A-H]", names[-1]):
        return rows, ()
    header = ("question", *string.ascii_uppercase[:options], "answer")
    again = itertools.islice(read(path, header=list(header)), SAMPLED_ROWS)
    return tuple(raw.values for raw in again), header


def proposal(found: Found) -> str:
    """The YAML that prepares the set."""
    guess = found.guess
    evaluated = next((name for name in ("test", "validation", "train") if name in found.splits), next(iter(found.splits)))
    needs = [name for name in ("expected_answer", "choices") if guess.has(name)]
    lines = [
        f"name: {found.name}",
        f"about: {_quoted(f'proposed by ns prepare_data --discover from {len(found.rows)} rows; {guess.sentence()}')}",
        *([f"split: {evaluated}"] if evaluated != "test" else []),
        f"needs: [{', '.join(needs)}]",
        f"prompt: {guess.prompt}",
        f"judge: {guess.judge}",
        f"metric_type: {guess.metric_type}",
        "prepare:",
        "  kind: local",
        f"  id: {_quoted(str(found.folder.resolve()))}",
        "  licence: not stated",
        "  splits:",
    ]
    for split, files in found.splits.items():
        listed = ", ".join(_quoted(path.name) for path in files)
        lines.append(f"    {split}: {{files: [{listed}]}}")
    if found.header:
        lines.append(f"  header: [{', '.join(found.header)}]")
    lines.append("  columns:")
    lines += [f"    {ours}: {_quoted(theirs)}" for ours, theirs in guess.columns.items()]
    if guess.loader:
        lines.append(f"  rows: {guess.loader}")
        if guess.options:
            lines.append(f"  options: {json.dumps(dict(guess.options))}")
    today = datetime.now(UTC).date().isoformat()
    lines.append(f'  evidence: {{level: unverified, date: "{today}", by: guessed from its columns}}')
    return "\n".join(lines) + "\n"


def _write(name: str, text: str, conf: Path) -> None:
    path = conf / "benchmark" / f"{name}.yaml"
    if path.exists():
        raise DataError(f"{path} exists already", hint="give another folder to --write, or remove the file")
    write_text(path, text)
    print(f"written: {path}", file=sys.stderr)


def _grouped(folder: Path) -> dict[tuple[Path, str], dict[str, tuple[Path, ...]]]:
    """(folder, name) -> split -> files: `x/train.jsonl` and `x/test.jsonl` are two splits of the set `x`."""
    groups: dict[tuple[Path, str], dict[str, list[Path]]] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or format_of(path) not in _FORMATS or _left_out(path, folder):
            continue
        stem = _stem(path)
        match = _SPLIT.match(stem)
        split = {"valid": "validation", "val": "validation"}.get(match[1].lower(), match[1].lower()) if match else "test"
        rest = stem[: match.start(1)].strip("-_.") if match else re.sub(r"-?\d{5}-of-\d{5}$", "", stem)
        saved = rest == "data" and (path.parent / "state.json").is_file()
        name = _slug(path.parent.name if saved or not rest else rest)
        groups.setdefault((path.parent, name), {}).setdefault(split, []).append(path)
    return {key: {split: _same_format(files) for split, files in splits.items()} for key, splits in _renamed(groups).items()}


def _renamed(groups: dict[tuple[Path, str], T]) -> dict[tuple[Path, str], T]:
    """Names are those of YAMLs: of the same two, each takes its folder's before it; that of a shipped one, `-local`."""
    names = [name for _, name in groups]
    shipped = {_slug(name) for name in conf_names("benchmark")}
    renamed: dict[tuple[Path, str], T] = {}
    for (parent, name), value in groups.items():
        prefix = f"{_slug(parent.name)}-" if names.count(name) > 1 and _slug(parent.name) != name else ""
        renamed[parent, f"{prefix}{name}{'-local' if prefix + name in shipped else ''}"] = value
    return renamed


def _left_out(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    hidden = any(part.startswith((".", "_")) for part in parts)
    return hidden or any(part in _NO_FOLDERS for part in parts[:-1]) or bool(_NO_DATA.match(_stem(path)))


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[0]


def _same_format(files: Sequence[Path]) -> tuple[Path, ...]:
    first = min((format_of(path) for path in files), key=("parquet", "arrow", "jsonl", "json", "csv", "tsv").index)
    return tuple(path for path in files if format_of(path) == first)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "data"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _short(row: Mapping[str, Json]) -> str:
    shown = {key: value for key, value in row.items() if not key.startswith("_")}
    parts = [f"{key}: {_clipped(value)}" for key, value in shown.items()]
    return "; ".join(parts)[:400]


def _clipped(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=lambda item: f"<{type(item).__name__}>")
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:59] + "…"
