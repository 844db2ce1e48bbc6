"""The main commands without what only POSIX systems have: they load, plan, write and check.

On Windows this runs as it is (the hosted workflow does); elsewhere the modules, functions and flags are taken away first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PRELUDE = """
import importlib.abc, os, sys

MODULES = {"fcntl", "grp", "pwd", "posix", "resource", "syslog", "termios", "tty", "pty"}
NAMES = ["O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_SYNC", "chown", "fchmod", "fchown", "fork", "forkpty", "geteuid",
    "getegid", "getgid", "getuid", "lchown", "mkfifo", "register_at_fork", "sched_getaffinity", "setsid", "statvfs", "sync", "sysconf", "uname"]

if os.name != "nt":
    import asyncio, subprocess, tempfile, shutil, pathlib, random, logging, threading, multiprocessing  # the standard library knows its own system
    shutil._use_fd_functions = False  # as on Windows
    shutil._rmtree_impl = getattr(shutil, "_rmtree_unsafe", None)
    class Missing(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name in MODULES:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Missing())
    for name in NAMES:
        if hasattr(os, name):
            delattr(os, name)
from generator.cli import main
code = main(sys.argv[1:])
assert "fcntl" not in sys.modules or os.name == "nt"
sys.exit(code)
"""


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """One command of ours in a process without POSIX."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, "-c", PRELUDE, *map(str, words)], cwd=cwd, env=env, check=False, capture_output=True, text=True, encoding="utf-8", timeout=300
    )


def test_generate_plan_and_check(tmp_path: Path) -> None:
    spec, out = ROOT / "examples/t4-chat.yaml", tmp_path / "out"
    planned = run("plan", spec, cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert "vllm" in planned.stdout
    written = run(spec, "-o", out, cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    assert "9 written" in written.stdout
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
