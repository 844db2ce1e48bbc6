"""Ctrl-C and other signals: one line, the right code, nothing half made and nothing left behind, whenever they come.

    GEN_DEPLOY_SIGNALS=500 python -m pytest tests/cli/test_signals.py      # as many moments for each command; CI tries a few
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import filelock
import pytest

from generator.disk.placing import held
from generator.disk.write import LOCK

if sys.platform != "linux":
    pytest.skip("signals of POSIX", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
MOMENTS = int(os.environ.get("GEN_DEPLOY_SIGNALS", "3"))
SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB}\n"
LINES = {
    signal.SIGINT: "error[stopped]: stopped by Ctrl-C\n",
    signal.SIGTERM: "error[stopped]: stopped by SIGTERM\n",
    signal.SIGHUP: "error[stopped]: stopped by SIGHUP\n",
}

COMMANDS = {
    "plan": ["plan", "s1.yaml"],
    "generate": ["s1.yaml", "-o", "OUT"],
    "many": [*(f"s{n}.yaml" for n in range(1, 34)), "-o", "OUT"],
    "diff": ["diff", "HEAD~1..HEAD"],
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with specs for two processes in which the rules changed once."""
    folder = tmp_path_factory.mktemp("workplace")
    for n in range(1, 34):
        (folder / f"s{n}.yaml").write_text(SPEC, encoding="utf-8")
    (folder / "gen-deploy.yaml").write_text("specs: [s*.yaml]\nout: out\nrules: rules\n", encoding="utf-8")
    (folder / "rules").mkdir()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder)]
    subprocess.run([*git, "init", "-q"], check=True)
    for title in ("Mine", "Mine, changed"):
        text = f"extends: default\nruleset: {{name: mine, title: '{title}', sizing: detailed}}\n"
        (folder / "rules" / "ruleset.yaml").write_text(text, encoding="utf-8")
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-qm", "rules"], check=True)
    return folder


@pytest.fixture(autouse=True)
def _as_at_a_terminal() -> Iterator[None]:
    """A shell ignores Ctrl-C for jobs in the background, and what is ignored stays so in every child."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in LINES}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Run:
    """One run of a command in a session and with a temporary folder of its own."""

    def __init__(self, workplace: Path, scratch: Path, words: list[str]) -> None:
        self.out, self.tmp = scratch / "out", scratch / "tmp"
        for folder in (self.out, self.tmp):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        words = [str(self.out) if word == "OUT" else word for word in words]
        path = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(self.tmp), "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "generator", *words], cwd=workplace, env=environment, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def end(self) -> tuple[int, str]:
        """Code and messages; a run that hangs fails the test."""
        try:
            _, said = self.process.communicate(timeout=60)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.returncode, said


@lru_cache
def undisturbed(workplace: Path, scratch: Path, command: str) -> tuple[str, float]:
    """What a command prints when no signal comes, and how many seconds it takes."""
    started = time.monotonic()
    code, usual = Run(workplace, scratch, COMMANDS[command]).end()
    assert code == 0, usual
    return usual, time.monotonic() - started


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "everyone"),
    [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGHUP, True)],
    ids=["Ctrl-C", "SIGINT", "SIGTERM", "SIGHUP"],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_at_any_moment_says_one_line(
    workplace: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, command: str, number: signal.Signals, everyone: bool
) -> None:
    """Sampled over the whole length of the run; a terminal sends Ctrl-C to the whole group, `kill` to one process."""
    usual, length = undisturbed(workplace, tmp_path_factory.getbasetemp(), command)
    stopped = 0
    for moment in range(MOMENTS):
        run = Run(workplace, tmp_path, COMMANDS[command])
        time.sleep(length * (moment + 0.5) / MOMENTS)
        (os.killpg if everyone else os.kill)(run.process.pid, number)
        code, said = run.end()
        if code == 0:  # it was done
            assert said == usual
        elif code in (1, -number) and str(ROOT / "generator") not in said:
            continue  # in the interpreter's own start, before it comes to us
        else:
            stopped += 1
            assert code == 128 + number, said
            assert said.endswith(LINES[number])
            assert set(said.removesuffix(LINES[number]).splitlines()) <= set(usual.splitlines())
        assert list(run.tmp.iterdir()) == [], "a temporary folder was left"
        for folder in (path for path in run.out.iterdir() if path.is_dir()):
            manifest = json.loads((folder / "manifest.json").read_bytes())
            assert "unfinished" not in manifest
            assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {*manifest["files"], "manifest.json", "PLAN.md"}
    assert stopped, "no signal came while the command ran: its length was measured wrongly"


def test_ignored_signals_stay_ignored(workplace: Path, tmp_path: Path) -> None:
    """As nohup has it, and a shell for what runs in the background."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = Run(workplace, tmp_path, ["plan", "s1.yaml"])
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    time.sleep(0.2)
    os.kill(run.process.pid, signal.SIGHUP)
    assert run.end()[0] == 0


IN_A_CALLBACK = """
import signal, sys
from generator import __main__, cli

class Deaf:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def main():
    Deaf()
    return 0

cli.main = main
sys.exit(__main__.run())
"""

TWICE = """
import signal, sys
from generator import __main__, cli

def main():
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.raise_signal(signal.SIGINT)
        print("still here")

cli.main = main
sys.exit(__main__.run())
"""


@pytest.mark.parametrize(("program", "number"), [(IN_A_CALLBACK, signal.SIGINT), (TWICE, signal.SIGINT)], ids=["in a callback", "twice"])
def test_a_signal_that_python_would_swallow_ends_the_command(program: str, number: signal.Signals) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", LINES[number])


def test_a_signal_waits_until_a_folder_is_made() -> None:
    waited = False

    def make() -> None:
        nonlocal waited
        with held():
            signal.raise_signal(signal.SIGINT)
            waited = True

    with pytest.raises(KeyboardInterrupt):
        make()
    assert waited


MASKED = """
import signal, sys
from generator import __main__, cli

def main():
    try:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            raise OSError("in the cleaning up")
    except OSError:
        return 5

cli.main = main
sys.exit(__main__.run())
"""


def test_an_error_in_the_cleaning_up_does_not_hide_the_signal() -> None:
    done = subprocess.run([sys.executable, "-c", MASKED], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (143, LINES[signal.SIGTERM])


def test_a_signal_is_not_held_up_by_the_lock_of_another(workplace: Path, tmp_path: Path) -> None:
    (tmp_path / "held").mkdir()
    with filelock.FileLock(tmp_path / "held" / LOCK):
        run = Run(workplace, tmp_path, ["s1.yaml", "-o", str(tmp_path / "held")])
        time.sleep(3)
        started = time.monotonic()
        os.kill(run.process.pid, signal.SIGINT)
        assert run.end() == (130, LINES[signal.SIGINT])
        assert time.monotonic() - started < 3
