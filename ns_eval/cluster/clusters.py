"""Cluster configs: where they are looked up, what they hold, and what is refused."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ns_eval.errors import UsageError, suggest
from ns_eval.resources import folder
from ns_eval.schema import build, load_yaml

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Forwarded wherever they are set, as the parent does: hubs, trackers and the judges' own services.
ALWAYS_FORWARDED = ("HF_TOKEN", "OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "NVIDIA_API_KEY", "WANDB_API_KEY")
_PATHS = ("mounts", "containers", "log_dir", "secrets_file", "python")
_OF_THE_PARENT = {
    "ssh_tunnel": "nothing is sent over ssh: run `ns` on a login node of that cluster",
    "job_dir": "nothing is copied: logs and specs lie in the run folder (`log_dir` moves the logs)",
    "skip_hf_home_check": "nothing needs HF_HOME",
    "num_workers": "the loop asks everything from one process",
}


@dataclass
class ClusterConfig:
    """Where jobs run and with what. cluster_configs/<name>.yaml"""

    executor: str = "local"
    """local: processes of this machine; slurm: sbatch."""
    mounts: list[str] = field(default_factory=list)
    """`source:destination`: a path below the destination is read and written below the source."""
    containers: dict[str, str] = field(default_factory=dict)
    """Server type (or ns-eval) -> image. A job without an entry runs in the environment of `python`."""
    container_runtime: str = ""
    """pyxis or apptainer. Default: pyxis where `containers` is filled on Slurm; local jobs use none."""
    python: str | None = None
    """The interpreter of the jobs. Default: the one that runs `ns`; in a container: python3."""
    env_vars: list[str] = field(default_factory=list)
    """NAME (its value here, where set) or NAME=value, for the jobs. Values never reach a spec, a script or a log."""
    required_env_vars: list[str] = field(default_factory=list)
    """The same, and an error where NAME is not set."""
    secrets_file: str | None = None
    """Where values wait for Slurm jobs, mode 0600, outside run folders. Default: ~/.config/ns-eval/secrets.json"""
    setup: list[str] = field(default_factory=list)
    """Shell lines before a Slurm job's Python: module load …"""
    gpus: int | None = None
    """GPUs of one machine. Default: on local, those that are visible."""
    slots: int | None = None
    """Local jobs that run at the same time. Default: the number of CPUs; GPUs bound it too."""
    account: str | None = None
    """Slurm account."""
    partition: str | None = None
    """Slurm partition of jobs with GPUs, and of others where `cpu_partition` is not set."""
    cpu_partition: str | None = None
    """Slurm partition of jobs without GPUs."""
    qos: str | None = None
    """Slurm quality of service."""
    timeouts: dict[str, str] = field(default_factory=dict)
    """Partition -> time limit, HH:MM:SS."""
    default_timeout: str = "04:00:00"
    """The time limit elsewhere."""
    time_min: str | None = None
    """The shortest time limit that is acceptable, HH:MM:SS: Slurm may start the job earlier with it."""
    cpus: int | None = None
    """CPUs of a job that names none."""
    memory: str | None = None
    """Memory of a job that names none, such as 64G."""
    dependency_type: str = "afterany"
    """How jobs wait for each other. A job looks at the run's own state anyway, so afterany is right."""
    max_running: int = 1000
    """Tasks of one array that run at the same time."""
    disable_gpus_per_node: bool = False
    """Do not ask Slurm for GPUs, for clusters that give whole nodes."""
    signal_delay_s: int = 90
    """Seconds before the time limit at which a job is told, stops asking and is queued again."""
    mail_type: str | None = None
    """Slurm's mail-type."""
    mail_user: str | None = None
    """Slurm's mail-user."""
    sbatch: dict[str, Any] = field(default_factory=dict)
    """Further sbatch options: constraint, exclude, reservation …"""
    srun_args: list[str] = field(default_factory=list)
    """Further srun options."""
    job_name_prefix: str = ""
    """Before every job's name in the queue."""
    log_dir: str | None = None
    """Where submission files and logs go. Default: eval-logs/ of the run folder."""
    ssh_tunnel: dict[str, Any] = field(default_factory=dict)
    """Of the parent's configs; not used: run `ns` on a login node."""
    job_dir: str | None = None
    """Of the parent's configs; not used: logs and specs lie in the run folder."""
    skip_hf_home_check: bool = False
    """Of the parent's configs; nothing needs HF_HOME."""
    num_workers: int | None = None
    """Of the parent's configs; not used."""
    name: str = ""
    """Set when it is loaded: the name or path it was asked by."""
    source: str = ""
    """Set when it is loaded: the file."""

    def time_limit(self, partition: str | None) -> str:
        """HH:MM:SS of a partition."""
        return self.timeouts.get(partition or "", self.default_timeout)


