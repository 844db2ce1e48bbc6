"""Several copies of a model behind one address: `serve.sh` with the real nginx and servers that only stream, and `compose.yaml`."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from render_plans import ROOT, book, candidate, plan
from test_bash import put, stub

from generator.errors import InputError
from generator.plan import Candidate, Plan
from generator.render.files import artifacts
from generator.render.launch import launch_of
from generator.verify.files import check_text

SERVER = f"""#!{sys.executable}
import http.server, os, signal, sys, time

if "--version" in sys.argv:
    sys.exit()
host, port = (sys.argv[len(sys.argv) - 1 - sys.argv[::-1].index(flag) + 1] for flag in ("--host", "--port"))
state = os.path.join(os.environ["STUB"], port)


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        healthy = os.path.exists(os.path.join(os.environ["STUB"], "loaded"))
        self.send_response(200 if healthy else 503)
        self.end_headers()
        if self.path == "/tokens":
            for token in (os.environ["CUDA_VISIBLE_DEVICES"], self.headers["Authorization"] or ""):
                self.wfile.write(token.encode() + b"\\n")
                self.wfile.flush()
                time.sleep(3)

    def log_message(self, *words):
        pass


signal.signal(signal.SIGTERM, lambda *_: (open(state + ".ended", "w").close(), os._exit(0)))
with open(state + ".pid", "w") as file:
    file.write(str(os.getpid()))
http.server.ThreadingHTTPServer((host, int(port)), Answer).serve_forever()
"""


def nginx() -> str:
    """The program, where it is or can be fetched."""
    done = subprocess.run([str(ROOT / "tests/render/nginx.sh")], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("nginx is neither here nor to be had")
    return done.stdout.strip()


def copied(count: int = 2, engine: str = "vllm", **deploy: Any) -> Plan:
    """A plan of that many copies of two GPUs each."""
    one = replace(candidate(engine), replicas=count)
    return plan(one, deploy=deploy, hardware={"gpus_per_node": 2 * count})


def free_port() -> int:
    """A port that is free, with the two above it."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
        try:
            for above in (port, port + 1, port + 2):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", above))
        except (OSError, OverflowError):
            continue
        return port


