"""One budget over several jobs: dealt out a little at a time, never passed, and what one does not need the others get."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ns_eval.config import PriceConfig
from ns_eval.errors import BudgetError
from ns_eval.records import Generation
from ns_eval.shared_budget import Dealer
from ns_eval.spending import DEAL_S, Spending, read_spent

# A request of 100 tokens at most costs a dollar at most, and half of it in the end.
PRICE = PriceConfig(output=10_000)
ROOM = 100
ANSWER = Generation("said", prompt_tokens=3, completion_tokens=50)


def account(output_dir: Path, label: str, job: str = "generate") -> Path:
    path = output_dir / label / "eval-logs" / f"{job}.spent.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


async def asked(spending: Spending, requests: int) -> int:
    """So many requests, all at once; how many were let through."""

    async def one() -> bool:
        try:
            reserved = await spending.reserve(0, ROOM)
        except BudgetError:
            return False
        await asyncio.sleep(0.01)
        spending.settle(reserved, ANSWER)
        return True

    through = await asyncio.gather(*(one() for _ in range(requests)))
    spending.close()
    return sum(through)


async def dealt(dealer: Dealer, jobs: dict[str, int]) -> dict[str, int]:
    """The jobs of one stage with as many requests each, while the recipe deals; how many of each were let through."""
    dealer.deal(())
    output_dir = dealer.path.parent
    running = {
        label: asyncio.create_task(asked(Spending(PRICE, account(output_dir, label), dealt=dealer.path), requests))
        for label, requests in jobs.items()
    }
    while not all(task.done() for task in running.values()):
        dealer.deal([label for label, task in running.items() if not task.done()])
        await asyncio.sleep(DEAL_S / 5)
    dealer.deal(())
    return {label: task.result() for label, task in running.items()}


def test_all_jobs_together_stop_before_the_budget_is_passed(tmp_path: Path) -> None:
    dealer = Dealer(tmp_path / "budget.json", 5.3)
    through = asyncio.run(dealt(dealer, {"a": 20, "b": 20, "c": 20}))
    # The last dollar cannot be set aside once less than one is left beside what is spent.
    assert 4.3 <= dealer.now.spent_usd <= 5.3
    assert sum(through.values()) == round(dealer.now.spent_usd / 0.5)
    assert all(through.values())
    assert {label for label in through if dealer.stopped(label)} == {"a", "b", "c"}
    assert "the budget of $5.30 for all is reached" in read_spent(account(tmp_path, "a")).reached


def test_what_one_job_does_not_need_the_others_get(tmp_path: Path) -> None:
    dealer = Dealer(tmp_path / "budget.json", 6.0)
    assert asyncio.run(dealt(dealer, {"small": 1, "large": 10})) == {"small": 1, "large": 10}
    assert dealer.now.spent_usd == pytest.approx(5.5) and not dealer.now.ended


def test_a_larger_budget_goes_on_and_counts_what_was_spent_before(tmp_path: Path) -> None:
    asyncio.run(dealt(Dealer(tmp_path / "budget.json", 2.0), {"a": 10}))
    before = read_spent(account(tmp_path, "a")).usd
    assert 1.0 <= before <= 2.0
    dealer = Dealer(tmp_path / "budget.json", 4.0)
    asyncio.run(dealt(dealer, {"a": 10, "b": 10}))
    assert 3.0 <= dealer.now.spent_usd <= 4.0
    assert read_spent(account(tmp_path, "a")).usd >= before


def test_what_was_under_way_at_a_kill_is_booked_at_its_most(tmp_path: Path) -> None:
    async def killed() -> None:
        dealer = Dealer(tmp_path / "budget.json", 3.0)
        dealer.deal(())
        spending = Spending(PRICE, account(tmp_path, "a"), dealt=dealer.path)
        waiting = asyncio.create_task(spending.reserve(0, ROOM))
        while not waiting.done():
            dealer.deal(["a"])
            await asyncio.sleep(0.01)

    asyncio.run(killed())
    dealer = Dealer(tmp_path / "budget.json", 3.0)
    dealer.deal(())
    assert dealer.now.spent_usd == pytest.approx(1.0)
    assert asyncio.run(dealt(dealer, {"a": 10})) == {"a": 3}
    found = read_spent(account(tmp_path, "a"))
    assert found.usd == pytest.approx(2.5)
    assert found.unknown == pytest.approx(1.0)
