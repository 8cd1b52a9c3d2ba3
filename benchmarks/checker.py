"""The checker's figures beside math-verify's, in one run: accuracy on labelled pairs, hostile inputs, answers a CPU second.

    python -m benchmarks.checker --data ../shared/data            # everything, some minutes
    python -m benchmarks.checker --data ../shared/data --only accuracy speed

math-verify is called the way its users call it: the gold in `$…$` where it has no delimiter, the last \\boxed of a
generation taken out and wrapped the same way. No cache is used; CPU figures are to be compared as a ratio.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judges.answers import boxed
from judges.maths.readings import understand
from judges.maths.values import form_of
from judges.symbolic import equal
from tests.checker_hostile import cases
from tests.paths import SHARED

Equal = Callable[[str, str], bool | None]
LABELS = Path(__file__).parent.parent / "tests" / "checker_labels" / "wrong.jsonl"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares of labelled pairs; None counts as not equal."""

    right: float
    false_equal: float
    missed: float
    real_right: float


def math_verify(gold: str, prediction: str) -> bool | None:
    """math-verify called well."""
    from math_verify import parse, verify

    sides = [_wrapped(gold), _wrapped(boxed(prediction, joined=False) or prediction)]
    ours, theirs = (parse(side, parsing_timeout=5) for side in sides)
    return bool(verify(ours, theirs, timeout_seconds=5))


def _wrapped(text: str) -> str:
    return text if any(mark in text for mark in ("$", "\\(", "\\[", "\\boxed")) else f"${text}$"


def without_cache(gold: str, prediction: str) -> bool | None:
    """Our checker with its caches emptied before the pair."""
    understand.cache_clear()
    form_of.cache_clear()
    return equal(gold, prediction)


def accuracy(pairs: Iterable[dict[str, Any]], same: Equal) -> Accuracy:
    counts = {True: [0, 0], False: [0, 0]}
    real = [0, 0]
    for pair in pairs:
        right = (same(pair["gold"], pair["prediction"]) is True) == pair["expected"]
        counts[pair["expected"]][0] += right
        counts[pair["expected"]][1] += 1
        if pair["file"] == "real_outputs.jsonl":
            real = [real[0] + right, real[1] + 1]
    (hits, positives), (refusals, negatives) = counts[True], counts[False]
    return Accuracy(
        (hits + refusals) / (positives + negatives), 1 - refusals / negatives, 1 - hits / positives, real[0] / real[1]
    )


def per_cpu_second(pairs: Sequence[tuple[str, str]], same: Equal, seconds: float) -> float:
    """Answers a CPU second of this process, over whole rounds through the pairs until `seconds` are spent."""
    for gold, prediction in pairs[:3]:
        same(gold, prediction)
    done, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        for gold, prediction in pairs:
            same(gold, prediction)
            done += 1
            if time.process_time() - start > 4 * seconds:
                break
    return done / (time.process_time() - start)


def hostile() -> tuple[int, int, float]:
    """(passed, all, the longest wall time) of the hostile set: a verdict within 5 s, none false, nothing run."""
    passed, slowest, count = 0, 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "canary"
        for gold, prediction, forbidden in cases(str(canary)):
            start = time.monotonic()
            verdict = equal(gold, prediction)
            taken = time.monotonic() - start
            passed += taken <= 5.0 and (forbidden is None or verdict is not forbidden) and not canary.exists()
            slowest, count = max(slowest, taken), count + 1
    return passed, count, slowest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "data", help="the reference data's folder")
    parser.add_argument(
        "--only", nargs="+", choices=["accuracy", "speed", "hostile"], default=["accuracy", "speed", "hostile"]
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="CPU seconds of each speed measurement")
    options = parser.parse_args()
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    print(f"{'':<44}{'required':>12}{'ours':>12}{'math-verify':>13}{'ratio':>8}")
    sample = _rows(options.data / "checker/public_sample.jsonl")
    if "accuracy" in options.only:
        _print_accuracy(sample)
    if "speed" in options.only:
        _print_speed(sample, options.data, options.seconds)
    if "hostile" in options.only:
        passed, count, slowest = hostile()
        print(f"{'hostile inputs passed':<44}{'all':>12}{f'{passed}/{count}':>12}")
        print(f"{'slowest hostile verdict, wall':<44}{'2.5 s':>12}{f'{slowest:.2f} s':>12}")


def _print_accuracy(sample: Sequence[dict[str, Any]]) -> None:
    wrong = {(row["gold"], row["prediction"]) for row in _rows(LABELS) if row["set"] == "public_sample"}
    core = [pair for pair in sample if not pair.get("convention") and (pair["gold"], pair["prediction"]) not in wrong]
    ours, theirs = accuracy(core, equal), accuracy(core, math_verify)
    required = {"right": ">= 99.3 %", "false_equal": "<= 0.1 %", "missed": "<= 1.5 %", "real_right": ">= 99.8 %"}
    names = {"right": f"right, {len(core)} core cases", "false_equal": "false equal among negatives"}
    names |= {"missed": "false not equal among positives", "real_right": "real models' answers right"}
    for field, name in names.items():
        print(f"{name:<44}{required[field]:>12}{getattr(ours, field):>12.2%}{getattr(theirs, field):>13.2%}")


def _print_speed(sample: Sequence[dict[str, Any]], data: Path, seconds: float) -> None:
    real = [(row["gold"], row["prediction"]) for row in sample if row["file"] == "real_outputs.jsonl"]
    strong = [
        (row["gt"], text) for row in _rows(data / "model_outputs/qwen25_math_n8/math_cot.1-50.jsonl") for text in row["code"]
    ]
    rows = (
        ("answers per CPU s, real outputs", real, ">= 500"),
        ("the same, a strong model's MATH outputs", strong, ">= 5000"),
    )
    for name, pairs, required in rows:
        ours = per_cpu_second(pairs, without_cache, seconds)
        theirs = per_cpu_second(pairs, math_verify, seconds)
        print(f"{name:<44}{required:>12}{ours:>12.0f}{theirs:>13.0f}{ours / theirs:>8.0f}")


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


if __name__ == "__main__":
    main()
