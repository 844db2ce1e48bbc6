"""The wheel: what is in it, and that it works away from the checkout, with nothing compiled at the first start."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from hashlib import sha256
from importlib import metadata
from pathlib import Path

import pytest

pytest.importorskip("build", reason="the PyPI package build makes the wheel")

from generator import __version__
from generator.cli.main import COMMANDS
from generator.rulebook.book import SECTIONS
from generator.rulebook.rulesets import SHIPPED

ROOT = Path(__file__).resolve().parents[1]
SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware:\n  gpu: A100-80GB\n"
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "generator", "rules", "templates")
EPOCH = "1796083200"
MOST = 1_485_000
"""Bytes of the wheel. Two fifths are Python, a quarter the YAML of the rules, a sixth their compiled form."""

pytestmark = pytest.mark.slow


def new_setuptools() -> bool:
    """Whether the build can use what is installed, so that it needs no network."""
    try:
        return int(metadata.version("setuptools").split(".")[0]) >= 77
    except metadata.PackageNotFoundError:
        return False


def built(folder: Path, umask: int = 0o022, **environment: str) -> dict[str, Path]:
    """Wheel and sdist by their suffix, built from a copy of the checkout."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copyfile)
        else:
            (folder / "source").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / "source" / name)
    stale = folder / "source" / "build" / "lib" / "generator" / "rules"
    stale.mkdir(parents=True)
    (stale / "left-by-an-earlier-build.yaml").write_text("")
    options = ["--no-isolation"] if new_setuptools() else []
    command = [sys.executable, "-m", "build", "--wheel", "--sdist", *options, "--outdir", str(folder / "dist"), str(folder / "source")]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, umask=umask, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return {path.suffix: path for path in (folder / "dist").iterdir()}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wheel and sdist of the checkout."""
    return built(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def wheel(first: dict[str, Path]) -> Path:
    """The wheel."""
    return first[".whl"]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files where an installer puts them."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command of the installed wheel, in a folder of its own, with an empty home."""
    folder.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "HOME": str(folder / "home")}
    command = [sys.executable, "-W", "error", "-m", "generator", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_two_builds_are_the_same_bytes(first: dict[str, Path], tmp_path: Path) -> None:
    """With files of other times and modes, another folder and another order of dictionaries."""
    (tmp_path / "elsewhere").mkdir()
    second = built(tmp_path / "elsewhere", umask=0o077, PYTHONHASHSEED="7", TZ="Asia/Tokyo")
    assert set(first) == set(second) == {".whl", ".gz"}
    for suffix, path in first.items():
        assert path.name == second[suffix].name
        assert sha256(path.read_bytes()).hexdigest() == sha256(second[suffix].read_bytes()).hexdigest(), suffix


def test_no_file_is_in_the_wheel_twice(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names: dict[str, str] = {}
        for name in archive.namelist():
            data = archive.read(name)
            if len(data) > 500:
                assert (twin := names.setdefault(sha256(data).hexdigest(), name)) == name, f"{name} is {twin}"
    assert wheel.stat().st_size < MOST


def test_the_page_at_an_index_links_to_this_version(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = archive.read(f"gen_deploy-{__version__}.dist-info/METADATA").decode()
    head, _, page = found.partition("\n\n")
    home = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert links and all(link.startswith(("https://", "#")) for link in links)
    assert f"{home}/blob/v{__version__}/docs/spec.md" in links
    for line in ("Author: the gen-deploy authors", "License-Expression: Apache-2.0", "License-File: LICENSE", "Description-Content-Type: text/markdown"):
        assert line in head.splitlines()
    assert all(re.search(f"^{field}: ", head, re.MULTILINE) for field in ("Summary", "Keywords", "Classifier", "Project-URL", "Requires-Python"))


def test_one_package_at_top_level(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert tops == {"generator", f"gen_deploy-{__version__}.dist-info"}


def content(file: Path) -> object:
    """The bytes of a file, or the data of JSON: the wheel has it without blanks."""
    return json.loads(file.read_bytes()) if file.suffix == ".json" else file.read_bytes()


def test_everything_is_inside(installed: Path) -> None:
    package = installed / "generator"
    for name in ("rules", "templates"):
        wanted = {p.relative_to(ROOT): content(p) for p in (ROOT / name).rglob("*") if p.is_file()}
        assert {p.relative_to(package): content(p) for p in (package / name).rglob("*") if p.is_file()} == wanted
    modules = {p.relative_to(ROOT) for p in (ROOT / "generator").rglob("*.py")}
    compiled = {p.relative_to(installed) for p in (package / "compiled" / "templates").iterdir()}
    assert len(compiled) == len([file for file in (ROOT / "templates").rglob("*.j2") if file.parent.name not in ("report", "calibrate", "quantize")])
    programs = {Path("generator") / p.relative_to(ROOT) for p in (ROOT / "templates").rglob("*.py")}  # written as they are, never imported
    assert {p.relative_to(installed) for p in package.rglob("*.py")} == modules | compiled | programs
    assert (package / "py.typed").is_file()
    whole, *others = ({p.stem for p in (package / "compiled" / ruleset).iterdir()} for ruleset in SHIPPED)
    assert whole == {"index", *SECTIONS}
    assert all(other < whole for other in others)  # what is as in the first is not there again


def test_it_is_the_wheel_that_runs(installed: Path, tmp_path: Path) -> None:
    program = "import generator; print(generator.__file__)"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(installed)
    assert run(installed, tmp_path, "--version").stdout == f"gen-deploy, version {__version__}\n"


def test_the_main_job_writes_the_same_bytes_as_the_checkout(installed: Path, tmp_path: Path) -> None:
    written: list[dict[Path, bytes]] = []
    for site in (installed, ROOT):
        folder = tmp_path / f"from-{len(written)}"
        folder.mkdir()
        (folder / "chat.yaml").write_text(SPEC)
        done = run(site, folder, "chat.yaml", "-o", "out", "-q")
        assert done.returncode == 0, done.stderr
        written.append({p.relative_to(folder): p.read_bytes() for p in (folder / "out").rglob("*") if p.is_file()})
    assert written[0] == written[1]
    assert len(written[0]) > 4


@pytest.mark.parametrize("ruleset", SHIPPED)
def test_nothing_is_compiled_when_it_runs(installed: Path, tmp_path: Path, ruleset: str) -> None:
    (tmp_path / "chat.yaml").write_text(SPEC)
    for words in (["plan", "chat.yaml", "--json"], ["chat.yaml", "-o", "out"]):
        done = run(installed, tmp_path, *words, "--rules", ruleset)
        assert done.returncode == 0, done.stderr
    assert not (tmp_path / "home").exists(), "what the wheel brings compiled was not used"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help(installed: Path, tmp_path: Path, command: str) -> None:
    done = run(installed, tmp_path, command, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: gen-deploy")


def test_the_rules_are_looked_at_without_the_repository(installed: Path, tmp_path: Path) -> None:
    """Their cases are not installed, and what needs them is left out; a set of one's own has its own."""
    done = run(installed, tmp_path, "lint")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors" in done.stdout
    done = run(installed, tmp_path, "test")
    assert (done.returncode, done.stdout) == (0, "no cases\n")
    assert "not in an installation" in done.stderr
    done = run(installed, tmp_path, "rules", "show", "out-of-memory")
    assert done.returncode == 0, done.stderr
    assert "cases" not in done.stdout
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "ruleset.yaml").write_text("ruleset: {name: ours, extends: default}\n")
    (ours / "reject.yaml").write_text("table: reject\nrows:\n  - {id: no-tgi, when: {engine: tgi}, because: x, source: tgi-archived}\n")
    done = run(installed, tmp_path, "lint", "--rules", "ours")
    assert (done.returncode, "error[not-reached]" in done.stdout) == (1, True), done.stdout


def test_init_then_the_main_job(installed: Path, tmp_path: Path) -> None:
    assert run(installed, tmp_path, "init").returncode == 0
    done = run(installed, tmp_path, "spec.yaml", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "spec" / "plan.json").is_file() or list((tmp_path / "out").glob("*/plan.json"))
