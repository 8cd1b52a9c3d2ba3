"""The code as it was when a job was submitted: neither an edit nor an upgrade can change a job that waits in a queue."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("ns_eval", "judges", "summarize", "dataset_prepare")
# Beside the packages in a checkout; in an installed wheel they lie inside ns_eval.
_VALUES = ("conf", "cluster_configs")
# Weights that travel with the package are linked: they are never edited in place.
_LINKED_BYTES = 1_000_000


def take(output_dir: Path) -> Path:
    """Copies the project's packages, and no others', below the run folder, once for each state of them."""
    folders = _PACKAGES + _VALUES if (_ROOT / "pyproject.toml").is_file() else _PACKAGES
    files = sorted(
        path
        for name in folders
        for path in (_ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.endswith(".partial")
    )
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(_ROOT)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes() if path.stat().st_size < _LINKED_BYTES else b"")
    target = output_dir / "eval-logs" / "code" / digest.hexdigest()[:16]
    if target.is_dir():
        return target
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    for path in files:
        copy = partial / path.relative_to(_ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.stat().st_size < _LINKED_BYTES:
            shutil.copyfile(path, copy)
        else:
            copy.symlink_to(path)
    try:
        partial.rename(target)
    except OSError:  # another command was first
        shutil.rmtree(partial)
    return target
