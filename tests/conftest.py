"""Slurm tests leave nothing behind for each other, whatever becomes of them; one that fails shows what Slurm said."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import slurm


def _on_slurm(item: pytest.Item) -> bool:
    return item.get_closest_marker("slurm") is not None


@pytest.fixture(autouse=True)
def cluster_at_rest(request: pytest.FixtureRequest) -> Iterator[None]:
    """A cluster without jobs and with all its nodes, for every Slurm test."""
    if not _on_slurm(request.node):
        yield
        return
    slurm.bring_to_rest()
    try:
        yield
    finally:
        slurm.bring_to_rest()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """While the jobs of a failed test are still there."""
    report = yield
    if report.failed and _on_slurm(item):
        arguments: dict[str, Any] = getattr(item, "funcargs", {})
        report.sections.append(("Slurm", slurm.told(arguments.get("tmp_path", Path("/nonexistent")))))
    return report
