"""Evaluations on a real Slurm, killed in every way a cluster knows: each is completed, and nothing is done twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.murder import KINDS, rounds
from tests.cluster.slurm import needs_slurm

pytestmark = [needs_slurm, pytest.mark.slurm, pytest.mark.slow]


def test_killed_runs_are_completed_and_ask_again_only_what_was_not_on_disk(tmp_path: Path) -> None:
    found = list(rounds([*KINDS, "kill_python"], tmp_path, random.Random(str(tmp_path))))
    assert len(found) == 10
    bad = [outcome for outcome in found if not outcome.good]
    assert not bad, bad
