"""What Slurm says of jobs: one squeue for all, one sacct for what it has forgotten, no oftener than a cluster bears."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ns_eval.errors import JobError

# Reasons for which a pending job will wait for ever unless somebody acts.
_NEVER = {
    "DependencyNeverSatisfied": "what it waits for can never end as asked",
    "PartitionConfig": "it asks for more than the partition has",
    "PartitionNodeLimit": "it asks for more nodes than the partition has",
    "PartitionTimeLimit": "its time limit is above the partition's",
    "BadConstraints": "no node can satisfy what it asks for",
    "JobHeldAdmin": "an administrator holds it",
    "JobHeldUser": "it is held; `scontrol release` lets it go",
    "launch failed requeued held": "it could not be started and is held; `scontrol release` tries again",
    "InvalidAccount": "its account is not valid here",
    "InvalidQOS": "its quality of service is not valid here",
    "PartitionInactive": "the partition takes no jobs",
}
_ENDED = {
    "CANCELLED": "it was cancelled",
    "FAILED": "Slurm says it failed",
    "TIMEOUT": "its time limit ended it",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "it used more memory than it had asked for",
    "BOOT_FAIL": "its node did not boot",
    "DEADLINE": "its deadline passed",
    "PREEMPTED": "it was preempted and not queued again",
    "REVOKED": "it was revoked",
    "COMPLETED": "it ended without saying why",
}
# Shown for a moment on the way back into the queue as well: only what lasts is an end.
_PASSING = ("NODE_FAIL", "PREEMPTED")
_PASSING_S = 2.0
# Together at most eleven calls a minute, however many jobs there are.
_LOOK_EVERY_S = 10.0
_ACCOUNTS_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One job in Slurm's words. `left_s`: seconds until its time limit, while it runs."""

    state: str
    reason: str = ""
    node: str = ""
    left_s: int | None = None

    @property
    def pending(self) -> bool:
        return self.state == "PENDING"

    @property
    def ended(self) -> str | None:
        """Why it ended, where it did."""
        return _ENDED.get(self.state)

    @property
    def never(self) -> str | None:
        """Why it will never start, where that is so."""
        if not self.pending:
            return None
        return next((f"{text} ({name})" for name, text in _NEVER.items() if name == self.reason.strip("()")), None)


@dataclass(slots=True)
class Watch:
    """Asks Slurm for the same jobs again and again: squeue at most every 10 s, sacct at most every 30 s.

    `calls` counts the commands that were run, `clock` is in seconds.
    """

    calls: int = 0
    clock: Callable[[], float] = time.monotonic
    _looked: float = float("-inf")
    _accounted: float = float("-inf")
    _seen: dict[str, Seen] = field(default_factory=dict)
    _over: set[str] = field(default_factory=set)
    _passing: dict[str, Seen] = field(default_factory=dict)

    def look(self, ids: Sequence[str]) -> dict[str, Seen]:
        """What is known of each job; one that Slurm knows nothing of is absent."""
        now = self.clock()
        if now - self._looked < _LOOK_EVERY_S:
            return self._seen
        self._looked = now
        # Of what the accounts call ended nothing new will come; a job that is queued again is in squeue, and there first.
        open_ids = [name for name in ids if name not in self._over]
        if not open_ids:
            return self._seen
        fresh = self._lasting(self._queue(open_ids))
        gone = [name for name in open_ids if name not in fresh and name not in self._passing]
        if gone and now - self._accounted >= _ACCOUNTS_EVERY_S:
            self._accounted = now
            self.calls += 1
            told = accounted(gone)
            self._over |= {name for name, seen in told.items() if seen.ended}
            fresh |= told
        self._seen |= fresh
        return self._seen

    def _queue(self, ids: Sequence[str]) -> dict[str, Seen]:
        self.calls += 1
        return queue(ids)

    def _lasting(self, fresh: dict[str, Seen]) -> dict[str, Seen]:
        """Without the states that may be over in a moment, until they were seen twice. A first look does not wait for the
        next one: it may be the only one."""
        passing = {name: seen for name, seen in fresh.items() if seen.state in _PASSING}
        if passing and self.calls == 1:
            time.sleep(_PASSING_S)
            return fresh | self._queue(list(passing))
        unsure = {name: seen for name, seen in passing.items() if name not in self._passing}
        self._passing = passing
        return {name: seen for name, seen in fresh.items() if name not in unsure}


def queue(ids: Iterable[str]) -> dict[str, Seen]:
    """squeue's view, by one call; it forgets jobs some minutes after their end.

    Raises:
        JobError: there is no squeue here, or the controller does not answer.
    """
    wanted = set(ids)
    jobs = ",".join(sorted({name.partition("_")[0] for name in wanted}))
    told = _run(["squeue", "-h", "-r", "-t", "all", "-j", jobs, "-o", "%i|%T|%r|%N|%L"])
    if told.returncode and "Invalid job id" not in told.stderr:
        raise JobError(f"squeue: {told.stderr.strip()}", hint="the files of the run are untouched; ask again later")
    found = {}
    for line in told.stdout.splitlines():
        name, state, reason, node, left = line.split("|")
        if name in wanted:
            found[name] = Seen(state, reason, node, _seconds(left) if state == "RUNNING" else None)
    return found


def accounted(ids: Iterable[str]) -> dict[str, Seen]:
    """sacct's view, by one call; empty where the cluster keeps no accounts. Out of memory shows on a step only."""
    wanted = set(ids)
    jobs = ",".join(sorted({name.partition("_")[0] for name in wanted}))
    told = _run(["sacct", "-n", "-P", "-D", "-j", jobs, "-o", "JobID,State,NodeList,Reason"])
    found: dict[str, Seen] = {}
    for line in told.stdout.splitlines() if told.returncode == 0 else ():
        full, state, node, reason = line.split("|")
        name, _, step = full.partition(".")
        word = state.split(" ")[0]
        if name in wanted and (not step or word == "OUT_OF_MEMORY"):
            found[name] = Seen(word, reason, node)
    return found


def cancel(ids: Sequence[str]) -> None:
    """scancel, once for all.

    Raises:
        JobError: it refused.
    """
    told = _run(["scancel", *ids])
    if told.returncode:
        raise JobError(f"scancel: {told.stderr.strip()}")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=120)
    except FileNotFoundError as error:
        raise JobError(f"there is no `{command[0]}` here", hint="run `ns` on a login node of the cluster") from error
    except subprocess.TimeoutExpired as error:
        raise JobError(f"{command[0]} did not answer within 120 s", hint="ask again later") from error


def _seconds(left: str) -> int | None:
    """Slurm's D-HH:MM:SS, as %L prints it."""
    match = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)", left)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
