"""A run as a pandas table, for notebooks. The only module of the summaries that imports pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from summarize.discover import discover
from summarize.results import load_scores

if TYPE_CHECKING:
    from typing import TypeAlias

    import pandas as pd

    Frame: TypeAlias = pd.DataFrame


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


def frame(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Any columns of one length as a pandas table."""
    import pandas as pd

    return pd.DataFrame({name: list(values) for name, values in columns.items()})
