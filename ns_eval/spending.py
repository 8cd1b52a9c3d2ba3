"""What answers cost: counted from the tokens that the server reports, kept on disk, and stopped at a budget."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ns_eval.config import PriceConfig
from ns_eval.errors import BudgetError, DataError, UsageError
from ns_eval.files import replacing
from ns_eval.records import Generation, read_record

_MILLION = 1e6
# What sums of floats leave over, in dollars.
_DUST = 1e-12
# How often a budget is dealt, and how long nobody may deal before it counts as gone.
DEAL_S = 0.25
_SILENT_S = 60.0


class Spent(msgspec.Struct):
    """`<job>.spent.json`, over all starts of a job; written by the job alone.

    `unknown` is the part of `usd` that requests without an answer may have cost, at most; `under_way` what those that are
    sent and not answered may cost. Of a budget that is dealt: `session` is that of the dealer while the job is open, and
    `wanted` what the request that waits for room may cost. `reached` says that its budget stopped it.
    """

    usd: float = 0.0
    unknown: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0
    under_way: float = 0.0
    wanted: float = 0.0
    session: str = ""
    reached: str = ""


class Dealt(msgspec.Struct, frozen=True, kw_only=True):
    """`budget.json`: one budget for several commands, written by the recipe alone. `allowed` is what each job may cost in
    all, by the path of its account; those in `ended` get no more; `turn` counts the looks."""

    session: str
    budget_usd: float
    spent_usd: float = 0.0
    allowed: dict[str, float] = {}
    ended: tuple[str, ...] = ()
    turn: int = 0


def spent_path(log: Path) -> Path:
    """Beside the log of a job's server."""
    return log.with_name(log.name.removesuffix(".server.log") + ".spent.json")


def read_spent(path: Path) -> Spent:
    """What a job has spent so far; nothing where it has never written.

    Raises:
        DataError: the file is not what a job writes.
    """
    return read_record(path, Spent) or Spent()


def is_sold(price: PriceConfig) -> bool:
    """Whether anything is known of its price."""
    return price.input is not None or price.output is not None


def dollars(usd: float) -> str:
    """An amount as people read it; four digits behind the point where it is below a dollar."""
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${usd:.4f}"


def check_amount(budget_usd: float | None) -> None:
    """Refuses a budget of nothing.

    Raises:
        UsageError: it is not above 0.
    """
    if budget_usd is not None and not 0 < budget_usd < math.inf:
        raise UsageError(f"++budget_usd={budget_usd:g}: expected dollars above 0")


def check_budget(budget_usd: float | None, price: PriceConfig, limits: Iterable[int | None]) -> None:
    """Refuses a budget that nobody could keep; `limits` are the most tokens of an answer, for all that is asked.

    Raises:
        UsageError: no price, no limit of an answer's length, a budget of nothing.
    """
    if budget_usd is None:
        return
    check_amount(budget_usd)
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


def reached(logs: Path, since: float) -> BudgetError | None:
    """What to say of the first of these jobs that its budget stopped; `since`, in Unix seconds, leaves out earlier ones."""
    for path in sorted(logs.glob("*.spent.json")):
        if path.stat().st_mtime >= since and (told := read_spent(path).reached):
            return _error(told)
    return None


def _error(told: str) -> BudgetError:
    return BudgetError(told, hint="the same command with a larger ++budget_usd goes on where it stopped")


class Allowance:
    """What a dealt budget lets one job have; read again no more often than the dealer looks."""

    def __init__(self, path: Path, account: Path) -> None:
        self._path = path
        self._name = str(account.relative_to(path.parent))
        self._at = time.monotonic()
        self.now = self._read()
        self.session = self.now.session

    def look(self) -> None:
        """Reads it anew."""
        found = self._read()
        if found.turn != self.now.turn:
            self._at = time.monotonic()
        self.now = found

    @property
    def most_usd(self) -> float:
        return self.now.allowed.get(self._name, 0.0) if self.now.session == self.session else 0.0

    @property
    def ended(self) -> bool:
        """Nothing more comes."""
        return self.gone or self._name in self.now.ended

    @property
    def gone(self) -> bool:
        """Nobody deals any more."""
        return time.monotonic() - self._at > _SILENT_S or self.now.session != self.session

    def _read(self) -> Dealt:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Dealt)
        except (FileNotFoundError, msgspec.DecodeError) as error:
            told = f"{self._path}: no budget is dealt there ({error})"
            raise DataError(told, hint="ns eval --recipe writes it") from error


