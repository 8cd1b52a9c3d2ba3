"""Processes that run one method of one object over and over, each call under a hard limit of time and memory.

A nursery process imports what is heavy once and forks the workers from there, so a killed worker is replaced within
milliseconds. Deadlines are the parent's: a worker past its limit gets SIGKILL. No signal handler and no thread can be
relied on to end a call: neither interrupts a long C call (a huge power, a regular expression), and a handler works in
the main thread only.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ns_eval.pool.frames import Channel, frame

# Calls a worker holds at once, so that one wake-up serves several.
_AHEAD = 16
_UNSENT_BYTES = 1 << 17
# A call that takes longer lets those behind it move to another worker.
_SLOW_S = 0.1
# Workers beyond the usual number while calls are slow, so that stuck calls hold up nobody.
_EXTRA = 6
# The limit counts CPU seconds, or a loaded machine would change verdicts; of wall time a call gets this many times more.
_WALL_FACTOR = 1.25
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from ns_eval.pool.nursery import main; main(sys.argv[2])"


class CallFailed(Exception):
    """A call without a result: past its limit, out of memory, its process died, or it raised; the text says which."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many processes, and what one call may cost."""

    workers: int = 2
    timeout_s: float = 2.0
    memory_bytes: int = 2 << 30


@dataclass(slots=True, eq=False)
class _Call:
    number: int
    payload: bytes
    future: Future[Any]
    owner: _Worker | None = None
    deaths: int = 0


@dataclass(slots=True, eq=False)
class _Worker:
    channel: Channel
    pid: int = 0  # 0 until it has said hello
    pending: collections.deque[_Call] = field(default_factory=collections.deque)
    since: float = 0.0  # when the call at the head of `pending` began
    cpu: float | None = None  # CPU seconds of its process when that call was first found slow


