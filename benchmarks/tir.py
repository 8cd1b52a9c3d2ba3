"""What code between thoughts costs the client: 512 samples in flight against the simulated engine, without code and with it.

    python -m benchmarks.tir
    python -m benchmarks.tir --in_flight 512 --latency_s 8 --preload numpy sympy

Each sample is two requests; with code, a session of its own runs a cell between them. The engine answers after a fixed time,
so that both take twice that time where nothing holds the client up. Printed: the wall time, how late the event loop was, and
the CPU of this process for each request.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from ns_eval.client import Client
from ns_eval.config import CodeExecutionConfig
from ns_eval.endpoint import Endpoint
from ns_eval.markup import CodeTags
from ns_eval.records import Generation, Request, Sampling
from ns_eval.sandbox import Sandbox, SandboxConfig
from ns_eval.tools import Message, Settings, rounds

SIMULATOR = Path(__file__).parent.parent / "tests" / "peers" / "simserver.py"
TAGS = CodeTags("<tool_call>\n", "</tool_call>\n", "```output\n", "```\n", "qwen")
CODE = "total = sum(n * n for n in range(1000))\nprint(total)\n"
SAMPLING = Sampling(temperature=0.7, max_tokens=32768)
TICK_S = 0.005


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in_flight", type=int, default=512)
    parser.add_argument("--latency_s", type=float, default=8.0, help="of each of the two requests")
    parser.add_argument("--preload", nargs="*", default=["numpy", "sympy"], help="what the sessions have loaded")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} CPUs, {options.in_flight} samples in flight")
    asyncio.run(measured(options.in_flight, options.latency_s, options.preload))


async def measured(in_flight: int, latency_s: float, preload: Sequence[str]) -> None:
    with simulator(latency_s) as url:
        async with Client(Endpoint(url, "sim")) as client, Sandbox(SandboxConfig(preload=[*preload])) as sandbox:
            await sandbox.session("first").run("1")  # both zygotes are up
            await asyncio.gather(*(plain(client, number) for number in range(in_flight)))  # connections are open
            print(f"{'':14} {'wall s':>8} {'of ideal':>9} {'loop late, ms: median':>22} {'p99':>7} {'CPU ms/request':>15}")
            async with watched("without code", in_flight, 2 * latency_s):
                await asyncio.gather(*(without(client, number) for number in range(in_flight)))
            async with watched("with code", in_flight, 2 * latency_s):
                answers = await asyncio.gather(*(with_code(client, sandbox, number) for number in range(in_flight)))
    run = [answer.meta["code"]["executions"] for answer in answers if answer.error is None]
    right = sum(execution["status"] == "ok" for executions in run for execution in executions)
    print(f"{right} of {in_flight} cells ran to their end")


async def plain(client: Client, number: int) -> Generation:
    return await client.complete(Request(str(number), number, SAMPLING, text="Q"), timeout_s=600)


async def without(client: Client, number: int) -> None:
    await plain(client, number)
    await plain(client, number)


async def with_code(client: Client, sandbox: Sandbox, number: int) -> Generation:
    """The engine's texts mean nothing, so that the first part is replaced by one with code."""
    said = iter((f"<tool_call>\n{CODE}", "So \\boxed{332833500}."))
    session = sandbox.session(str(number))

    async def ask(prompt: str | Sequence[Message], *, stop: Sequence[str], max_tokens: int | None) -> Generation:
        assert isinstance(prompt, str)
        sampling = dataclasses.replace(SAMPLING, stop=tuple(stop), max_tokens=max_tokens)
        answer = await client.complete(Request(str(number), number, sampling, text=prompt), timeout_s=600)
        return dataclasses.replace(answer, text=next(said), finish_reason="stop")

    try:
        return await rounds(ask, session, "Q", Settings(CodeExecutionConfig(), TAGS, SAMPLING.max_tokens))
    finally:
        await session.close()


@contextlib.asynccontextmanager
async def watched(name: str, in_flight: int, ideal_s: float) -> AsyncIterator[None]:
    """Prints a line about what was done inside."""
    late: list[float] = []

    async def ticking() -> None:
        while True:
            start = time.perf_counter()
            await asyncio.sleep(TICK_S)
            late.append(time.perf_counter() - start - TICK_S)

    ticker = asyncio.create_task(ticking())
    start, used = time.perf_counter(), cpu_s()
    yield
    wall, cpu = time.perf_counter() - start, cpu_s() - used
    ticker.cancel()
    marks = [1e3 * mark for mark in statistics.quantiles(late, n=100)]
    each = 1e3 * cpu / (2 * in_flight)
    print(f"{name:<14} {wall:8.2f} {wall / ideal_s:9.3f} {marks[49]:22.2f} {marks[98]:7.1f} {each:15.2f}", flush=True)


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def simulator(latency_s: float) -> Iterator[str]:
    words = ["--port", "0", "--fixed-latency-ms", str(1e3 * latency_s), "--text", "x" * 2000]
    with subprocess.Popen([sys.executable, str(SIMULATOR), *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split(" on ")[1].split(" ")[0]
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
