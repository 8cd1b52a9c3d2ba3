"""Specs -> what Slurm is asked for: one array a stage, dependencies, containers, an environment without secrets."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ns_eval import job_files, process_ids
from ns_eval.cluster import clusters, code_snapshot, job_status
from ns_eval.cluster.clusters import ClusterConfig
from ns_eval.cluster.containers import in_container, named_in
from ns_eval.cluster.slurm_queue import Watch
from ns_eval.errors import JobError, UsageError
from ns_eval.job_files import Submitted
from ns_eval.jobs import JobSpec, SpecFile, write_environment, write_spec

# (specs, folder, python, submitit's parameters, environment of sbatch) -> job ids
Send = Callable[[Sequence[Path], Path, str | None, Mapping[str, Any], Mapping[str, str]], list[str]]

_SECRETS = Path("~/.config/ns-eval/secrets.json")
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
# Slurm's own default of the largest array.
_ARRAY_SIZE = 1000

# A Python that a signal ended, or that is stuck when its time runs out, queues nothing again, so the script does, unless
# somebody cancelled the job. One that dies at every start gives up by itself. The number of an array's last job is that of
# the array too, so a job is named by its place in it.
_NAMES = (
    'ns_job="${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"',
    'ns_again() { [ "$(squeue -h -j $ns_job -o %T)" = RUNNING ] && echo "$1: queued again" && scontrol requeue $ns_job; }',
)
# submitit makes the exit code that of the last line, so it is kept.
_AGAIN = (
    "rc=$?",
    '[ $rc -gt 128 ] && [ $rc -lt 160 ] && ns_again "killed by signal $((rc - 128))"',
    "exit $rc",
)


@dataclass(frozen=True, slots=True)
class Stage:
    """Jobs that ask for the same and wait for the same: one array."""

    jobs: tuple[JobSpec, ...]

    @property
    def first(self) -> JobSpec:
        return self.jobs[0]


def submit(specs: Sequence[JobSpec], cluster: ClusterConfig, output_dir: Path, send: Send) -> tuple[Submitted, ...]:
    """Sends every stage and returns the jobs with their ids.

    Raises:
        UsageError: what can be known to be impossible.
        JobError: sbatch refuses, or there is none.
    """
    if shutil.which("sbatch") is None:
        where = f" of {cluster.ssh_tunnel['host']}" if cluster.ssh_tunnel.get("host") else ""
        raise JobError("there is no `sbatch` here", hint=f"run `ns` on a login node{where}: nothing is sent over ssh")
    variables = clusters.environment(cluster, [name for spec in specs for name in spec.secrets])
    secrets = Path(cluster.secrets_file or _SECRETS).expanduser()
    if variables:
        write_environment(secrets, variables)
    code = code_snapshot.take(output_dir)
    folder = (Path(cluster.log_dir) if cluster.log_dir else job_files.logs_dir(output_dir)) / "submitit"
    ids: dict[str, str] = {}
    for stage in stages(specs):
        limit = _limit(cluster, stage.first)
        paths = []
        for spec in stage.jobs:
            held = SpecFile(
                job=spec,
                output_dir=output_dir,
                environment=secrets if variables else None,
                variables=tuple(variables),
                limit_minutes=limit,
                signal_s=cluster.signal_delay_s,
                requeue=_requeues(cluster),
            )
            paths.append(write_spec(held))
        mounted = [output_dir, folder, *([secrets] if variables else []), code]
        mounted += [path for spec in stage.jobs for path in named_in(spec.arguments)]
        python, container = in_container(cluster, stage.first.container, mounted, tuple(variables))
        asked = parameters(cluster, stage, _after(stage.first, ids))
        # One task, on the first node: a server of several nodes starts its own steps on the others, beside this one.
        once = ["--nodes=1", "--ntasks=1", "--overlap"] if stage.first.nodes > 1 else []
        asked["srun_args"] = ["--export=ALL", "--kill-on-bad-exit=1", *once, *cluster.srun_args, *container]
        asked["setup"] = [*cluster.setup, *_before(cluster, folder, limit)]
        asked["teardown"] = list(_AGAIN) if _requeues(cluster) else []
        found = send(paths, folder, python, asked, _environment(cluster, variables, code))
        ids |= dict(zip([spec.name for spec in stage.jobs], found, strict=True))
    for name, job_id in ids.items():
        _link(job_files.log_path(output_dir, name), folder / f"{job_id}_0_log.out")
    return tuple(as_submitted(spec, output_dir, "slurm", ids[spec.name]) for spec in specs)


def as_submitted(spec: JobSpec, output_dir: Path, executor: str, job_id: str = "") -> Submitted:
    """What jobs.json keeps of a job."""
    return Submitted(
        name=spec.name,
        folder=output_dir,
        executor=executor,
        job_id=job_id,
        after=spec.after,
        continues=spec.continues,
    )


def stages(specs: Sequence[JobSpec]) -> list[Stage]:
    """Neighbours that ask for the same and wait for the same, at most as many as an array holds."""
    found: list[list[JobSpec]] = []
    for spec in specs:
        if found and _asks(found[-1][0]) == _asks(spec) and len(found[-1]) < _ARRAY_SIZE:
            found[-1].append(spec)
        else:
            found.append([spec])
    return [Stage(tuple(jobs)) for jobs in found]


def parameters(cluster: ClusterConfig, stage: Stage, after: Sequence[str]) -> dict[str, Any]:
    """submitit's parameters of a stage. Any: they are sbatch's options, numbers, texts and lists."""
    job = stage.first
    if cluster.gpus is not None and job.gpus > cluster.gpus:
        raise UsageError(
            f"{job.name} asks for {job.gpus} GPUs a node, {cluster.source} says a node has {cluster.gpus}",
            hint="spread the server over nodes: --server_nodes=N",
        )
    more: dict[str, Any] = {**({"requeue": True} if _requeues(cluster) else {"no-requeue": True}), **cluster.sbatch}
    if cluster.time_min:
        more["time-min"] = cluster.time_min
    # What the names of an array's jobs have in common: generate-0 … generate-15 is `generate` in the queue.
    name = job.name if len(stage.jobs) == 1 else job.name.rstrip("0123456789").rstrip("-_.")
    asked = {
        "job_name": cluster.job_name_prefix + name,
        "time": _limit(cluster, job),
        "nodes": job.nodes,
        "ntasks_per_node": 1,
        "partition": _partition(cluster, job),
        "account": cluster.account,
        "qos": cluster.qos,
        "cpus_per_task": job.cpus or cluster.cpus,
        "mem": job.memory or cluster.memory,
        "gpus_per_node": job.gpus if job.gpus and not cluster.disable_gpus_per_node else None,
        "mail_type": cluster.mail_type,
        "mail_user": cluster.mail_user,
        "dependency": f"{cluster.dependency_type}:{':'.join(after)}" if after else None,
        "signal_delay_s": cluster.signal_delay_s,
        "array_parallelism": cluster.max_running,
        "stderr_to_stdout": True,
        "additional_parameters": more,
    }
    return {key: value for key, value in asked.items() if value is not None}


def wait(submitted: Sequence[Submitted], show: Callable[[str], None]) -> None:
    """Returns when every job has ended, or can never start; `show` is told what waits. Of jobs that do another's rest the
    last one counts."""
    watch = Watch()
    last = {job.name for job in job_files.last_of_chains(submitted)}
    found = job_status.current(submitted, watch)
    while not all(now.over for now in found if now.job.name in last):
        show(job_status.waiting(found))
        # A look reads a file of each job, from a file system that others use as well.
        time.sleep(max(0.5, len(found) / 100))
        found = job_status.current(submitted, watch)


def unfinished(submitted: Sequence[Submitted]) -> list[Submitted]:
    """The jobs that Slurm still has to run, or runs."""
    if not submitted:
        return []
    now = job_status.current(submitted, Watch())
    return [job for job, found in zip(submitted, now, strict=True) if not found.over]


def _after(job: JobSpec, ids: Mapping[str, str]) -> list[str]:
    """The ids that a job waits for; an array that it waits for as a whole is one id."""
    wanted = [ids[name] for name in job.after if name in ids]
    tasks = Counter(found.partition("_")[0] for found in ids.values())
    named = Counter(found.partition("_")[0] for found in wanted)
    whole = [array for array, count in named.items() if count == tasks[array]]
    return [*whole, *(found for found in wanted if found.partition("_")[0] not in whole)]


def _asks(job: JobSpec) -> tuple[object, ...]:
    return job.after, job.gpus, job.nodes, job.cpus, job.memory, job.time_limit, job.container


def _requeues(cluster: ClusterConfig) -> bool:
    return not cluster.sbatch.get("no-requeue") and cluster.sbatch.get("requeue") is not False


def _partition(cluster: ClusterConfig, job: JobSpec) -> str | None:
    return cluster.partition if job.gpus or not cluster.cpu_partition else cluster.cpu_partition


def _limit(cluster: ClusterConfig, job: JobSpec) -> int:
    return clusters.minutes(job.time_limit or cluster.time_limit(_partition(cluster, job)))


def _environment(cluster: ClusterConfig, variables: Mapping[str, str], code: Path) -> dict[str, str]:
    """What sbatch sees, and keeps in its spool: no secret, nothing of a Slurm job we may be inside of.

    PYTHONSAFEPATH, because `python -m` would prefer the code in the working folder to the snapshot.
    """
    hidden = {*variables, process_ids.MARK}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in hidden and not _SECRET_NAME.search(name) and (name == "SLURM_CONF" or not name.startswith("SLURM_"))
    }
    paths = [str(code), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}


def _before(cluster: ClusterConfig, folder: Path, limit_minutes: int) -> list[str]:
    """Shell lines before a job's Python, and a watcher beside it.

    A job that is killed while submitit saves its pickle leaves a file at which its next start would die: mended. When a
    slurmstepd is killed, its task dies with it, but srun waits on until the time limit: the watcher ends that wait. It also
    queues a job again that is still there long after it was told of its time limit: Slurm's TERM at the limit does not reach
    this script, and its KILL ends all of it.
    """
    first_look = clusters.minutes(cluster.time_min) if cluster.time_min else limit_minutes
    margin_s = max(15, cluster.signal_delay_s // 3)
    at_limit = [
        f'  [ "$(date +%s)" -lt $((ns_end - {margin_s})) ] && continue',
        "  ns_end=$(squeue -h -j $ns_job -o %e | date -f - +%s)  # it may have been moved",
        "  ns_end=${ns_end:-$(($(date +%s) + 600))}  # no limit, or no answer",
        f'  [ "$(date +%s)" -ge $((ns_end - {margin_s})) ] && ns_again "it does not hear that its time runs out"',
    ]
    return [
        *_NAMES,
        f'ns={shlex.quote(str(folder))}/"$ns_job"',
        '[ -e "${ns}_submitted.pkl" ] || mv -f "${ns}_submitted.pkl.save_tmp" "${ns}_submitted.pkl" 2>/dev/null',
        'rm -f "$ns"_*.save_tmp "$ns.pid"',
        f"ns_end=$(($(date +%s) + {first_look} * 60))",
        "( while sleep 10 && kill -0 $$; do",
        '  [ -s "$ns.pid" ] && [ ! -e "/proc/$(cat "$ns.pid")" ] && sleep 10 && pkill -KILL -P $$ srun',
        *(at_limit if _requeues(cluster) else []),
        "done ) 2>/dev/null &",
    ]


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(target, link.parent))
