"""Jobs -> processes of this machine or a Slurm cluster, through submitit; jobs.json says what was started."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ns_eval import job_files, process_ids
from ns_eval.cluster import local_scheduler, slurm_jobs
from ns_eval.cluster.clusters import ClusterConfig
from ns_eval.cluster.local_scheduler import Scheduler
from ns_eval.errors import DataError, JobError, NsError, ServerError, UsageError
from ns_eval.job_files import Submitted, Table
from ns_eval.jobs import Job, JobSpec, SpecFile, read_spec, write_spec
from ns_eval.watching import Watching

logger = logging.getLogger(__name__)

_LOOK_S = 0.1
# submitit judges "timed out" by the clock alone and counts down; `Job.checkpoint` knows better, so its count never ends.
_FOR_EVER = 10**6
_OF_CODE: dict[int | None, type[NsError]] = {kind.exit_code: kind for kind in (UsageError, DataError, ServerError, JobError)}


def submit(
    specs: Sequence[JobSpec],
    cluster: ClusterConfig,
    output_dir: Path,
    *,
    detach: bool = False,
) -> tuple[Submitted, ...]:
    """Writes the specs and jobs.json, and starts what need not wait for `wait`: Slurm jobs, and local ones with `detach`.

    Local jobs without `detach` run inside `wait`: they end with the command.

    Raises:
        UsageError: a job that could never start.
        JobError: the folder's earlier jobs still run, or Slurm refuses.
    """
    output_dir = output_dir.absolute()
    logs = job_files.logs_dir(output_dir)
    logs.mkdir(parents=True, exist_ok=True)
    here = local_scheduler.machine(cluster)
    before = _ended(output_dir, {spec.name for spec in specs})
    for spec in specs:
        job_files.state_path(output_dir, spec.name).unlink(missing_ok=True)
        job_files.progress_path(output_dir, spec.name).unlink(missing_ok=True)
    if cluster.executor == "slurm":
        submitted = slurm_jobs.submit(specs, cluster, output_dir, _sent)
    else:
        local_scheduler.require_room(specs, here)
        for spec in specs:
            write_spec(SpecFile(spec, output_dir))
        submitted = tuple(slurm_jobs.as_submitted(spec, output_dir, "local") for spec in specs)
    table = Table(
        cluster=cluster.source,
        partition=cluster.partition,
        qos=cluster.qos,
        time_min=cluster.time_min,
        slots=here.slots,
        gpus=here.gpus,
        jobs=(*before, *submitted),
    )
    job_files.write_table(output_dir, table)
    if cluster.executor == "local" and detach:
        _keep_behind(output_dir)
    return submitted


def suffix(output_dir: Path, files: Sequence[str]) -> str:
    """What a command appends to the first word of its jobs' names: nothing, or `.2` while `generate` is under way.

    Raises:
        JobError: a job of an earlier command writes one of the files that this one's would write.
    """
    if not job_files.has_table(output_dir):
        return ""
    table = job_files.read_table(output_dir)
    _require_no_owner(output_dir, table)
    still = slurm_jobs.unfinished([job for job in table.jobs if job.executor == "slurm"])
    for job in still:
        both = job_files.overlap(read_spec(job_files.spec_path(output_dir, job.name)).job.writes, files)
        if both:
            raise _still_there(output_dir, job, f" and writes {both}")
    taken = {job.name.partition("-")[0].partition(".")[2] or "1" for job in still}
    number = next(number for number in itertools.count(1) if str(number) not in taken)
    return "" if number == 1 else f".{number}"


def wait(submitted: Sequence[Submitted]) -> None:
    """Shows progress until all jobs have ended. Local ones run here: an interrupt ends them, Slurm's go on.

    Raises:
        NsError: of the kind that the failed job reported, with the last lines of its log; JobError where several failed.
    """
    output_dir = submitted[0].folder
    if submitted[0].executor == "slurm":
        with closing(Watching(output_dir, [(job.name, job.continues) for job in submitted])) as watching:
            slurm_jobs.wait(submitted, watching.show)
    else:
        _keep(output_dir, [job.name for job in submitted])
    raise_failures(submitted)


def raise_failures(submitted: Sequence[Submitted]) -> None:
    """The error of jobs that have ended without being done; nothing where all are."""
    submitted = job_files.last_of_chains(submitted)
    states = {job.name: job_files.read_state(job.folder, job.name) for job in submitted}
    failed = [job for job in submitted if states[job.name].state != "done"]
    if not failed:
        return
    # A job that waited in vain failed for the reason of the one that it waited for.
    names = {job.name for job in failed}
    failed = [job for job in failed if not names & set(job.after)] or failed
    first = failed[0]
    state = states[first.name]
    if len(failed) == 1:
        kind = _OF_CODE.get(state.exit_code, JobError)
        lines = "" if kind in (UsageError, ServerError, DataError) else _quoted(first.log)
        raise kind(f"{state.error or first.name + ' did not finish'}{lines}\nlog: {first.log}", hint=state.hint)
    rows = "\n".join(f"  {job.name}: {states[job.name].error or states[job.name].state}" for job in failed[:20])
    more = f"\n  … and {len(failed) - 20} more" if len(failed) > 20 else ""
    shown = f"the log of {first.name} ends so:{_quoted(first.log)}\nlog: {first.log}"
    raise JobError(
        f"{len(failed)} of {len(submitted)} jobs failed:\n{rows}{more}\n{shown}",
        hint=f"ns retry {first.folder} runs them again; what is on disk is kept",
    )


def requeued(job: Job) -> Any:
    """The submission that replaces a running one after a preemption or a time limit. Any: submitit has no types."""
    from submitit.core.utils import DelayedSubmission

    return DelayedSubmission(job)


def keep(output_dir: Path) -> int:
    """The scheduler behind `--detach`: runs the queued local jobs of a run folder to their end."""
    table = job_files.read_table(output_dir)
    names = [
        job.name
        for job in table.jobs
        if job.executor == "local" and job_files.read_state(output_dir, job.name).state == "queued"
    ]
    try:
        _keep(output_dir, names)
    except KeyboardInterrupt:
        return 130
    return 0


def _keep(output_dir: Path, names: Sequence[str]) -> None:
    specs = [read_spec(job_files.spec_path(output_dir, name)).job for name in names]
    chain = [(spec.name, spec.continues) for spec in specs]
    scheduler = Scheduler(output_dir, specs, functools.partial(_start_here, output_dir))
    with _told_to_stop(), closing(scheduler), closing(Watching(output_dir, chain)) as watching:
        try:
            while scheduler.step():
                watching.show()
                time.sleep(_LOOK_S)
        except KeyboardInterrupt:
            print("stopping …", file=sys.stderr)
            scheduler.stop()
            print("stopped; the same command goes on where it stopped", file=sys.stderr)
            raise


def _ended(output_dir: Path, names: set[str]) -> tuple[Submitted, ...]:
    """The jobs of earlier commands, without those that are submitted again; none of these may still run."""
    if not job_files.has_table(output_dir):
        return ()
    table = job_files.read_table(output_dir)
    local = [job for job in table.jobs if job.executor == "local"]
    _require_no_owner(output_dir, table)
    local_scheduler.end_leftovers(local)
    again = [job for job in table.jobs if job.executor == "slurm" and job.name in names]
    still = slurm_jobs.unfinished(again)
    if still:
        raise _still_there(output_dir, still[0])
    return tuple(job for job in table.jobs if job.name not in names)


def _require_no_owner(output_dir: Path, table: Table) -> None:
    if local_scheduler.owner_alive(table):
        raise JobError(
            f"an earlier command still runs jobs in {output_dir} (process {table.owner})",
            hint=f"ns status {output_dir} shows them, ns cancel {output_dir} ends them",
        )


def _still_there(output_dir: Path, job: Submitted, more: str = "") -> JobError:
    return JobError(
        f"{job.name} of an earlier command is still queued or running (job {job.job_id}){more}",
        hint=f"ns status {output_dir} shows it, ns cancel {output_dir} ends it",
    )


def _start_here(
    output_dir: Path, job: JobSpec, environment: Mapping[str, str], inherited: Sequence[int]
) -> subprocess.Popen[bytes]:
    """One local job, started as submitit starts one, less its controller, which would cost a second Python.

    It leads a session of its own, and the kernel kills it when this process dies.
    """
    from submitit.core.utils import JobPaths

    folder = job_files.logs_dir(output_dir) / "submitit"
    folder.mkdir(parents=True, exist_ok=True)
    paths = JobPaths(folder, job_id=job.name)
    for stale in folder.glob(f"{job.name}_*"):
        stale.unlink()
    submission = requeued(Job(job_files.spec_path(output_dir, job.name)))
    submission.set_timeout(_FOR_EVER, _FOR_EVER)
    submission.dump(paths.submitted_pickle)
    package = str(Path(__file__).parent.parent)
    values = {
        "SUBMITIT_EXECUTOR": "local",
        "SUBMITIT_LOCAL_JOB_ID": job.name,
        "SUBMITIT_LOCAL_NTASKS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")])),
    }
    with job_files.log_path(output_dir, job.name).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "submitit.core._submit", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **values, **environment},
            start_new_session=True,
            pass_fds=inherited,
            preexec_fn=process_ids.tied_to(os.getpid()),
        )


def _sent(
    specs: Sequence[Path], folder: Path, python: str | None, parameters: Mapping[str, Any], environment: Mapping[str, str]
) -> list[str]:
    """Sends one stage to Slurm, several jobs as one array; their ids. sbatch sees `environment` and nothing else."""
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    executor = submitit.SlurmExecutor(folder, max_num_timeout=_FOR_EVER, python=python)
    executor.update_parameters(**parameters)
    kept = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(environment)
        with executor.batch():
            jobs = [executor.submit(Job(spec)) for spec in specs]
    except (FailedJobError, FailedSubmissionError) as error:
        told = [line for line in str(error).splitlines() if line.strip()]
        raise JobError(f"sbatch refuses the jobs: {' '.join(told)}") from error
    finally:
        os.environ.clear()
        os.environ.update(kept)
    return [job.job_id for job in jobs]


def _keep_behind(output_dir: Path) -> None:
    """Starts `keep` in the background and waits until it has taken the jobs over."""
    log = job_files.logs_dir(output_dir) / "scheduler.log"
    with log.open("ab") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "ns_eval.launch", str(output_dir)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]),
            },
            start_new_session=True,
        )
    while job_files.read_table(output_dir).owner != keeper.pid:
        if keeper.poll() is not None:
            raise JobError(f"the scheduler ended at once{_quoted(log)}\nlog: {log}")
        time.sleep(0.02)


@contextmanager
def _told_to_stop() -> Iterator[None]:
    """A closed terminal and a TERM end jobs as tidily as Ctrl-C does; what is ignored stays so, as `nohup` asks for."""
    if threading.current_thread() is not threading.main_thread():
        # Called from a notebook's cell: signals go to the main thread, and only that may ask for them.
        yield
        return
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _quoted(log: Path) -> str:
    return "".join(f"\n  | {line}" for line in job_files.last_lines(log))


if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1])))
