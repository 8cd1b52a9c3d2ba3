"""A run as a pandas table, for notebooks. The only module of the summaries that imports pandas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from summarize.discover import discover
from summarize.results import load_scores

if TYPE_CHECKING:
    import pandas as pd


def load_run(path: Path | str) -> pd.DataFrame:
    """One row per (benchmark, question, seed) with the columns of scores.parquet, `benchmark` before them.

    Raises:
        DataError: no results there, or output files that cannot be read.
    """
    import pandas as pd

    found = discover(Path(path)).benchmarks
    frames = [load_scores(item.folder).table.to_pandas().assign(benchmark=item.name) for item in found]
    merged: pd.DataFrame = pd.concat(frames, ignore_index=True)
    merged.insert(0, "benchmark", merged.pop("benchmark"))
    return merged
