"""The system calls that model-written code is refused: a deny list as a BPF program.

Own namespaces already keep it away from the host; this narrows the kernel surface and shuts what namespaces do not
cover (AF_VSOCK, keyrings, memory that no limit counts). Numbers are from arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h (arm64), Linux 6.18. Standard library only: it runs inside the zygote.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from ns_eval.sandbox import kernel

# name: (x86-64, arm64); 0: that architecture has none.
_REFUSED = {
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    # namespaces, mounts, roots
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    # parts of the kernel with a history
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "lookup_dcookie": (212, 18), "modify_ldt": (154, 0), "personality": (135, 92),
    "uselib": (134, 0), "_sysctl": (156, 0), "nfsservctl": (180, 0), "vmsplice": (278, 75),
    # the machine
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "acct": (163, 89), "syslog": (103, 116), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "clock_adjtime": (305, 266), "adjtimex": (159, 171), "sethostname": (170, 161), "setdomainname": (171, 162),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "iopl": (172, 0), "ioperm": (173, 0), "vhangup": (153, 58),
    "mbind": (237, 235), "set_mempolicy": (238, 237), "migrate_pages": (256, 238), "move_pages": (279, 239),
    # memory that belongs to no process, so that no limit counts it
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "msgget": (68, 186),
}  # fmt: skip
_SIGNALS = {
    "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
}  # fmt: skip
_CLONE, _CLONE3, _SOCKET, _IOCTL, _SECCOMP = (56, 220), (435, 435), (41, 198), (16, 29), (317, 277)
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
_TIOCSTI = 0x5412
_AUDIT_ARCH = (0xC000003E, 0xC00000B7)

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL_PROCESS, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # offsets in struct seccomp_data

_Instruction = tuple[int, int, int, int]


def apply(*, network: bool, signals: bool) -> None:
    """Installs the filter for this process and all it starts, for good.

    `network` False refuses every socket (where no network namespace stands), `signals` False every signal to others
    (where neither a PID namespace nor Landlock keeps them in).
    """
    program = _program(network, signals)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.syscall(_here(_SECCOMP), 1, 0, header)  # SECCOMP_SET_MODE_FILTER


def _here(numbers: tuple[int, int]) -> int:
    return numbers[0] if kernel.X86_64 else numbers[1]


def _program(network: bool, signals: bool) -> list[_Instruction]:
    refuse = (_RETURN, 0, 0, _FAIL | errno.EPERM)
    lines: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, _here(_AUDIT_ARCH)),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if kernel.X86_64:  # the x32 calls are the same calls under other numbers
        lines += [(_JUMP_GREATER_EQUAL, 0, 1, 0x40000000), refuse]
    # The arguments of clone3 lie in memory, where a filter cannot look; glibc falls back to clone.
    lines += [(_JUMP_EQUAL, 0, 1, _here(_CLONE3)), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    lines += _when(_here(_CLONE), _FIRST, [(_JUMP_SET, 0, 1, kernel.CLONE_NEW_ANY), refuse])
    lines += _when(_here(_IOCTL), _SECOND, [(_JUMP_EQUAL, 0, 1, _TIOCSTI), refuse])
    lines += _when(_here(_SOCKET), _FIRST, _only(_FAMILIES if network else ()))
    refused = _REFUSED if signals else _REFUSED | _SIGNALS
    for numbers in refused.values():
        if _here(numbers):
            lines += [(_JUMP_EQUAL, 0, 1, _here(numbers)), refuse]
    if not signals:  # abort() signals its own process
        tgkill = _here((234, 131))
        lines += _when(tgkill, _FIRST, [(_JUMP_EQUAL, 1, 0, os.getpid()), refuse])
    return [*lines, (_RETURN, 0, 0, _ALLOW)]


def _when(number: int, argument: int, body: list[_Instruction]) -> list[_Instruction]:
    """`body` with that argument loaded where the call is `number`; the call's number is loaded again behind it."""
    inside = [(_LOAD, 0, 0, argument), *body, (_LOAD, 0, 0, _NUMBER)]
    return [(_JUMP_EQUAL, 0, len(inside), number), *inside]


def _only(families: tuple[int, ...]) -> list[_Instruction]:
    tests = [(_JUMP_EQUAL, len(families) - index, 0, family) for index, family in enumerate(families)]
    return [*tests, (_RETURN, 0, 0, _FAIL | errno.EAFNOSUPPORT)]
