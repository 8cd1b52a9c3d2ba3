"""`ns setup`: writes a cluster config, by asking or from flags alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ns_eval.cluster import clusters
from ns_eval.errors import UsageError
from ns_eval.files import write_text
from ns_eval.schema import positional


@dataclass
class SetupConfig:
    """Write a cluster config: on a terminal by asking for what no flag gives, else from the flags alone.

    Examples:
        ns setup
        ns setup mine --executor=slurm --account=p1 --partition=gpu --default_timeout=24:00:00 --mounts=/lustre/me:/workspace
        ns setup here --executor=local --mounts=/data/me:/workspace
    """

    name: str | None = positional(None)
    """What `--cluster=` will call it. Default: the executor."""
    config_dir: str | None = None
    """Where it is written. Default: NEMO_SKILLS_CONFIG_DIR, else ./cluster_configs."""
    executor: str | None = None
    """local or slurm. Default: slurm where there is an sbatch."""
    account: str | None = None
    """Slurm account."""
    partition: str | None = None
    """Slurm partition of jobs with GPUs."""
    cpu_partition: str | None = None
    """Slurm partition of jobs without."""
    default_timeout: str | None = None
    """Time limit, HH:MM:SS."""
    gpus: int | None = None
    """GPUs of one machine."""
    mounts: list[str] = field(default_factory=list)
    """source:destination, comma-separated."""
    env_vars: list[str] = field(default_factory=list)
    """Variables for the jobs: NAME or NAME=value, comma-separated."""
    python: str | None = None
    """The interpreter of the jobs, where it is not this one."""
    overwrite: bool = False
    """Replace a config of that name."""


# What is asked on a terminal, and for which executor.
_QUESTIONS = {
    "account": ("slurm", "Slurm account (empty: none)"),
    "partition": ("slurm", "Slurm partition of GPU jobs"),
    "default_timeout": ("slurm", "time limit of a job, HH:MM:SS"),
    "mounts": ("both", "mounts, source:destination, comma-separated (empty: none)"),
    "env_vars": ("both", "environment variables for the jobs, comma-separated (empty: none)"),
}


def main(config: SetupConfig) -> int:
    """`ns setup`"""
    asking = sys.stdin.isatty()
    executor = config.executor or ("slurm" if shutil.which("sbatch") else "local")
    if asking and config.executor is None:
        executor = _ask("where jobs run, local or slurm", executor)
    values: dict[str, Any] = {"executor": executor}
    for item in fields(clusters.ClusterConfig):
        value = getattr(config, item.name, None)
        if item.name != "executor" and value not in (None, []) and hasattr(config, item.name):
            values[item.name] = value
    values.pop("name", None)
    if asking:
        values |= _asked(executor, values)
    name = config.name or (_ask("its name", executor) if asking else executor)
    path = _folder(config) / f"{name}.yaml"
    if path.exists() and not config.overwrite:
        raise UsageError(f"{path} exists", hint="--overwrite replaces it; or give another name: ns setup NAME")
    _write(path, values)
    print(path)
    print(f"try: ns eval --cluster={name} … --dry_run", file=sys.stderr)
    return 0


def _asked(executor: str, known: dict[str, Any]) -> dict[str, Any]:
    """The answers to what no flag gave; an empty answer leaves the key out."""
    defaults = {"partition": _first_partition() if executor == "slurm" else "", "default_timeout": "04:00:00"}
    found: dict[str, Any] = {}
    for key, (whose, question) in _QUESTIONS.items():
        if key in known or whose not in ("both", executor):
            continue
        answer = _ask(question, defaults.get(key, ""))
        if answer:
            found[key] = [part.strip() for part in answer.split(",")] if key in ("mounts", "env_vars") else answer
    return found


def _ask(question: str, default: str) -> str:
    """One line from the terminal; the question goes to stderr, for stdout is the path of the config."""
    print(f"{question}{f' [{default}]' if default else ''}: ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise KeyboardInterrupt
    return line.strip() or default


def _folder(config: SetupConfig) -> Path:
    """Where it is written: the first place in which it will be found, but never among the shipped ones."""
    if config.config_dir:
        return Path(config.config_dir)
    places = clusters.config_folders(None)[:-1]
    return places[0] if places else Path("cluster_configs")


def _write(path: Path, values: dict[str, Any]) -> None:
    """Writes it, and leaves nothing behind where it cannot be loaded."""
    import yaml

    docs = "# Keys and their meaning: ns-eval's cluster_configs/slurm.yaml. Written by `ns setup`.\n"
    before = path.read_text(encoding="utf-8") if path.exists() else None
    write_text(path, docs + yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    try:
        clusters.load(str(path.absolute()))
    except UsageError:
        if before is None:
            path.unlink()
        else:
            write_text(path, before)
        raise


def _first_partition() -> str:
    """Slurm's default partition, else its first; empty where it cannot be asked."""
    try:
        told = subprocess.run(["sinfo", "-h", "-o", "%P"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    names = told.stdout.split()
    return next((name.rstrip("*") for name in names if name.endswith("*")), names[0] if names else "")
