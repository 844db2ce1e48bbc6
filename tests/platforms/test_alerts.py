"""The alert rules of `monitoring.yaml`, judged by Prometheus' own promtool: it reads them, and they fire when they should and not before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "render"))

from platform_readers import documents
from render_plans import book, candidate, engines, plan

from generator.render.files import artifacts
from generator.render.launch import launch_of

PROMTOOL = os.environ.get("PROMTOOL_BIN") or shutil.which("promtool")
pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here (PROMTOOL_BIN names it); .ci/platforms has it")
if os.environ.get("GEN_DEPLOY_PLATFORMS") == "required":
    assert PROMTOOL, "promtool is missing"
NAME = "chat"
POD, OTHER = f"{NAME}-6b7d5f9c8d-x2x4k", f"{NAME}-big-5c9bdd7f6-zq8wv"
"""Pods of a Deployment: its ReplicaSet's hash and five letters. The second is of another plan, whose name begins alike."""


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PROMTOOL), *words], capture_output=True, text=True, check=False)


def rules_of(engine: str, folder: Path, name: str = NAME) -> tuple[dict[str, Any], int]:
    """The alert rules of a plan by name, written as Prometheus reads them, and the budget of its start."""
    one = candidate(engine)
    if engine in ("sglang", "llama.cpp"):
        one = replace(one, settings={**one.settings, "enable_metrics": True})  # as the rules set it
    made = plan(one, deploy={"targets": ["kubernetes"]}, name=name)
    (text,) = [file.text for file in artifacts(made, [one], book()) if file.path.endswith("monitoring.yaml")] or [""]
    groups = [document["spec"] for document in documents(text) if document and document["kind"] == "PrometheusRule"]
    if groups:
        (folder / "rules.yaml").write_text(json.dumps(groups[0]), encoding="utf-8")
    rules = {rule["alert"]: rule for group in groups for part in group["groups"] for rule in part["rules"]}
    return rules, launch_of(made, one, book(), "../../..").start_up.seconds


MEASURED = sorted(engine for engine in engines() if engine not in ("ollama", "tensorrt-llm"))


@pytest.mark.parametrize("engine", engines())
def test_promtool_reads_the_rules(engine: str, tmp_path: Path) -> None:
    rules, _ = rules_of(engine, tmp_path)
    assert bool(rules) is (engine in MEASURED)
    if rules:
        said = promtool("check", "rules", "--lint-fatal", str(tmp_path / "rules.yaml"))
        assert said.returncode == 0, said.stdout + said.stderr
        assert f"{len(rules)} rules found" in said.stdout
        (tmp_path / "rules.yaml").write_text((tmp_path / "rules.yaml").read_text().replace(" > ", " >> ", 1))
        assert promtool("check", "rules", str(tmp_path / "rules.yaml")).returncode != 0


def fires(folder: Path, alert: str, rule: dict[str, Any], series: list[tuple[str, str]], quiet_minute: int, minute: int, labels: dict[str, str] | None) -> None:
    """Raise unless the alert is quiet at one minute and, where it has labels, fires at another."""
    expected = [{"exp_labels": {**rule["labels"], **labels}, "exp_annotations": rule["annotations"]}] if labels is not None else []
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series],
                "alert_rule_test": [
                    {"eval_time": f"{quiet_minute}m", "alertname": alert, "exp_alerts": []},
                    {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": expected},
                ],
            }
        ],
    }
    (folder / "test.yaml").write_text(json.dumps(test), encoding="utf-8")
    said = promtool("test", "rules", str(folder / "test.yaml"))
    assert said.returncode == 0, said.stdout + said.stderr


def metric(rule: dict[str, Any]) -> str:
    return str(rule["expr"]).partition("(")[2].partition("{")[0]


@pytest.mark.parametrize("engine", MEASURED)
def test_a_queue_that_grows(engine: str, tmp_path: Path) -> None:
    rule = rules_of(engine, tmp_path)[0]["QueueGrows"]
    waiting = metric(rule)
    fires(tmp_path, "QueueGrows", rule, [(f'{waiting}{{pod="{POD}"}}', "6x20")], 4, 6, {})
    fires(tmp_path, "QueueGrows", rule, [(f'{waiting}{{pod="{POD}"}}', "5x20")], 6, 20, None)
    fires(tmp_path, "QueueGrows", rule, [(f'{waiting}{{pod="{OTHER}"}}', "99x20")], 6, 20, None)
    short = [(f'{waiting}{{pod="{POD}"}}', "9x3 0x20")]  # over before it lasted
    fires(tmp_path, "QueueGrows", rule, short, 4, 20, None)


@pytest.mark.parametrize("engine", MEASURED)
def test_a_full_cache(engine: str, tmp_path: Path) -> None:
    rules, _ = rules_of(engine, tmp_path)
    if "CacheFull" not in rules:
        assert engine in ("llama.cpp", "tgi")
        return
    rule = rules["CacheFull"]
    used = metric(rule)
    fires(tmp_path, "CacheFull", rule, [(f'{used}{{pod="{POD}"}}', "0.97x30")], 9, 11, {})
    fires(tmp_path, "CacheFull", rule, [(f'{used}{{pod="{POD}"}}', "0.94x30")], 11, 30, None)
    fires(tmp_path, "CacheFull", rule, [(f'{used}{{pod="{OTHER}"}}', "1x30")], 11, 30, None)


@pytest.mark.parametrize("engine", MEASURED)
def test_a_start_over_its_budget(engine: str, tmp_path: Path) -> None:
    rules, seconds = rules_of(engine, tmp_path)
    rule, minutes = rules["StartTooLong"], seconds // 60

    def of(pod: str, ready: str) -> list[tuple[str, str]]:
        where = f'namespace="llm",pod="{pod}"'
        return [(f"kube_pod_start_time{{{where}}}", "0x99"), (f'kube_pod_status_ready{{{where},condition="true"}}', ready)]

    fires(tmp_path, "StartTooLong", rule, of(POD, "0x99"), minutes, minutes + 3, {"namespace": "llm", "pod": POD})
    fires(tmp_path, "StartTooLong", rule, of(POD, f"0x{minutes} 1x99"), minutes, minutes + 3, None)
    fires(tmp_path, "StartTooLong", rule, of(OTHER, "0x99"), minutes, minutes + 3, None)


@pytest.mark.parametrize("name", ["c", "chat", "a" * 30, "a" * 46, "a" * 56])
def test_a_name_of_any_length_has_its_pods(name: str, tmp_path: Path) -> None:
    """Kubernetes cuts `NAME-HASH-` at 58 characters before it appends five."""
    rule = rules_of("vllm", tmp_path, name)[0]["QueueGrows"]
    pod = f"{name}-6b7d5f9c8d-"[:58] + "x2x4k"
    fires(tmp_path, "QueueGrows", rule, [(f'{metric(rule)}{{pod="{pod}"}}', "6x20")], 4, 6, {})
