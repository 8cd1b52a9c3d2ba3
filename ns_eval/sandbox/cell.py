"""What runs inside a session: cells like a notebook's, and test programs. Standard library only.

It shares its process with the code it runs, so nothing it says is trusted: limits are kept from outside, and a passed
test is proved by a nonce that arrives only when the program has been defined.
"""

from __future__ import annotations

import ast
import atexit
import builtins
import contextlib
import io
import linecache
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
import types
from typing import Any

from ns_eval.sandbox import wire

_Scope = dict[str, Any]  # Any: the variables of the code that runs


def serve(channel: socket.socket) -> None:
    """Answers the host's messages until it closes the channel."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    atexit._clear()
    if "random" in sys.modules:
        sys.modules["random"].seed(0)  # every session draws the same numbers, in every run
    scope: _Scope = _module("__main__").__dict__
    streams: dict[str, io.TextIOWrapper] = {}
    while True:
        try:
            message, descriptors = wire.receive_from_host(channel)
        except EOFError:
            os._exit(0)
        _forget_children()
        _take_output(descriptors[:2], streams)
        if message["op"] == "cell":
            outcome = _timed(lambda message=message: _cell(message["code"], message["number"], scope))
        else:
            os.dup2(descriptors[2], 0)
            os.close(descriptors[2])
            outcome = _timed(lambda message=message: _program(message, channel))
        wire.send(channel, outcome)


def _timed(work: Any) -> dict[str, Any]:
    """Runs `work`, which may do anything, interruptibly; what it raised and what it cost."""
    before = _cpu_seconds()
    outcome: dict[str, Any] = {"error": None, "phase": "run"}
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            outcome |= work() or {}
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except BaseException as error:
        outcome["error"] = type(error).__name__[:200]
        _show(error)
    for stream in (sys.stdout, sys.stderr, sys.__stdout__):
        with contextlib.suppress(BaseException):  # the code may have closed or replaced it
            stream.flush()  # type: ignore[union-attr]  # None is suppressed like the rest
    return outcome | {"cpu": _cpu_seconds() - before}


def _cell(code: str, number: int, scope: _Scope) -> None:
    """Runs one cell; the value of a last expression is printed and kept as `_`."""
    name = f"<cell {number}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    tree = ast.parse(code, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec", dont_inherit=True), scope)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), name, "eval", dont_inherit=True), scope)
        if value is not None:
            scope["_"] = value
            print(repr(value))


def _program(message: dict[str, Any], channel: socket.socket) -> dict[str, Any]:
    """Defines a program, then runs its tests; without tests it is a script that reads its input."""
    for key in ("stdin", "__stdin__"):
        setattr(sys, key, io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8", errors="replace"))
    sys.argv = ["program.py"]
    has_tests = message["tests"]
    scope = _module("program" if has_tests else "__main__").__dict__
    failed = _guarded(message["code"], "<program>", scope, script=not has_tests)
    if failed is not None or not has_tests:
        return failed or {}
    wire.send(channel, {"defined": True})
    failed = _guarded(wire.receive_from_host(channel)[0]["tests"], "<tests>", scope, script=False)
    if failed is not None:
        return failed
    wire.send(channel, {"passed": True})
    return {"nonce": wire.receive_from_host(channel)[0]["nonce"]}


def _guarded(code: str, name: str, scope: _Scope, *, script: bool) -> dict[str, Any] | None:
    """None where the code ran to its end, else what stopped it."""
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    try:
        compiled = compile(code, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        _show(error)
        return {"error": type(error).__name__, "phase": "compile" if name == "<program>" else "tests do not compile"}
    try:
        exec(compiled, scope)
        if script:
            _end_script()
    except SystemExit as error:
        if script and error.code in (None, 0):
            _end_script()
            return None
        _show(error)
        return {"error": "SystemExit", "phase": name.strip("<>")}
    except BaseException as error:
        _show(error)
        return {"error": type(error).__name__[:200], "phase": name.strip("<>")}
    return None


def _end_script() -> None:
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()  # a usual trick of fast output writes from there


def _module(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__["__builtins__"] = builtins
    sys.modules[name] = module
    return module


def _take_output(descriptors: list[int], streams: dict[str, io.TextIOWrapper]) -> None:
    """Lets the standard streams write there, whatever the code before has made of them."""
    for number, name, handle in zip((1, 2), ("stdout", "stderr"), descriptors, strict=True):
        os.dup2(handle, number)
        os.close(handle)
        if not _is_open(streams.get(name)):
            streams[name] = _stream(number)
        vars(streams[name]).clear()  # a `write` that the code has put there
        setattr(sys, name, streams[name])
        setattr(sys, f"__{name}__", streams[name])


def _stream(number: int) -> io.TextIOWrapper:
    raw = io.FileIO(number, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="replace", line_buffering=number == 2)


def _is_open(stream: io.TextIOWrapper | None) -> bool:
    try:
        return stream is not None and not stream.closed
    except ValueError:  # detached
        return False


def _show(error: BaseException) -> None:
    """The traceback without this module's own frames, to stderr."""
    try:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        text = "".join(traceback.format_exception(type(error), error, trace))
    except BaseException:
        text = f"{type(error).__name__}\n"
    with contextlib.suppress(BaseException):
        sys.stderr.write(text)
        sys.stderr.flush()


def _forget_children() -> None:
    """Reaps what earlier code left behind: the host has killed it, and PID 1 has nobody above it to do so."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime
