"""The simulated engine, noting every request and answer in a file that outlives it: what was asked twice shows there.

engine.py --journal FILE --port P [--slots N] [--us-per-token US] [--text REPLY]. A line is `asked` or `answered`, a tab, and
the request's messages and seed as JSON; O_APPEND keeps the lines of several engines whole. Of an engine on several nodes
(--node-rank R), each process adds `rank R`, a tab, and its node's name; those of a rank above 0 do nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.peers import simserver


class Noting(simserver.Protocol):
    """The simulator's protocol with a journal."""

    journal: int

    async def complete(self, chat: bool, raw: bytes) -> None:
        self._note("asked", raw)
        await super().complete(chat, raw)

    def answer(self, req: dict[str, Any], chat: bool, key: str, drawn: list[tuple[int, str]]) -> dict[str, Any]:
        self._note("answered", json.dumps(req).encode())
        return super().answer(req, chat, key, drawn)

    def _note(self, what: str, raw: bytes) -> None:
        asked = json.loads(raw)
        # Not the questions by which a server is tried and its model known again.
        if "modulo" in str(asked.get("messages")):
            key = json.dumps([asked.get("messages"), asked.get("seed")])
            os.write(self.journal, f"{what}\t{key}\n".encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--us-per-token", type=float, default=50.0)
    parser.add_argument("--model", default="sim")
    parser.add_argument("--text", default="")
    parser.add_argument("--node-rank", type=int)
    parser.add_argument("--leader")
    given = parser.parse_args()
    Noting.journal = os.open(given.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    if given.node_rank is not None:
        os.write(Noting.journal, f"rank {given.node_rank}\t{os.environ['SLURMD_NODENAME']} led by {given.leader}\n".encode())
    if given.node_rank:
        signal.pause()
    simserver.Protocol = Noting  # type: ignore[misc]  # the simulator names its protocol in one place
    fixed = {"median_tokens": 2000, "sigma_question": 0.8, "sigma": 0.6, "max_tokens": 32768, "answers": 4}
    quiet = {"faults": 0.0, "faults_repeat": 1, "hang_s": 600.0, "fixed_latency_ms": None}
    asyncio.run(simserver.main(argparse.Namespace(**vars(given), **fixed, **quiet)))


if __name__ == "__main__":
    main()
