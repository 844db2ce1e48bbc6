"""The files of a job: data in job.yaml and nowhere else, programs as they ship, a script that reads back."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from generator.decide.decision import Outcome, decide
from generator.readers.document import parse_yaml
from generator.render.artifact import Artifact
from generator.render.files import artifacts, job_files
from generator.render.quantize import beside
from generator.render.seal import is_seal
from generator.rulebook.book import load
from generator.spec.deployment import from_document

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = sorted((ROOT / "templates/quantize").glob("*.py"))


def outcome(**more: Any) -> Outcome:
    spec = {
        "model": "Qwen/Qwen2.5-7B-Instruct",
        "hardware": {"gpu": "A100-80GB"},
        "pin": {"engine": "vllm", "quantization": "awq"},
        "quantize": {},
        **more,
    }
    path = ROOT / "tests/render/case.yaml"
    found, problems = from_document(parse_yaml(yaml.safe_dump(spec, allow_unicode=True), str(path)), path)
    assert found is not None, problems
    return decide(found, load("default"))


def files(found: Outcome) -> dict[str, Artifact]:
    assert found.plan.choice is not None
    return {artifact.path: artifact for artifact in job_files(found.plan, [found.plan.choice], load("default"))}


def unsealed(found: dict[str, Artifact]) -> dict[str, str]:
    """The texts without their seal."""
    (seal,) = (path for path in found if is_seal(path))
    return {path: file.text.replace(seal.split(".")[1], "") for path, file in found.items() if path != seal}


def test_the_files_of_a_job() -> None:
    found = files(outcome())
    assert {path for path in found if not is_seal(path)} == {
        f"quantize/{name}"
        for name in (
            ".gitignore",
            "job.py",
            "job.yaml",
            "recipe.yaml",
            "requirements.txt",
            "run.sh",
            "training_job.py",
            "weights_job.py",
            "proof.py",
            "held_back.txt",
        )
    }
    assert found["quantize/run.sh"].executable
    assert all("==" in line for line in found["quantize/requirements.txt"].text.splitlines())
    data = yaml.safe_load(found["quantize/job.yaml"].text)
    assert data["ignore"] == ["re:.*lm_head$"] and data["output"] == "weights"
    assert data["expect"]["bytes"] > 4e9
    recipe = yaml.safe_load(found["quantize/recipe.yaml"].text)
    assert recipe["default_stage"]["default_modifiers"]["QuantizationModifier"]["scheme"] == data["scheme"]


def test_git_sees_the_files_of_a_job_and_nothing_that_it_leaves(tmp_path: Path) -> None:
    found = {path.removeprefix("quantize/"): artifact for path, artifact in files(outcome()).items()}
    left = (
        "weights/a", "weights.partial/a", "weights.old/a", "weights.error.txt", "source/a", "Model-Q4_K_M.gguf", "imatrix.gguf",
        "converted.part.gguf", "texts.part.txt", ".running", "__pycache__/a", "job-env/a", "job.log",
    )  # fmt: skip
    for path in (*found, *left):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(found[path].text if path in found else "", encoding="utf-8")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    seen = subprocess.run(["git", "status", "--porcelain", "-uall"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert {line[3:] for line in seen.splitlines()} == set(found)


def test_a_plan_brings_its_job() -> None:
    found = outcome()
    assert found.plan.choice is not None
    paths = {artifact.path: artifact for artifact in artifacts(found.plan, [found.plan.choice], load("default"))}
    assert "quantize/run.sh" in paths
    assert "../quantize/weights" in paths["vllm/serve.sh"].text
    assert "../quantize/weights" in paths["vllm/compose.yaml"].text
    assert "quantize/run.sh" in paths["PLAN.md"].text
    assert '"quantize": {' in paths["plan.json"].text


def test_no_job_where_the_weights_are_there() -> None:
    found = outcome(quantize=None)
    assert found.plan.choice is not None
    assert found.plan.choice.origin == "published"
    assert found.plan.choice.job is None
    assert files(found) == {}


def test_a_server_does_not_start_before_the_job_has_run(tmp_path: Path) -> None:
    found = outcome()
    assert found.plan.choice is not None
    for artifact in artifacts(found.plan, [found.plan.choice], load("default")):
        path = tmp_path / artifact.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(artifact.text, encoding="utf-8")
    engine = tmp_path / "bin/vllm"
    engine.parent.mkdir()
    engine.write_text("#!/bin/sh\necho started\n", encoding="utf-8")
    engine.chmod(0o755)
    start = ["bash", str(tmp_path / "vllm/serve.sh")]
    env = {"PATH": f"{engine.parent}:/usr/bin:/bin"}
    refused = subprocess.run(start, env=env, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "quantize/run.sh" in refused.stderr
    (tmp_path / "quantize/weights").mkdir()
    started = subprocess.run(start, env=env, capture_output=True, text=True, check=False)
    assert (started.returncode, started.stdout) == (0, "started\n")


def test_engines_share_a_job_or_have_their_own() -> None:
    found = outcome(pin={"quantization": "awq"})
    best = [one.candidate for one in found.ranked]
    first = {c.engine: c for c in reversed(best) if c.job is not None}
    assert first["vllm"].job == first["sglang"].job
    assert first["vllm"].job is not None and first["tensorrt-llm"].job is not None
    folders = {engine: candidate.job.folder for engine, candidate in first.items() if candidate.job}
    assert folders["tensorrt-llm"] != folders["vllm"]
    assert first["tensorrt-llm"].checkpoint == f"./{folders['tensorrt-llm']}/weights"


text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(
    lambda word: word.strip() == word and word not in ("~",)
)


@given(text, text)
def test_hostile_names_stay_literal(model: str, file: str) -> None:
    """Whatever a path holds, it is a value of job.yaml, and no other file has it."""
    config = str(ROOT / "examples/configs/Qwen__Qwen3-14B.json")
    try:
        found = files(outcome(model={"id": f"./{model}", "config": config}, quantize={"calibration": {"file": f"./{file}"}}))
    except AssertionError:
        return  # the spec itself refuses it
    data = yaml.safe_load(found["quantize/job.yaml"].text)
    assert data["model"]["id"] == beside(f"./{model}", "../../..")
    assert data["calibration"]["file"] == beside(f"./{file}", "../../..")
    plain = files(outcome(model={"id": "./plain", "config": config}, quantize={"calibration": {"file": "./plain"}}))
    ours, theirs = (unsealed(side) for side in (found, plain))
    assert {path for path in theirs if ours[path] != theirs[path]} <= {"quantize/job.yaml"}


@pytest.mark.parametrize("program", PROGRAMS, ids=[path.name for path in PROGRAMS])
def test_programs_take_no_templates(program: Path) -> None:
    """They are written as they are: no braces of Jinja, and nothing that is not Python."""
    source = program.read_text(encoding="utf-8")
    ast.parse(source)
    assert "{{" not in source and "{%" not in source


def test_remote_code_only_on_an_explicit_yes() -> None:
    assert yaml.safe_load(files(outcome())["quantize/job.yaml"].text)["model"]["trust_remote_code"] is False
    trusted = files(outcome(deploy={"trust_remote_code": True}))
    assert yaml.safe_load(trusted["quantize/job.yaml"].text)["model"]["trust_remote_code"] is True
