"""`aime24:64,gsm8k` becomes benchmarks with their seeds, prompts and judges."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from ns_eval.config import BenchmarkConfig
from ns_eval.errors import UsageError, suggest
from ns_eval.resources import conf_file, conf_names
from ns_eval.schema import build, load_yaml

_MOST_SEEDS = 100_000


@dataclass(frozen=True, slots=True)
class Asked:
    """One item of `--benchmarks`: `name:N` asks N seeds, `name:0` the greedy answer, `name` what its YAML says."""

    benchmark: BenchmarkConfig
    seeds: tuple[int | None, ...]


def find(name: str) -> BenchmarkConfig:
    """The benchmark of that name or alias.

    Raises:
        UsageError: there is none; with the nearest names.
    """
    known = conf_names("benchmark")
    if name not in known:
        name = _aliases().get(name.lower().replace("_", "-"), name)
    if name not in known:
        raise UsageError(f"unknown benchmark `{name}`, {suggest(name, {*known, *_aliases()})}", hint="ns show benchmarks")
    path = conf_file("benchmark", name)
    benchmark = build(BenchmarkConfig, load_yaml(path), str(path))
    if benchmark.name != name:
        raise UsageError(f"{path}: `name` is `{benchmark.name}`, the file says `{name}`")
    return benchmark


def resolve(asked: Sequence[str], *, starting_seed: int = 0, add_greedy: bool = False) -> tuple[Asked, ...]:
    """What `--benchmarks` asks for, in its order.

    Raises:
        UsageError: a space, a number of samples that is none, an unknown name, one benchmark twice.
    """
    if not asked:
        raise UsageError("no benchmark is named", hint="ns eval --benchmarks=arithmetic:8 …, or `ns show benchmarks`")
    spaced = next((item for item in asked if " " in item), None)
    if spaced is not None:
        raise UsageError(f"--benchmarks: a space in `{spaced}`", hint="write --benchmarks=a:64,b:8 without spaces")
    resolved = tuple(_resolve_one(item, starting_seed, add_greedy) for item in asked)
    names = [item.benchmark.name for item in resolved]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--benchmarks names `{name}` twice")
    return resolved


def _resolve_one(item: str, starting_seed: int, add_greedy: bool) -> Asked:
    name, colon, number = item.partition(":")
    benchmark = find(name)
    count = benchmark.seeds
    if colon:
        if not number.isdecimal() or len(number) > 7 or int(number) > _MOST_SEEDS:
            raise UsageError(
                f"--benchmarks: `{item}` asks for `{number}` samples, expected a whole number up to {_MOST_SEEDS}",
                hint=f"{name}:64 asks 64 seeds, {name}:0 the greedy answer alone",
            )
        count = int(number)
    seeds: tuple[int | None, ...] = tuple(range(starting_seed, starting_seed + count))
    return Asked(benchmark, (None, *seeds) if add_greedy or not seeds else seeds)


@functools.cache
def _aliases() -> dict[str, str]:
    """Alias, in lower case with hyphens -> canonical name. Canonical names are their own aliases in that spelling.

    Raises:
        UsageError: two benchmarks of one name.
    """
    known = conf_names("benchmark")
    table = {name.lower().replace("_", "-"): name for name in known}
    for name, path in known.items():
        for alias in load_yaml(path).get("aliases") or []:
            owner = table.setdefault(str(alias).lower().replace("_", "-"), name)
            if owner != name:
                raise UsageError(f"{path}: `{alias}` is already a name of {known[owner]}", hint="give it another one")
    return table
