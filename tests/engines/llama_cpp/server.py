"""Start a server on a loopback port, ask it one thing, stop it. For tests; standard library only.

    port = free_port()
    with Server([*argv, "--port", str(port)], port) as server:
        server.wait_healthy()
        answer = server.chat("hello")
        stopped = server.stop()
    assert stopped.exit_code == 0

The server runs in a session of its own with an empty home, so that no configuration file of the user is read and a
script's children are stopped with it. All times are in seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HOST = "127.0.0.1"
POLL = 0.05
"""Time between two looks at a server that is starting."""

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Loopback is asked directly, whatever proxy the environment names."""


class ServerError(Exception):
    """The server did not do what it was asked; the message ends with its log."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered over HTTP: its status and its body."""

    status: int
    text: str

    def json(self) -> Any:
        """The body, parsed as JSON."""
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Stopped:
    """How the server ended: negative codes are signals; `log` is its stdout and stderr together."""

    exit_code: int
    log: str


def free_port() -> int:
    """A loopback port that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a server: ours without its settings (`LLAMA_*`) and with `home` as an empty home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_")}
    return kept | {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")} | dict(extra or {})


class Server:
    """A running server: `argv` is a program or an executable script that will listen on `port` of the loopback.

    `environment` is added to a clean one; `key` is sent as a bearer token with every request but the health check.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        port: int,
        *,
        environment: Mapping[str, str] | None = None,
        key: str | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.url = f"http://{HOST}:{port}"
        self._key = key
        self._directory = tempfile.TemporaryDirectory(prefix="server-test-")
        root = Path(self._directory.name)
        home = root / "home"
        home.mkdir()
        self._log = root / "log"
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [str(word) for word in argv],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=clean_environment(home, environment),
                    cwd=cwd,
                    start_new_session=True,
                )
        except OSError:
            self._directory.cleanup()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing behind, even where the server ignores SIGTERM or has left children."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._directory.cleanup()

    def log(self) -> str:
        """What the server has printed until now."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def request(
        self, path: str, body: Any = None, *, timeout: float = 60.0, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """GET `path`, or POST `body` to it as JSON. An HTTP error is a reply; no connection raises OSError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data)
        request.add_header("Content-Type", "application/json")
        if self._key is not None:
            request.add_header("Authorization", f"Bearer {self._key}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with _DIRECT.open(request, timeout=timeout) as answer:
                return Reply(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.read().decode(errors="replace"))

    def wait_healthy(self, timeout: float = 60.0, path: str = "/health") -> float:
        """Wait until `path` answers 200 and return the time that took; raise where the server ends or never does."""
        start = time.monotonic()
        while (waited := time.monotonic() - start) < timeout:
            code = self._process.poll()
            if code is not None:
                raise ServerError(f"the server ended with {code} before it was healthy\n{self.log()}")
            with contextlib.suppress(OSError):
                if self.request(path, timeout=2.0).status == 200:
                    return waited
            time.sleep(POLL)
        raise ServerError(f"the server was not healthy within {timeout} s\n{self.log()}")

    def chat(self, text: str, *, model: str = "default", max_tokens: int = 8, timeout: float = 60.0) -> Any:
        """The reply to one user message, as the OpenAI API's object; raise where the status is not 200."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": max_tokens}
        reply = self.request("/v1/chat/completions", body, timeout=timeout)
        if reply.status != 200:
            raise ServerError(f"chat completion: {reply.status} {reply.text}\n{self.log()}")
        return reply.json()

    def stop(self, timeout: float = 20.0) -> Stopped:
        """Send SIGTERM, wait, and return the exit code and the log; raise where the server does not end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ServerError(f"the server ignored SIGTERM for {timeout} s\n{self.log()}") from None
        return Stopped(code, self.log())

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and all it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
