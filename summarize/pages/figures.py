"""Charts of the report, in HTML and CSS alone: bars with whiskers, or dots with whiskers in lanes."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from summarize.pages.contents import Bar, Chart
from summarize.pages.runs import Book


def figure(chart: Chart, book: Book) -> str:
    """One chart with its axis and its legend; each run has its colour."""
    numbers = {run.name: at for at, run in enumerate(book.runs)}
    rows, legend = (_dots if chart.dots else _bars)(chart, numbers)
    least, most = chart.ends
    axis = f'<span class="ends"><span>{least}</span><span>{most}</span></span>'
    ends = f'<div class="row"><span class="label"></span>{axis}</div>'
    kind = ' class="dots"' if chart.dots else ""
    return f"<figure{kind}><figcaption>{html.escape(chart.title)}</figcaption>{rows}{ends}{legend}</figure>"


def _bars(chart: Chart, numbers: Mapping[str, int]) -> tuple[str, str]:
    """A row for each bar; the legend says what its mark means."""
    rows = ""
    for bar in chart.bars:
        drawn = f'<i class="bar c{numbers[bar.run]}" style="width:{_place(chart, bar.value):.2f}%"></i>'
        drawn += _reach(chart, bar, "whisker", "")
        value = f"{html.escape(bar.text)}{f' {bar.mark}' if bar.mark else ''}"
        rows += _row(bar.label, f'<span class="track">{drawn}</span><span class="value">{value}</span>')
    cut = any(bar.mark for bar in chart.bars)
    return rows, '<p class="soft">✂ some answers were cut at the token limit</p>' if cut else ""


def _dots(chart: Chart, numbers: Mapping[str, int]) -> tuple[str, str]:
    """A row for each label with a lane for each run; the legend names the runs."""
    rows = ""
    for label in dict.fromkeys(bar.label for bar in chart.bars):
        own = [bar for bar in chart.bars if bar.label == label]
        height = max(1.4, 0.7 * len(own))
        rows += _row(label, f'<span class="track" style="height:{height:.1f}rem">{_lanes(chart, own, numbers)}</span>')
    runs = dict.fromkeys(bar.run for bar in chart.bars)
    key = "".join(f'<li><i class="c{numbers[run]}"></i>{html.escape(run)}</li>' for run in runs)
    return rows, f'<ul class="key">{key}</ul>'


def _lanes(chart: Chart, bars: Sequence[Bar], numbers: Mapping[str, int]) -> str:
    dots = ""
    for at, bar in enumerate(bars):
        colour, lane = f"c{numbers[bar.run]}", f"top:{100 * (at + 0.5) / len(bars):.1f}%;"
        title = html.escape(f"{bar.run}: {bar.text}")
        dots += _reach(chart, bar, f"reach {colour}", lane)
        dots += f'<i class="dot {colour}" style="{lane}left:{_place(chart, bar.value):.2f}%" title="{title}"></i>'
    return dots


def _reach(chart: Chart, bar: Bar, kind: str, style: str) -> str:
    """The interval of a bar, where it has one."""
    if bar.low is None or bar.high is None:
        return ""
    left, right = _place(chart, bar.low), _place(chart, bar.high)
    return f'<i class="{kind}" style="{style}left:{left:.2f}%;width:{right - left:.2f}%"></i>'


def _row(label: str, drawn: str) -> str:
    return f'<div class="row"><span class="label">{html.escape(label)}</span>{drawn}</div>'


def _place(chart: Chart, value: float) -> float:
    """Where a value lies between the ends of the axis, in percent."""
    return 100 * min(1.0, max(0.0, (value - chart.least) / (chart.most - chart.least)))
