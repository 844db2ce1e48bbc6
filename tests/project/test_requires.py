"""`requires` of the project file: versions are compared as pip does it, and another version touches no file, whatever the command."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from generator import __version__
from generator.cli.main import main
from generator.readers.document import parse_yaml
from generator.spec.project import requires_problems

SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\n"
VERSIONS = {
    ">=0.4,<0.5": {"0.4": True, "0.4.9": True, "0.5": False, "0.3.9": False, "0.5.0rc1": False, "0.4.0rc1": False, "0.5.0.dev3": False},
    ">0.4": {"0.4": False, "0.4.0.0": False, "0.4.1": True, "0.10": True},
    "<=0.4": {"0.4.0": True, "0.4.1": False, "0.4rc1": True},
    "~=0.4.2": {"0.4.2": True, "0.4.9": True, "0.4.1": False, "0.5": False},
    "~=0.4": {"0.4": True, "0.9": True, "1.0": False},
    "==0.4": {"0.4.0": True, "0.4.1": False, "0.4+local.1": True},
    "==0.4.*": {"0.4.7": True, "0.40": False, "0.5": False},
    "!=0.4.3, >= 0.4": {"0.4.3": False, "0.4.2": True},
    "!=0.4.*": {"0.4.3": False, "0.5": True},
}


@pytest.mark.parametrize(("written", "version", "holds"), [(w, v, h) for w, known in VERSIONS.items() for v, h in known.items()])
def test_versions(written: str, version: str, holds: bool) -> None:
    found = requires_problems(parse_yaml(f"requires: '{written}'\n", "gen-deploy.yaml"), version)
    assert [problem.code for problem in found] == ([] if holds else ["requires"])


COMMANDS = [
    [], ["-o", "elsewhere"], ["spec.yaml", "-o", "elsewhere"], ["plan", "spec.yaml"], ["explain", "spec.yaml"], ["check"], ["diff", "HEAD"],
    ["lint"], ["test"], ["rules", "show"], ["list", "gpus"], ["upgrade-check", "spec.yaml", "--engine-version", "0.33.0"],
    ["diff", "handbook..default", "spec.yaml"],
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_another_version_touches_no_file(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "gen-deploy.yaml").write_text("specs: [spec.yaml]\nout: deploy\nrequires: '>=99'\n")
    monkeypatch.chdir(tmp_path)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    assert (code, out.getvalue()) == (1, "")
    assert err.getvalue().startswith(f"gen-deploy.yaml:3:11: error[requires]: this project requires gen-deploy >=99, but {__version__} is installed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gen-deploy.yaml", "spec.yaml"]
