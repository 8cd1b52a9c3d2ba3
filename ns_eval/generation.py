"""The job that asks and grades: one server, one loop over its share of the benchmarks."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from ns_eval import job_files, manifest, runs, servers
from ns_eval.asking import asking
from ns_eval.checks.record import recorded
from ns_eval.client import Client
from ns_eval.config import PriceConfig, ServerConfig
from ns_eval.endpoint import Endpoint
from ns_eval.files import write_text
from ns_eval.grading import Grader, build_judge
from ns_eval.loop import Places, Shelf, Work, generate, places_for
from ns_eval.progress import Progress
from ns_eval.records import Json
from ns_eval.runs import BenchmarkRun
from ns_eval.sandbox.box import Sandbox, open_sandbox
from ns_eval.sandbox.config import SandboxConfig
from ns_eval.sandbox.remote import RemoteSandbox
from ns_eval.seed_file import SeedFile
from ns_eval.servers import Running
from ns_eval.spending import Spending, is_sold, spent_path

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backend:
    """A model and the server that runs it. `model` is the name it is asked by, `path` where its weights lie, `most_usd` what
    its answers may cost, and `dealt` the file that says it where a recipe deals one budget over several commands."""

    model: str
    path: str
    server: ServerConfig
    max_concurrent_requests: int
    log: Path
    price: PriceConfig = field(default_factory=PriceConfig)
    most_usd: float | None = None
    dealt: Path | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """What one job does: everything it needs, as plain data. `merged` says where the models lie that were made of an adapter
    which the server does not take: they are served one after the other."""

    runs: tuple[BenchmarkRun, ...]
    backend: Backend
    sandbox: SandboxConfig
    grading_workers: int | None
    progress: Path
    merged: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connection:
    """A server that answers: a client for the model it holds, one for each adapter, and how many requests it takes."""

    clients: Mapping[str, Client]
    places: Places
    running: Running
    spending: Spending | None = None

    @property
    def client(self) -> Client:
        """The base model's."""
        return self.clients[""]

    def retries(self) -> int:
        return sum(client.counters.retries.total() for client in self.clients.values())

    def usd(self) -> float:
        """What was spent, earlier starts included."""
        return 0.0 if self.spending is None else self.spending.spent.usd


def arguments_of(share: object) -> dict[str, Json]:
    """A share as JSON values, for a job's spec."""
    found: dict[str, Json] = msgspec.to_builtins(share, enc_hook=str)
    return found


def main(**arguments: Json) -> None:
    """Runs a share to its end. What is on disk is not asked again, so running it twice does the rest of it."""
    asyncio.run(_answer(share_of(arguments, Share)))


def share_of(arguments: Mapping[str, Json], kind: type[T]) -> T:
    """The reverse of `arguments_of`."""
    return msgspec.convert(arguments, kind, dec_hook=lambda declared, value: declared(value))


async def _answer(share: Share) -> None:
    async with contextlib.AsyncExitStack() as opened:
        progress = await opened.enter_async_context(Progress(share.progress))
        shelves = [_shelf(run) for run in share.runs]
        progress.start(shelves)
        # A finished run starts neither a server nor graders.
        if any(shelf.waiting.total() for shelf in shelves):
            graders = await _graders(share, opened)
            for turn in _turns(share, shelves):
                async with contextlib.AsyncExitStack() as served:
                    places, works = await _start(share, turn, graders, served, progress)
                    await generate(works, places, progress)
    for run in share.runs:
        _record_grader(run)


@dataclass(frozen=True, slots=True)
class _Turn:
    """What is asked of one server: by the adapter's name each of those it holds, the base's name is empty."""

    backend: Backend
    asked: list[tuple[str, BenchmarkRun, Shelf]]


def _turns(share: Share, shelves: Sequence[Shelf]) -> list[_Turn]:
    """The servers that are needed, one after the other; a merged model is the base of its own."""
    turns = {"": _Turn(share.backend, [])}
    for run, shelf in zip(share.runs, shelves, strict=True):
        merged = run.adapter if run.adapter in share.merged else ""
        turn = turns.setdefault(merged, _Turn(_merged(share, merged) if merged else share.backend, []))
        turn.asked.append(("" if merged else run.adapter, run, shelf))
    return [turn for turn in turns.values() if any(shelf.waiting.total() for *_, shelf in turn.asked)]


