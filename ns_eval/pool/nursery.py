"""The process that imports once and forks workers, and what a worker does; `workers` starts it and speaks to it."""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import pickle
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from ns_eval.pool.frames import Frames, frame
from ns_eval.pool.targets import instantiate

# sympy's caches grow with every new expression: a worker asks to be replaced after so many calls.
_CALLS_OF_A_LIFE = 20_000
_PR_SET_PDEATHSIG = 1


def main(setting_json: str) -> None:
    """Builds the object, warms it, then forks a worker for every descriptor that arrives; ends with its parent."""
    setting = json.loads(setting_json)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system collects dead workers
    os.dup2(2, 1)  # libraries may print: never into the caller's output
    control = socket.socket(fileno=setting["fd"])
    try:
        target = instantiate(setting["spec"])
        warm = getattr(target, "warm", None)
        if warm is not None:
            warm()
    except Exception as error:  # the border of the process: the parent tells the user
        control.sendall(f"{type(error).__name__}: {error}".encode()[:65000])
        raise SystemExit(1) from error
    call = getattr(target, setting["method"])
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            _work(socket.socket(fileno=descriptors[0]), call, setting["memory_bytes"])
        os.close(descriptors[0])


def _work(sock: socket.socket, call: Callable[..., Any], memory_bytes: int) -> NoReturn:
    """Answers calls until the parent hangs up. Never returns into the nursery's stack."""
    try:
        os.setsid()
        _die_with_parent()
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sock.sendall(frame(pickle.dumps(("hello", os.getpid()))))
        _answer(sock, call)
    except (BrokenPipeError, ConnectionError):
        pass
    finally:
        sys.stderr.flush()
        os._exit(0)


def _answer(sock: socket.socket, call: Callable[..., Any]) -> None:
    frames = Frames()
    done = 0
    while data := sock.recv(1 << 18):
        for message in frames.feed(data):
            stream = io.BytesIO(message)
            pickle.load(stream)  # the call's number, of use in a trace only
            reply = _reply(call, pickle.load(stream))
            sock.sendall(frame(reply))
            done += 1
            if done >= _CALLS_OF_A_LIFE or reply is _OUT_OF_MEMORY:
                sock.sendall(frame(pickle.dumps(("bye", None))))
                return


_OUT_OF_MEMORY = pickle.dumps(("error", "out of memory"))


def _reply(call: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    try:
        return pickle.dumps(("value", call(*args)), protocol=5)
    except MemoryError:
        return _OUT_OF_MEMORY
    except Exception as error:  # the border of one sample
        return pickle.dumps(("error", f"{type(error).__name__}: {error}"[:2000]))


def _die_with_parent() -> None:
    """Linux: SIGKILL when the nursery ends, even amid a long C call. Elsewhere a worker ends when it next reads."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(0)
