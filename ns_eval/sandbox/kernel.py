"""Linux calls that Python does not offer, through ctypes: namespaces, mounts, capabilities.

Standard library only: this module also runs inside the zygote, under whatever interpreter the sandbox is given.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

# linux/sched.h
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
CLONE_NEW_ANY = 0x7E020000
# linux/mount.h
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
_MNT_DETACH = 2
# linux/prctl.h
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, _PR_CAPBSET_DROP = 1, 4, 24
_PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
_LAST_CAPABILITY = 63
NOBODY = 65534
_CAPABILITY_VERSION_3 = 0x20080522

X86_64 = platform.machine() == "x86_64"
SUPPORTED = platform.machine() in ("x86_64", "aarch64")


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def syscall(number: int, *arguments: object) -> int:
    """The raw system call; OSError where it fails."""
    return _checked(_libc.syscall(ctypes.c_long(number), *arguments), f"syscall {number}")


def prctl(option: int, value: int = 0) -> None:
    _checked(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def unshare(flags: int) -> None:
    _checked(_libc.unshare(flags), f"unshare {flags:#x}")


def mount(source: str | None, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    done = _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    _checked(done, f"mount {source or ''} on {target}")


def make_read_only(target: str) -> None:
    """Makes a bind read-only, nosuid and nodev, with all that is mounted below it."""
    try:
        # mount_setattr(AT_FDCWD, target, AT_RECURSIVE, {attr_set, attr_clr, propagation, userns_fd}), Linux 5.12
        syscall(442, -100, os.fsencode(target), 0x8000, struct.pack("QQQQ", 1 | 2 | 4, 0, 0, 0), ctypes.c_size_t(32))
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        # A flag that the outer namespace has locked may not be left out.
        locked = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
        mount(None, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | locked)


def detach(target: str) -> None:
    _checked(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    syscall(155 if X86_64 else 41, os.fsencode(new), os.fsencode(old))


def map_ids(inner: int, outer_user: int, outer_group: int) -> None:
    """Makes `inner` the only user and group of the user namespace this process has just entered."""
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{inner} {outer_user} 1"),
        ("gid_map", f"{inner} {outer_group} 1"),
    ):
        Path("/proc/self", name).write_text(line)


def may_become_nobody() -> bool:
    """Whether this process is root among other users. In a container root can be the only one there is."""
    if os.geteuid() != 0 or Path("/proc/self/setgroups").read_text().strip() == "deny":
        return False
    return all(_is_mapped(NOBODY, Path("/proc/self", name).read_text()) for name in ("uid_map", "gid_map"))


def _is_mapped(number: int, ranges: str) -> bool:
    lines = (map(int, line.split()) for line in ranges.splitlines())
    return any(first <= number < first + count for first, _, count in lines)


def die_with_parent(signal_number: int) -> None:
    prctl(PR_SET_PDEATHSIG, signal_number)


def adopt_orphans() -> None:
    """Descendants that lose their parent become children of this process."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def drop_capabilities() -> None:
    """Gives up every capability, now and through any later exec."""
    for number in range(_LAST_CAPABILITY + 1):
        _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0)  # EINVAL past the kernel's last one
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, bytes(24)), "capset")


def raise_loopback() -> None:
    """Brings `lo` of a fresh network namespace up, so that a program can talk to itself."""
    import fcntl
    import socket

    up_and_running = 0x1 | 0x40
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, 0x8914, struct.pack("16sH14x", b"lo", up_and_running))  # SIOCSIFFLAGS


def release() -> tuple[int, int]:
    """The running kernel's version, (6, 18)."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(digit for digit in minor if digit.isdigit()) or 0)