def _merged(share: Share, adapter: str) -> Backend:
    backend = share.backend
    log = backend.log.with_name(f"{backend.log.name.removesuffix('.server.log')}-{adapter}.server.log")
    return dataclasses.replace(backend, model=f"{backend.model}+{adapter}", path=share.merged[adapter], log=log)


def _record_grader(run: BenchmarkRun) -> None:
    """grader.json: which version of which judge gave the verdicts that lie there."""
    path = run.folder / "grader.json"
    if run.judge and not path.exists():
        version = getattr(build_judge(run.judge), "version", None)
        write_text(path, json.dumps({"grader": version, "judge": dict(run.judge)}, indent=1) + "\n")


def _shelf(run: BenchmarkRun) -> Shelf:
    found = runs.questions_of(run)
    chunk = None if run.chunk is None else run.chunk[0]
    files = {seed: SeedFile(run.folder, seed, chunk, judged=bool(run.judge), longer=run.longer) for seed in run.seeds}
    name = f"{run.name}+{run.adapter}" if run.adapter else run.name
    shelf = Shelf(name, runs.part_of(run, found), files, [question.id for question in found])
    shelf.read()
    return shelf


async def _graders(share: Share, opened: contextlib.AsyncExitStack) -> dict[str, Grader]:
    runs_by_key = {_grader_key(run): run for run in share.runs if run.judge}
    return {key: await opened.enter_async_context(grader_of(run, share.grading_workers)) for key, run in runs_by_key.items()}


async def _start(
    share: Share, turn: _Turn, graders: Mapping[str, Grader], opened: contextlib.AsyncExitStack, progress: Progress
) -> tuple[Places, list[Work]]:
    """Starts the server, and says how much it takes and who answers what."""
    chat = not any(run.prompt.as_text for _, run, _ in turn.asked)
    found = await connected(turn.backend, opened, chat=chat)
    sandbox: Sandbox | RemoteSandbox | None = None
    if any(run.code for _, run, _ in turn.asked):
        sandbox = await opened.enter_async_context(open_sandbox(share.sandbox))
    _record_walls(share, [*([sandbox.walls] if sandbox else []), *(grader.walls for grader in graders.values())])
    progress.sampling(found.retries, found.usd)
    return found.places, [
        Work(shelf, asking(run, found.clients[name], sandbox), graders.get(_grader_key(run)))
        for name, run, shelf in turn.asked
    ]


def _record_walls(share: Share, lines: Sequence[str]) -> None:
    """Into run.json, once each: the sandbox between thoughts and the judge's are mostly the same kind."""
    found = [line for line in dict.fromkeys(lines) if line]
    if found:
        manifest.walls(*job_files.job_of(share.progress), "; ".join(found))


async def connected(backend: Backend, opened: contextlib.AsyncExitStack, *, chat: bool = True) -> Connection:
    """The backend's server, started where it has to be, and its clients, until `opened` ends."""
    serving = servers.serving(backend.server, backend.model, backend.log, path=backend.path, chat=chat)
    running = await opened.enter_async_context(serving)
    places = places_for(running.slots, backend.max_concurrent_requests)
    spending = None
    if is_sold(backend.price):
        spending = Spending(backend.price, spent_path(backend.log), backend.most_usd, backend.dealt)
        opened.callback(spending.close)

    def client(endpoint: Endpoint) -> Client:
        limited, pace = (lambda _: places.slower()), running.info.pace
        return Client(endpoint, alive=running.alive, on_limited=limited, spending=spending, pace=pace)

    clients = {
        name: await opened.enter_async_context(client(endpoint))
        for name, endpoint in {"": running.endpoint, **running.adapters}.items()
    }
    await opened.enter_async_context(recorded(backend.server, backend.path, backend.log, running, clients))
    return Connection(clients, places, running, spending)


def grader_of(run: BenchmarkRun, workers: int | None) -> Grader:
    """The grader of a benchmark; its own limit on a sample holds where it is the shorter one."""
    return Grader(run.judge, workers=workers, at_most_s=run.grading_s)


def _grader_key(run: BenchmarkRun) -> str:
    return json.dumps([run.judge, run.grading_s], sort_keys=True)
