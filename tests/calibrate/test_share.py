"""`calibrate --share` prints a start as a row of truth data, and scripts/take_row.py takes it in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
LOG = ROOT / "tests" / "data" / "logs" / "vllm-0.19.0-h100.log"
SPEC = (
    "name: secret-project\nmodel: meta-llama/Llama-3.1-8B-Instruct\nhardware: {gpu: H100-80GB, memory_gib: 79.19}\n"
    "pin: {quantization: bf16}\ndeploy: {served_name: our-helper, cache_dir: /srv/private}\n"
)


def shared(tmp_path: Path, capsys: pytest.CaptureFixture[str], spec: str = SPEC) -> str:
    path = tmp_path / "ours.yaml"
    path.write_text(spec, encoding="utf-8")
    assert main(["calibrate", str(LOG), "--spec", str(path), "--share"]) == 0
    return capsys.readouterr().out


def take(text: str, source: str, file: Path) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, str(ROOT / "scripts" / "take_row.py"), "-", "--source", source, "--file", str(file))
    return subprocess.run(words, input=text, capture_output=True, text=True, check=False, cwd=ROOT)


def rows(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))["starts"]
    return found


def test_a_row_has_what_was_started_and_logged_and_no_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shared(tmp_path, capsys)
    (row,) = yaml.safe_load(text)["starts"]
    assert row["spec"]["model"] == "meta-llama/Llama-3.1-8B-Instruct"
    assert row["spec"]["hardware"] == {"gpu": "H100-80GB", "gpus_per_node": 1, "memory_gib": 79.19}
    assert row["spec"]["pin"].items() >= {"engine": "vllm", "engine_version": "0.19.0", "quantization": "bf16", "max_num_seqs": 1024}.items()
    assert row["logged"].items() >= {"weights": 14.99, "activations": 1.89, "kv_cache": 58.11, "kv_tokens": 476000}.items()
    assert not any(word in text for word in ("secret", "our-helper", "/srv", "ours", "private", str(tmp_path), LOG.name))


@pytest.mark.parametrize("spec", ["model: {id: acme/secret-8b, parameters: 8B}\nhardware: {gpu: H100-80GB}\npin: {quantization: bf16}\n"])
def test_what_the_catalogue_does_not_list_is_not_shared(spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(spec, encoding="utf-8")
    assert main(["calibrate", str(LOG), "--spec", str(path), "--share"]) == 2
    out = capsys.readouterr()
    assert "not-shared" in out.err and "secret" not in out.out


def test_a_pasted_row_is_taken_in_once_and_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "shared.yaml"
    file.write_text("# rows\nstarts:\n  - {id: a, source: 'https://github.com/a/a/issues/1', spec: {}, logged: {}}\n", encoding="utf-8")
    issue = f"Our start:\n```yaml\n{shared(tmp_path, capsys)}```\nThanks!\n"
    done = take(issue, "https://github.com/b/b/issues/2", file)
    assert done.returncode == 0, done.stderr
    added = rows(file)[1]
    assert added["source"] == "https://github.com/b/b/issues/2" and "holdout" not in added
    again = take(issue, "https://github.com/c/c/issues/3", file)
    assert again.returncode == 1 and "already" in again.stderr and len(rows(file)) == 2
    third = take(issue.replace("14.99", "15.01"), "https://github.com/c/c/issues/3", file)
    assert third.returncode == 0 and rows(file)[2]["holdout"] is True and rows(file)[2]["id"] == f"{added['id']}-2"
    same = take(issue.replace("14.99", "15.02"), "https://github.com/c/c/issues/4", file)
    assert same.returncode == 0 and rows(file)[3]["holdout"] is True  # of a source that is hold-out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("kv_cache: 58.11", "kv_cache: .inf"), "no figure"),
        (("kv_cache: 58.11", "kv_cash: 58.11"), "unknown term"),
        (("    spec:", "    path: /srv\n    spec:"), "unknown key"),
        (("H100-80GB", "H900"), "unknown"),
        (("starts:", "start:"), "no line"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_written(
    change: tuple[str, str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "shared.yaml"
    file.write_text("starts: []\n", encoding="utf-8")
    text = shared(tmp_path, capsys)
    assert change[0] in text
    done = take(text.replace(*change), "https://github.com/b/b/issues/2", file)
    assert done.returncode == 1 and says in done.stderr and file.read_text(encoding="utf-8") == "starts: []\n"
