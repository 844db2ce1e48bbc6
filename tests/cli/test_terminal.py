"""On a terminal: a line of progress for long work and colour; nothing of it in a pipe, in CI, or where NO_COLOR asks for none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pty = pytest.importorskip("pty")
ROOT = Path(__file__).resolve().parents[2]
LONG = ("fits", "RTX4090-24GB", "--json")
"""Every model: some seconds, as the line of progress appears only after half a second."""


def on_terminal(*words: str, cwd: Path, **env: str) -> tuple[str, str]:
    """What a command prints to stdout, a pipe, and to stderr, a terminal."""
    mine, theirs = pty.openpty()
    known = {key: value for key, value in os.environ.items() if key not in ("CI", "NO_COLOR", "TERM")}
    environment = {**known, "PYTHONPATH": str(ROOT), "TERM": "xterm", **env}
    with subprocess.Popen(
        [sys.executable, "-m", "generator", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, cwd=cwd, env=environment
    ) as started:
        os.close(theirs)
        assert started.stdout is not None
        out = started.stdout.read().decode()
        said = b""
        while True:
            try:
                piece = os.read(mine, 4096)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            said += piece
    os.close(mine)
    return out, said.decode()


def test_progress_of_long_work(tmp_path: Path) -> None:
    out, said = on_terminal(*LONG, cwd=tmp_path)
    assert "models: " in said and " of " in said
    assert said.endswith("\r")  # erased at the end
    assert out.startswith("[")
    for env in ({"CI": "true"}, {"TERM": "dumb"}):
        assert on_terminal(*LONG, cwd=tmp_path, **env) == (out, "")
    piped = subprocess.run(
        [sys.executable, "-m", "generator", *LONG], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True
    )
    assert (piped.stdout.decode(), piped.stderr) == (out, b"")


def test_colour_of_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("model: Qwen/Qwen3-8B\nhardware: {gpu: RTX4091-24GB}\n", encoding="utf-8")
    plain = "spec.yaml:2:17: error[unknown-gpu]: 'RTX4091-24GB' is not a known GPU; did you mean 'RTX4090-24GB'?"
    said = on_terminal("plan", "spec.yaml", cwd=tmp_path)[1]
    assert said.startswith("spec.yaml:2:17: \x1b[31merror\x1b[0m\x1b[2m[unknown-gpu]\x1b[0m: ")
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert on_terminal("plan", "spec.yaml", cwd=tmp_path, **env)[1].startswith(plain)
