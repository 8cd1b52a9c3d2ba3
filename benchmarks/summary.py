"""Speed of a summary: python -m benchmarks.summary [--samples=16384] [--kilobytes=100]

Writes a run of 256 questions x 64 seeds with 100 KB of reasoning each (1.6 GB), makes the small table from it, and prints
the tables from that. The reference is `json.loads` of every line of a part of the same files, in the same run.

Limits: the first table >= 1 GB/s of CPU, >= 3 x json.loads and <= 500 MB; the summary <= 1 CPU s beyond start-up, <= 300 MB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SEEDS = 64


def write_run(folder: Path, samples: int, kilobytes: int) -> int:
    """Bytes written. Half of the seeds hold the thinking in `generation`, half in `reasoning_content`."""
    from ns_eval.records import Generation, Question, Sample, Verdict, dumps, sample_row

    chance = random.Random(0)
    words = [r"$x^2", "=", r"\frac{1}{2}$", "so", "the", "sum", "of", "all", "integers,", "Wait,", r"\boxed{4}", "hence\n"]
    text = " ".join(chance.choice(words) for _ in range(600 * kilobytes))
    size = 1024 * kilobytes
    folder.mkdir(parents=True)
    for seed in range(SEEDS):
        with (folder / f"output-rs{seed}.jsonl").open("wb", buffering=1 << 20) as file:
            for number in range(samples // SEEDS):
                start = chance.randrange(max(1, len(text) - size))
                long, answer = text[start : start + size], str(chance.choice([1, 1, 2, 3, 4]))
                generation = Generation(
                    text=long if seed % 2 else f"The answer is {answer}.",
                    reasoning=None if seed % 2 else long,
                    finish_reason="stop",
                    prompt_tokens=100,
                    completion_tokens=25_000,
                )
                question = Question(str(number), f"What is {number}?", "1")
                verdict = Verdict("symbolic", answer == "1", answer=answer, extracted=answer)
                file.write(dumps(sample_row(Sample(question, seed, "ok", generation, (verdict,)))))
    return sum(path.stat().st_size for path in folder.iterdir())


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """(CPU seconds of the call, peak MB of the process), in a process of its own; imports are made before."""
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=_child, args=(work, theirs))
    process.start()
    found: tuple[float, float] = ours.recv()
    process.join()
    return found


def _child(work: Callable[[], object], pipe: object) -> None:
    start = time.process_time()
    work()
    spent = time.process_time() - start
    pipe.send((spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=16_384)
    parser.add_argument("--kilobytes", type=int, default=100)
    options = parser.parse_args()

    from ns_eval.scores import load
    from summarize.results import ResultsConfig
    from summarize.results import main as summarize

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "eval-results" / "b"
        size = write_run(folder, options.samples, options.kilobytes)
        part = sorted(folder.glob("output*"))[:8]

        def reference() -> None:
            for path in part:
                with path.open("rb") as lines:
                    for line in lines:
                        json.loads(line)

        theirs, _ = measured(reference)
        theirs = sum(path.stat().st_size for path in part) / theirs
        first, first_mb = measured(lambda: load(folder))
        second, second_mb = measured(lambda: summarize(ResultsConfig(results_dirs=[place])))
    print(f"\n{options.samples} samples, {size / 1e9:.2f} GB")
    print(f"first table      {size / first / 1e9:6.2f} GB/s of CPU  {first:6.2f} CPU s  {first_mb:6.0f} MB peak")
    print(f"json.loads       {theirs / 1e9:6.2f} GB/s of CPU   ratio {size / first / theirs:.1f}")
    print(f"summary          {second:6.2f} CPU s beyond start-up     {second_mb:6.0f} MB peak")


if __name__ == "__main__":
    main()
