"""What answers cost: counted from the tokens that the server reports, kept on disk, and stopped at a budget."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ns_eval.config import PriceConfig
from ns_eval.errors import BudgetError, DataError, UsageError
from ns_eval.files import replacing
from ns_eval.records import Generation

_MILLION = 1e6


class Spent(msgspec.Struct):
    """`<job>.spent.json`, over all starts of a job. `unknown` is the part of `usd` that requests without an answer may have
    cost, at most."""

    usd: float = 0.0
    unknown: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0


def spent_path(log: Path) -> Path:
    """Beside the log of a job's server."""
    return log.with_name(log.name.removesuffix(".server.log") + ".spent.json")


def read_spent(path: Path) -> Spent:
    """What a job has spent so far; nothing where it has never written.

    Raises:
        DataError: the file is not what a job writes.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Spent)
    except FileNotFoundError:
        return Spent()
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: not what a job writes there ({error})", hint=f"mv {path} {path}.broken") from error


def is_sold(price: PriceConfig) -> bool:
    """Whether anything is known of its price."""
    return price.input is not None or price.output is not None


def check_budget(budget_usd: float | None, price: PriceConfig, limits: Iterable[int | None]) -> None:
    """Refuses a budget that nobody could keep; `limits` are the most tokens of an answer, for all that is asked.

    Raises:
        UsageError: no price, no limit of an answer's length, a budget of nothing.
    """
    if budget_usd is None:
        return
    if budget_usd <= 0:
        raise UsageError(f"++budget_usd={budget_usd:g}: expected dollars above 0")
    if not is_sold(price):
        raise UsageError(
            "++budget_usd needs the model's price", hint="++price.input=2.5 ++price.output=10, in dollars a million tokens"
        )
    if None in limits:
        raise UsageError(
            "++budget_usd needs to know how long an answer can be", hint="add ++inference.tokens_to_generate=4096"
        )


def job_budget(budget_usd: float | None, log: Path, jobs: int) -> float | None:
    """What the job of this log may cost in all: what it has spent, and its share of what the jobs of its kind have left."""
    if budget_usd is None:
        return None
    own = spent_path(log)
    kind = own.name.partition(".")[0].partition("-")[0]
    spent = sum(read_spent(path).usd for path in own.parent.glob(f"{kind}*.spent.json"))
    return read_spent(own).usd + max(0.0, budget_usd - spent) / jobs


class Spending:
    """One job's account. `most_usd` is what its requests may cost together, earlier starts included; None: whatever they do.

    A request is let through where its price at most, every byte of the prompt a token and the whole room used, still fits
    beside what is spent and what is under way. One that does not fit waits for those under way, which nearly always cost
    less than they might have.
    """

    def __init__(self, price: PriceConfig, path: Path, most_usd: float | None = None) -> None:
        self.price = price
        self.spent = read_spent(path)
        self._path = path
        self._most = most_usd
        self._reserved = 0.0
        self._freed = asyncio.Event()

    async def reserve(self, prompt_bytes: int, max_tokens: int | None) -> float:
        """What this request may cost, set aside.

        Raises:
            BudgetError: it would not fit even when nothing else is under way.
        """
        most = self._cost(prompt_bytes, max_tokens or 0)
        while self._most is not None and self.spent.usd + self._reserved + most > self._most:
            if not self._reserved:
                raise BudgetError(
                    f"the budget of ${self._most:.2f} is reached: ${self.spent.usd:.2f} are spent, "
                    f"and the next request may cost ${most:.4f}",
                    hint="the same command with a larger ++budget_usd goes on where it stopped",
                )
            self._freed.clear()
            await self._freed.wait()
        self._reserved += most
        return most

    def settle(self, reserved: float, answer: Generation | None) -> None:
        """Books a request at its end. An answer that came without counts, or never came though the server may have
        worked on it (None), is booked at the most that it can have cost."""
        self._reserved = max(0.0, self._reserved - reserved)
        now = self.spent
        now.requests += 1
        if answer is None or answer.prompt_tokens is None or answer.completion_tokens is None:
            now.usd += reserved
            now.unknown += reserved
        else:
            now.usd += self._cost(answer.prompt_tokens, answer.completion_tokens)
            now.prompt_tokens += answer.prompt_tokens
            now.completion_tokens += answer.completion_tokens
        self._freed.set()
        with replacing(self._path, durable=False) as file:
            file.write(msgspec.json.encode(now))

    def release(self, reserved: float) -> None:
        """Frees what was set aside for a request that the server refused: nobody pays for one."""
        self._reserved = max(0.0, self._reserved - reserved)
        self._freed.set()

    def _cost(self, prompt: int, completion: int) -> float:
        return (prompt * (self.price.input or 0.0) + completion * (self.price.output or 0.0)) / _MILLION
