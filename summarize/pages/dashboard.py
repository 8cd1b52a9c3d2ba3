"""`ns dashboard OUT…`: the same numbers to look through, in a browser, from this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ns_eval.errors import UsageError
from ns_eval.schema import positional

# app.py finds its runs here: Streamlit keeps a script's own words, but not across its restarts.
VARIABLE = "NS_DASHBOARD"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass
class DashboardConfig:
    """Look through runs in a browser: samples, scores, domains, insights. It needs the extra [dashboard].

    Examples:
        ns dashboard out
        ns dashboard run-a run-b --port=8600
    """

    runs: list[str] = positional(many=True)  # noqa: RUF009
    """Run folders, or a folder of run folders; they may still be running."""
    benchmarks: list[str] = field(default_factory=list)
    """Only these."""
    address: str = "127.0.0.1"
    """Where to listen. Anything but loopback shows the runs to whoever reaches it."""
    port: int = 8501
    """The port."""
    level: float = 0.95
    """The confidence level of intervals and findings."""


def main(config: DashboardConfig) -> int:
    """Becomes the server; it ends with Ctrl-C.

    Raises:
        UsageError: no run, the extra is missing.
    """
    if not config.runs:
        raise UsageError("which runs?", hint="ns dashboard OUTPUT_DIR")
    if importlib.util.find_spec("streamlit") is None:
        raise UsageError("ns dashboard needs streamlit", hint="pip install 'ns-eval[dashboard]'")
    if not 0 < config.port < 65536:
        raise UsageError(f"--port={config.port}: expected a number from 1 to 65535")
    if config.address not in _LOOPBACK:
        print(f"warning: whoever reaches {config.address}:{config.port} sees these runs", file=sys.stderr)
    told = {
        "runs": [str(Path(run).absolute()) for run in config.runs],
        "benchmarks": config.benchmarks,
        "level": config.level,
    }
    os.environ[VARIABLE] = json.dumps(told)
    options = {
        "server.address": config.address,
        "server.port": config.port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "theme.base": "",
    }
    words = [f"--{name}={value}" for name, value in options.items() if value != ""]
    sys.stdout.flush()
    app = Path(__file__).with_name("app.py")
    os.execv(sys.executable, [sys.executable, "-m", "summarize.pages.serve", "run", str(app), *words])
