"""A run as a pandas table, for notebooks and for the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from summarize.discover import Found, discover
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

    frames = [load_benchmark(item) for item in discover(Path(path)).benchmarks]
    merged: pd.DataFrame = pd.concat(frames, ignore_index=True)
    return merged


def frame(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Any columns of one length as a pandas table."""
    import pandas as pd

    return pd.DataFrame({name: list(values) for name, values in columns.items()})


def load_benchmark(found: Found) -> pd.DataFrame:
    """The same of one benchmark."""
    frame: pd.DataFrame = load_scores(found.folder).table.to_pandas()
    frame.insert(0, "benchmark", found.name)
    return frame
