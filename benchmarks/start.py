"""From the start of a job to its first request, beside the server's own start: python -m benchmarks.start [--rounds 5]

Runs `ns eval` of one seed of the shipped benchmark: against a simulated engine that runs already (there is no server's start
to be waited for), and on the embedded engine (its own start told beside, as the job's log says it). Required: at most 2 s
beside the server's own start.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.client import simulator

REPO = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="the least of so many rounds counts")
    options = parser.parse_args()
    rounds = range(options.rounds)
    with simulator(200) as url:
        remote = [started(["--model=sim", f"--server_address={url}"]) for _ in rounds]
    embedded = [started(["--model=tinymath"]) for _ in rounds]
    print(f"a server that runs already: {min(wall for wall, _ in remote):.2f} s from the job's start to its first request")
    whole, own = min(embedded)
    print(f"the embedded engine: {whole:.2f} s, of which {own:.2f} s until the server answers")
    print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")


def started(words: list[str]) -> tuple[float, float]:
    """(s from the job's start to its first request, s of them until the server answered a probe) of one run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [sys.executable, "-m", "ns_eval", "eval", *words, "--benchmarks=arithmetic:1", "--max_samples=4"]
        surroundings = {**os.environ, "PYTHONPATH": str(REPO), "HOME": folder}
        subprocess.run(
            [*command, f"--output_dir={out}", "--min_coverage=0"], env=surroundings, check=True, capture_output=True
        )
        began = json.loads((out / "eval-logs/generate.state.json").read_text())["started"]
        return min(starts(out)) - began, server_s(out)


def starts(out: Path) -> Iterator[float]:
    """When each request was sent, Unix seconds."""
    for path in (out / "eval-results/arithmetic").glob("output-rs*.jsonl"):
        for line in path.read_text().splitlines():
            yield json.loads(line)["generation_start_time"]


def server_s(out: Path) -> float:
    """Seconds that the server took to start, 0 where it ran already."""
    found = re.search(r"answers after ([\d.]+) s", (out / "eval-logs/generate.log").read_text())
    return float(found[1]) if found else 0.0


if __name__ == "__main__":
    main()