def load(
    name: str | None,
    config_dir: str | None = None,
    *,
    partition: str | None = None,
    qos: str | None = None,
    time_min: str | None = None,
) -> ClusterConfig:
    """The checked config of a name or path; partition, qos and time_min of the command line win.

    Raises:
        UsageError: there is none, it holds an unknown key, or a value that cannot be.
    """
    asked = name or os.environ.get("NEMO_SKILLS_CONFIG") or "local"
    path = find(asked, config_dir)
    values = {key: value for key, value in load_yaml(path).items() if value is not None}
    for key in ("name", "source"):
        if key in values:
            raise UsageError(f"{path}: unknown key `{key}`, {suggest(key, _keys())}")
    if values.get("executor") == "none":  # the parent's "here, in this Python"
        values["executor"] = "local"
    cluster = build(ClusterConfig, {key: _filled(key, value, path) for key, value in values.items()}, str(path))
    cluster = dataclasses.replace(
        cluster,
        name=asked,
        source=str(path),
        partition=partition or cluster.partition,
        cpu_partition=partition or cluster.cpu_partition,
        qos=qos or cluster.qos,
        time_min=time_min or cluster.time_min,
    )
    _check(cluster)
    return cluster


def find(name: str, config_dir: str | None = None) -> Path:
    """The file of a name: a path, config_dir, NEMO_SKILLS_CONFIG_DIR, ./cluster_configs, then the shipped ones."""
    if name.endswith((".yaml", ".yml")) or "/" in name:
        if Path(name).is_file():
            return Path(name).absolute()
        raise UsageError(f"cluster config {name} does not exist", hint="ns setup")
    folders = config_folders(config_dir)
    for base in folders:
        if (base / f"{name}.yaml").is_file():
            return base / f"{name}.yaml"
    known = {path.stem for base in folders for path in base.glob("*.yaml")}
    looked = ", ".join(str(base) for base in folders)
    raise UsageError(f"unknown cluster `{name}`, {suggest(name, known)} (looked in {looked})", hint="ns setup writes one")


def config_folders(config_dir: str | None = None) -> list[Path]:
    """Where cluster configs may lie, in the order in which they win."""
    if config_dir and not Path(config_dir).is_dir():
        raise UsageError(f"--config_dir={config_dir} is not a folder")
    places = [config_dir, os.environ.get("NEMO_SKILLS_CONFIG_DIR"), "cluster_configs"]
    return [*(Path(place).absolute() for place in places if place and Path(place).is_dir()), folder("cluster_configs")]


def notes(cluster: ClusterConfig, image: str | None = None) -> list[str]:
    """What a person should know of keys that mean something else here than in the parent's tool, and of the image that
    `--server_container` names; one line each.

    Raises:
        UsageError: the image is no name of the cluster's, and no image either.
    """
    found = [f"{cluster.source}: {key}: {text}" for key, text in _OF_THE_PARENT.items() if getattr(cluster, key)]
    if cluster.executor == "local":
        asked = [f"{cluster.source}: containers"] if cluster.containers else []
        asked += [f"--server_container={image}"] if image else []
        found += [f"{what}: local jobs run in this environment, not in a container" for what in asked]
    elif image and image not in cluster.containers and "/" not in image:
        raise UsageError(
            f"--server_container={image}: {cluster.source} has no such container, {suggest(image, cluster.containers)}",
            hint="give one of its `containers:`, a path or a registry's address",
        )
    return found


