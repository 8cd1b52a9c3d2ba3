"""The job that looks at a server: starts it where it has to be, asks it small things, writes what it found."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ns_eval import servers
from ns_eval.checks.lines import Line
from ns_eval.checks.probing import Target, probed
from ns_eval.config import ServerConfig
from ns_eval.files import write_text
from ns_eval.records import Json, Request


@dataclass(frozen=True, slots=True)
class CheckShare:
    """What the job is told. `origin` is what fingerprints of the model are kept under."""

    model: str
    path: str
    origin: str
    server: ServerConfig
    chat: bool
    log: Path
    result: Path
    longest: Mapping[str, Request] = field(default_factory=dict)


def main(**arguments: Json) -> None:
    """Looks at the server, and writes the lines to `result`."""
    share = msgspec.convert(arguments, CheckShare, dec_hook=lambda declared, value: declared(value))
    write_text(share.result, msgspec.json.format(msgspec.json.encode(asyncio.run(_lines(share)))).decode() + "\n")


def read(path: Path) -> list[Line]:
    """What a job wrote."""
    return msgspec.json.decode(path.read_bytes(), type=list[Line])


async def _lines(share: CheckShare) -> list[Line]:
    server = share.server
    async with servers.serving(server, share.model, share.log, path=share.path, chat=share.chat) as running:
        target = Target(
            endpoint=running.endpoint,
            chat=share.chat,
            seeds_hold=bool(running.argv) and "seed" not in server.ignores,
            engine=server.name,
            model=share.origin,
            run=str(share.result.parent),
            longest=share.longest,
            adapters=running.adapters,
        )
        started = "it is asked at" if not running.argv else "it was started, and answers at"
        context = f", {running.context} tokens of context" if running.context else ""
        first = Line("ok", "server", f"{started} {running.endpoint.base_url}{context}")
        return [first, *await probed(target)]
