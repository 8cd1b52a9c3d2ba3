"""Evaluations on a real Slurm, killed in every way a cluster knows: each is completed, and nothing is done twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.murder import KINDS, murder
from tests.cluster.slurm import needs_slurm

pytestmark = [needs_slurm, pytest.mark.slurm, pytest.mark.slow]


@pytest.mark.parametrize("kind", [*KINDS, "kill_python", "requeue"])
def test_a_killed_run_is_completed_and_asks_again_only_what_was_not_on_disk(tmp_path: Path, kind: str) -> None:
    found = murder(kind, tmp_path, random.Random(str(tmp_path)))
    assert found.complete, found
    assert not found.orphans, found
    assert found.good, found
