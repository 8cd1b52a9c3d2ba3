"""The dashboard's page, which Streamlit runs from the top at every click. Numbers come from the modules beside it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import streamlit as st

from summarize.pages import explorer, tabs
from summarize.pages.dashboard import VARIABLE
from summarize.pages.loaded import loaded
from summarize.pages.runs import Book, stamp

_LOOK_S = 5
_TABS = ("Q&A Explorer", "Performance Scores", "Domain Analysis", "Analysis & Insights")


def main() -> None:
    """One look at the runs."""
    st.set_page_config(page_title="ns-eval", page_icon="📊", layout="wide")
    told = json.loads(os.environ[VARIABLE])
    paths = [Path(path) for path in told["runs"]]
    seen = stamp(paths)
    with st.spinner("reading the runs …"):
        book, found = loaded(told["runs"], told["benchmarks"], told["level"], seen)
    st.html("<style>.stMainBlockContainer { padding-top: 2.5rem; }</style>")
    st.title(", ".join(book.benchmarks) or "no results yet", anchor=False)
    _states(book)
    _watch(paths, seen, said=book.unfinished)
    if not book.benchmarks:
        return
    # A link to a question opens where it is shown.
    shown = st.segmented_control("View", _TABS, default=_TABS[0], key="view", label_visibility="collapsed") or _TABS[0]
    if shown == _TABS[0]:
        explorer.show(book, found)
    elif shown == _TABS[1]:
        tabs.scores(book)
    elif shown == _TABS[2]:
        tabs.domains(book)
    else:
        tabs.analysis(book)


def _states(book: Book) -> None:
    """What is not complete is said before any number."""
    for run in book.runs:
        graded = sum(part.whole.coverage.graded for part in run.parts)
        expected = sum(part.whole.coverage.expected for part in run.parts)
        if run.state in ("gone", "unreadable"):
            st.error(tabs.plain(f"{run.name}: {run.note}"))
        elif run.state != "complete":
            st.warning(tabs.plain(f"{run.name} is {run.state}: {run.note or f'{graded} of {expected} samples are graded'}"))


@st.fragment(run_every=_LOOK_S)
def _watch(paths: list[Path], seen: object, *, said: bool) -> None:
    """Looks for new results, and for folders that are gone."""
    if said:
        st.caption(f"looked at {time.strftime('%H:%M:%S')}; new results are shown as they come")
    if stamp(paths) != seen:
        st.rerun()


main()
