"""A hosted API on loopback: a proxy that hands every CONNECT to a TLS server of its own, so that a command which names
`https://api.openai.com` runs word for word. Its certificate is made for the test and trusted through SSL_CERT_FILE.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.peers.replying import Replying


@dataclass(frozen=True)
class Asked:
    """One request: the host that the proxy was asked for, its path, headers in lower case, and body."""

    host: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Api:
    """`environment` sends a process here."""

    environment: Mapping[str, str]
    requests: list[Asked] = field(default_factory=list)


def certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate with")
    cert, key = folder / "cert.pem", folder / "key.pem"
    asked = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}"]
    asked += ["-addext", f"subjectAltName=DNS:{host}", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(asked, check=True, capture_output=True)
    return cert, key


@contextlib.contextmanager
def openai_behind_a_proxy(folder: Path, text: str, host: str = "api.openai.com") -> Iterator[Api]:
    """Answers every chat completion with `text`."""
    (folder / "tls").mkdir()
    cert, key = certificate(folder / "tls", host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)
    server.daemon_threads = True
    proxy = f"http://127.0.0.1:{server.server_address[1]}"
    api = Api({"https_proxy": proxy, "HTTPS_PROXY": proxy, "no_proxy": "", "NO_PROXY": "", "SSL_CERT_FILE": str(cert)})
    server.RequestHandlerClass = _tunnel(api, context, text)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()


def _tunnel(api: Api, context: ssl.SSLContext, text: str) -> type[socketserver.BaseRequestHandler]:
    class Tunnel(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            head = b""
            while b"\r\n\r\n" not in head:
                head += self.request.recv(4096)
            method, host, _ = head.decode().split(" ", 2)
            assert method == "CONNECT", head
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with contextlib.suppress(OSError), context.wrap_socket(self.request, server_side=True) as inner:
                _answering(api, host, text)(inner, self.client_address, self.server)

    return Tunnel


def _answering(api: Api, host: str, text: str) -> type[Replying]:
    class Answering(Replying):
        def do_GET(self) -> None:
            self._note(b"")
            self.say(200, {"object": "list", "data": [{"id": "gpt-4o", "object": "model"}]})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self._note(body)
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            usage = {"prompt_tokens": 400, "completion_tokens": 12, "total_tokens": 412}
            self.say(
                200, {"object": "chat.completion", "model": json.loads(body)["model"], "choices": [choice], "usage": usage}
            )

        def _note(self, body: bytes) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            api.requests.append(Asked(host, self.path, headers, body))

    return Answering
