"""The summaries as functions: `from summarize import summarize, compare, load_run`. docs/python.md"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ns_eval.api import Option, words_of
from ns_eval.cli import configured
from summarize import comparing, results, text_runs
from summarize.comparing import Values
from summarize.discover import run_folders
from summarize.frames import frame, load_run
from summarize.paired import Pair
from summarize.render import rows_of
from summarize.results import run_labels
from summarize.tables import Table
from summarize.text_results import Comparison

if TYPE_CHECKING:
    from summarize.frames import Frame

__all__ = ["Differences", "Tables", "compare", "load_run", "summarize"]


@dataclass(frozen=True, slots=True, repr=False)
class Tables:
    """The tables of one or more runs: `tables["aime24"].rows[0].cells["symbolic_correct"].value`."""

    tables: Mapping[str, Table]
    printed: str

    def __getitem__(self, benchmark: str) -> Table:
        return self.tables[benchmark]

    def to_pandas(self) -> Frame:
        """The printed rows, all tables as one."""
        head, *lines = rows_of(list(self.tables.values()))
        return frame({name: [line[at] for line in lines] for at, name in enumerate(head)})

    def __repr__(self) -> str:
        return self.printed


@dataclass(frozen=True, slots=True, repr=False)
class Differences:
    """Paired differences: `values` and `pairs` of benchmarks with verdicts, `texts` (adapter against base) of the others."""

    runs: tuple[str, ...]
    values: tuple[Values, ...]
    pairs: tuple[Pair, ...]
    texts: Mapping[str, Comparison]
    printed: str

    def to_pandas(self) -> Frame:
        """A row a pair of runs and benchmark; of texts see the comparison's own."""
        found = [pair.found for pair in self.pairs]
        names = ("value", "low", "high", "p", "wins", "ties", "losses", "detectable", "questions")
        columns = {name: [getattr(one, name) for one in found] for name in names}
        first, second = ([self.runs[getattr(pair, side)] for pair in self.pairs] for side in ("first", "second"))
        adjusted = [pair.adjusted for pair in self.pairs]
        benchmarks = [pair.benchmark for pair in self.pairs]
        return frame({"benchmark": benchmarks, "first": first, "second": second, **columns, "p_holm": adjusted})

    def __repr__(self) -> str:
        return self.printed


def summarize(*runs: str | Path, **options: Option) -> Tables:
    """`ns summarize_results` without its files: pass@k, majority@k and intervals of run folders.

    Raises:
        DataError: no results there, or files that cannot be read.
    """
    config = configured("summarize_results", [*map(str, runs), *words_of(options)])
    made = [table for summary in results.summaries(config) for table in (*summary.tables, *summary.groups)]
    return Tables({table.name: table for table in made}, results.rendered(config, made))


def compare(*runs: str | Path, **options: Option) -> Differences:
    """`ns compare`: paired differences of runs on the same questions.

    Raises:
        DataError: the runs answered different questions, or none in common.
    """
    folders = run_folders(Path(runs[0])) if len(runs) == 1 else list(map(Path, runs))
    config = configured("compare", [*map(str, folders), *words_of(options)])
    labels = tuple(run_labels(folders))
    if config.score is None and text_runs.are_texts(folders, config.benchmarks):
        found = text_runs.outcomes(folders, text_runs.extra_of(config), config.benchmarks)
        texts = {f"{outcome.benchmark}+{outcome.adapter}": outcome.comparison for outcome in found}
        return Differences(labels, (), (), texts, "\n".join(map(repr, texts.values())))
    values, pairs = comparing.found(config)
    return Differences(labels, tuple(values), tuple(pairs), {}, comparing.rendered(config, values, pairs))
