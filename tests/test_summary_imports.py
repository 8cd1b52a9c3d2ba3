"""A summary starts quickly: what it does not need is not imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import REPO
from tests.runs_on_disk import output_file, sample

HEAVY = ("pandas", "scipy", "sympy", "matplotlib", "hydra", "omegaconf", "pyarrow.compute", "pyarrow.dataset")


def imported(code: str) -> set[str]:
    """The modules that a fresh interpreter holds after running the code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n' + ' '.join(sys.modules), end='')"],
        capture_output=True,
        text=True,
        cwd=REPO,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split(" "))


def test_the_estimators_import_numpy_only() -> None:
    bare = imported("import numpy, numpy.lib.stride_tricks, numpy.polynomial")
    ours = imported("import summarize.at_k")
    outside = {name.partition(".")[0] for name in ours - bare} - set(sys.stdlib_module_names)
    assert outside <= {"summarize", "numpy"}


@pytest.mark.parametrize("kept", [False, True], ids=["from output files", "from the small table"])
def test_printing_tables_imports_no_heavy_library(tmp_path: Path, kept: bool) -> None:
    for seed in range(2):
        output_file(tmp_path / "b", seed, [sample("a", seed, str(seed), seed == 1)])
    code = f"from summarize.results import ResultsConfig, main\nmain(ResultsConfig(results_dirs=[{str(tmp_path)!r}]))"
    if kept:
        imported(code)
        assert (tmp_path / "b" / "scores.parquet").exists()
    assert not set(HEAVY) & imported(code)