class Spending:
    """One job's account. `most_usd` is what its requests may cost together, earlier starts included; None: whatever they do.
    With `dealt` it is what that file says from time to time.

    A request is let through where its price at most, every byte of the prompt a token and the whole room used, still fits
    beside what is spent and what is under way. One that does not fit waits for those under way, which nearly always cost
    less than they might have, and for what the dealer gives.
    """

    def __init__(self, price: PriceConfig, path: Path, most_usd: float | None = None, dealt: Path | None = None) -> None:
        self.price = price
        self.spent = read_spent(path)
        self._path = path
        self._most = most_usd
        self._allowance = None if dealt is None else Allowance(dealt, path)
        self._freed = asyncio.Event()
        self._turn = asyncio.Lock()
        # What was under way when an earlier start was killed may be billed.
        self.spent.usd += self.spent.under_way
        self.spent.unknown += self.spent.under_way
        self._book(0.0)
        self.spent.wanted, self.spent.reached = 0.0, ""
        self.spent.session = self._allowance.session if self._allowance else ""
        if path.exists() or self._allowance:
            self._write()

    async def reserve(self, prompt_bytes: int, max_tokens: int | None) -> float:
        """What this request may cost, set aside; requests are served in turn.

        Raises:
            BudgetError: it would not fit even when nothing else is under way; then no other is let through either.
        """
        most = self._cost(prompt_bytes, max_tokens or 0)
        async with self._turn:
            self.check()
            while not self._fits(most):
                await self._more(most)
            self.spent.wanted = 0.0
            self._book(self.spent.under_way + most)
            self._write()
        return most

    def check(self) -> None:
        """Refuses at once what comes after the budget was reached.

        Raises:
            BudgetError: it was.
        """
        if self.spent.reached:
            raise _error(self.spent.reached)

    def settle(self, reserved: float, answer: Generation | None) -> None:
        """Books a request at its end. An answer that came without counts, or never came though the server may have
        worked on it (None), is booked at the most that it can have cost."""
        now = self.spent
        now.requests += 1
        if answer is None or answer.prompt_tokens is None or answer.completion_tokens is None:
            now.usd += reserved
            now.unknown += reserved
        else:
            now.usd += self._cost(answer.prompt_tokens, answer.completion_tokens)
            now.prompt_tokens += answer.prompt_tokens
            now.completion_tokens += answer.completion_tokens
        self.release(reserved)

    def release(self, reserved: float) -> None:
        """Frees what was set aside for a request that is booked, or that the server refused: nobody pays for one."""
        self._book(self.spent.under_way - reserved)
        self._freed.set()
        self._write()

    def close(self) -> None:
        """Nothing more is asked: what a dealer let it have and it has not spent goes to others."""
        self.spent.wanted, self.spent.session = 0.0, ""
        self._write()

    def _fits(self, most: float) -> bool:
        allowed = self._most if self._allowance is None else self._allowance.most_usd
        return allowed is None or self.spent.usd + self.spent.under_way + most <= allowed + _DUST

    async def _more(self, most: float) -> None:
        """Waits for what may make room."""
        if self._allowance is not None:
            self._allowance.look()
            if self._fits(most):
                return
        if (self._allowance is None or self._allowance.ended) and not self.spent.under_way:
            self.spent.reached = f"{self._told()}, and the next request may cost {dollars(most)}"
            self.check()
        self._freed.clear()
        if self._allowance is None:
            await self._freed.wait()
            return
        if self.spent.wanted != most:
            self.spent.wanted = most
            self._write()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._freed.wait(), DEAL_S)

    def _told(self) -> str:
        if self._allowance is None:
            return f"the budget of {dollars(self._most or 0.0)} is reached: {dollars(self.spent.usd)} are spent"
        now = self._allowance.now
        if self._allowance.gone:
            return f"the recipe that deals the budget of {dollars(now.budget_usd)} is gone: start it again"
        here = f"{dollars(now.spent_usd)} are spent, {dollars(self.spent.usd)} of it here"
        return f"the budget of {dollars(now.budget_usd)} for all is reached: {here}"

    def _book(self, under_way: float) -> None:
        self.spent.under_way = under_way if under_way > _DUST else 0.0

    def _write(self) -> None:
        with replacing(self._path, durable=False) as file:
            file.write(msgspec.json.encode(self.spent))

    def _cost(self, prompt: int, completion: int) -> float:
        return (prompt * (self.price.input or 0.0) + completion * (self.price.output or 0.0)) / _MILLION
