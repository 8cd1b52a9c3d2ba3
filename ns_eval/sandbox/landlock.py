"""Landlock: which files and signals model-written code may touch, without any privilege (Linux 5.13 and later).

Source: Documentation/userspace-api/landlock.rst, ABI 1 to 6. Standard library only: it runs inside the zygote.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

from ns_eval.sandbox import kernel

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_ABI_1 = (1 << 13) - 1
_NETWORK = 3  # bind and connect of TCP
_SCOPES = 3  # abstract Unix sockets and signals
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
SIGNALS_FROM = 6


def abi() -> int:
    """The version the kernel offers; 0: none."""
    try:
        return kernel.syscall(_CREATE, None, ctypes.c_size_t(0), 1)
    except OSError:
        return 0


def apply(readable: Iterable[str], writable: Iterable[str], *, network: bool) -> None:
    """Confines this process and all it starts: `readable` to read and run, `writable` to do all, the rest nothing.

    Paths that do not exist are skipped. Signals and abstract sockets reach only processes of the same confinement
    where the kernel offers that; `network` False refuses TCP there too.
    """
    version = abi()
    files = _ABI_1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        files |= right if version >= since else 0
    attributes = struct.pack(
        "QQQ", files, 0 if network or version < 4 else _NETWORK, _SCOPES if version >= SIGNALS_FROM else 0
    )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = kernel.syscall(_CREATE, attributes, ctypes.c_size_t(size), 0)
    try:
        for path in readable:
            _allow(ruleset, path, (_EXECUTE | _READ_FILE | _READ_DIR) & files)
        for path in writable:
            _allow(ruleset, path, files)
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.syscall(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            rights &= _OF_A_FILE
        kernel.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, handle), 0)
    finally:
        os.close(handle)