class Running:
    """A `serve.sh` with two copies."""

    def __init__(self, folder: Path, port: int, process: subprocess.Popen[str]) -> None:
        self.folder, self.port, self.process = folder, port, process

    def get(self, path: str) -> Any:
        """The answer of the common address."""
        return urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10)

    def pids(self) -> list[int]:
        """The processes of the copies."""
        return [int(path.read_text()) for path in sorted(self.folder.glob("*.pid"))]

    def until(self, what: Any) -> None:
        """Wait until it is so."""
        deadline = time.monotonic() + 20
        while not what():
            assert time.monotonic() < deadline and self.process.poll() is None, self.process.stderr and self.process.stderr.read()
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether the common address is open."""
        try:
            return bool(self.get("/health").status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def gone(self) -> bool:
        """Whether nobody listens any more."""
        for port in range(self.port, self.port + 3):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return False
        return True


@contextmanager
def running(folder: Path, **env: str) -> Iterator[Running]:
    """Two copies started by `serve.sh`; stopped if the test did not."""
    program, port = nginx(), free_port()
    put(folder, copied(port=port, api_key_from="MY_KEY"))
    tools = stub(folder, "vllm", SERVER)
    (tools / "nginx").symlink_to(program)
    full = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), "STUB": str(folder), "MY_KEY": "s3cret", **env}
    # a shell that was started with a signal ignored, as by nohup or in the background, cannot trap it
    was = {number: signal.signal(number, default) for number, default in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler))}
    try:
        process = subprocess.Popen(
            [str(folder / "vllm/serve.sh"), "--flag", "x y"], env=full, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
    finally:
        for number, handler in was.items():
            signal.signal(number, handler)
    try:
        yield Running(folder, port, process)
    finally:
        if process.poll() is None:  # the copies have process groups of their own, which its trap ends; they hold its stderr open
            process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@pytest.mark.slow
def test_requests_reach_every_copy_and_stream(tmp_path: Path) -> None:
    with running(tmp_path, CUDA_VISIBLE_DEVICES="4,5,GPU-6,7") as server:
        server.until(lambda: len(server.pids()) == 2)
        time.sleep(1.5)
        assert not server.answers(), "the port is open although no copy has loaded"
        (tmp_path / "loaded").touch()
        server.until(server.answers)
        request = urllib.request.Request(f"http://127.0.0.1:{server.port}/tokens", headers={"Authorization": "Bearer mine"})
        began = time.monotonic()
        first, second = (urllib.request.urlopen(request, timeout=10) for _ in range(2))
        devices = {first.readline().strip(), second.readline().strip()}
        assert devices == {b"4,5", b"GPU-6,7"}, "two requests at once go to two copies"
        assert time.monotonic() - began < 2.9, "the first token came only with the last"
        assert first.readline().strip() == b"Bearer mine"
        words = Path(f"/proc/{server.pids()[0]}/cmdline").read_bytes().split(b"\0")
        assert words[-5:-1] == [b"--flag", b"x y", b"--port", str(server.port + 1).encode()]
        environment = Path(f"/proc/{server.pids()[0]}/environ").read_bytes().split(b"\0")
        assert b"VLLM_API_KEY=s3cret" in environment
        os.kill(server.process.pid, signal.SIGTERM)
        assert server.process.wait(10) == 143
        assert server.gone() and len(list(tmp_path.glob("*.ended"))) == 2
        assert not list(tmp_path.glob("tmp.*")), "the folder of nginx stays behind"


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["copy", "copy that loads", "nginx"])
def test_when_one_ends_all_end(victim: str, tmp_path: Path) -> None:
    with running(tmp_path) as server:
        if victim != "copy that loads":
            (tmp_path / "loaded").touch()
            server.until(server.answers)
        server.until(lambda: len(server.pids()) == 2)
        (found,) = tmp_path.glob("tmp.*/nginx.pid") if victim == "nginx" else [None]
        os.kill(int(found.read_text()) if found else server.pids()[0], signal.SIGKILL)
        assert server.process.wait(10) == 137
        assert server.gone()
        assert "a copy or nginx ended with status 137" in (server.process.stderr.read() if server.process.stderr else "")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_ends_all(number: signal.Signals, code: int, tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.until(lambda: len(server.pids()) == 2)
        os.kill(server.process.pid, number)
        assert server.process.wait(10) == code
        assert server.gone() and len(list(tmp_path.glob("*.ended"))) == 2


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    put(tmp_path, copied())
    tools = stub(tmp_path, "vllm", "#!/bin/bash\n")
    for name in ("bash", "dirname", "readlink", "env"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    script = (tmp_path / "vllm/serve.sh").read_text().replace(":/usr/sbin:/usr/local/sbin", "")
    (tmp_path / "vllm/serve.sh").write_text(script)
    done = subprocess.run([str(tmp_path / "vllm/serve.sh")], env={"PATH": str(tools)}, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 127
    assert "nginx is not on PATH: install it" in done.stderr
    stub(tmp_path, "nginx", "#!/bin/bash\n")
    env = {"PATH": f"{tools}:/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": "0,1"}
    done = subprocess.run([str(tmp_path / "vllm/serve.sh")], env=env, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "serve.sh: 4 GPUs are needed, CUDA_VISIBLE_DEVICES names 2")


@pytest.mark.parametrize(("gpu", "variable"), [("A100-80GB", "CUDA_VISIBLE_DEVICES"), ("MI300X-192GB", "HIP_VISIBLE_DEVICES")])
def test_each_copy_has_its_gpus(gpu: str, variable: str) -> None:
    made = plan(replace(candidate("vllm"), replicas=4), hardware={"gpu": gpu, "gpus_per_node": 8})
    files = {a.path: a.text for a in artifacts(made, [made.choice or candidate("vllm")], book())}
    services = yaml.safe_load(files["vllm/compose.yaml"])["services"]
    names = ["vllm-1", "vllm-2", "vllm-3", "vllm-4"]
    assert list(services) == [*names, "nginx"]
    assert [services[name]["environment"][variable] for name in names] == ["0,1", "2,3", "4,5", "6,7"]
    assert all(services[name]["extends"] == {"service": "vllm-1"} for name in names[1:])
    assert services["nginx"]["ports"] == ["127.0.0.1:8000:8000"]
    assert not any("ports" in services[name] for name in names)
    inside = [f"{name}:8000" for name in names]
    assert re.findall(r"server (\S+);", files["vllm/nginx.compose.conf"]) == inside
    assert re.findall(r"server (\S+);", files["vllm/nginx.conf"]) == [f"127.0.0.1:{port}" for port in range(8001, 8005)]
    assert f'{variable}="$own"' in files["vllm/serve.sh"]
    assert not [f for name in ("serve.sh", "compose.yaml", "config.yaml") for f in check_text(f"vllm/{name}", files[f"vllm/{name}"], book()).findings]


def test_compose_reads_it(tmp_path: Path) -> None:
    found = subprocess.run([str(ROOT / "tests/hostile/compose.sh"), "--here"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip("Docker Compose is not here")
    put(tmp_path, copied(2, api_key_from="MY_KEY"))
    command = [found.stdout.strip(), "-f", str(tmp_path / "vllm/compose.yaml"), "config"]
    done = subprocess.run(command, env={"PATH": "/usr/bin:/bin", "MY_KEY": "s3cret"}, capture_output=True, text=True, timeout=60, check=True)
    services = yaml.safe_load(done.stdout)["services"]
    gpus = [services[name]["environment"].pop("CUDA_VISIBLE_DEVICES") for name in ("vllm-1", "vllm-2")]
    assert gpus == ["0,1", "2,3"]
    assert services["vllm-1"] == services["vllm-2"]
    assert services["vllm-1"]["environment"]["VLLM_API_KEY"] == "s3cret"
    assert list(services["nginx"]["depends_on"]) == ["vllm-1", "vllm-2"]


@pytest.mark.parametrize(("host", "port", "listen", "first"), [("::", 65533, "[::]:65533", 65529), ("0.0.0.0", 80, "0.0.0.0:80", 81)])
def test_addresses(host: str, port: int, listen: str, first: int) -> None:
    made = copied(4, host=host, port=port)
    files = {a.path: a.text for a in artifacts(made, [made.choice or candidate("vllm")], book())}
    assert f"listen {listen};" in files["vllm/nginx.conf"]
    assert f"server 127.0.0.1:{first};" in files["vllm/nginx.conf"]


def test_the_engines_own_data_parallelism_needs_no_nginx() -> None:
    one: Candidate = replace(candidate("vllm", settings={"data_parallel": 2}), replicas=2)
    made = plan(one, hardware={"gpus_per_node": 4})
    assert launch_of(made, one, book(), "").copies == 1
    assert not [a.path for a in artifacts(made, [one], book()) if "nginx" in a.path or "nginx" in a.text]


@pytest.mark.parametrize(("engine", "hardware"), [("ollama", {}), ("vllm", {"gpu": "M3-Max-128GB"})])
def test_copies_that_the_files_cannot_start_are_no_plan(engine: str, hardware: dict[str, Any]) -> None:
    one = replace(candidate(engine), replicas=2)
    with pytest.raises(Exception, match="copy") as caught:
        launch_of(plan(one, hardware={"gpus_per_node": 4, **hardware}), one, book(), "")
    assert not isinstance(caught.value, InputError)
