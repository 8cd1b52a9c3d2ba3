"""Charts of the dashboard: one colour a run, an interval on every bar or dot."""

from __future__ import annotations

import html
from typing import Any

import altair as alt
import streamlit as st

from summarize.pages.colours import colours
from summarize.pages.contents import Chart
from summarize.pages.runs import Book

_TIPS = ["run:N", alt.Tooltip("label:N", title="of"), alt.Tooltip("shown:N", title="value"), "low:Q", "high:Q"]


def draw(chart: Chart, book: Book, key: str) -> None:
    """Shows a chart: bars with whiskers, or dots with whiskers on a line for each label."""
    if not chart.bars:
        return
    labels = list(dict.fromkeys(bar.label for bar in chart.bars))
    y = alt.Y("label:N", sort=labels, title=None, axis=alt.Axis(labelLimit=230, ticks=False, domain=False))
    base = alt.Chart(_data(chart)).encode(y=y, tooltip=_TIPS)
    names = [run.name for run in book.runs]
    if chart.dots:
        picture = _dots(base, chart, names)
        height = 60 + len(labels) * max(24, 10 * len({bar.run for bar in chart.bars}) + 8)
    else:
        picture = _bars(base, chart, names)
        height = 40 + 30 * len(labels)
    st.altair_chart(picture.properties(title=chart.title, height=height), width="stretch", key=key)
    if chart.dots:
        st.html(_legend(chart, names))


def _data(chart: Chart) -> Any:
    import pandas as pd

    rows = [(bar.run, bar.label, bar.value, bar.low, bar.high, f"{bar.text} {bar.mark}".strip()) for bar in chart.bars]
    return pd.DataFrame(rows, columns=["run", "label", "value", "low", "high", "shown"])


def _bars(base: Any, chart: Chart, names: list[str]) -> Any:
    bars = base.mark_bar(height=18, cornerRadiusEnd=2).encode(
        x=_x(chart, "value:Q"), x2=alt.datum(chart.least), color=_colour(names)
    )
    # Vega's own black could not be read on a dark page.
    ink = "#f2f2f2" if st.context.theme.type == "dark" else "#1c1c1c"
    reach = base.mark_rule(strokeWidth=2, color=ink).encode(x=_x(chart, "low:Q"), x2="high:Q")
    values = base.mark_text(align="left", dx=6, color=ink).encode(x=_x(chart, "high:Q"), text="shown:N")
    return alt.layer(bars, reach, values)


def _dots(base: Any, chart: Chart, names: list[str]) -> Any:
    """Each run has a lane of its own within a label."""
    lane, colour = alt.YOffset("run:N", sort=names), _colour(names)
    reach = base.mark_rule(strokeWidth=2, opacity=0.55).encode(x=_x(chart, "low:Q"), x2="high:Q", yOffset=lane, color=colour)
    dots = base.mark_circle(size=70, opacity=1).encode(x=_x(chart, "value:Q"), yOffset=lane, color=colour)
    return alt.layer(reach, dots)


def _x(chart: Chart, field: str) -> alt.X:
    axis = alt.Axis(format="%" if chart.ends[1].endswith("%") else "", title=None, tickCount=6)
    scale = alt.Scale(domain=[chart.least, chart.most], nice=False, zero=False, clamp=True)
    return alt.X(field, scale=scale, axis=axis)


def _colour(names: list[str]) -> alt.Color:
    return alt.Color("run:N", scale=alt.Scale(domain=names, range=colours(len(names))), legend=None)


def _legend(chart: Chart, names: list[str]) -> str:
    """Below the chart and not in it: there a long one would take the dots' room, and a wide one be cut on a phone."""
    colour = dict(zip(names, colours(len(names)), strict=True))
    runs = dict.fromkeys(bar.run for bar in chart.bars)
    items = "".join(
        f'<span><span style="color:{colour[run]}" aria-hidden="true">●</span> {html.escape(run)}</span>' for run in runs
    )
    return f'<div style="display:flex;flex-wrap:wrap;gap:0.2rem 1.2rem;font-size:0.85rem">{items}</div>'
