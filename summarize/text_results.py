"""What the text metrics found: of one model an `Evaluation`, of two a `Comparison`; as text, HTML, JSON, pandas tables."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import numpy as np
import numpy.typing as npt

from ns_eval.errors import DataError
from ns_eval.files import write_text
from summarize.render import grid

if TYPE_CHECKING:
    from summarize.frames import Frame


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One metric over all pairs. `value` is the headline: the mean of the pairs' scores, but corpus BLEU for bleu, corpus
    chrF for chrf, and the perplexity of all tokens for perplexity. `mean`, `median` and `sd` are of the pairs' own scores.

    `low` and `high` bound the value, None where one pair cannot tell. `source` says what computed it, with which settings.
    """

    value: float
    low: float | None
    high: float | None
    mean: float
    median: float
    sd: float | None
    source: str
    higher_is_better: bool | None = True


@dataclass(frozen=True, slots=True)
class Profile:
    """Lengths and speed: mean, median and 95th percentile."""

    mean: float
    median: float
    p95: float


class Findings(ABC):
    """A table with remarks below it: as text, as HTML in a notebook, as JSON that is read back."""

    __slots__ = ()

    def to_json(self, path: Path | str | None = None) -> str:
        """Everything, as JSON; written to `path` too where one is given."""
        text = msgspec.json.format(msgspec.json.encode(self), indent=1).decode() + "\n"
        if path is not None:
            write_text(Path(path), text)
        return text

    @classmethod
    def from_json(cls, path: Path | str) -> Self:
        """What `to_json` wrote.

        Raises:
            DataError: the file is none of those.
        """
        try:
            return msgspec.json.decode(Path(path).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            raise DataError(f"{path}: no {cls.__name__} can be read from it ({error})") from error

    def __repr__(self) -> str:
        lines = self._lines()
        table = grid(self._title(), lines, [max(map(len, column)) for column in zip(*lines, strict=True)])
        return table.rstrip("\n") + "\n" + "".join(f"{line}\n" for line in self._remarks())

    def _repr_html_(self) -> str:
        heads, *lines = self._lines()
        body = "".join(_row(line, "td") for line in lines)
        below = "".join(f"<p>{html.escape(remark)}</p>" for remark in self._remarks())
        caption = f"<caption>{html.escape(self._title())}</caption>"
        return f"<table>{caption}<thead>{_row(heads, 'th')}</thead><tbody>{body}</tbody></table>{below}"

    @abstractmethod
    def _title(self) -> str: ...

    @abstractmethod
    def _lines(self) -> list[list[str]]:
        """The table: its head first."""

    @abstractmethod
    def _remarks(self) -> list[str]: ...


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation(Findings):
    """The metrics of one model's texts. `examples` holds one column a metric, a row for every pair that was scored.

    `parts` are the summed counts behind corpus metrics; `left_out` pairs had an empty reference; `notes` say what a
    metric's own model cut. Two are compared only where `settings`, `ids` and `pairs`, the hashes of the references, agree.
    """

    settings: Mapping[str, Any]
    metrics: Mapping[str, Aggregate]
    profile: Mapping[str, Profile]
    ids: tuple[str, ...]
    pairs: tuple[str, ...]
    predictions: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    examples: Mapping[str, tuple[float, ...]]
    parts: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    left_out: int = 0
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Aggregate:
        return self.metrics[name]

    def __len__(self) -> int:
        return len(self.predictions)

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """The pairs' own scores, shape (pairs,)."""
        return np.array(self.examples[name], dtype=np.float64)

    def to_pandas(self) -> Frame:
        """A row a pair: id, prediction, reference (the first one), then a column a metric."""
        from summarize.frames import frame

        texts = {"prediction": self.predictions, "reference": [found[0] for found in self.references]}
        return frame({"id": self.ids, **texts, **self.examples})

    def _title(self) -> str:
        return f"text metrics, {_counted(len(self), 'pair')}"

    def _lines(self) -> list[list[str]]:
        level = f"{100 * float(self.settings.get('level', 0.95)):g}% interval"
        lines = [["metric", "value", level, "mean", "median", "sd", "source"]]
        for name, found in self.metrics.items():
            ends = _between(found.low, found.high)
            lines.append([name, number(found.value), ends, *map(number, (found.mean, found.median, found.sd)), found.source])
        for name, spread in self.profile.items():
            lines.append(
                [name, number(spread.mean), "", number(spread.mean), number(spread.median), "", f"p95 {number(spread.p95)}"]
            )
        return lines

    def _remarks(self) -> list[str]:
        left = [f"left out: {_counted(self.left_out, 'pair')} with an empty reference"] if self.left_out else []
        return [*left, *self.notes]


@dataclass(frozen=True, slots=True)
class Change:
    """One metric of two models on the same questions; `delta` is PEFT minus base. The interval is the unadjusted paired
    bootstrap over questions; `p` is the two-sided sign-flip test, `p_holm` the same after Holm over all metrics.

    `verdict`: improved or worse where p_holm is below 1 - level, else "no difference found", for which `detectable` says how
    large a difference 80 % of such comparisons would have found. Wins are questions on which PEFT is better.
    """

    metric: str
    base: float
    peft: float
    delta: float
    low: float | None
    high: float | None
    relative: float | None
    wins: int
    ties: int
    losses: int
    p: float
    p_holm: float
    detectable: float | None
    verdict: str
    higher_is_better: bool
    primary: bool
    source: str


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Findings):
    """A row a metric. `length_ratio` is PEFT's mean number of words over the base's: overlap often grows with length alone.
    `same` counts the questions with the same answer from both."""

    changes: tuple[Change, ...]
    questions: int
    level: float
    draws: int
    seed: int
    length_ratio: float | None
    same: int
    notes: tuple[str, ...] = ()

    def __getitem__(self, metric: str) -> Change:
        return next(change for change in self.changes if change.metric == metric)

    def to_pandas(self) -> Frame:
        """A row a metric, with the fields of `Change` as columns."""
        from summarize.frames import frame

        names = Change.__dataclass_fields__
        return frame({name: [getattr(change, name) for change in self.changes] for name in names})

    def _title(self) -> str:
        return f"base against PEFT, {_counted(self.questions, 'question')}"

    def _lines(self) -> list[list[str]]:
        lines = [["metric", "base", "PEFT", "Δ", f"{100 * self.level:g}% interval", "relative", "wins/ties/losses"]]
        lines[0] += ["p", "p (Holm)", "detectable", "verdict"]
        for row in self.changes:
            relative = "n/a" if row.relative is None else f"{100 * row.relative:+.1f}%"
            ends = "n/a" if row.low is None or row.high is None else f"{row.low:+.4f} to {row.high:+.4f}"
            counts = f"{row.wins}/{row.ties}/{row.losses}"
            name = f"{row.metric}{'' if row.higher_is_better else ' ↓'}{' *' if row.primary else ''}"
            shown = [name, number(row.base), number(row.peft), f"{row.delta:+.4f}", ends, relative, counts]
            lines.append([*shown, f"{row.p:.4f}", f"{row.p_holm:.4f}", number(row.detectable), row.verdict])
        return lines

    def _remarks(self) -> list[str]:
        made = (
            f"interval: unadjusted paired bootstrap, {self.draws:,} draws of the questions, seed {self.seed}; p: sign flips"
        )
        remarks = [f"*: the primary metric, ↓: lower is better; {made}"]
        if self.length_ratio is not None:
            remarks.append(f"PEFT's answers are {self.length_ratio:.2f} times as long as the base's, in words")
        same = f"{self.same} of {self.questions} answers are the same text" if self.same else ""
        return [*remarks, *([same] if same else []), *self.notes]


def number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _between(low: float | None, high: float | None) -> str:
    return "n/a" if low is None or high is None else f"{number(low)} to {number(high)}"


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
