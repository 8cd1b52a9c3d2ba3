"""The gate of `ns compare --gate`: which comparisons fail, and the JUnit XML that a nightly job reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree

from ns_eval.files import write_text
from summarize.paired import Pair

_Key: TypeAlias = tuple[str, int]


def failures(pairs: Sequence[Pair], allowed: float, level: float, labels: Sequence[str]) -> dict[_Key, str]:
    """(benchmark, other run) -> why, where the first run is worse by more than `allowed` and chance does not explain it.

    Beyond noise is what the table calls a difference: after Holm, or of many benchmarks one would fail by chance.
    """
    found = {}
    for pair in pairs:
        if pair.first == 0 and -pair.found.value > allowed and pair.adjusted < 1 - level:
            found[pair.benchmark, pair.second] = (
                f"{pair.benchmark}: {labels[0]} is {_points(pair, -pair.found.value)} below {labels[pair.second]}, "
                f"{_points(pair, allowed)} are allowed (p = {pair.adjusted:.4f} after Holm, {_seen(pair)})"
            )
    return found


def write_junit(
    path: Path, pairs: Sequence[Pair], failed: Mapping[_Key, str], labels: Sequence[str], allowed: float
) -> None:
    """One test case for each benchmark and each run that the first one is held against."""
    judged = [pair for pair in pairs if pair.first == 0]
    suite = ElementTree.Element("testsuite", name="ns compare", tests=str(len(judged)), failures=str(len(failed)))
    for pair in judged:
        name = f"{labels[0]} against {labels[pair.second]}"
        case = ElementTree.SubElement(suite, "testcase", classname=pair.benchmark, name=name)
        why = failed.get((pair.benchmark, pair.second))
        if why is not None:
            ElementTree.SubElement(case, "failure", message=why).text = why
        told = ElementTree.SubElement(case, "system-out")
        told.text = (
            f"difference {_points(pair, pair.found.value, '+')}, p = {pair.found.p:.4f} ({pair.found.test}), "
            f"{pair.adjusted:.4f} after Holm, "
            f"{_seen(pair)}, {_points(pair, allowed)} are allowed"
        )
    ElementTree.indent(suite)
    write_text(path, ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n")


def _seen(pair: Pair) -> str:
    if pair.found.detectable is None:
        return "one question shows no noise"
    return f"a change of {_points(pair, pair.found.detectable)} would be found with 80% power"


def _points(pair: Pair, value: float, sign: str = "") -> str:
    """Of shares in points of a hundred, of ratings on their own scale."""
    return f"{value:{sign}.3f}" if pair.rated else f"{100 * value:{sign}.2f} points"
