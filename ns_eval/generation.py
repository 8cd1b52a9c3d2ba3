"""The job that asks and grades: one server, one loop over its share of the benchmarks."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ns_eval import runs, servers
from ns_eval.client import Client
from ns_eval.config import ServerConfig
from ns_eval.grading import Grader
from ns_eval.loop import Work, generate, places_for
from ns_eval.progress import Progress
from ns_eval.records import Json
from ns_eval.rundir import SeedFile
from ns_eval.runs import BenchmarkRun


@dataclass(frozen=True, slots=True)
class Share:
    """What one job does: everything it needs, as plain data. `progress` and `server_log` are files of its own."""

    runs: tuple[BenchmarkRun, ...]
    model: str
    path: str
    server: ServerConfig
    max_concurrent_requests: int
    grading_workers: int | None
    progress: Path
    server_log: Path


def arguments_of(share: Share) -> dict[str, Json]:
    """The share as JSON values, for a job's spec."""
    found: dict[str, Json] = msgspec.to_builtins(share, enc_hook=str)
    return found


def main(**arguments: Json) -> None:
    """Runs a share to its end. What is on disk is not asked again, so running it twice does the rest of it."""
    asyncio.run(_answer(msgspec.convert(arguments, Share, dec_hook=_decoded)))


def _decoded(declared: type, value: object) -> object:
    return declared(value)


async def _answer(share: Share) -> None:
    chat = all(run.prompt.template is None for run in share.runs)
    async with contextlib.AsyncExitStack() as opened:
        progress = await opened.enter_async_context(Progress(share.progress))
        graders = {
            _key(spec): await opened.enter_async_context(Grader(spec, workers=share.grading_workers))
            for spec in {_key(run.judge): run.judge for run in share.runs}.values()
        }
        works = [_work(run, graders[_key(run.judge)]) for run in share.runs]
        serving = servers.serving(share.server, share.model, share.server_log, path=share.path, chat=chat)
        running = await opened.enter_async_context(serving)
        places = places_for(running.slots, share.max_concurrent_requests)
        client = Client(running.endpoint, alive=running.alive, on_limited=lambda _: places.slower())
        await opened.enter_async_context(client)
        progress.retries = client.counters.retries.total
        await generate(works, client.complete, places, progress)


def _work(run: BenchmarkRun, grader: Grader) -> Work:
    return Work(
        benchmark=run.name,
        folder=run.folder,
        questions=runs.questions_of(run),
        prompt=run.prompt,
        sampling=run.sampling,
        greedy=run.greedy,
        timeout_s=run.timeout_s,
        grader=grader,
        files={seed: SeedFile(run.folder, seed) for seed in run.seeds},
    )


def _key(spec: Mapping[str, Json]) -> str:
    return json.dumps(spec, sort_keys=True)
