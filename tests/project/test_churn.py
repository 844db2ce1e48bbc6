"""Files change where a decision does: a reason in other words changes PLAN.md, and what says which rules wrote the folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from generator.cli.main import main

SPECS = {
    "chat": "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L40S-48GB}\n", "small": "model: Qwen/Qwen2.5-0.5B-Instruct\nhardware: {gpu: cpu}\n",
    "large": "model: Qwen/Qwen3-235B-A22B\nhardware: {gpu: H100-80GB, gpus_per_node: 8}\n",
}  # fmt: skip
REASON = "table: warn\nrows:\n  - {id: ours, when: {gpus: {min: 1}}, because: WORDS, source: house}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "house").mkdir()
    (tmp_path / "gen-deploy.yaml").write_text("specs: '*.yaml'\nout: out\nrules: house\n")
    (tmp_path / "house/ruleset.yaml").write_text("ruleset: {name: house}\nextends: default\n")
    (tmp_path / "house/sources.yaml").write_text("sources: {house: {title: our own, where: here, read: 2026-11-30}}\n")
    (tmp_path / "house/warn.yaml").write_text(REASON.replace("WORDS", "a reason"))
    for name, text in SPECS.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(project: Path) -> dict[str, bytes]:
    return {path.relative_to(project / "out").as_posix(): path.read_bytes() for path in (project / "out").rglob("*") if path.is_file()}


def test_a_word_of_a_reason_changes_plan_md_only(project: Path) -> None:
    assert main([]) == 0
    before = files(project)
    (project / "house/warn.yaml").write_text(REASON.replace("WORDS", "the same reason in other words"))
    assert main([]) == 0
    after = files(project)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == {"gen-deploy.json", *(f"{name}/PLAN.md" for name in SPECS)}
    assert main(["check"]) == 0


def test_plan_json_is_small_and_has_what_the_contract_says(project: Path) -> None:
    assert main([]) == 0
    for name in SPECS:
        raw = (project / "out" / name / "plan.json").read_bytes()
        plan = json.loads(raw)
        assert len(raw) <= 8 * 1024
        assert plan["choice"]["engine"] and plan["memory"]["total"] and isinstance(plan["rejected"], dict)
        assert not {"alternatives", "trace", "memory_terms"} & plan.keys()
        assert plan["rules"] == {"name": "house"} and {"id", "source"} == set().union(*plan["warnings"])
    told = json.loads((project / "out/gen-deploy.json").read_text())
    assert told["rules"]["name"] == "house" and told["generator"].startswith("gen-deploy ")


def test_an_edited_page_is_seen_and_kept(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    page = project / "out/chat/PLAN.md"
    page.write_text(page.read_text().replace("# chat", "# our chat", 1))
    assert main(["check"]) == 3
    (project / "house/warn.yaml").write_text(REASON.replace("WORDS", "another reason"))
    assert main([]) == 5
    assert "edited by hand" in capsys.readouterr().err and "# our chat" in page.read_text()
    assert main(["generate", "--force"]) == 0 and "# our chat" not in page.read_text()


def test_a_foreign_file_of_that_name_is_not_overwritten(project: Path) -> None:
    (project / "out").mkdir()
    (project / "out/gen-deploy.json").write_text("{}")
    assert main([]) == 5
    assert (project / "out/gen-deploy.json").read_text() == "{}"
    if os.name == "posix":
        (project / "out/gen-deploy.json").unlink()
        (project / "out/gen-deploy.json").symlink_to(project / "elsewhere")
        assert main([]) == 5 and not (project / "elsewhere").exists()
