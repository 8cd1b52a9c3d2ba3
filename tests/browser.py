"""A headless Chromium for the tests of the pages: skipped with a reason where it is not there, required in CI."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.paths import REPO

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_LIBRARIES = [
    name for name in ("streamlit", "playwright", "axe_playwright_python") if importlib.util.find_spec(name) is None
]
ABSENT = [*_LIBRARIES, *([] if CHROMIUM else ["chromium (Debian: apt-get install chromium)"])]
if ABSENT and os.environ.get("CI") == "true":
    raise RuntimeError(f"the pages are tested in a browser, and in CI nothing of it may be missing: {', '.join(ABSENT)}")
needs_browser = pytest.mark.skipif(bool(ABSENT), reason=f"no browser tests without {', '.join(ABSENT)}")
needs_streamlit = pytest.mark.skipif("streamlit" in _LIBRARIES, reason="no dashboard without streamlit")
SIZES = (1280, 390)


@contextmanager
def served(folder: Path, log: Path) -> Iterator[str]:
    """`ns dashboard FOLDER` on a free port; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ns_eval", "dashboard", str(folder), f"--port={port}"]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    with log.open("w") as file:
        server = subprocess.Popen(command, cwd=REPO, env=environment, stdout=file, stderr=file, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not _healthy(port):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/"
        assert "Traceback" not in log.read_text(), log.read_text()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def _healthy(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).read()
    except OSError:
        return False
    return True


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


class Watched:
    """A page of which is known what it asked for and what it complained about."""

    def __init__(self, browser: Any, width: int, **context: Any) -> None:
        self._context = browser.new_context(viewport={"width": width, "height": 1400}, **context)
        self.page = self._context.new_page()
        self.page.set_default_timeout(90_000)
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda sent: self.requests.append(sent.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)

    def close(self) -> None:
        self._context.close()

    @property
    def outside(self) -> list[str]:
        """Requests that leave this machine."""
        own = ("file:", "data:", "blob:", "http://127.0.0.1", "ws://127.0.0.1")
        return [url for url in self.requests if not url.startswith(own)]


def picture(page: Any, name: str) -> None:
    """A picture for people to look at, where NS_PICTURES names a folder."""
    folder = os.environ.get("NS_PICTURES")
    if folder:
        page.locator("[data-testid=stSkeleton]").first.wait_for(state="detached")  # what is still to be drawn
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