class Pool:
    """Calls `method` of the object that `spec` names, in processes; safe from any thread.

    `spec` is `{"_target_": "package.module.Class", **keyword arguments}`. One thread of the parent moves bytes and
    watches the clock. `submit` gives a Future whose result is what the method returned, or CallFailed.
    """

    def __init__(self, spec: Mapping[str, Any], method: str, limits: Limits) -> None:
        self._spec, self._method, self._limits = dict(spec), method, limits
        self._queue: collections.deque[_Call] = collections.deque()
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._lock = threading.Lock()
        self._numbers = 0
        self._restarts = 3
        self._closed: str | None = None
        self._thread = threading.Thread(target=self._run, name="ns-pool", daemon=True)
        self._thread.start()

    def submit(self, *args: Any) -> Future[Any]:
        """Queues one call. Arguments and result cross a pipe, pickled."""
        future: Future[Any] = Future()
        payload = pickle.dumps(args, protocol=5)
        with self._lock:
            if self._closed is not None:
                future.set_exception(CallFailed(self._closed))
                return future
            self._numbers += 1
            self._queue.append(_Call(self._numbers, frame(pickle.dumps(self._numbers) + payload), future))
        self._ring()
        return future

    def close(self) -> None:
        """Kills the processes; calls that have no result yet fail."""
        with self._lock:
            self._closed = self._closed or "the pool was closed"
        self._ring()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _ring(self) -> None:
        # A full pipe means that the thread has been woken already; a closed one, that it has ended.
        with contextlib.suppress(BlockingIOError, OSError):
            self._bell.send(b"\0")

    # Everything below runs in the pool's own thread.

    def _run(self) -> None:
        try:
            self._start_nursery()
            for _ in range(self._limits.workers):
                self._fork()
            self._selector.register(self._ear, selectors.EVENT_READ, None)
            while self._closed is None:
                self._deal()
                for key, events in self._selector.select(self._patience()):
                    self._serve(key, events)
                self._expire()
        except Exception as error:  # the border of the thread: nobody may wait forever
            self._closed = self._closed or f"the pool failed: {type(error).__name__}: {error}"
        finally:
            self._end()

    def _start_nursery(self) -> None:
        ours, theirs = socket.socketpair()
        setting = {"spec": self._spec, "method": self._method, "memory_bytes": self._limits.memory_bytes}
        path = [entry or str(Path.cwd()) for entry in sys.path]
        argv = [sys.executable, "-c", _START, json.dumps(path), json.dumps({"fd": theirs.fileno(), **setting})]
        self._nursery = subprocess.Popen(argv, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),), start_new_session=True)
        theirs.close()
        self._control = ours
        self._selector.register(ours, selectors.EVENT_READ, None)

    def _fork(self) -> None:
        ours, theirs = socket.socketpair()
        with contextlib.suppress(BrokenPipeError, ConnectionError):  # a dead nursery is noticed when it is read
            socket.send_fds(self._control, [b"f"], [theirs.fileno()])
        theirs.close()
        worker = _Worker(Channel(ours))
        self._workers.append(worker)
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _deal(self) -> None:
        """Hands waiting calls to the least loaded workers; grows while every worker sits on a slow call."""
        ready = [worker for worker in self._workers if worker.pid]
        now = time.monotonic()
        while self._queue:
            free = [worker for worker in ready if _has_room(worker, now)]
            if not free:
                break
            self._hand(min(free, key=lambda worker: len(worker.pending)), self._queue.popleft(), now)
        most = self._limits.workers + _EXTRA
        if self._queue and len(ready) == len(self._workers) < most and all(now - w.since > _SLOW_S for w in ready):
            self._fork()

    def _hand(self, worker: _Worker, call: _Call, now: float) -> None:
        if call.future.cancelled():
            return
        if not worker.pending:
            worker.since, worker.cpu = now, None
        call.owner = worker
        worker.pending.append(call)
        worker.channel.send(call.payload)
        self._watch(worker)

    def _watch(self, worker: _Worker) -> None:
        """Wakes for writing too while something waits to be sent."""
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.channel.unsent else 0)
        if self._selector.get_key(worker.channel.sock).events != wanted:
            self._selector.modify(worker.channel.sock, wanted, worker)

    def _serve(self, key: selectors.SelectorKey, events: int) -> None:
        if key.fileobj is self._ear:
            self._ear.recv(4096)
        elif key.fileobj is self._control:
            self._hear_nursery(self._control.recv(65536))
        elif key.data in self._workers:
            if events & selectors.EVENT_WRITE:
                key.data.channel.flush()
                self._watch(key.data)
            if events & selectors.EVENT_READ:
                self._hear(key.data)

    def _hear_nursery(self, words: bytes) -> None:
        """It speaks only to say why it cannot work. Silent, it was killed: then its workers die too, and it is replaced."""
        self._restarts -= 1
        if words or self._restarts < 0:
            self._closed = words.decode() or "the process that starts the grading processes died"
            return
        self._selector.unregister(self._control)
        self._control.close()
        self._nursery.wait()
        self._start_nursery()

    def _hear(self, worker: _Worker) -> None:
        messages = worker.channel.receive()
        now = time.monotonic()
        for message in messages or ():
            self._take(worker, pickle.loads(message), now)
        if messages is None:
            self._bury(worker, "the process that graded it died")

    def _take(self, worker: _Worker, message: tuple[str, Any], now: float) -> None:
        kind, value = message
        if kind == "hello":
            worker.pid = value
            return
        if kind == "bye":  # it asks to be replaced; nothing of what it still holds was begun
            self._bury(worker, None)
            return
        call = worker.pending.popleft()
        worker.since, worker.cpu = now, None
        # A call that moved on may be answered twice: the first answer holds.
        with contextlib.suppress(InvalidStateError):
            if kind == "value":
                call.future.set_result(value)
            else:
                call.future.set_exception(CallFailed(value))

    def _expire(self) -> None:
        now = time.monotonic()
        for worker in list(self._workers):
            spent = now - worker.since
            if not worker.pending:
                idle_extra = worker.pid and len(self._workers) > self._limits.workers and spent > 1.0
                if idle_extra and not self._queue:
                    self._drop(worker)
            elif spent > self._limits.timeout_s and self._is_over(worker, spent):
                self._fail(worker.pending.popleft(), worker, f"stopped after {self._limits.timeout_s:g} s")
                self._bury(worker, None)
            elif spent > _SLOW_S and worker.cpu is None:
                worker.cpu = _cpu_seconds(worker.pid)
                self._move_on(worker)

    def _is_over(self, worker: _Worker, spent: float) -> bool:
        limit = self._limits.timeout_s
        return spent > _WALL_FACTOR * limit or _cpu_seconds(worker.pid) - (worker.cpu or 0.0) > limit - _SLOW_S

    def _move_on(self, worker: _Worker) -> None:
        """Calls behind a slow one go back to the queue; the slow worker's own answers to them will come too late."""
        waiting = [call for call in list(worker.pending)[1:] if call.owner is worker]
        for call in reversed(waiting):
            call.owner = None
            self._queue.appendleft(call)

    def _fail(self, call: _Call, worker: _Worker, reason: str) -> None:
        if call.owner is worker:
            with contextlib.suppress(InvalidStateError):
                call.future.set_exception(CallFailed(reason))

    def _bury(self, worker: _Worker, blame: str | None) -> None:
        """Replaces a worker. Its calls go back; the one it worked on fails at its second death, if there is blame."""
        if blame is not None and worker.pending:
            worker.pending[0].deaths += 1
            if worker.pending[0].deaths > 1:
                self._fail(worker.pending.popleft(), worker, blame)
        held = [call for call in worker.pending if call.owner is worker]
        self._queue.extendleft(reversed(held))
        self._drop(worker)
        if len(self._workers) < self._limits.workers:
            self._fork()

    def _drop(self, worker: _Worker) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            self._selector.unregister(worker.channel.sock)
            worker.channel.sock.close()
            if worker.pid:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(worker.pid, signal.SIGKILL)

    def _patience(self) -> float | None:
        """Seconds until something can become slow or late; None while nothing runs."""
        if any(worker.pending for worker in self._workers) or self._queue:
            return _SLOW_S
        return 1.0 if len(self._workers) > self._limits.workers else None

    def _end(self) -> None:
        with self._lock:
            reason = self._closed = self._closed or "the pool was closed"
            left = [*self._queue, *(call for worker in self._workers for call in worker.pending)]
        for worker in list(self._workers):
            self._drop(worker)
        for call in left:
            with contextlib.suppress(InvalidStateError):
                call.future.set_exception(CallFailed(reason))
        if hasattr(self, "_control"):
            self._control.close()
            self._nursery.kill()
            self._nursery.wait()
        self._selector.close()
        self._bell.close()
        self._ear.close()


def _has_room(worker: _Worker, now: float) -> bool:
    slow = worker.pending and now - worker.since > _SLOW_S
    return len(worker.pending) < _AHEAD and len(worker.channel.unsent) < _UNSENT_BYTES and not slow


def _cpu_seconds(pid: int) -> float:
    """CPU seconds that a process has used; 0 where the system does not tell, and the wall limit decides."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
