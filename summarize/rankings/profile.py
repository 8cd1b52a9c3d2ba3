"""`ns profile RUN`: what one model is like, and why it fails; tables, a picture, and the samples that tell most."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ns_eval.errors import UsageError, suggest
from ns_eval.schema import positional
from summarize.discover import discover
from summarize.intervals import Interval, interval
from summarize.questions import Floats, Integers, Samples, samples
from summarize.rankings.loops import Loops, loops
from summarize.rankings.points import chances, points
from summarize.rankings.telling import Telling, telling
from summarize.rankings.tiers import of_task, order, read
from summarize.render import grid as layout
from summarize.results import load_scores

_MOST_TELLING = 20


@dataclass
class ProfileConfig:
    """Characterise one run: accuracy, cut and missing answers by task, tier and length, loops, and the most telling samples.

    Examples:
        ns profile out
        ns profile out --benchmarks=aime24 --plot=aime24.png
        ns profile out --format=json --quantiles=8
    """

    run: str = positional()
    """A run folder, or a folder of one benchmark."""
    benchmarks: list[str] = field(default_factory=list)
    """Only these."""
    score: str | None = None
    """Which score: symbolic_correct, judge_correct, … Default: the first one."""
    tier_by: str = "rows"
    """rows, or a file of conf/tier."""
    quantiles: int = 4
    """Parts of equal size that the lengths are cut into."""
    texts: int = 2000
    """Answers of each benchmark whose text is read for loops; 0: none."""
    level: float = 0.95
    """The confidence level of the intervals."""
    format: str = "text"
    """text or json."""
    plot: str | None = None
    """Draw accuracy and endings over length, and loops, into this file (.png, .svg)."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of samples with its interval, clustered by question; None where there is no sample."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One part of a run: right (cut answers are wrong), cut, and ended by itself without an answer; mean tokens."""

    name: str
    questions: int
    samples: int
    right: Share
    truncated: Share
    no_answer: Share
    tokens: float | None


@dataclass(frozen=True, slots=True)
class Hazard:
    """Of the samples that came to `start` tokens, the share that was cut, and that ended by itself, before `end`."""

    start: float
    end: float
    reached: int
    cut: float
    ended: float


@dataclass(frozen=True, slots=True)
class Profile:
    """One benchmark of a run."""

    benchmark: str
    parts: tuple[Line, ...]
    lengths: tuple[Line, ...]
    hazard: tuple[Hazard, ...]
    loops: Loops | None
    telling: tuple[Telling, ...]


def main(config: ProfileConfig) -> int:
    """Prints the profile."""
    if config.format not in ("text", "json"):
        raise UsageError(f"--format={config.format}: {suggest(config.format, ('text', 'json'))}")
    if config.quantiles < 1 or config.texts < 0:
        raise UsageError("--quantiles is at least 1, --texts at least 0")
    profiles = [
        profile(found.name, found.folder, config) for found in discover(Path(config.run), config.benchmarks).benchmarks
    ]
    if config.format == "json":
        print(msgspec.json.format(msgspec.json.encode(profiles), indent=2).decode())
    else:
        print("".join(_text(item, config.level) for item in profiles), end="")
    if config.plot is not None:
        from summarize.rankings.profile_plot import draw

        draw(Path(config.plot), profiles)
        print(f"The picture is {config.plot}")
    return 0


def profile(name: str, folder: Path, config: ProfileConfig) -> Profile:
    """Of one benchmark."""
    scores = load_scores(folder)
    own = points(name, scores, config.score, chances([name], {}), {})
    found = samples(scores)
    value = found.values[config.score or next(iter(found.values))]
    cut = found.status == "truncated"
    ended = (found.status != "error") & (cut | ~np.isnan(value))
    kept = found.where(ended)
    right = np.where(cut[ended], 0.0, np.where(np.isnan(value), 0.0, value)[ended])
    tiers = of_task(name, [own], read(config.tier_by, {}))
    tier_of = np.array([tiers[key] for key in own.questions.keys])
    parts = [_line("all", kept, right, np.ones(len(right), np.bool_), config.level)]
    names = order(list(dict.fromkeys(tier_of.tolist())), read(config.tier_by, {}))
    if len(names) > 1:
        parts += [_line(f"tier {tier}", kept, right, tier_of[kept.question] == tier, config.level) for tier in names]
    subsets = list(dict.fromkeys(subset for subset in kept.subsets if subset is not None))
    if len(subsets) > 1:
        subset_of = np.array([subset or "" for subset in kept.subsets])
        parts += [_line(f"subset {one}", kept, right, subset_of[kept.question] == one, config.level) for one in subsets]
    read_loops = loops(folder, kept, right, config.texts) if config.texts else None
    return Profile(
        benchmark=name,
        parts=tuple(parts),
        lengths=tuple(_lengths(kept, right, config)),
        hazard=tuple(_hazard(kept, config.quantiles)),
        loops=read_loops,
        telling=tuple(telling(kept, right, read_loops, _MOST_TELLING)),
    )


def _line(name: str, found: Samples, right: Floats, chosen: Any, level: float) -> Line:
    question = found.question[chosen]
    cut = (found.status[chosen] == "truncated") * 1.0
    tokens = found.tokens[chosen]
    known = tokens[~np.isnan(tokens)]
    return Line(
        name=name,
        questions=len(np.unique(question)),
        samples=len(question),
        right=_share(right[chosen], question, level),
        truncated=_share(cut, question, level),
        no_answer=_share(found.silent[chosen] * (1.0 - cut), question, level),
        tokens=float(known.mean()) if len(known) else None,
    )


def _share(values: Floats, question: Integers, level: float) -> Share:
    if not len(values):
        return Share(None)
    low, high = interval(values, Interval(level=level), question) or (None, None)
    return Share(float(values.mean()), low, high)


def _edges(tokens: Floats, parts: int) -> Floats:
    edges: Floats = np.unique(np.quantile(tokens, np.linspace(0, 1, parts + 1)))
    return edges


def _lengths(found: Samples, right: Floats, config: ProfileConfig) -> list[Line]:
    """P(right) against the tokens used, in parts of equal numbers of samples; empty where no length is known."""
    known = ~np.isnan(found.tokens)
    if not known.any():
        return []
    edges = _edges(found.tokens[known], config.quantiles)
    place = np.clip(np.searchsorted(edges, found.tokens, side="right") - 1, 0, max(0, len(edges) - 2))
    made = []
    for at in np.unique(place[known]):
        name = f"{edges[at]:.0f} to {edges[min(at + 1, len(edges) - 1)]:.0f} tokens"
        made.append(_line(name, found, right, known & (place == at), config.level))
    return made


def _hazard(found: Samples, parts: int) -> list[Hazard]:
    known = ~np.isnan(found.tokens)
    if not known.any():
        return []
    tokens, cut = found.tokens[known], (found.status == "truncated")[known]
    edges = _edges(tokens, max(4, parts))
    made = []
    for start, end in itertools.pairwise(edges.tolist()):
        reached = tokens >= start
        here = reached & ((tokens < end) | (end == edges[-1]))
        total = int(reached.sum())
        made.append(Hazard(start, end, total, int((here & cut).sum()) / total, int((here & ~cut).sum()) / total))
    return made


def _text(item: Profile, level: float) -> str:
    header = ["part", "questions", "samples", f"right {100 * level:g}%", "truncated", "no_answer", "tokens"]
    lines = [header, *(_cells(line) for line in (*item.parts, *item.lengths))]
    text = layout(item.benchmark, lines, [max(map(len, column)) for column in zip(*lines, strict=True)]).rstrip("\n") + "\n"
    if item.hazard:
        text += "of the samples that came so far, cut or ended by themselves before the next step:\n"
        for one in item.hazard:
            text += f"  from {one.start:.0f} tokens ({one.reached} samples): "
            text += f"cut {100 * one.cut:.1f}%, ended {100 * one.ended:.1f}%\n"
    if item.loops is not None:
        own = item.loops
        text += (
            f"loops: {own.looping} of {own.read} texts read compress to less than {100 * own.below:g}% of their length; "
            f"of those {_percent(own.right_looping)} are right, of the others {_percent(own.right_others)}\n"
        )
    if item.telling:
        text += "most telling samples (question, seed):\n"
        text += "".join(f"  {one.question}, {'greedy' if one.seed < 0 else one.seed}: {one.why}\n" for one in item.telling)
    return text + "\n\n"


def _cells(line: Line) -> list[str]:
    shares = [_between(share) for share in (line.right, line.truncated, line.no_answer)]
    return [line.name, str(line.questions), str(line.samples), *shares, "—" if line.tokens is None else f"{line.tokens:.0f}"]


def _between(share: Share) -> str:
    if share.value is None:
        return "—"
    ends = "" if share.low is None or share.high is None else f" ({100 * share.low:.1f} to {100 * share.high:.1f})"
    return f"{100 * share.value:.1f}%{ends}"


def _percent(value: float | None) -> str:
    return "—" if value is None else f"{100 * value:.1f}%"
