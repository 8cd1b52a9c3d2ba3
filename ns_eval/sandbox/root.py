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

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32", "/etc/ld.so.cache", "/etc/alternatives")
_SYSTEM += ("/etc/localtime",)
DEVICES = ("null", "zero", "full", "random", "urandom")
_NAMES = {"passwd": "sandbox:x:1000:1000::/tmp:/bin/sh\n", "group": "sandbox:x:1000:\n", "hosts": "127.0.0.1 localhost\n"}
_STAGE = "/tmp"
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
    links = {path: os.readlink(path) for path in places if os.path.islink(path)}
    handles = {path: os.open(path, os.O_PATH) for path in places if os.path.exists(path) and path not in links}
    devices = {name: os.open(f"/dev/{name}", os.O_PATH) for name in DEVICES}
    kernel.mount("tmpfs", _STAGE, "tmpfs", _FLAGS, "size=4m,mode=755")
    for path, handle in sorted(handles.items()):
        if not os.path.lexists(_STAGE + path):  # else inside one that is bound
            _bind(handle, _STAGE + path)
        os.close(handle)
    for path, target in links.items():
        if not os.path.lexists(_STAGE + path):
            os.makedirs(os.path.dirname(_STAGE + path), exist_ok=True)
            os.symlink(target, _STAGE + path)
    _populate(devices)
    os.chdir(_STAGE)
    kernel.pivot_root(".", "old")
    os.chroot(".")
    os.chdir("/")


def seal() -> None:
    """Takes the old root away and makes the new one read-only."""
    kernel.detach("/old")
    os.rmdir("/old")
    kernel.mount(None, "/", None, kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | _FLAGS)


def _populate(devices: dict[str, int]) -> None:
    for name in ("dev/shm", "proc", "tmp", "old", "etc"):
        os.makedirs(f"{_STAGE}/{name}", exist_ok=True)
    for name, handle in devices.items():
        _bind(handle, f"{_STAGE}/dev/{name}", devices=True)
        os.close(handle)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, f"{_STAGE}/dev/{name}")
    for name, text in _NAMES.items():
        Path(f"{_STAGE}/etc/{name}").write_text(text)


def _bind(handle: int, target: str, *, devices: bool = False) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        os.makedirs(target, exist_ok=True)
    else:
        Path(target).touch()
    kernel.mount(f"/proc/self/fd/{handle}", target, None, kernel.MS_BIND | kernel.MS_REC)
    if not devices:
        kernel.make_read_only(target)
