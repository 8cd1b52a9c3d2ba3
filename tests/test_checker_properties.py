"""equal(g, g); equal(g, rewrite(g)); not equal(g, change(g)); and values are compared the same way both ways round."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings

from judges.symbolic import compare_answers, equal
from tests.checker_rewriting import CHANGES, REWRITES, golds, values

_quietly = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@_quietly
@given(gold=golds)
def test_an_answer_equals_itself(gold: str) -> None:
    assert equal(gold, gold) is True


@pytest.mark.parametrize("kind", REWRITES)
@_quietly
@given(gold=golds)
def test_an_answer_written_otherwise_is_equal(kind: str, gold: str) -> None:
    written = REWRITES[kind](gold)
    assert equal(gold, written) is True, (gold, written, compare_answers(gold, written).step)


@pytest.mark.parametrize("kind", CHANGES)
@_quietly
@given(gold=golds)
def test_a_changed_answer_is_not_equal(kind: str, gold: str) -> None:
    changed = CHANGES[kind](gold)
    assume(changed != gold)
    assert equal(gold, changed) is not True, (gold, changed, compare_answers(gold, changed).step)


@_quietly
@given(one=values, other=values)
def test_values_are_equal_both_ways_round(one: str, other: str) -> None:
    assert equal(one, other) is equal(other, one)
    assert equal(f"{one}+{other}", f"{other}+{one}") is True


@_quietly
@given(gold=golds)
def test_the_canonical_string_says_the_same_as_the_answer(gold: str) -> None:
    found = compare_answers(gold, gold)
    assert found.gold == found.answer
    assert compare_answers(gold, found.answer).verdict is True
