"""The file system that model-written code sees: a read-only tree of binds, and nothing of the host's own files.

Standard library only: it runs inside the zygote.
"""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
from pathlib import Path

from ns_eval.sandbox import kernel

_SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32", "/etc/ld.so.cache", "/etc/alternatives",
    "/etc/localtime",
)  # fmt: skip
DEVICES = ("null", "zero", "full", "random", "urandom")
_NAMES = {"passwd": "sandbox:x:1000:1000::/tmp:/bin/sh\n", "group": "sandbox:x:1000:\n", "hosts": "127.0.0.1 localhost\n"}
_STAGE = Path("/tmp")
_FLAGS = kernel.MS_NOSUID | kernel.MS_NODEV


def readable() -> list[str]:
    """What may be read: the system's programs, this interpreter, its standard library and its packages."""
    places = [*_SYSTEM]
    for prefix in (sys.base_prefix, sys.prefix):
        if prefix != "/usr":
            places += [f"{prefix}/{part}" for part in ("bin", "lib", "lib64", "share")]
    places += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    places += [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return list(dict.fromkeys(places))


def build(places: list[str]) -> None:
    """Replaces the root of this process' own mount namespace by a tmpfs that holds `places`, read-only.

    The caller mounts /proc, then calls `seal`.
    """
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    # Taken before the stage covers what lies below it, such as a virtual environment in /tmp.
    links = {path: path.readlink() for path in map(Path, places) if path.is_symlink()}
    handles = {path: os.open(path, os.O_PATH) for path in map(Path, places) if path.exists() and path not in links}
    devices = {name: os.open(f"/dev/{name}", os.O_PATH) for name in DEVICES}
    kernel.mount("tmpfs", str(_STAGE), "tmpfs", _FLAGS, "size=4m,mode=755")
    for path, handle in sorted(handles.items()):
        if not _is_there(path):  # else inside one that is bound
            _bind(handle, _staged(path))
        os.close(handle)
    for path, target in links.items():
        if not _is_there(path):
            _staged(path).parent.mkdir(parents=True, exist_ok=True)
            _staged(path).symlink_to(target)
    _populate(devices)
    os.chdir(_STAGE)
    kernel.pivot_root(".", "old")
    os.chroot(".")
    os.chdir("/")


def seal() -> None:
    """Takes the old root away and makes the new one read-only."""
    kernel.detach("/old")
    Path("/old").rmdir()
    kernel.mount(None, "/", None, kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | _FLAGS)


def _staged(path: Path) -> Path:
    return _STAGE / path.relative_to("/")


def _is_there(path: Path) -> bool:
    return _staged(path).exists() or _staged(path).is_symlink()


def _populate(devices: dict[str, int]) -> None:
    for name in ("dev/shm", "proc", "tmp", "old", "etc"):
        (_STAGE / name).mkdir(parents=True, exist_ok=True)
    for name, handle in devices.items():
        _bind(handle, _STAGE / "dev" / name, devices=True)
        os.close(handle)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (_STAGE / "dev" / name).symlink_to(target)
    for name, text in _NAMES.items():
        (_STAGE / "etc" / name).write_text(text)


def _bind(handle: int, target: Path, *, devices: bool = False) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    kernel.mount(f"/proc/self/fd/{handle}", str(target), None, kernel.MS_BIND | kernel.MS_REC)
    if not devices:
        kernel.make_read_only(str(target))
