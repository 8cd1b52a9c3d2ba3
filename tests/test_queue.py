"""Every item is sent once, and the long questions go first."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ns_eval.loop import Places, places_for
from ns_eval.queue import Queue


def filled(groups: int, items: int) -> Queue[tuple[int, int]]:
    queue: Queue[tuple[int, int]] = Queue()
    for group in range(groups):
        queue.add(group, [(group, item) for item in range(items)])
    return queue


def test_every_question_is_asked_once_before_any_is_asked_again() -> None:
    queue = filled(5, 3)
    assert sorted(queue.take()[0] for _ in range(5)) == [0, 1, 2, 3, 4]


def test_then_the_longest_question_goes_first_with_all_its_seeds() -> None:
    queue = filled(3, 3)
    for group in (0, 1, 2):
        queue.take()
        queue.finished(group, {0: 100, 1: 900, 2: 400}[group])
    assert [queue.take()[0] for _ in range(6)] == [1, 1, 2, 2, 0, 0]


def test_a_question_that_is_still_being_answered_counts_as_long() -> None:
    queue = filled(2, 3)
    queue.take(), queue.take()
    queue.finished(0, 5000)
    assert queue.take()[0] == 1


def test_lengths_of_an_earlier_start_count() -> None:
    queue: Queue[str] = Queue()
    queue.add("short", ["short"], known_tokens=[10, 12])
    queue.add("long", ["long"], known_tokens=[90])
    assert [queue.take(), queue.take()] == ["long", "short"]


@given(st.lists(st.integers(0, 5), max_size=12), st.randoms(use_true_random=False))
def test_every_item_comes_out_exactly_once(sizes: list[int], random: object) -> None:
    queue: Queue[tuple[int, int]] = Queue()
    for group, size in enumerate(sizes):
        queue.add(group, [(group, item) for item in range(size)])
    taken: Counter[tuple[int, int]] = Counter()
    while queue:
        item = queue.take()
        taken[item] += 1
        if random.random() < 0.5:  # type: ignore[attr-defined]  # hypothesis types it as object
            queue.finished(item[0], random.randrange(1000))  # type: ignore[attr-defined]
    assert taken == Counter((group, item) for group, size in enumerate(sizes) for item in range(size))


def test_known_slots_get_little_more_than_they_hold() -> None:
    assert places_for(32, 512).most == 36
    assert places_for(1, 512).most == 2
    assert places_for(1024, 512).most == 512
    assert places_for(None, 512).most == 512


def test_a_rate_limit_brings_the_number_down_once_and_answers_bring_it_up() -> None:
    places = Places(90)
    places.used = 90
    for _ in range(50):
        places.slower()
    allowed = count(places)
    assert allowed == 60
    for _ in range(5000):
        places.answered()
    assert count(places) == 90


def count(places: Places) -> int:
    places.used = 0
    while places.free():
        places.used += 1
    return places.used
