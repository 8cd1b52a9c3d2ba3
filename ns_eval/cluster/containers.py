"""A job in an image: what `srun` or Apptainer is told, and which folders of this machine the job finds there."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ns_eval.cluster.clusters import ClusterConfig
from ns_eval.cluster.mounts import mounts_of
from ns_eval.records import Json

# An image has these of its own; a whole root or home folder would bring in what the image is to keep out.
_OF_THE_IMAGE = frozenset(["/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr"])


def in_container(
    cluster: ClusterConfig, name: str, mounted: Sequence[Path], variables: Sequence[str]
) -> tuple[str | None, list[str]]:
    """(the command that is Python, srun's options) of a job. Mounts are seen under both their names: specs hold sources.

    Without an image of that name the job runs in the environment of `python`.
    """
    # A name of the cluster's config, or an image itself: a path, or a registry's address; not a server type's YAML.
    is_image = "/" in name and not name.endswith((".yaml", ".yml"))
    image = cluster.containers.get(name, name if is_image else None)
    if image is None:
        return (shlex.quote(cluster.python) if cluster.python else shlex.quote(sys.executable)), []
    pairs = [*mounts_of(cluster), *((source, source) for source, _ in mounts_of(cluster))]
    inside = [source for source, _ in pairs]
    for path in map(str, sorted(mounted)):
        if not any(path == there or path.startswith(f"{there}/") for there in inside):
            pairs.append((path, path))
            inside.append(path)
    mounts = ",".join(dict.fromkeys(f"{source}:{destination}" for source, destination in pairs))
    python = cluster.python or "python3"
    if cluster.container_runtime == "apptainer":
        return shlex.join(["apptainer", "exec", "--nv", "--bind", mounts, image, python]), []
    kept = ",".join(["PYTHONPATH", "PYTHONSAFEPATH", *variables])
    return shlex.quote(python), [
        f"--container-image={image}",
        f"--container-mounts={mounts}",
        f"--container-env={kept}",
        "--no-container-mount-home",
    ]


def named_in(arguments: Json) -> Iterator[Path]:
    """The folders and files that a job's arguments name and that are there: its model, adapters, question files.

    A file comes with what lies beside it (pictures beside a question file), a folder with what its links lead to (a model
    in the hub's cache is a folder of links). A hub id, and what only the image holds, is not there.
    """
    for text in set(_texts(arguments)):
        path = _there(text)
        if path is None:
            continue
        beside = path if path.is_dir() else path.parent
        links = {item.resolve().parent for item in path.iterdir() if item.is_symlink()} if path.is_dir() else set()
        yield from filter(_may_be_mounted, [beside if _may_be_mounted(beside) else path, *links])


def _there(text: str) -> Path | None:
    """The path that a text is, if it is one and it is there."""
    with contextlib.suppress(OSError, ValueError):  # a prompt that begins with a slash is too long for a name
        if text.startswith("/") and Path(text).exists():
            return Path(text)
    return None


def _may_be_mounted(path: Path) -> bool:
    return path not in (Path("/"), Path.home()) and path.exists() and f"/{path.parts[1]}" not in _OF_THE_IMAGE


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
