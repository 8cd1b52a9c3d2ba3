"""Client CPU per request beside bare aiohttp and the openai SDK, in one run, against the simulated engine.

    python -m benchmarks.client                      # 512 and 2,048 in flight; answers of 2 KB and of 100 KB
    python -m benchmarks.client --in_flight 512 --no-sdk
    python -m benchmarks.client --in_flight 512 --soak 100000

Prints ms of CPU for each request and two ratios: ours / SDK (to be at most 0.2) and ours / aiohttp (at most 1.5).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import orjson

from ns_eval.client import Client
from ns_eval.endpoint import Endpoint
from ns_eval.records import Request, Sampling

PROBLEM = "Every morning Aya goes for a 9-kilometer-long walk and stops at a coffee shop afterwards. " * 4
SAMPLING = Sampling(temperature=0.7, top_p=0.95, max_tokens=32768)
SIMULATOR = Path(__file__).parent.parent / "tests" / "peers" / "simserver.py"

Ask = Callable[[int], Awaitable[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in_flight", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--answer_bytes", type=int, nargs="+", default=[2_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3, help="the least CPU of so many rounds counts")
    parser.add_argument("--no-sdk", action="store_true")
    parser.add_argument("--soak", type=int, help="instead: so many requests of ours, and the memory they leave behind")
    options = parser.parse_args()
    if options.soak:
        with simulator(options.answer_bytes[0]) as url:
            asyncio.run(soak(url, options.in_flight[0], options.soak))
        return
    columns = f"{'answer':>8} {'in flight':>9} {'aiohttp':>9} {'ns-eval':>9} {'openai':>9}"
    print(f"{columns}   ns/aiohttp  ns/openai   (CPU ms a request)")
    for size in options.answer_bytes:
        for in_flight in options.in_flight:
            with simulator(size) as url:
                row = asyncio.run(measured(url, in_flight, options.rounds, sdk=not options.no_sdk))
            bare, ours, sdk = row["aiohttp"], row["ns-eval"], row.get("openai")
            shown = f"{sdk:9.3f}   {ours / bare:10.2f}  {ours / sdk:9.3f}" if sdk else f"{'':9}   {ours / bare:10.2f}"
            print(f"{size:8,} {in_flight:9,} {bare:9.3f} {ours:9.3f} {shown}", flush=True)


@contextlib.contextmanager
def simulator(answer_bytes: int) -> Iterator[str]:
    """The simulated engine, each answer after 100 ms."""
    command = [sys.executable, str(SIMULATOR), "--port", "0", "--fixed-latency-ms", "100", "--text", "x" * answer_bytes]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split(" on ")[1].split(" ")[0]
        finally:
            process.terminate()


async def measured(url: str, in_flight: int, rounds: int, *, sdk: bool) -> dict[str, float]:
    """The least CPU ms a request of each client, in turns, so that a busy machine is busy for all."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, opened, requests in (
            ("aiohttp", bare_aiohttp, 6 * in_flight),
            ("ns-eval", ours, 6 * in_flight),
            *((("openai", openai_sdk, 2 * in_flight),) if sdk else ()),
        ):
            async with opened(url) as ask:
                found = await cpu_ms(ask, in_flight, requests)
            best[name] = min(found, best.get(name, found))
    return best


async def cpu_ms(ask: Ask, in_flight: int, requests: int) -> float:
    """CPU ms a request with `in_flight` of them at any time, connections already open."""
    left = iter(range(requests))

    async def worker() -> None:
        for seed in left:
            assert await ask(seed) > 100

    await asyncio.gather(*(ask(seed) for seed in range(in_flight)))
    gc.collect()
    start = time.process_time()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return (time.process_time() - start) / requests * 1000


async def soak(url: str, in_flight: int, requests: int) -> None:
    """Prints the resident memory after each tenth of the requests."""
    left = iter(range(requests))
    async with ours(url) as ask:

        async def worker() -> None:
            for seed in left:
                await ask(seed)
                if seed % (requests // 10) == 0:
                    print(f"{seed:9,} requests  {resident_mib():8.1f} MiB", flush=True)

        await asyncio.gather(*(worker() for _ in range(in_flight)))
    print(f"{requests:9,} requests  {resident_mib():8.1f} MiB")


def resident_mib() -> float:
    """Memory of this process that is not swapped out."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextlib.asynccontextmanager
async def ours(url: str) -> AsyncIterator[Ask]:
    async with Client(Endpoint(url, "sim")) as client:

        async def ask(seed: int) -> int:
            request = Request("q", seed, SAMPLING, ({"role": "user", "content": PROBLEM},))
            generation = await client.complete(request, timeout_s=600)
            assert generation.error is None, generation.error
            return len(generation.text)

        yield ask


@contextlib.asynccontextmanager
async def bare_aiohttp(url: str) -> AsyncIterator[Ask]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(seed: int) -> int:
            content = orjson.dumps(body(seed))
            headers = {"Content-Type": "application/json"}
            async with session.post(f"{url}/chat/completions", data=content, headers=headers) as response:
                answer = orjson.loads(await response.read())
            return len(answer["choices"][0]["message"]["content"])

        yield ask


@contextlib.asynccontextmanager
async def openai_sdk(url: str) -> AsyncIterator[Ask]:
    from httpx2 import Limits
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    # Its own default keeps 100 connections alive: with more in flight it would open new ones all the time.
    pool = DefaultAsyncHttpxClient(limits=Limits(max_connections=None, max_keepalive_connections=None), timeout=600)
    async with AsyncOpenAI(base_url=url, api_key="x", http_client=pool) as client:

        async def ask(seed: int) -> int:
            answer = await client.chat.completions.create(
                model="sim",
                messages=[{"role": "user", "content": PROBLEM}],
                temperature=0.7,
                top_p=0.95,
                max_tokens=32768,
                seed=seed,
            )
            return len(answer.choices[0].message.content or "")

        yield ask


def body(seed: int) -> dict[str, object]:
    """What all three send."""
    return {
        "model": "sim",
        "messages": [{"role": "user", "content": PROBLEM}],
        "temperature": 0.7,
        "top_p": 0.95,
        "max_tokens": 32768,
        "seed": seed,
    }


if __name__ == "__main__":
    main()
