"""One budget for several commands at once: a recipe deals it out to their jobs, a little at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ns_eval.files import replacing
from ns_eval.spending import Dealt, Spent, read_spent


@dataclass(slots=True)
class _Account:
    """One job's. `open` while it may send requests."""

    name: str
    spent: Spent
    open: bool

    @property
    def booked(self) -> float:
        """What its requests have cost, those under way at their most."""
        return self.spent.usd + self.spent.under_way


class Dealer:
    """Keeps `budget.json`, which the jobs read. A job says in its own `.spent.json` what it needs and is let have that and a
    part of what is left; what it does not need comes back when it ends. When nobody can go on, one after the other is told
    that nothing more comes, so that the rest of each serves the others."""

    def __init__(self, path: Path, budget_usd: float) -> None:
        self.path = path
        self.now = Dealt(session=f"{os.uname().nodename}.{os.getpid()}.{time.time_ns()}", budget_usd=budget_usd)

    def deal(self, running: Collection[str] | None) -> None:
        """Call it often. `running` are the run folders beside `path`, by name, whose commands have not ended; None: all."""
        accounts = list(self._accounts(running))
        going = [own for own in accounts if own.open and own.name not in self.now.ended]
        allowed = {own.name: max(self.now.allowed.get(own.name, 0.0), own.booked) for own in going}
        at_most = {own.name: allowed.get(own.name, own.booked) for own in accounts}
        left = self.now.budget_usd - sum(at_most.values())
        short = {own.name: own.booked + own.spent.wanted - allowed[own.name] for own in going if own.spent.wanted}
        needing = sorted((name for name in short if short[name] > 0), key=short.__getitem__)
        given = False
        for name in needing:
            if short[name] <= left:
                more = max(short[name], left / (2 * len(going)))
                allowed[name] += more
                left -= more
                given = True
        ended = self.now.ended
        if needing and not given and len(needing) == len(going) and not any(own.spent.under_way for own in going):
            ended = (*ended, needing[-1])
        self.now = msgspec.structs.replace(
            self.now,
            spent_usd=sum(own.booked for own in accounts),
            allowed=allowed,
            ended=ended,
            turn=self.now.turn + 1,
        )
        with replacing(self.path, durable=False) as file:
            file.write(msgspec.json.format(msgspec.json.encode(self.now), indent=1) + b"\n")

    def stopped(self, folder: str) -> bool:
        """Whether a job of this run folder was told that nothing more comes."""
        return any(_folder(name) == folder for name in self.now.ended)

    def _accounts(self, running: Collection[str] | None) -> Iterator[_Account]:
        for path in sorted(self.path.parent.rglob("eval-logs/*.spent.json")):
            spent, name = read_spent(path), str(path.relative_to(self.path.parent))
            alive = running is None or _folder(name) in running
            yield _Account(name, spent, alive and spent.session == self.now.session)


def _folder(name: str) -> str:
    return name.partition("/")[0]
