"""The small version of `python -m benchmarks.text_metrics`: intervals cover, and no model is called better than itself."""

from __future__ import annotations

from benchmarks import text_metrics
from tests.paths import needs_shared


def test_paired_intervals_cover_the_true_difference() -> None:
    covered = text_metrics.coverage(200)
    assert all(0.89 <= share <= 0.99 for share in covered.values()), covered


@needs_shared
def test_one_model_against_itself_is_seldom_called_improved() -> None:
    # At the nominal 5%, 13 or more of 100 would come up less than once in a thousand runs.
    assert text_metrics.false_alarms(100) <= 0.12
