"""`ns logs`, `ns cancel` and `ns retry`: what one does with the jobs of a run after looking at them."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from ns_eval import job_files, launch
from ns_eval.cluster import clusters, local_scheduler, slurm_queue
from ns_eval.cluster.job_status import Current, current
from ns_eval.cluster.slurm_queue import Watch
from ns_eval.config import InferenceConfig
from ns_eval.errors import JobError, UsageError, suggest
from ns_eval.job_files import Submitted, Table
from ns_eval.jobs import read_spec
from ns_eval.resources import locate
from ns_eval.schema import positional

_CANCEL_S = 60.0


@dataclass
class LogsConfig:
    """Print what the jobs of a run said last.

    Examples:
        ns logs out
        ns logs out generate-3 --lines=-1
    """

    output_dir: str = positional()
    """The run folder."""
    job: str | None = positional(None)
    """One job's name. Default: those that failed, else all."""
    lines: int = 40
    """How many lines of each; -1: all."""


@dataclass
class CancelConfig:
    """End the jobs of a run, here or on Slurm. What is on disk stays; the same command goes on later.

    Examples:
        ns cancel out
    """

    output_dir: str = positional()
    """The run folder."""


@dataclass
class RetryConfig:
    """Run again the jobs that failed, were stopped or can never start, and those that wait for them; nothing else.

    With --truncated: ask again, with more tokens and the same seed, only the samples that were cut at their limit.

    Examples:
        ns retry out
        ns retry out --truncated ++inference.tokens_to_generate=8192
        ns retry out --partition=long
    """

    output_dir: str = positional()
    """The run folder."""
    partition: str | None = None
    """Another partition than before."""
    qos: str | None = None
    """Another quality of service than before."""
    truncated: bool = False
    """Ask again what was truncated; the old lines stay in output-rs<S>.before-retry.jsonl."""
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    """With --truncated: tokens_to_generate, the new limit; nothing else may change."""
    detach: bool = False
    """Start and return at once; `ns status OUT` follows the run."""


def logs(config: LogsConfig) -> int:
    """`ns logs`"""
    jobs = job_files.read_table(_folder(config.output_dir)).jobs
    if config.job is not None:
        known = {job.name: job for job in jobs}
        if config.job not in known:
            raise UsageError(f"no job `{config.job}` in {config.output_dir}, {suggest(config.job, known)}")
        jobs = (known[config.job],)
    else:
        bad = [job for job in jobs if job_files.read_state(job.folder, job.name).state in ("failed", "stopped")]
        jobs = tuple(bad) or jobs
    for job in jobs:
        print(f"==> {job.name}: {job.log} <==")
        if config.lines < 0 and job.log.exists():
            sys.stdout.write(job.log.read_text(encoding="utf-8", errors="replace"))
        else:
            print("\n".join(job_files.last_lines(job.log, config.lines)) or "(nothing yet)")
    return 0


def cancel(config: CancelConfig) -> int:
    """`ns cancel`"""
    output_dir = _folder(config.output_dir)
    table = job_files.read_table(output_dir)
    before = [now for now in current(table.jobs, Watch()) if not now.over or now.state == "blocked"]
    if not before:
        print(f"nothing runs in {output_dir}", file=sys.stderr)
        return 0
    ids = [now.job.job_id for now in before if now.job.executor == "slurm"]
    if ids:
        slurm_queue.cancel(ids)
    if any(now.job.executor == "local" for now in before):
        _cancel_here(output_dir, table)
    for now in before:
        print(f"{now.job.name}: cancelled")
    return 0


def retry(config: RetryConfig) -> int:
    """`ns retry`"""
    if config.truncated:
        return int(locate("ns_eval.extending:extend")(config))
    if config.inference != InferenceConfig():
        raise UsageError("inference.* changes answers: it belongs to --truncated", hint="ns retry OUT --truncated …")
    output_dir = _folder(config.output_dir)
    table = job_files.read_table(output_dir)
    found = current(table.jobs, Watch())
    again = _again(found)
    if not again:
        print(f"nothing to run again in {output_dir}: {_tally(found)}", file=sys.stderr)
        return 0
    held = [now.job.job_id for now in found if now.state == "blocked"]
    if held:
        slurm_queue.cancel(held)
        _await_gone(held)
    cluster = clusters.load(
        table.cluster,
        partition=config.partition or table.partition,
        qos=config.qos or table.qos,
        time_min=table.time_min,
    )
    specs = [read_spec(job_files.spec_path(output_dir, job.name)).job for job in again]
    print(f"running {len(specs)} of {len(found)} jobs again: {', '.join(spec.name for spec in specs[:8])}", file=sys.stderr)
    submitted = launch.submit(specs, cluster, output_dir, detach=config.detach)
    if not config.detach:
        launch.wait(submitted)
    return 0


def _folder(given: str) -> Path:
    return Path(given).absolute()


def _again(found: list[Current]) -> list[Submitted]:
    """The jobs that failed, and those that waited for them in vain or still wait for them."""
    last = {job.name for job in job_files.last_of_chains([now.job for now in found])}
    bad = [now for now in found if now.state in ("failed", "stopped", "blocked")]
    names = {now.job.name for now in bad if now.job.name in last}
    return [now.job for now in found if now.job.name in names]


def _tally(found: list[Current]) -> str:
    states = [now.state for now in found]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _cancel_here(output_dir: Path, table: Table) -> None:
    if table.host != socket.gethostname():
        raise JobError(f"the jobs of {output_dir} run on {table.host}", hint=f"on {table.host}: ns cancel {output_dir}")
    if local_scheduler.owner_alive(table) and table.owner is not None:
        os.kill(table.owner, signal.SIGTERM)
        deadline = time.monotonic() + _CANCEL_S
        while local_scheduler.owner_alive(table):
            if time.monotonic() > deadline:
                raise JobError(f"process {table.owner} does not end", hint=f"kill -9 {table.owner}; ns cancel {output_dir}")
            time.sleep(0.05)
    local_scheduler.end_leftovers([job for job in table.jobs if job.executor == "local"])


def _await_gone(ids: list[str]) -> None:
    """A cancelled job is gone from the queue within seconds; until then its name cannot be used again."""
    deadline = time.monotonic() + _CANCEL_S
    while any(not seen.ended for seen in slurm_queue.queue(ids).values()) and time.monotonic() < deadline:
        time.sleep(1.0)
