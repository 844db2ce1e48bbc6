#!/usr/bin/python3
"""A stand-in for an engine: prints what it was started with, waits as long as it is told, then answers.

The wait, seconds, is told by /stub-wait, by `stub-wait` in the folder of HF_HOME, or by STUB_WAIT. Where `stub-clock` lies in that folder,
the seconds that it says are the time, so that a test moves it on.

It runs inside the image that `image.sh` makes and under Slurm, so it needs nothing but Python's standard library. One JSON line
on stdout says its argv and the environment that a plan decides; the port is that of `--port`, or of `--host` with `PORT` or Ollama's host."""

import contextlib
import json
import os
import re
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BESIDE = Path(os.environ.get("HF_HOME", "/nowhere"))
TOLD = ("HF_HOME", "NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "SLURM_PROCID", "LWS_WORKER_INDEX", "LWS_LEADER_ADDRESS", "LWS_GROUP_SIZE")


def told(path: Path, otherwise: float) -> float:
    try:
        return float(path.read_text())
    except OSError:
        return otherwise


def now() -> float:
    return told(BESIDE / "stub-clock", time.monotonic())


STARTED = now()


def loading() -> bool:
    wait = told(Path("/stub-wait"), told(BESIDE / "stub-wait", float(os.environ.get("STUB_WAIT", "0"))))
    return now() - STARTED < wait


def port() -> int:
    for word, value in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        if word == "--port":
            return int(value)
    found = re.search(r":(\d+)$", os.environ.get("OLLAMA_HOST", ""))
    return int(found[1]) if found else 8000


class Answers(BaseHTTPRequestHandler):
    def say(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):  # a probe reads the status and hangs up
            self.wfile.write(data)

    def do_GET(self) -> None:
        if loading():
            self.say(503, {"status": "loading"})
        else:
            self.say(200, {"status": "ok", "data": [{"id": "stub"}]})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        asked = json.loads(self.rfile.read(length) or b"{}")
        answer = {"message": {"content": "stub answers"}, "text": "stub answers"}
        self.say(200, {"model": asked.get("model"), "choices": [answer]})

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the first process of a container has no default for it
    print("stub: " + json.dumps({"argv": sys.argv, "env": {name: os.environ[name] for name in TOLD if name in os.environ}}), flush=True)
    rank = sys.argv[sys.argv.index("--node-rank") + 1] if "--node-rank" in sys.argv else "0"
    if rank != "0":  # only the head serves
        time.sleep(10**6)
    ThreadingHTTPServer(("0.0.0.0", port()), Answers).serve_forever()


if __name__ == "__main__":
    main()
