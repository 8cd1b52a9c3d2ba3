"""Whether the GPUs that a server needs are there, before it spends minutes on finding out."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ns_eval.checkpoints.checkpoint import Checkpoint
from ns_eval.errors import ServerError

# Weights alone must fit; what the KV cache needs beside them depends on the engine.
_AMD = Path("/dev/kfd")
_QUERY = ("nvidia-smi", "--query-gpu=index,uuid,memory.total,memory.used", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device that a child process would see. Memory in MiB."""

    index: str
    total_mib: int
    used_mib: int


def visible_gpus(environment: Mapping[str, str]) -> list[Gpu] | None:
    """The NVIDIA devices that CUDA_VISIBLE_DEVICES leaves, all where it is unset; None where only the engine can tell.

    Raises:
        ServerError: the driver does not answer.
    """
    if shutil.which(_QUERY[0]) is None:
        return None if _AMD.exists() else []
    listed = subprocess.run(_QUERY, capture_output=True, text=True, timeout=60, check=False)
    if listed.returncode != 0:
        said = (listed.stdout + listed.stderr).strip().splitlines()
        raise ServerError(f"nvidia-smi fails: {said[-1] if said else 'it says nothing'}", hint="try another node")
    rows = [[cell.strip() for cell in line.split(",")] for line in listed.stdout.splitlines() if line.strip()]
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        names = {name.strip() for name in chosen.split(",")}
        rows = [row for row in rows if row[0] in names or any(name and row[1].startswith(name) for name in names)]
    return [Gpu(row[0], _number(row[2]), _number(row[3])) for row in rows if len(row) >= 4]


def _number(text: str) -> int:
    """A count of MiB; some devices say [N/A]."""
    return int(text) if text.isdigit() else 0


def check_gpus(wanted: int, checkpoint: Checkpoint | None, nodes: int = 1) -> None:
    """Counts this machine's GPUs and compares their free memory with the checkpoint's size.

    Raises:
        ServerError: too few of them, too little memory, or a driver that does not answer.
    """
    found = visible_gpus(os.environ)
    if found is None:
        return
    if len(found) < wanted:
        limited = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = f" (CUDA_VISIBLE_DEVICES={limited})" if limited is not None else ""
        raise ServerError(
            f"--server_gpus={wanted}, and this machine shows {len(found)} GPUs{why}",
            hint="`nvidia-smi -L` lists them; run on a GPU node (--cluster=…) or lower --server_gpus",
        )
    if checkpoint is None:
        return
    each_mib = checkpoint.size_bytes / 2**20 / (wanted * nodes)
    known = [gpu for gpu in found if gpu.total_mib]
    fitting = [gpu for gpu in known if gpu.total_mib - gpu.used_mib >= each_mib]
    if known and len(fitting) < wanted:
        least = min(known, key=lambda gpu: gpu.total_mib - gpu.used_mib)
        free_gib, total_gib = (least.total_mib - least.used_mib) / 1024, least.total_mib / 1024
        raise ServerError(
            f"{checkpoint.path.name} needs {each_mib / 1024:.1f} GiB on each of {wanted * nodes} GPUs for its weights "
            f"alone; GPU {least.index} has {free_gib:.1f} of {total_gib:.1f} GiB free",
            hint="`nvidia-smi` shows who holds the memory; or raise --server_gpus",
        )
