"""What a job writes of the server it asked: how it was started, what it says of itself, how far its model is from earlier
runs, and what the client did. It stands beside the server's log, and ends up in run.json.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec

from ns_eval import models
from ns_eval.checks import fingerprint
from ns_eval.checks.probing import distance_line
from ns_eval.client import Client
from ns_eval.config import ServerConfig
from ns_eval.files import write_text
from ns_eval.records import Json
from ns_eval.servers import Running

logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def recorded(
    server: ServerConfig, path: str, log: Path, running: Running, clients: Mapping[str, Client]
) -> AsyncIterator[None]:
    """Keeps the record of a server while it is asked. `clients` are by adapter, the base's name is empty.

    Raises:
        ServerError: an adapter that changes nothing.
    """
    facts: dict[str, Json] = {
        "engine": server.name,
        "argv": list(running.argv),
        "address": running.endpoint.base_url,
        "models": list(running.info.models),
        "answered_as": running.info.answered_as,
        "context": running.context,
        "slots": running.slots,
    }
    if running.adapters:
        untold = await fingerprint.require_effect(running.endpoint, running.adapters)
        facts["adapters"] = {name: "not told" if name in untold else "changes the model" for name in running.adapters}
    if running.argv:
        facts |= await _compared(server.name, path, str(log.parent.parent), running)
    _write(log, facts)
    try:
        yield
    finally:
        facts["client"] = {name or "base": msgspec.to_builtins(client.counters) for name, client in clients.items()}
        _write(log, facts)


def gathered(logs: Path, since: float) -> dict[str, Json]:
    """The records of the servers that were asked since then (Unix seconds), by the job's name."""
    found = {}
    for path in sorted(logs.glob("*.server.json")):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            if path.stat().st_mtime >= since:
                found[path.name.removesuffix(".server.json")] = msgspec.json.decode(path.read_bytes())
    return found


async def _compared(engine: str, path: str, run: str, running: Running) -> dict[str, Json]:
    """The fingerprint, and what is to be said of it."""
    taken = await fingerprint.take(running.endpoint)
    if taken is None:
        return {"fingerprint": None}
    model = models.origin(path)
    lines = [distance_line(seen, far) for seen, far in fingerprint.compared(taken, fingerprint.earlier(model))]
    fingerprint.keep(model, engine, run, taken)
    notes = [f"{line.said}: {line.todo}" for line in lines if line.state != "ok"]
    for note in notes:
        logger.warning("the model's log-probabilities: %s", note)
    return {"fingerprint": taken.places, "notes": notes}


def _write(log: Path, facts: Mapping[str, Json]) -> None:
    write_text(log.with_suffix(".json"), msgspec.json.format(msgspec.json.encode(facts), indent=1).decode() + "\n")
