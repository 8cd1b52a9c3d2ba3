"""How close one queue comes to the engine's lower bound: python -m benchmarks.queue [--questions 30] [--seeds 64]

Asks 30 questions x 64 seeds of the simulated engine (32 slots, its default long tails) through the loop and the client of
`ns eval`, once with the slots known and once without, and prints the wall time over the bound that the engine itself
computes: the busy time of its slots, or its longest answer. Required: at most 1.05 and 1.12.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ns_eval.client import Client
from ns_eval.endpoint import Endpoint
from ns_eval.grading import Grader
from ns_eval.loop import Places, Shelf, Work, generate, places_for
from ns_eval.prompts import load, request
from ns_eval.records import Generation, Question, Sample, Sampling
from ns_eval.seed_file import SeedFile

SIMSERVER = Path(__file__).parent.parent / "tests" / "peers" / "simserver.py"


class Silent:
    """Nobody watches."""

    def sample(self, sample: Sample) -> None: ...


@contextmanager
def simulated(port: int, *arguments: str) -> Iterator[str]:
    """The simulated engine on a port, as a URL."""
    process = subprocess.Popen(
        [sys.executable, str(SIMSERVER), "--port", str(port), *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def ask(url: str, method: str = "GET") -> dict[str, float]:
    with urllib.request.urlopen(urllib.request.Request(url, method=method)) as reply:
        found: dict[str, float] = json.load(reply)
        return found


async def run(url: str, questions: int, seeds: int, places: Places) -> float:
    """Wall seconds of the whole loop, from the first file to the last."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Client(Endpoint(f"{url}/v1", "sim")) as client,
            Grader({"_target_": "judges.symbolic.SymbolicJudge"}, workers=1) as grader,
        ):
            prompt = load("generic/math")

            async def answer(question: Question, seed: int | None) -> Generation:
                return await client.complete(request(prompt, question, seed, Sampling(0.7)), timeout_s=600)

            questions_asked = [Question(f"q{i}", f"What is {i}?", "1") for i in range(questions)]
            files: dict[int | None, SeedFile] = {seed: SeedFile(Path(folder), seed) for seed in range(seeds)}
            shelf = Shelf("simulated", questions_asked, files)
            shelf.read()
            started = time.monotonic()
            await generate([Work(shelf, answer, grader)], places, Silent())
            return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=64)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--us-per-token", type=float, default=50.0)
    parser.add_argument("--port", type=int, default=8301)
    asked = parser.parse_args()
    arguments = ["--slots", str(asked.slots), "--us-per-token", str(asked.us_per_token)]
    with simulated(asked.port, *arguments) as url:
        print("slots      wall s  bound s  ratio  most in flight")
        for name, slots in (("known", asked.slots), ("unknown", None)):
            ask(f"{url}/reset", "POST")
            wall = asyncio.run(run(url, asked.questions, asked.seeds, places_for(slots, 512)))
            told = ask(f"{url}/stats")
            bound = told["lower_bound_s"]
            print(f"{name:<8} {wall:8.2f} {bound:8.2f} {wall / bound:6.3f}  {told['peak_in_flight']}")


if __name__ == "__main__":
    main()
