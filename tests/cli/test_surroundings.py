"""Files and machines that nobody expects: whatever it is, an error of ours, at once, with its code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from command import run

from generator.cli import lint

ROOT = Path(__file__).resolve().parents[2]
LOG = ROOT / "tests" / "data" / "logs" / "vllm-0.11.0-l4.log"
SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\nworkload: {max_context: 8192}\n"
READERS = [["plan"], ["verify"], ["calibrate", "--spec", "spec.yaml"], ["calibrate", "--spec", "spec.yaml", "--bench"]]

posix = pytest.mark.skipif(os.name != "posix", reason="files and modes of POSIX")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(SPEC, encoding="utf-8")


def program(*words: str | bytes, **environment: str) -> tuple[int, str]:
    """The command in a process of its own: its code and all that it says."""
    path = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "generator", *words], env={**os.environ, "PYTHONPATH": path, **environment},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.decode("utf-8", "replace")


@posix
@pytest.mark.parametrize("file", ["/proc/kmsg", "/dev/kmsg", "/dev/zero", "/dev/tty", "/dev/full", "/proc/self/mem", "/proc/self/environ", "/proc"])
@pytest.mark.parametrize("reader", READERS, ids=" ".join)
def test_files_of_the_kernel_neither_block_nor_break(file: str, reader: list[str]) -> None:
    if not Path(file).exists() or (reader == ["verify"] and file == "/proc"):  # of its files thousands would be read
        pytest.skip("there is none")
    said = run(*reader, file)
    assert said.code == 1, said.err
    assert "error[" in said.err and "error[system]" not in said.err


NAMES = {"long": "x" * 300, "deep": "d/" * 1500 + "x", "inside a file": "spec.yaml/x", "line": "a\nb", "control": "\x01", "bytes": "\udcff"}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("reader", [*READERS, ["plan", "spec.yaml", "--rules"], ["lint", "--rules"]], ids=" ".join)
def test_names_of_no_file(name: str, reader: list[str]) -> None:
    if os.name != "posix":
        pytest.skip("names of POSIX")
    said = run(*reader, name)
    assert said.code == 1, said.err
    assert (said.out + said.err).count("\n") <= 3 and "error[" in said.out + said.err


@posix
@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONOPTIMIZE": "2"}],
    ids=str,
)
def test_names_of_any_bytes_in_any_locale(environment: dict[str, str]) -> None:
    spec, out = "modèle-日本-\udcff.yaml", "o\udcfe"
    shutil.copy("spec.yaml", spec)
    for words in (["plan", spec], [spec, "-o", out], ["check", spec, "-o", out], ["verify", out], ["calibrate", str(LOG), "--spec", spec]):
        code, said = program(*map(os.fsencode, words), **environment)
        assert code == 0, said
    shutil.copy(LOG, "l\udcff.log")
    code, said = program(b"calibrate", b"l\xff.log", b"--spec", os.fsencode(spec), b"--write", b"mine", **environment)
    assert code == 0, said
    code, said = program("plan", "spec.yaml", "--rules", "mine", **environment)
    assert code == 0, said
    code, said = program("plan", "--help", **environment)
    assert code == 0 and "Usage" in said


@posix
def test_no_home_no_working_directory_no_streams(tmp_path: Path) -> None:
    away = {"HOME": "/nonexistent", "XDG_CACHE_HOME": ""}
    assert program("plan", str(tmp_path / "spec.yaml"), **away)[0] == 0
    gone = tmp_path / "gone"
    for words in (f"plan {tmp_path}/spec.yaml", "", "check", "lint", "init", "diff HEAD"):
        gone.mkdir()
        script = f"cd {gone} && rmdir {gone} && {sys.executable} -P -m generator {words}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert done.returncode in (1, 5) and done.stderr.startswith("error["), done.stderr
    for words, code in (("plan spec.yaml >&-", 0), ("plan none.yaml 2>&-", 1), ("plan spec.yaml >&- 2>&-", 0), ("plan spec.yaml >/dev/full", 5)):
        done = subprocess.run(
            ["bash", "-c", f"{sys.executable} -P -m generator {words}"], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == code and "Traceback" not in done.stderr, done.stderr


def test_a_clock_that_python_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the year 9999 `time.time()` itself fails: nanoseconds in 64 bits end in 2262."""

    class Late:
        @staticmethod
        def today() -> Any:
            raise OverflowError("timestamp too large to convert to C _PyTime_t")

    monkeypatch.setattr(lint, "date", Late)
    said = run("lint")
    assert (said.code, said.err) == (5, "error[clock]: this machine's clock is set to a time beyond Python's range\n")


@pytest.mark.parametrize(("year", "day"), [(1901, "1970-01-01"), (1970, "1970-01-01"), (9999, "9999-01-01")])
def test_a_log_of_any_age(year: int, day: str) -> None:
    shutil.copy(LOG, "old.log")
    seconds = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    try:
        os.utime("old.log", (seconds, seconds))
    except OSError:
        pytest.skip("this file system has no such times")
    if int(Path("old.log").stat().st_mtime) != seconds:
        pytest.skip("this file system has no such times")
    assert run("calibrate", "old.log", "--spec", "spec.yaml", "--write", "mine").code == 0
    assert f"read: \"{day}\"" in Path("mine/sources.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [["plan", "spec.yaml"], ["spec.yaml", "-o", "out"], ["lint"], ["list", "models"], ["schema", "spec"], ["init", "new.yaml"]],
    ids=" ".join,
)
def test_in_a_zip_it_says_that_it_must_be_installed(words: list[str]) -> None:
    with zipfile.ZipFile("app.zip", "w") as archive:
        for folder in ("generator", "rules", "templates"):
            for path in (ROOT / folder).rglob("*"):
                if "__pycache__" not in path.parts:
                    archive.write(path, path.relative_to(ROOT))
    script = f"import sys; sys.path.insert(0, 'app.zip'); from generator.cli import main; sys.exit(main({words}))"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""})
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert said.count("error[in-a-zip]: gen-deploy reads its rules from folders") == 1 and said.count("\n") <= 2, said
    assert not Path("out").exists() and not Path("new.yaml").exists()
