"""A small dataset hub on loopback: the routes of huggingface.co that a download takes, over folders of files.

`datasets["owner/name"] = {"main": {"path": bytes, …}, "refs/convert/parquet": {…}}`; a name in `gated` asks for `TOKEN`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_thetokenofthetest"
Revisions = Mapping[str, Mapping[str, bytes]]


@dataclass
class Hub:
    """What is served. `url` goes into HF_ENDPOINT; `asked` are the paths in order."""

    datasets: dict[str, Revisions]
    gated: frozenset[str] = frozenset()
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def commit(self, dataset: str, revision: str) -> str | None:
        """40 hex digits for a revision that exists, or for a commit itself."""
        for name in self.datasets[dataset]:
            digest = hashlib.sha1(f"{dataset}@{name}".encode()).hexdigest()
            if revision in (name, digest):
                return digest
        return None

    def files(self, dataset: str, revision: str) -> Mapping[str, bytes]:
        digest = self.commit(dataset, revision)
        return next(files for name, files in self.datasets[dataset].items() if self.commit(dataset, name) == digest)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Answers until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._serve()

        def do_GET(self) -> None:
            self._serve()

        def log_message(self, format: str, *args: object) -> None:
            hub.asked.append(f"{self.command} {self.path}")

        def _serve(self) -> None:
            path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
            info = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/revision/(.+))?", path)
            resolve = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
            match = info or resolve
            if match is None:
                # Anything else is a plain file server: what a repository at a commit is.
                self._file(hub.datasets.get("files", {}).get("main", {}).get(path.lstrip("/")), "")
            elif match[1] not in hub.datasets:
                self._refuse(401, "RepoNotFound")
            elif match[1] in hub.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._refuse(403 if self.headers.get("Authorization") else 401, "GatedRepo")
            elif (commit := hub.commit(match[1], match[2] or "main")) is None:
                self._refuse(404, "RevisionNotFound")
            elif info:
                files = [{"rfilename": name} for name in hub.files(match[1], commit)]
                self._send(
                    json.dumps({"id": match[1], "sha": commit, "siblings": files}).encode(), "application/json", commit
                )
            else:
                self._file(hub.files(match[1], commit).get(match[3]), commit)

        def _file(self, content: bytes | None, commit: str) -> None:
            if content is None:
                self._refuse(404, "EntryNotFound")
            else:
                self._send(content, "application/octet-stream", commit)

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(self, content: bytes, kind: str, commit: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            if commit:
                self.send_header("X-Repo-Commit", commit)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    return Handler
