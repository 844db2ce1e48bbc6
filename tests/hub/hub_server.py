"""A server on this machine that speaks the model hub's API, as far as the real client asks: small repositories, some of them with faults.

Files are bytes with a size: what lies behind the bytes is a hole, which is sent as zeros.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".gguf")


@dataclass
class File:
    """`data`, then zeros up to `size` (0: no more than the data)."""

    data: bytes
    size: int = 0

    @property
    def length(self) -> int:
        return max(self.size, len(self.data))

    def part(self, start: int, end: int) -> bytes:
        """Bytes from start to end (exclusive)."""
        return self.data[start:end] + bytes(max(0, end - max(start, len(self.data))))

    @property
    def git(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data, usedforsecurity=False).hexdigest()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(b"%d" % self.length + self.data).hexdigest()


@dataclass
class Repo:
    """A repository. `fault` is one of gated, moved:NAME, unavailable, slow, cut, half, whole, changed (small files), shards (weights)."""

    files: dict[str, File]
    commit: str = "a" * 40
    card: dict[str, Any] = field(default_factory=dict)
    gated: str | bool = False
    fault: str = ""
    quantized_from: str = ""


class HubServer:
    """The server; `repos` may be changed while it runs, `asked` lists the requests, `token` is what gated repositories want."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.asked: list[str] = []
        self.ranges: list[str] = []
        self.token = "hf_test"
        self.down = False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self, True)

            def do_HEAD(self) -> None:
                hub.answer(self, False)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[HubServer]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def answer(self, request: BaseHTTPRequestHandler, body: bool) -> None:
        url = urlsplit(request.path)
        path = unquote(url.path)
        self.asked.append(f"{request.command} {path}")
        if self.down:
            return _send(request, 503, {}, b"", body)
        if path == "/api/models":
            return self._listed(request, parse_qs(url.query), body)
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path)
        if found:
            return self._model(request, found[1], found[2], body)
        found = re.fullmatch(r"/(?:cdn/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if found:
            return self._file(request, found[1], found[2], found[3], body, cdn=path.startswith("/cdn/"))
        return _send(request, 404, {}, b"", body)

    def _listed(self, request: BaseHTTPRequestHandler, query: Mapping[str, list[str]], body: bool) -> None:
        wanted = query.get("filter", [""])[0]
        found = [{"id": name, "modelId": name} for name, one in self.repos.items() if f"base_model:quantized:{one.quantized_from}" == wanted]
        _json(request, found, body)

    def _refused(self, request: BaseHTTPRequestHandler, name: str, revision: str | None, body: bool) -> Repo | None:
        """The repository, unless an error has been sent."""
        repo = self.repos.get(name)
        if repo is None:
            _send(request, 404 if "authorization" in request.headers else 401, {"X-Error-Code": "RepoNotFound"}, b"", body)
        elif repo.fault == "unavailable":
            _send(request, 503, {}, b"", body)
        elif revision not in (None, "main", repo.commit):
            _send(request, 404, {"X-Error-Code": "RevisionNotFound"}, b"", body)
        else:
            if repo.fault == "slow":
                time.sleep(0.3)
            return repo
        return None

    def _model(self, request: BaseHTTPRequestHandler, name: str, revision: str | None, body: bool) -> None:
        repo = self._refused(request, name, revision, body)
        if repo is None:
            return
        if repo.fault.startswith("moved:"):
            name = repo.fault.removeprefix("moved:")
        siblings = []
        for file, one in repo.files.items():
            entry: dict[str, Any] = {"rfilename": file, "size": one.length, "blobId": one.git}
            if file.endswith(LARGE):
                entry["lfs"] = {"sha256": one.sha256, "size": one.length, "pointerSize": 130}
            siblings.append(entry)
        _json(request, {
            "_id": "1", "id": name, "modelId": name, "sha": repo.commit, "gated": repo.gated, "private": False, "disabled": False,
            "tags": [], "downloads": 1, "likes": 0, "cardData": repo.card, "siblings": siblings,
        }, body)  # fmt: skip

    def _file(self, request: BaseHTTPRequestHandler, name: str, revision: str, file: str, body: bool, cdn: bool) -> None:
        repo = self._refused(request, name, revision, body)
        if repo is None:
            return None
        if repo.gated and request.headers.get("authorization") != f"Bearer {self.token}" and not cdn:
            return _send(request, 403, {"X-Error-Code": "GatedRepo"}, b"", body)
        one = repo.files.get(file)
        if one is None:
            return _send(request, 404, {"X-Error-Code": "EntryNotFound"}, b"", body)
        large = file.endswith(LARGE)
        headers = {"X-Repo-Commit": repo.commit, "ETag": f'"{one.sha256 if large else one.git}"', "Accept-Ranges": "bytes"}
        if large and not cdn:  # LFS and Xet: the bytes are elsewhere
            headers |= {
                "X-Linked-Etag": f'"{one.sha256}"', "X-Linked-Size": str(one.length), "X-Xet-Hash": one.sha256,
                "Location": f"{self.url}/cdn/{name}/resolve/{revision}/{file}?sig=secret",
            }  # fmt: skip
            return _send(request, 302, headers, b"", body)
        size, start, end = one.length, 0, one.length
        if repo.fault == "shards" and large:
            size = end = size + 8
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        if wanted and repo.fault != "whole":
            start, end = int(wanted[1]), min(size, int(wanted[2]) + 1)
            self.ranges.append(f"{file}:{start}-{end}")
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        data = one.part(start, end) if body else b""
        if repo.fault == "changed" and not large:
            data = data.replace(b"4", b"5")
        if repo.fault in ("cut", "half") and large:
            headers["Content-Length"] = str(end - start)
            request.close_connection = True
            return _send(request, 206, headers, data[:1000] if repo.fault == "half" else b"", body)
        headers["Content-Length"] = str(end - start)
        return _send(request, 206 if "Content-Range" in headers else 200, headers, data, body)


def _json(request: BaseHTTPRequestHandler, data: object, body: bool) -> None:
    _send(request, 200, {"Content-Type": "application/json"}, json.dumps(data).encode(), body)


def _send(request: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], data: bytes, body: bool) -> None:
    try:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        if body:
            request.wfile.write(data)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the client has read enough
