"""`--json` of every command: valid by the schema that ships, with its version."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import run
from jsonschema import Draft202012Validator

from generator.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "tests" / "data" / "logs"
NOT_DATA = {"report", "schema"}
"""Commands whose result is a schema."""


def valid(name: str, data: Any) -> Any:
    """The data, if it is as `gen-deploy schema NAME` says, which is itself a schema."""
    schema = run("schema", name).json
    Draft202012Validator.check_schema(schema)
    errors = [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in Draft202012Validator(schema).iter_errors(data)]
    assert not errors, errors[:5]
    return data


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two specs, and a rule set of its own that is not yet committed as it is."""
    monkeypatch.chdir(tmp_path)
    for name, model in (("one", "Qwen/Qwen3-8B"), ("two", "Qwen/Qwen3-0.6B")):
        Path(f"{name}.yaml").write_text(f"model: {model}\nhardware: {{gpu: RTX4090-24GB}}\npin: {{engine: vllm}}\n", encoding="utf-8")
    Path("own").mkdir()
    Path("own/ruleset.yaml").write_text("ruleset: {name: own, title: Own, extends: default}\n", encoding="utf-8")
    Path("gen-deploy.yaml").write_text("specs: ['*.yaml']\nout: out\nrules: own\n", encoding="utf-8")
    Path("one.yaml").rename("specs-one.yaml")
    Path("two.yaml").rename("specs-two.yaml")
    Path("gen-deploy.yaml").write_text("specs: ['specs-*.yaml']\nout: out\nrules: own\n", encoding="utf-8")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    return tmp_path


def test_the_main_job_and_check(specs: Path) -> None:
    said = run("--json")  # of the project
    data = valid("generate-json", said.json)
    assert [one["name"] for one in data["specs"]] == ["specs-one", "specs-two"]
    assert "plan.json" in data["specs"][0]["written"]
    assert [warning["id"] for warning in data["specs"][0]["warnings"]] == ["unpinned"]
    assert said.err == ""
    assert valid("check-json", run("check", "--json").json)["findings"] == []
    Path("out/specs-one/PLAN.md").write_text("mine\n", encoding="utf-8")
    said = run("check", "--json")
    assert said.code == 3
    assert valid("check-json", said.json)["findings"] == [{"spec": "specs-one", "path": "out/specs-one/PLAN.md", "kind": "edited"}]


def test_decisions(specs: Path) -> None:
    plan = valid("plan-json", run("plan", "specs-one.yaml", "--json").json)
    assert [valid("plan-json", one)["name"] for one in run("plan", "specs-one.yaml", "specs-two.yaml", "--json").json] == ["specs-one", "specs-two"]
    explained = valid("explain-json", run("explain", "specs-one.yaml", "--json").json)
    assert valid("plan-json", explained["plan"])["choice"] == plan["choice"]
    assert valid("plan", {**plan, "rejected": {}})  # the form of plan.json, where rejections are counts
    assert explained["lines"] == run("explain", "specs-one.yaml").out.splitlines()
    assert len(valid("fits", run("fits", "T4-16GB", "qwen3", "--json").json)) > 3
    one = valid("upgrade-check-json", run("upgrade-check", "specs-one.yaml", "--engine-version", "0.10.2", "--json").json)
    assert one["from"] != one["to"] == "0.10.2"
    assert len(valid("upgrade-check-json", run("upgrade-check", "specs-one.yaml", "specs-two.yaml", "--engine-version", "0.10.2", "--json").json)) == 2


def test_rules(specs: Path) -> None:
    said = run("lint", "--json")
    assert valid("lint-json", said.json)["counts"]["error"] == 0, said
    Path("own/cases").mkdir()
    Path("own/cases/a.yaml").write_text(
        "- id: a\n  given: {model: Qwen/Qwen3-8B, hardware: {gpu: RTX4090-24GB}}\n  expect: {choice: {engine: ollama}}\n", encoding="utf-8"
    )
    said = run("test", "--json")
    data = valid("test-json", said.json)
    assert (said.code, data["failed"]) == (1, 1)
    assert valid("rules-json", run("rules", "show", "--json").json)["ruleset"]["name"] == "own"
    assert valid("rules-json", run("rules", "show", "as-fast-as-read", "--json").json)["table"] == "fits"
    Path("own/thresholds.yaml").write_text(
        "thresholds:\n  chat.concurrency: {meaning: m, unit: sequence, value: 300, source: judgement-profiles, checked: 2026-11-30}\n", encoding="utf-8"
    )
    said = run("diff", "HEAD", "--json")
    data = valid("diff-json", said.json)
    assert [edit["id"] for edit in data["edits"]] == ["thresholds/chat.concurrency"]
    assert data == run("diff", "HEAD", "--format", "json").json


def test_files_and_logs(specs: Path) -> None:
    assert run("specs-one.yaml", "-o", "out", "--quiet").code == 0
    data = valid("verify-json", run("verify", "out", "--json").json)
    assert data["files"] > 1
    Path("run.sh").write_text("vllm serve Qwen/Qwen3-32B-AWQ --max-model-len 131072 --tensor-parallel-size 2\n", encoding="utf-8")
    (verdict,) = valid("verify-json", run("verify", "run.sh", "--gpu", "2x RTX 3090", "--json").json)["verdicts"]
    assert (verdict["file"], verdict["fits"]) == ("run.sh", False)
    logs = sorted(LOGS.glob("vllm*.log"))[:2]
    assert [one["log"] for one in valid("calibrate-json", run("calibrate", *logs, "--spec", "specs-one.yaml", "--json").json)] == [log.name for log in logs]
    Path("made.yaml").write_text("model: Qwen/Qwen3-8B\nhardware: {gpu: A100-80GB}\npin: {quantization: gptq}\n", encoding="utf-8")
    assert valid("quantize-json", run("quantize", "made.yaml", "-o", "out", "--json").json)["method"] == "gptq"


def test_the_catalogue() -> None:
    for kind in ("gpus", "models", "methods", "engines", "rules"):
        assert valid("list-json", run("list", kind, "--json").json)


def test_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = run("init", "own.yaml", "-m", "Qwen/Qwen3-8B", "-g", "2x RTX 3090", "--engine", "sglang", "--json")
    assert valid("init-json", said.json)["written"] == ["own.yaml"]
    hardware = {"gpu": "RTX 3090", "gpus_per_node": 2}
    assert yaml.safe_load(Path("own.yaml").read_text(encoding="utf-8")) == {"model": "Qwen/Qwen3-8B", "hardware": hardware, "pin": {"engine": "sglang"}}
    assert len(valid("init-json", run("init", "--project", "--json").json)["written"]) == 3
    assert run("schema", "--json").json == run("schema").json


def test_every_command_has_a_schema() -> None:
    names = run("schema", "no-such-schema").err
    for name in [*COMMANDS, "lock-list"]:
        if name not in NOT_DATA and name != "fits":
            assert f" {name}-json" in names, name
