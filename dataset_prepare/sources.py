"""What `prepare:` in conf/benchmark/<name>.yaml says: where a benchmark's rows come from and how they become questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ns_eval.config import BenchmarkConfig
from ns_eval.errors import UsageError, suggest
from ns_eval.schema import build

KINDS = ("hub", "files", "local", "shipped")
EVIDENCE = ("read", "listed", "unverified")


@dataclass
class SplitSource:
    """One split of a benchmark, under our name for it."""

    upstream: str = ""
    """The upstream's name of the split, where it is another."""
    files: list[str] = field(default_factory=list)
    """Paths or globs below the repository; a hub dataset finds its own by configuration and split."""
    sha256: list[str] = field(default_factory=list)
    """Digests of those files, in the same order, where they are known."""
    rows: int = 0
    """Questions in full; 0: nobody has said."""
    subsets: dict[str, int] = field(default_factory=dict)
    """Questions in full of each value of `subset_for_metrics`."""
    where: dict[str, Any] = field(default_factory=dict)
    """Only rows that hold these values in the upstream's columns."""
    ids: str = ""
    """A JSON file of the repository whose keys (or items) are the ids of this split: only those rows."""


@dataclass
class Evidence:
    """How far what the YAML declares was checked."""

    level: str = "unverified"
    """read (from the upstream's own file), listed (by its page or another project's code), unverified (from memory)."""
    date: str = ""
    """When."""
    by: str = ""
    """What was read."""


@dataclass
class PrepareSource:
    """The `prepare:` block of a benchmark."""

    kind: str = ""
    """hub, files (of a repository or address at a commit), local (a path of one's own) or shipped."""
    id: str = ""
    """Hub dataset, https://github.com/owner/name, another address, or a path."""
    configs: list[str] = field(default_factory=list)
    """Configurations of the hub dataset whose rows follow one another; none: default."""
    revision: str = ""
    """Commit, tag or branch; empty: the newest, whose commit the origin record then names."""
    licence: str = ""
    """Licence of the rows, as their publisher states it."""
    gated: bool = False
    """Needs accepted terms and HF_TOKEN."""
    splits: dict[str, SplitSource] = field(default_factory=dict)
    """Our name of a split -> where it is."""
    format: str = ""
    """jsonl, json, csv, tsv, parquet, arrow, conll or `module:function`, where the file's ending does not say it."""
    header: list[str] = field(default_factory=list)
    """Column names of a CSV file that has none."""
    columns: dict[str, str] = field(default_factory=dict)
    """Our column -> theirs: `a | b` is the first there is, `a.b` lies in an object, `a?` may be missing, `=text` is text."""
    rows: str = ""
    """`module:function` that makes questions of a row (after `columns`), where columns are not enough."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of that function."""
    evidence: Evidence = field(default_factory=Evidence)
    """How far all this was checked."""


def source(benchmark: BenchmarkConfig) -> PrepareSource:
    """The checked `prepare:` block of a benchmark.

    Raises:
        UsageError: there is none, an unknown key or kind, no split, a digest too many.
    """
    where = f"benchmark {benchmark.name}: prepare"
    if not benchmark.prepare:
        reason = benchmark.reason or "its YAML has no `prepare:` block"
        raise UsageError(f"{benchmark.name} cannot be prepared: {reason}", hint=f"ns show benchmarks {benchmark.name}")
    built = build(PrepareSource, benchmark.prepare, where)
    _check_word(built.kind, KINDS, f"{where}.kind")
    _check_word(built.evidence.level, EVIDENCE, f"{where}.evidence.level")
    if not built.splits:
        raise UsageError(f"{where}: `splits` is empty")
    for name, split in built.splits.items():
        if split.sha256 and len(split.sha256) != len(split.files):
            raise UsageError(f"{where}.splits.{name}: {len(split.sha256)} digests for {len(split.files)} files")
    return built


def upstream_name(name: str, split: SplitSource) -> str:
    """What the upstream calls this split."""
    return split.upstream or name


def _check_word(word: str, known: tuple[str, ...], where: str) -> None:
    if word not in known:
        raise UsageError(f"{where}: `{word}`, {suggest(word, known)}")
