"""Speed of the catalogue: python -m benchmarks.catalogue [--rows=100000]

Prepares a benchmark of 100,000 rows out of one JSONL file, and lists the models. The reference of the first is `json.loads`
and `json.dumps` of the same rows, in the same run.

Limits: preparing <= 10 s and <= 500 MB; `ns show models` <= 1 s of CPU.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_YAML = """name: many
about: as many rows as there are
needs: [expected_answer]
prepare:
  kind: local
  id: {source}
  splits: {{test: {{}}}}
  columns: {{id: key, problem: question, expected_answer: answer}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as home:
        source = Path(home) / "many.jsonl"
        with source.open("w") as file:
            for number in range(rows):
                row = {"key": f"k{number}", "question": f"What is {number} times three? " * 10, "answer": 3 * number}
                file.write(json.dumps(row) + "\n")
        began = time.process_time()
        with source.open() as file:
            written = sum(len(json.dumps(json.loads(line))) for line in file)
        reference = time.process_time() - began
        (Path(home) / "conf" / "benchmark").mkdir(parents=True)
        (Path(home) / "conf" / "benchmark" / "many.yaml").write_text(_YAML.format(source=source))
        seconds, megabytes = measured(
            "prepare_data", "many", f"--data_dir={home}/data", f"hydra.searchpath=[file://{home}/conf]"
        )
    print(f"prepare {rows:,} rows ({written / 1e6:.0f} MB): {seconds:.1f} CPU s, {megabytes:.0f} MB (limits: 10 s, 500 MB)")
    print(f"  {seconds / reference:.1f} x json.loads and json.dumps of the same rows ({reference:.1f} s)")
    seconds, megabytes = measured("show", "models")
    print(f"ns show models: {seconds:.2f} CPU s, {megabytes:.0f} MB (limit: 1 s)")


def measured(*words: str) -> tuple[float, float]:
    """(CPU seconds, peak MB) of `ns …` in a process of its own; the peak is that of the largest so far."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "ns_eval", *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss / 1024


if __name__ == "__main__":
    main()
