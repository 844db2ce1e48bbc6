"""The main commands without what only POSIX systems have: they load, plan, write and check.

On Windows this runs as it is (the hosted workflow does); elsewhere `without_posix` takes modules, functions, flags and bash away first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PRELUDE = """
import os, sys
import without_posix
from generator.cli import main
code = main(sys.argv[1:])
assert "fcntl" not in sys.modules or os.name == "nt"
sys.exit(code)
"""
STRICT = ("-X", "warn_default_encoding", "-W", "error::EncodingWarning")
"""Text is read and written as UTF-8 by name, whatever the system's encoding."""


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """One command of ours in a process without POSIX."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, *STRICT, "-c", PRELUDE, *map(str, words)], cwd=cwd, env=env, check=False, capture_output=True, text=True, encoding="utf-8", timeout=300
    )


def test_generate_plan_and_check(tmp_path: Path) -> None:
    spec, out = ROOT / "examples/t4-chat.yaml", tmp_path / "out"
    planned = run("plan", spec, cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert "vllm" in planned.stdout
    written = run(spec, "-o", out, cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    assert "10 written" in written.stdout
    checked = run("check", spec, "-o", out, cwd=tmp_path)
    assert (checked.returncode, checked.stdout) == (0, f"{out / 't4-chat'}: as generated\n")
    changed = run(spec, "-o", out, "--engine", "llama.cpp", "--prune", cwd=tmp_path)
    assert changed.returncode == 0, changed.stderr
    assert not (out / "t4-chat/vllm").exists()
    assert sorted(path.name for path in out.iterdir()) == ["gen-deploy.json", "t4-chat"]
    (out / "t4-chat/PLAN.md").write_text("mine", encoding="utf-8")
    assert run(spec, "-o", out, cwd=tmp_path).returncode == 5
    assert run("check", spec, "-o", out, cwd=tmp_path).returncode == 3


def test_bad_input(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("model: x/y\nhardware: {gpu: H100-80G}\n", encoding="utf-8")
    done = run("bad.yaml", "-o", "out", cwd=tmp_path)
    assert (done.returncode, (tmp_path / "out").exists()) == (1, False)
    assert "Traceback" not in done.stderr


def test_the_other_commands(tmp_path: Path) -> None:
    spec = ROOT / "examples/t4-chat.yaml"
    (tmp_path / "serve.sh").write_text("vllm serve Qwen/Qwen3-8B --max-model-len 8192\n", encoding="utf-8")
    commands: tuple[tuple[str | Path, ...], ...] = (
        ("explain", spec, "--why-not", "vllm/awq"),
        ("plan", "-m", "Qwen/Qwen3-8B", "-g", "2x RTX 4090", "--json"),
        ("verify", "serve.sh", "--gpu", "RTX 4090"),
        ("init", "own.yaml", "--from", "serve.sh", "--gpu", "RTX 4090"),
        ("fits", "RTX 4090", "qwen3-8b"),
        ("list", "gpus", "rtx"),
        ("schema",),
        ("init", "--project"),
    )
    for words in commands:
        done = run(*words, cwd=tmp_path)
        assert done.returncode == 0, f"{words}: {done.stderr}"
