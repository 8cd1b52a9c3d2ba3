"""Attempts to get out of the sandbox, run for real: `python attacks.py WALLS` prints what came of each as JSON.

A script of its own, so that the same attempts can be made as root, as an ordinary user and inside a Slurm job. Needs
nothing but the standard library. Each attempt prints ESCAPED where it got something, and `tried` where it ran.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ns_eval.sandbox import Execution, Sandbox, SandboxConfig
from ns_eval.sandbox.processes import descendants

_PRELUDE = """
import ctypes, errno, glob, os, resource, signal, socket, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def attempt(what, action):
    try:
        result = action()
    except (OSError, MemoryError, RuntimeError, IndexError) as error:
        return print(what, type(error).__name__, getattr(error, "errno", ""))
    print(what, "ESCAPED", result)
def call(what, number, *arguments):
    if libc.syscall(number, *arguments) >= 0:
        print(what, "ESCAPED")
    else:
        print(what, errno.errorcode[ctypes.get_errno()])
"""

FILES = {
    "a file that everybody may read": "attempt('canary', lambda: open(CANARY).read())",
    "passwords": "attempt('shadow', lambda: open('/etc/shadow').read())",
    "home folders": (
        "own = {part for path in (sys.prefix, sys.base_prefix) for part in path.split('/')}\n"
        "for home in ('/root', '/home', '/work', '/var', '/mnt', '/srv'):\n"
        "    attempt(home, lambda: [name for name in os.listdir(home) if name not in own][0])"
    ),
    "writing outside": (
        "for folder in ('/', '/usr', '/etc', '/bin', sys.prefix, os.path.dirname(os.__file__), '/dev', HOSTDIR):\n"
        "    attempt(folder, lambda: open(f'{folder}/x', 'w').write('x'))"
    ),
    "a symbolic link": "os.symlink(CANARY, 'link'); attempt('link', lambda: open('link').read())",
    "a hard link": "attempt('hard', lambda: os.link('/usr/bin/env', 'hard'))",
    "the way through /proc": (
        "for path in glob.glob('/proc/[0-9]*/root') + glob.glob('/proc/[0-9]*/cwd') + glob.glob('/proc/[0-9]*/fd/*'):\n"
        "    attempt(path, lambda: open(path + CANARY).read())"
    ),
    "the way up from an open folder": (
        "here = os.open('.', os.O_RDONLY)\nattempt('up', lambda: os.open('../' * 20 + CANARY[1:], os.O_RDONLY, dir_fd=here))"
    ),
    "descriptors left open": (
        "for number in range(4, 256): attempt(number, lambda: os.fstat(number))\n"
        "for number in range(4):\n    attempt(number, lambda: os.listdir(number))"
    ),
    "core_pattern": "attempt('core', lambda: open('/proc/sys/kernel/core_pattern', 'w').write('|/bin/x'))",
    "set-user-id programs": (
        "try: said = subprocess.run(['/usr/bin/su', '-c', 'id'], stdin=subprocess.DEVNULL, capture_output=True).stdout\n"
        "except FileNotFoundError: said = b'no such program'\n"
        "print('ESCAPED' if b'uid=0' in said else 'refused')"
    ),
}
SECRETS = {
    "the launcher's environment": (
        "seen = 0\nfor path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):\n"
        "    try: data = open(path, 'rb').read()\n    except OSError: continue\n"
        "    if SECRET.encode() in data: print('ESCAPED', path)\n"
        "print('ESCAPED' if SECRET in os.environ.values() else 'clean')"
    ),
    "the zygote's heap": (
        "import gc\nprint('ESCAPED' if any(SECRET[:-1] + '!' == x for o in gc.get_objects() if isinstance(o, dict)\n"
        "    for x in o.values() if isinstance(x, str)) else 'clean')"
    ),
    "memory of others": (
        "for pid in {1, os.getppid(), HOSTPID} - {os.getpid()}: attempt(pid, lambda: open(f'/proc/{pid}/mem', 'rb').read(1))"
    ),
}
NETWORK = {
    "TCP to the host": "attempt('tcp', lambda: socket.create_connection(('127.0.0.1', PORT), 1))",
    "UDP to the host": (
        "try: socket.socket(type=socket.SOCK_DGRAM).sendto(b'out', ('127.0.0.1', UDP))\nexcept OSError as e: print(e)"
    ),
    "TCP to the world": "attempt('tcp', lambda: socket.create_connection(('192.0.2.1', 80), 1))",
    "names": "attempt('dns', lambda: socket.getaddrinfo('example.org', 80))",
    "an abstract socket": "attempt('abstract', lambda: socket.socket(socket.AF_UNIX).connect(ABSTRACT))",
    "a socket file": "attempt('path', lambda: socket.socket(socket.AF_UNIX).connect(UNIXPATH))",
    "other families": (
        "for family, kind in ((40, 1), (16, 3), (17, 3), (38, 5), (31, 1), (29, 3), (44, 3)):\n"
        "    attempt(family, lambda: socket.socket(family, kind))"
    ),
}
KERNEL = {
    "new namespaces": (
        "for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000):\n"
        "    print(flag, 'ESCAPED' if libc.unshare(flag) == 0 else 'refused')"
    ),
    "capabilities": (
        "import struct\nheld = ctypes.create_string_buffer(24)\n"
        "libc.capget(struct.pack('Ii', 0x20080522, 0), held)\n"
        "print('ESCAPED' if any(struct.unpack('6I', held.raw)[:2]) or held.raw[12:20] != bytes(8) else 'none')"
    ),
    "32-bit calls": (
        "import mmap\npage = mmap.mmap(-1, 4096, prot=7)\npage.write(bytes.fromhex('b814000000cd80c3'))\n"
        "print('tried', flush=True)\n"
        "run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))\n"
        "print('ESCAPED', run())"
    ),
}
_CALLS_X86_64 = {
    "ptrace": "(101, 16, os.getppid(), 0, 0)", "clone into a user namespace": "(56, 0x10000011, 0, 0, 0, 0)",
    "clone3": "(435, 0, 0)", "mount": "(165, b'x', b'/tmp', b'tmpfs', 0, 0)", "chroot": "(161, b'/tmp')",
    "setns": "(308, 0, 0)", "keyctl": "(250, 0, -3, 0)", "add_key": "(248, b'user', b'a', b'b', 1, -3)",
    "io_uring": "(425, 8, b'0' * 120)", "bpf": "(321, 0, b'0' * 64, 64)", "perf": "(298, b'0' * 120, 0, -1, -1, 0)",
    "userfaultfd": "(323, 0)", "memory files": "(319, b'x', 0)", "shared memory": "(29, 1, 4096, 0o1777)",
    "message queues": "(68, 1, 0o1777)", "process memory": "(310, 1, 0, 0, 0, 0, 0)", "pidfd_getfd": "(438, 0, 0, 0)",
    "personality": "(135, 0x0040000)", "x32 calls": "(0x40000000 + 39,)",
}  # fmt: skip
if os.uname().machine == "x86_64":
    KERNEL |= {name: f"call({name!r}, *{arguments})" for name, arguments in _CALLS_X86_64.items()}
else:
    KERNEL.pop("32-bit calls")
SIGNALS = {
    "signals": "attempt('host', lambda: os.kill(HOSTPID, signal.SIGCONT))",
}
BOMBS = {
    "fork bomb": (
        "print('tried', flush=True)\ncount = 0\ntry:\n    while count < 3000:\n        if os.fork() == 0:\n"
        "            time.sleep(30); os._exit(0)\n"
        "        count += 1\n    print('ESCAPED', count)\nexcept OSError as error: print(error)"
    ),
    "thread bomb": (
        "count = 0\ntry:\n    while count < 3000:\n"
        "        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n"
        "        count += 1\n    print('ESCAPED', count)\nexcept RuntimeError as error: print(error)"
    ),
    "memory bomb": (
        "kept = []\ntry:\n    while len(kept) < 40: kept.append(bytearray(100 << 20))\n    print('ESCAPED')\n"
        "except MemoryError: print('stopped')"
    ),
    "memory bomb of children": (
        "print('tried', flush=True)\nfor _ in range(8):\n    if os.fork() == 0:\n        held = bytearray(300 << 20)\n"
        "        for at in range(0, len(held), 4096): held[at] = 1\n        time.sleep(150); os._exit(0)\n"
        "time.sleep(150)"
    ),
    "endless output": "print('tried', flush=True)\nwhile True: os.write(1, b'y' * 65536)",
    "endless errors": "print('tried', flush=True)\nwhile True: os.write(2, b'y' * 65536)",
    "one endless file": (
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nwritten = 0\ntry:\n"
        "    with open('big', 'wb') as file:\n"
        "        while written < 400: written += file.write(bytes(1 << 20)) >> 20\n"
        "    print('ESCAPED')\nexcept OSError as error: print(error)"
    ),
    "deaf to interrupts": (
        "print('tried', flush=True)\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    try:\n"
        "        while True: pass\n"
        "    except BaseException: pass"
    ),
    "a long C call": "print('tried', flush=True)\nsum(range(10 ** 12))",
    "a stopped process": "print('tried', flush=True)\nos.kill(os.getpid(), signal.SIGSTOP)\nwhile True: time.sleep(1)",
    "a daemon": (
        "if os.fork() == 0:\n    os.setsid()\n"
        "    if os.fork() == 0: os.execv('/usr/bin/sleep', ['sleep', MARK])\n    os._exit(0)\n"
        "os.wait()"
    ),
    "deep recursion": "print('tried', flush=True)\nsys.setrecursionlimit(10 ** 9)\ndef f(): f()\nf()",
    "garbage on the control channel": "print('tried', flush=True)\nfor _ in range(3): os.write(3, b'\\xff{garbage')",
    "a forged answer": 'print(\'tried\', flush=True)\nos.write(3, b\'{"error": 7, "cpu": "x", "exit": {}}\')',
    "the control channel closed": "print('tried', flush=True)\nos.close(3)",
}
# Only own namespaces have a file system of a fixed size.
DISK = {
    "many files": (
        "count = 0\ntry:\n    while count < 30000:\n        open(f'f{count}', 'w').close(); count += 1\n"
        "    print('ESCAPED')\n"
        "except OSError as error: print(error)"
    ),
    "a full disk": (
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nwritten = 0\ntry:\n    for number in range(20):\n"
        "        with open(f'g{number}', 'wb') as file: written += sum(file.write(bytes(1 << 20)) for _ in range(15))\n"
        "    print('ESCAPED')\nexcept OSError as error: print(error)"
    ),
    "a full /dev/shm": (
        "try:\n    with open('/dev/shm/x', 'wb') as file:\n"
        "        for _ in range(60): file.write(bytes(1 << 20))\n    print('ESCAPED')\n"
        "except OSError as error: print(error)"
    ),
}
ATTACKS = FILES | SECRETS | NETWORK | KERNEL | SIGNALS | BOMBS | DISK
MARK = "31337.25"
# Only these are ended by time. To the others a loaded machine gives all that they need to come to their own limit.
ENDLESS = {"deaf to interrupts", "a long C call", "a stopped process", "deep recursion"}


async def _attack(sandbox: Sandbox, name: str, values: Mapping[str, object]) -> Execution:
    session = sandbox.session(name)
    given = "".join(f"{key} = {value!r}\n" for key, value in values.items())
    await session.run(given + _PRELUDE)
    limit_s = 1.0 if name in ENDLESS else 120.0
    execution = await session.run(f"{ATTACKS[name]}\nprint('tried')", limit_s)
    await session.close()
    return execution


async def main(walls: str, image: str = "") -> dict[str, object]:
    """Every attack in a session of its own; then whether the sandbox still works, and what is left of them."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as tcp:
        Path(folder).chmod(0o777)
        canary = Path(folder, "canary")
        canary.write_text("host")
        udp = socket.socket(type=socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        abstract, by_path = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        abstract.bind(f"\0attacks-{os.getpid()}")
        by_path.bind(f"{folder}/socket")
        Path(folder, "socket").chmod(0o777)
        for listener in (abstract, by_path):
            listener.listen()
        values = {
            "CANARY": str(canary), "HOSTDIR": folder, "SECRET": os.environ.get("NS_TEST_SECRET", "none"),
            "HOSTPID": os.getpid(), "PORT": tcp.getsockname()[1], "UDP": udp.getsockname()[1],
            "ABSTRACT": f"\0attacks-{os.getpid()}", "UNIXPATH": f"{folder}/socket", "MARK": MARK,
        }  # fmt: skip
        config = SandboxConfig(walls=walls, image=image, memory_mb=512, preload=[], tmp_mb=32, parallel=8)
        async with Sandbox(config) as sandbox:
            names = [name for name in ATTACKS if name not in DISK or walls == "namespaces"]
            done = await asyncio.gather(*(_attack(sandbox, name, values) for name in names))
            after = await sandbox.session("after").run("6 * 7")
            stood = sandbox.walls
        try:
            received = udp.recv(10).decode()
        except BlockingIOError:
            received = ""
        left = [entry.name for entry in os.scandir(folder)]
        living = [Path(f"/proc/{pid}/cmdline").read_text() for pid, _ in descendants(os.getpid())]
    return {
        "walls": stood,
        "uid": os.geteuid(),
        "executions": {name: dataclasses.asdict(execution) for name, execution in zip(names, done, strict=True)},
        "after": after.stdout,
        "received": received,
        "files": sorted(left),
        "processes": living,
        "temporary": [entry.name for entry in os.scandir(tempfile.gettempdir())],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
