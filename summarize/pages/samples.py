"""The samples of a book as one table: what can be filtered by, and which are worth reading first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from summarize.frames import load_benchmark
from summarize.pages.runs import Book, Part, Run
from summarize.pages.standings import score_of
from summarize.questions import Flags

if TYPE_CHECKING:
    import pandas as pd

# What a sample can be filtered by, and how the page calls it.
MARKS = {
    "disagreement": "judges disagree",
    "truncated": "truncated",
    "no_answer": "no answer",
    "flipped": "flipped between runs",
    "wrong": "wrong or low",
    "failed": "failed",
    "extended": "asked again with more room",
}
# A rating this far below the top of its scale is a low one; between runs this far apart it has flipped.
_LOW = 2.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the samples is shown; empty is all. `marks` are joined by or."""

    runs: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    part: tuple[str, str] | None = None
    search: str = ""


def frame(book: Book) -> pd.DataFrame:
    """One row a sample: the columns of scores.parquet, and run, problem, expected, value and a column for each of MARKS.

    `value` is the headline score. Worst and most disputed first: contradicting judges, then flipped ones, then by value.
    """
    import pandas as pd

    parts = [_part(run, part) for run in book.runs for part in run.parts]
    if not parts:
        return pd.DataFrame({"run": [], "benchmark": [], "question_id": []})
    found = pd.concat(parts, ignore_index=True)
    found["flipped"] = _flipped(found)
    order = ["disagreement", "flipped", "value", "benchmark", "question_id", "run", "seed"]
    return found.sort_values(order, ascending=[False, False, True, True, True, True, True], kind="stable", ignore_index=True)


def chosen(found: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """The rows of a choice; the search looks in id, problem, extracted and expected answer."""
    kept = found
    for column, values in (("run", choice.runs), ("benchmark", choice.benchmarks)):
        if values:
            kept = kept[kept[column].isin(values)]
    if choice.marks:
        kept = kept[kept[list(choice.marks)].any(axis=1)]
    if choice.part is not None and choice.part[0] in kept:
        kept = kept[kept[choice.part[0]] == choice.part[1]]
    if choice.search:
        needle = choice.search.casefold()
        kept = kept[kept["searched"].str.contains(needle, regex=False)]
    return kept


def verdicts(found: pd.DataFrame) -> list[str]:
    """The verdict columns."""
    return [name for name in found.columns if name.endswith("_correct")]


def _part(run: Run, part: Part) -> pd.DataFrame:
    import pandas as pd

    own = load_benchmark(part.loaded.found)
    lines, score = part.lines, score_of(part.whole)
    own["run"] = run.name
    own["question_id"] = own["question_id"].astype("object")
    own["problem"] = own["question_id"].map(lines.problems).astype("object").fillna("").astype(str)
    own["expected"] = own["question_id"].map(lines.expected).astype("object").fillna("").astype(str)
    for name, values in lines.parts().items():
        own[name] = own["question_id"].map(values)
    answer = own["answer"].astype("object").fillna("")
    own["searched"] = (
        own["question_id"].astype(str) + "\n" + own["problem"] + "\n" + answer + "\n" + own["expected"]
    ).str.casefold()
    samples = part.loaded.samples
    keys = pd.MultiIndex.from_arrays([np.array(samples.names, dtype=object)[samples.question], samples.seed])
    known = pd.DataFrame(dict(samples.values), index=keys)
    mine = pd.MultiIndex.from_arrays([own["question_id"].astype(str), own["seed"].fillna(-1).astype(int)])
    own["value"] = known[score].reindex(mine).to_numpy()
    judged = [name for name in samples.values if name.endswith("_correct") and name not in ("both_correct", "any_correct")]
    differs = known[judged].max(axis=1) > known[judged].min(axis=1)
    own["disagreement"] = differs.reindex(mine).to_numpy() if len(judged) > 1 else False
    status = own["status"].astype(str)
    own["truncated"] = status == "truncated"
    own["failed"] = status == "error"
    silent = pd.Series(samples.silent, index=keys).reindex(mine).to_numpy()
    own["no_answer"] = silent & ~own["truncated"].to_numpy() & ~own["failed"].to_numpy()
    top = lines.scale[1] if lines.scale is not None and score in samples.rated else None
    own["wrong"] = own["value"] <= top - _LOW if top is not None else own["value"] == 0
    own["spread"] = _LOW / 2 if top is not None else 0.5
    again = [(name, -1 if seed is None else seed) for name, seed in lines.extended]
    own["extended"] = mine.isin(again) if again else False
    return own.drop(
        columns=[name for name in own if name in ("question_hash", "answer_class", "cluster", "subset_for_metrics")]
    )


def _flipped(found: pd.DataFrame) -> Flags:
    """Questions whose mean differs between two runs by half the way from wrong to right, or by a whole rating."""
    import pandas as pd

    if found["run"].nunique() < 2:
        return np.zeros(len(found), np.bool_)
    means = found.groupby(["benchmark", "question_id", "run"], sort=False)["value"].mean()
    between = means.groupby(level=["benchmark", "question_id"], sort=False)
    ends = between.max() - between.min()
    keys = pd.MultiIndex.from_frame(found[["benchmark", "question_id"]])
    return np.asarray(ends.reindex(keys).to_numpy() > found["spread"].to_numpy())
