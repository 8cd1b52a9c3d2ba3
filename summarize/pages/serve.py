"""Streamlit with the modules and runs of the dashboard read ahead: `python -m summarize.pages.serve`.

Streamlit runs a page only when a browser asks, so the first one would wait for seconds of imports.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path

from ns_eval.errors import NsError
from summarize.pages.dashboard import VARIABLE


def main() -> None:
    """Never returns: Streamlit's own command line takes over."""
    threading.Thread(target=_read_ahead, daemon=True).start()
    from streamlit.web.cli import main as streamlit

    streamlit()


def _read_ahead() -> None:
    """What goes wrong here goes wrong again on the page, which says it."""
    from summarize.pages import explorer, tabs  # noqa: F401
    from summarize.pages.loaded import loaded
    from summarize.pages.runs import stamp

    told = json.loads(os.environ[VARIABLE])
    with contextlib.suppress(NsError):
        loaded(told["runs"], told["benchmarks"], told["level"], stamp([Path(path) for path in told["runs"]]))


if __name__ == "__main__":
    main()
