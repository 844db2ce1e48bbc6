"""What must be refused is refused, each for its reason: so that the check of the corpus means something."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from corpus import book

from generator.verify.files import Asked, check_text

CONTROLS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("controls.yaml").read_text())["controls"]
PROGRAMS = {
    "vllm": "vllm serve", "sglang": "sglang serve", "tgi": "text-generation-launcher", "tensorrt-llm": "trtllm-serve",
    "llama.cpp": "llama-server", "ollama": "ollama serve",
}  # fmt: skip


def script(control: dict[str, Any]) -> str:
    """A launch script with the words of a control."""
    exports = "".join(f"export {name}={value}\n" for name, value in (control.get("env") or {}).items())
    return f"#!/bin/bash\n{exports}exec {PROGRAMS[control['engine']]} {shlex.join(control.get('words') or [])}\n"


def codes(control: dict[str, Any]) -> list[str]:
    """What `verify` says of a control."""
    asked = Asked(control["engine"])
    if "modelfile" in control:
        report = check_text("Modelfile", control["modelfile"], book(), asked)
    elif "config" in control:
        report = check_text("config.yaml", control["config"], book(), asked)
    else:
        report = check_text("serve.sh", script(control), book(), asked)
    assert report.checked
    return [finding.code for finding in report.findings]


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: str(control["id"]))
def test_a_control_is_refused_for_its_reason(control: dict[str, Any]) -> None:
    assert control["code"] in codes(control)


def test_controls_name_each_engine_once_or_more_and_no_id_twice() -> None:
    ids = [control["id"] for control in CONTROLS]
    assert len(ids) == len(set(ids))
    assert {control["engine"] for control in CONTROLS} == set(PROGRAMS)
