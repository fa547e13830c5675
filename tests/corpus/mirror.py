"""A web server on loopback that misbehaves as it is told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = Literal["missing", "truncate", "corrupt", "hang", "stall", "busy", "endless"]


class Mirror:
    """What it serves, what goes wrong at which path, and what it was asked for.

    A fault is done ``times`` times, and then the file is served as it is.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, tuple[Fault, int]] = {}
        self.asked: Counter[str] = Counter()
        self.url = ""
        self.ended = threading.Event()

    def fail(self, path: str, fault: Fault, times: int = 10**9) -> None:
        self.faults[path] = (fault, times)

    def fault_at(self, path: str) -> Fault | None:
        fault, left = self.faults.get(path, (None, 0))
        if fault is None or left == 0:
            return None
        self.faults[path] = (fault, left - 1)
        return fault


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    mirror: Mirror


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        mirror, path = self.server.mirror, self.path.lstrip("/")
        mirror.asked[path] += 1
        fault, content = mirror.fault_at(path), mirror.files.get(path)
        if fault == "hang":
            mirror.ended.wait(20)
            return
        if fault == "busy" or fault == "missing" or content is None:
            self.send_error(503 if fault == "busy" else 404)
            return
        if fault == "corrupt":
            content = content[:-1] + bytes([content[-1] ^ 1])
        sent = content[: len(content) // 2] if fault in ("truncate", "stall") else content
        self.send_response(200)
        self.send_header("Content-Length", str(10**9 if fault == "endless" else len(content)))
        self.end_headers()
        try:
            self.wfile.write(sent)
            if fault == "stall":
                self.wfile.flush()
                mirror.ended.wait(20)
            while fault == "endless":
                self.wfile.write(bytes(2**16))
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Mirror]:
    mirror = Mirror()
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.mirror = mirror
        mirror.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield mirror
        finally:
            mirror.ended.set()
            server.shutdown()
            thread.join()
