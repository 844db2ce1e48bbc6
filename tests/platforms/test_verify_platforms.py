"""`verify` reads the files of every platform back: nothing is found in our own, and every seeded fault is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "render"))

from render_plans import candidate, engines, plan

from generator.plan import Candidate
from generator.render.files import artifacts
from generator.rulebook.book import RuleBook, load
from generator.verify.files import NOBODY, check_text
from generator.verify.folder import check_paths


@pytest.fixture(scope="module")
def rules() -> RuleBook:
    return load("default")


def codes(name: str, text: str, rules: RuleBook, folder: Path) -> list[str]:
    """The codes of what is found in a file and around its servers."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return [finding.code for finding in check_paths([path], rules, NOBODY)[0].findings]


def files_of(engine: str, rules: RuleBook) -> dict[str, str]:
    """The files of an engine on every platform that carries it, by the name of the file."""
    found: dict[str, str] = {}
    one = candidate(engine)
    two = candidate(engine, pipeline_parallel=2, settings={"pipeline_parallel": 2}) if engine in ("vllm", "sglang") else None
    slurm = ["slurm"] if engine in ("vllm", "sglang", "tensorrt-llm") else []
    kinds: list[tuple[Candidate, dict[str, Any], dict[str, Any]]] = [(one, {"targets": ["docker", "kubernetes", "quadlet", "systemd", *slurm]}, {})]
    kinds += [(two, {"targets": ["lws"]}, {"nodes": 2, "gpus_per_node": 2})] if two is not None else []
    for chosen, deploy, hardware in kinds:
        for file in artifacts(plan(chosen, deploy=deploy, hardware=hardware), [chosen], rules):
            if file.path.startswith(f"{engine}/"):
                found[file.path.removeprefix(f"{engine}/")] = file.text
    return found


@pytest.mark.parametrize("engine", engines())
def test_our_own_files_are_clean(engine: str, rules: RuleBook) -> None:
    checked = 0
    for name, text in files_of(engine, rules).items():
        report = check_text(name, text, rules)
        assert [finding for finding in report.findings if finding.severity == "error"] == [], name
        checked += bool(report.checked)
    assert checked >= 4 or (engine == "ollama" and checked >= 2)


WORDS = [
    ("--port", "--prot", "unknown-option"),
    ("--host", "--hosst", "unknown-option"),
    ("8000", "eight", "bad-value"),
    ("--config", "--confg", "unknown-option"),
]
"""A word of the command, what stands in its place, and what is found."""
PLACES = ["docker.sh", "kubernetes/deployment.yaml", "lws.yaml", "slurm.sbatch", "chat.container", "chat.service"]


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize(("word", "wrong", "code"), WORDS)
def test_a_wrong_word_is_found_on_every_platform(name: str, word: str, wrong: str, code: str, rules: RuleBook) -> None:
    text = files_of("vllm", rules)[name]
    at = text.rindex(word) if word != "8000" else text.rindex(word, 0, text.index("--port") + 40)
    report = check_text(name, text[:at] + wrong + text[at + len(word) :], rules)
    assert report.findings, f"{name}: {wrong} is not found"
    assert any(finding.place is not None and finding.place.line > 1 for finding in report.findings)


OBJECTS = [
    ("kubernetes/deployment.yaml", 'limits:\n              memory: "32Gi"', 'limits:\n              memory: "32Gi"', None),
    ("kubernetes/deployment.yaml", '"nvidia.com/gpu": "2"', '"nvidia.com/gpu": "1"', "device-request"),
    ("lws.yaml", '"nvidia.com/gpu": "2"', '"nvidia.com/gpu": "4"', "device-request"),
    ("kubernetes/deployment.yaml", '"nvidia.com/gpu": "2"', '"amd.com/gpu": "2"', "device-request"),
    ("kubernetes/deployment.yaml", '- name: "http"', '- name: "web"', "probe-without-port"),
    ("lws.yaml", '- name: "http"\n                containerPort', '- name: "web"\n                containerPort', "probe-without-port"),
    ("kubernetes/deployment.yaml", 'port: "http"', 'port: "htp"', "probe-without-port"),
    ("kubernetes/deployment.yaml", 'port: "http"', "port: 8001", "probe-without-port"),
]


@pytest.mark.parametrize(("name", "right", "wrong", "code"), OBJECTS)
def test_what_no_schema_sees_is_found(name: str, right: str, wrong: str, code: str | None, rules: RuleBook, tmp_path: Path) -> None:
    text = files_of("vllm", rules)[name]
    if code is not None:
        assert right in text, name
    found = codes(name, text.replace(right, wrong, 1), rules, tmp_path)
    assert found == [] if code is None else code in found


HPA = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: a}}\nspec: {{minReplicas: {}, maxReplicas: {}}}\n"


@pytest.mark.parametrize(("least", "most", "wrong"), [(3, 2, True), (2, 2, False), ("x", 2, False), (1, "null", False)])
def test_bounds_that_cross_are_found(least: object, most: object, wrong: bool, rules: RuleBook, tmp_path: Path) -> None:
    found = codes("hpa.yaml", HPA.format(least, most), rules, tmp_path)
    assert found == (["replicas-cross"] if wrong else [])


STRANGE = ["ports: 1", "ports: [1]", "startupProbe: 3", "startupProbe: {httpGet: [x]}", "startupProbe: {httpGet: {port: null}}", "resources: []",
           "resources: {limits: 1}", "resources: {limits: {nvidia.com/gpu: [1]}}", "startupProbe: {periodSeconds: x}", "securityContext: []",
           "volumeMounts: {a: 1}", f"command: [vllm, serve, {'m' * 5000}, --config, {'c' * 5000}]\n      startupProbe: {{periodSeconds: 1}}"]  # fmt: skip


@pytest.mark.parametrize("line", STRANGE)
def test_objects_of_another_form_do_no_harm(line: str, rules: RuleBook, tmp_path: Path) -> None:
    text = f"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - image: vllm/vllm-openai:v0.33.0\n      args: [m]\n      {line}\n"
    codes("pod.yaml", text, rules, tmp_path)
