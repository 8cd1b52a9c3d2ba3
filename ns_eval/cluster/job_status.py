"""What each job of a run is doing now, from what it says itself, from Slurm, and from this machine's processes."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from ns_eval import process_ids
from ns_eval.cluster import local_scheduler
from ns_eval.cluster.slurm_queue import Seen, Watch
from ns_eval.job_files import JobState, Submitted, read_state, read_table, write_state

_RETURNS_S = 30.0


@dataclass(frozen=True, slots=True)
class Current:
    """`state`: queued, starting, running, requeued, done, failed, stopped, blocked. `reason` says why, where there is a why.

    `left_s` is the time until its limit. A blocked job will never start unless somebody acts.
    """

    job: Submitted
    state: str
    reason: str = ""
    node: str = ""
    left_s: int | None = None
    own: JobState = field(default_factory=lambda: JobState(state="queued"))

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it by itself."""
        return self.state in ("done", "failed", "stopped", "blocked")


def current(jobs: Sequence[Submitted], watch: Watch) -> list[Current]:
    """Every job, in order. What is found dead without having said so is recorded as failed, so that it stays known.

    Raises:
        JobError: Slurm cannot be asked.
    """
    own = {job.name: read_state(job.folder, job.name) for job in jobs}
    ids = [job.job_id for job in jobs if job.executor == "slurm" and own[job.name].state not in ("done", "failed")]
    seen = watch.look(ids) if ids else {}
    local = {job.folder for job in jobs if job.executor == "local"}
    orphaned = {folder for folder in local if local_scheduler.abandoned(read_table(folder))}
    found = []
    for job in jobs:
        state = own[job.name]
        slurm = job.executor == "slurm"
        now = _on_slurm(job, state, seen.get(job.job_id)) if slurm else _here(job, state, job.folder in orphaned)
        found.append(_recorded(now))
    return found


def _on_slurm(job: Submitted, own: JobState, seen: Seen | None) -> Current:
    if own.state in ("done", "failed"):
        return Current(job, own.state, own.error or "", own.host, None, own)
    if seen is None:
        return _unknown_to_slurm(job, own)
    if seen.ended and seen.state != "CANCELLED" and _may_return(own):
        return Current(job, "requeued", seen.ended, "", None, own)
    if seen.ended:
        return Current(job, "stopped" if seen.state == "CANCELLED" else "failed", seen.ended, seen.node, None, own)
    if seen.pending:
        state = "blocked" if seen.never else ("requeued" if own.attempt else "queued")
        return Current(job, state, seen.never or _waits(seen.reason), "", None, own)
    state = "running" if own.state == "running" and own.attempt else "starting"
    return Current(job, state, "" if seen.state == "RUNNING" else seen.state.lower(), seen.node, seen.left_s, own)


def _may_return(own: JobState) -> bool:
    """Whether a job that was just told to end may be on its way back into the queue."""
    return own.state == "stopped" and time.time() - (own.ended or 0.0) < _RETURNS_S


def _unknown_to_slurm(job: Submitted, own: JobState) -> Current:
    """Slurm's memory is short, and young jobs reach the accounts late; one that was just stopped may be on its way back."""
    if own.state == "stopped":
        return Current(job, "requeued" if _may_return(own) else "stopped", own.error or "", own.host, None, own)
    if own.state != "queued" and time.time() - own.started > 120:
        return Current(job, "failed", "Slurm no longer knows it", own.host, None, own)
    return Current(job, own.state, own=own)


def waiting(found: Sequence[Current]) -> str:
    """How many jobs wait, and for what the first of them does; empty where none waits."""
    held = [now for now in found if now.state in ("queued", "requeued", "blocked")]
    if not held:
        return ""
    reason = next((f": {now.reason}" for now in held if now.reason), "")
    return f"{len(held)} of {len(found)} job{'s' * (len(found) > 1)} {held[0].state}{reason}"


def _waits(reason: str) -> str:
    if reason.startswith("ReqNodeNotAvail"):
        return f"a node that it needs takes no jobs ({reason})"
    words = {
        "None": "",
        "Priority": "jobs of higher priority are before it (Priority)",
        "Resources": "waits for free nodes (Resources)",
        "Dependency": "waits for other jobs (Dependency)",
        "BeginTime": "Slurm pauses two minutes before it starts a job again (BeginTime)",
    }
    return words.get(reason.strip("()"), reason)


def _here(job: Submitted, own: JobState, orphaned: bool) -> Current:
    """`orphaned`: nobody is left who would start it."""
    if own.state in ("done", "failed", "stopped"):
        return Current(job, own.state, own.error or "", own.host, None, own)
    if own.state == "queued" and job.pid is None:
        gone = "the command that would have started it is gone"
        return Current(job, "stopped", gone, own=own) if orphaned else Current(job, "queued", own=own)
    pid, since = (own.pid, own.pid_started) if own.attempt else (job.pid, job.pid_started)
    if own.host and own.host != socket.gethostname():
        return Current(job, own.state, f"on {own.host}, seen from here by its files only", own.host, None, own)
    if process_ids.alive(pid, since):
        return Current(job, "running" if own.attempt else "starting", "", own.host, None, own)
    return Current(job, "failed", "its process is gone", own.host, None, own)


def _recorded(now: Current) -> Current:
    """A job found dead gets its last word written for it, once; where the folder is not ours to write, it is only shown."""
    if now.state in ("failed", "stopped") and now.own.state not in ("done", "failed", "stopped"):
        state = "failed" if now.state == "failed" else "stopped"
        ended = msgspec.structs.replace(now.own, state=state, error=now.reason, exit_code=5, ended=time.time())
        # It may have said so itself in the meantime.
        if read_state(now.job.folder, now.job.name) == now.own:
            with contextlib.suppress(OSError):
                write_state(now.job.folder, now.job.name, ended)
    return now