def mount_pair(mount: str, where: str) -> tuple[str, str]:
    """(source, destination) of one mount, without trailing slashes; a third part, such as `ro`, is left out."""
    source, colon, destination = mount.partition(":")
    destination = destination.partition(":")[0]
    if not colon or not source.startswith("/") or not destination.startswith("/"):
        raise UsageError(f"{where}: mounts: `{mount}` is not /source:/destination, both absolute")
    return source.rstrip("/"), destination.rstrip("/")


def environment(cluster: ClusterConfig, also: Sequence[str] = (), here: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that the jobs get by name, with their values. Never to be written into a run folder.

    Raises:
        UsageError: a required one is not set.
    """
    found = {name: here[name] for name in (*ALWAYS_FORWARDED, *also) if name in here}
    for entry in [*cluster.env_vars, *cluster.required_env_vars]:
        name, equals, value = entry.partition("=")
        if not _NAME.fullmatch(name):
            raise UsageError(f"{cluster.source}: `{name}` is no name of an environment variable")
        if equals:
            found[name] = value
        elif name in here:
            found[name] = here[name]
        elif entry in cluster.required_env_vars:
            raise UsageError(f"{cluster.source} requires ${name}, which is not set here", hint=f"export {name}=…")
    return found


def minutes(limit: str) -> int:
    """Slurm's time formats (MM, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS) as whole minutes, rounded up.

    Raises:
        UsageError: none of them.
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", str(limit).strip())
    if match is None:
        raise UsageError(f"`{limit}` is no time limit, expected HH:MM:SS or D-HH:MM:SS")
    days, *rest = (None if part is None else int(part) for part in match.groups())
    first, second, third = rest
    assert first is not None
    if days is not None:
        seconds = ((days * 24 + first) * 60 + (second or 0)) * 60 + (third or 0)
    elif third is not None:
        seconds = (first * 60 + (second or 0)) * 60 + third
    else:
        seconds = first * 60 + (second or 0)
    return max(1, math.ceil(seconds / 60))


def _filled(key: str, value: Any, path: Path) -> Any:
    """A value with `$VAR`, `${VAR}` and the parent's `{VAR}` filled in where it is a path; elsewhere they are the shell's.

    What is left is escaped, since OmegaConf would take `${…}` for a reference to another key.
    """
    if isinstance(value, list):
        return [_filled(key, item, path) for item in value]
    if isinstance(value, dict):
        return {name: _filled(key, item, path) for name, item in value.items()}
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise UsageError(f"{path}: {key}: `{value}`: ${name} is not set here", hint=f"export {name}=…")
        return os.environ[name]

    if key in _PATHS:
        value = re.sub(r"\$?\{(\w+)\}|\$(\w+)", variable, value)
    return value.replace("${", "\\${")


def _keys() -> list[str]:
    return [item.name for item in dataclasses.fields(ClusterConfig) if item.name not in ("name", "source")]


def _check(cluster: ClusterConfig) -> None:
    where = cluster.source
    choices = {"executor": ("local", "slurm"), "container_runtime": ("", "pyxis", "apptainer")}
    for key, known in choices.items():
        if getattr(cluster, key) not in known:
            raise UsageError(
                f"{where}: {key}: `{getattr(cluster, key)}`, {suggest(getattr(cluster, key), filter(None, known))}"
            )
    for mount in cluster.mounts:
        mount_pair(mount, where)
    for limit in (*cluster.timeouts.values(), cluster.default_timeout, *filter(None, [cluster.time_min])):
        minutes(limit)
    for key in ("gpus", "slots", "cpus"):
        value = getattr(cluster, key)
        if value is not None and value < (0 if key == "gpus" else 1):
            raise UsageError(f"{where}: {key}: {value} is too small")
