"""`smoke.sh` against a small server."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from render_plans import MODEL, book, candidate, engines, plan

from generator.render.files import artifacts

CHAT = {"choices": [{"index": 0, "message": {"role": "assistant", "content": 'Hi "you"\n'}}]}
THOUGHT = {"choices": [{"message": {"role": "assistant", "content": None, "reasoning_content": "hm"}}]}
TEXT = {"choices": [{"text": "hello"}]}
NOTHING = {"choices": [{"message": {"role": "assistant", "content": ""}}]}


class Server(ThreadingHTTPServer):
    """What was asked, and what is answered."""

    answer: Any = CHAT
    status = 200
    refusals = 0
    seen: list[tuple[str, str, dict[str, str], Any]]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def _any(self, body: Any) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        status = 200 if self.path in ("/health", "/api/show", "/api/version") else self.server.status
        if self.server.refusals > 0:
            self.server.refusals -= 1
            status = 503
        data = json.dumps(self.server.answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self._any(None)

    def do_POST(self) -> None:
        self._any(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on a free port."""
    with Server(("127.0.0.1", 0), Handler) as running:
        running.seen = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def smoke(
    tmp_path: Path,
    server: Server | None,
    *args: str,
    deploy: dict[str, Any] | None = None,
    chat: Any = True,
    **env: str,
) -> Any:
    """Run the script of a plan with every engine."""
    all_engines = [candidate(e) for e in ["vllm", *(e for e in engines() if e != "vllm")]]
    made = plan(all_engines[0], deploy=deploy, facts={"model.chat": chat})
    script = next(a for a in artifacts(made, all_engines, book()) if a.path == "smoke.sh")
    path = tmp_path / "smoke.sh"
    path.write_bytes(script.data)
    url = {"BASE_URL": f"http://127.0.0.1:{server.server_port}"} if server else {}
    return subprocess.run(
        ["bash", str(path), *args],
        env={"PATH": "/usr/bin:/bin", **url, **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("engine", engines())
def test_each_engine_is_asked(engine: str, server: Server, tmp_path: Path) -> None:
    done = smoke(tmp_path, server, engine)
    assert (done.returncode, done.stdout) == (0, '"Hi \\"you\\"\\n"\n'), done.stderr
    method, path, _, body = server.seen[-1]
    assert (method, path) == ("POST", "/v1/chat/completions")
    assert body["model"] == (MODEL if engine in ("tgi", "tensorrt-llm") else "chat")
    assert server.seen[0][1] == ("/api/show" if engine == "ollama" else "/health")


def test_a_base_model_completes(server: Server, tmp_path: Path) -> None:
    server.answer = TEXT
    done = smoke(tmp_path, server, chat=False)
    assert (done.returncode, done.stdout) == (0, '"hello"\n')
    assert server.seen[-1][1] == "/v1/completions"
    assert "prompt" in server.seen[-1][3]


def test_thoughts_count(server: Server, tmp_path: Path) -> None:
    server.answer = THOUGHT
    assert smoke(tmp_path, server).stdout == '"hm"\n'


@pytest.mark.parametrize(("answer", "status"), [(NOTHING, 200), ({"error": "x"}, 200), (CHAT, 404)])
def test_no_answer_is_a_failure(answer: Any, status: int, server: Server, tmp_path: Path) -> None:
    server.answer, server.status = answer, status
    assert smoke(tmp_path, server).returncode == 1


def test_it_waits(server: Server, tmp_path: Path) -> None:
    server.refusals = 1
    assert smoke(tmp_path, server).returncode == 0
    assert [path for _, path, _, _ in server.seen] == ["/health", "/health", "/v1/chat/completions"]


def test_it_gives_up(tmp_path: Path) -> None:
    done = smoke(tmp_path, None, "--timeout", "0", BASE_URL="http://127.0.0.1:9")
    assert done.returncode == 3
    assert smoke(tmp_path, None, BASE_URL="http://127.0.0.1:9", SMOKE_TIMEOUT="0").returncode == 3


@pytest.mark.parametrize("args", [("nope",), ("--what",), ("--timeout", "soon")])
def test_usage(args: tuple[str, ...], tmp_path: Path) -> None:
    assert smoke(tmp_path, None, *args).returncode == 2


def test_the_key_goes_along(server: Server, tmp_path: Path) -> None:
    done = smoke(tmp_path, server, deploy={"api_key_from": "MY_KEY"}, MY_KEY="s3cret")
    assert done.returncode == 0
    assert server.seen[-1][2]["Authorization"] == "Bearer s3cret"
    assert "MY_KEY" in smoke(tmp_path, server, deploy={"api_key_from": "MY_KEY"}).stderr


@pytest.mark.parametrize("name", ['a"b', "$(touch pwned)", "it's", "é🙂", "a\\b", "@x"])
def test_hostile_names(name: str, server: Server, tmp_path: Path) -> None:
    assert smoke(tmp_path, server, "ollama", deploy={"served_name": name}).returncode == 0
    assert server.seen[-1][3]["model"] == name
    assert not (tmp_path / "pwned").exists()
