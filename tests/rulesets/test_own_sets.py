"""Rule sets of one's own: rows, facts and thresholds added, replaced and switched off; errors with positions; where each part came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from generator.cli.rules import command
from generator.decide.decision import Outcome, decide
from generator.errors import InputError
from generator.readers.document import parse_yaml
from generator.render.files import artifacts
from generator.rulebook.book import RuleBook, load
from generator.rulebook.rulesets import gather
from generator.spec.deployment import from_document

ROOT = Path(__file__).resolve().parents[2]
POLICY = ROOT / "examples/policies/only-vllm"
PROBLEMS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("problems.yaml").read_text(encoding="utf-8"))


def write(folder: Path, files: Mapping[str, str], extends: str = "default") -> Path:
    for name, text in {"ruleset.yaml": f"ruleset: {{name: ours, extends: {extends}}}\n", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def plan(spec: dict[str, Any], book: RuleBook) -> Outcome:
    document = parse_yaml(yaml.safe_dump(spec), "spec.yaml")
    found, problems = from_document(document, Path("spec.yaml"))
    assert found is not None, problems
    return decide(found, book)


SPEC: dict[str, Any] = {"model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "A100-80GB"}}


def test_nothing_of_its_own_is_default(tmp_path: Path) -> None:
    ours, default = load(str(write(tmp_path, {}))), load("default")
    assert plan(SPEC, ours).plan.choice == plan(SPEC, default).plan.choice
    assert [row.id for row in ours.tables["reject"].rows] == [row.id for row in default.tables["reject"].rows]


def test_extends_stands_beside_the_name_or_at_the_top(tmp_path: Path) -> None:
    write(tmp_path / "top", {"ruleset.yaml": "ruleset: {name: ours}\nextends: handbook\n"})
    assert load(str(tmp_path / "top")).sizing == "rule-of-thumb"
    write(tmp_path / "beside", {}, extends="../top")
    assert load(str(tmp_path / "beside")).fallback("gpu") == "unlisted-gpu"


def test_rows_are_added_replaced_and_switched_off(tmp_path: Path) -> None:
    files = {
        "reject.yaml": "table: reject\noff: [quality-loss]\nrows:\n"
        "  - {id: no-vllm, when: {engine: vllm}, because: x}\n"
        "  - {id: out-of-memory, when: {memory.headroom: {below: 0.5}}, because: x}\n"
    }
    book = load(str(write(tmp_path, files)))
    rows = {row.id: row for row in book.tables["reject"].rows}
    assert "quality-loss" not in rows
    assert rows["no-vllm"].at == f"{tmp_path}/reject.yaml:4"
    assert rows["out-of-memory"].when == {"memory.headroom": {"below": 0.5}}
    assert [row.id for row in book.tables["reject"].rows].index("out-of-memory") < len(rows) - 1, "a replaced row keeps its place"
    choice = plan(SPEC, book).plan.choice
    assert choice is not None
    assert choice.engine != "vllm"


def test_a_new_row_goes_to_the_end_or_before_another(tmp_path: Path) -> None:
    rows = "  - {id: last, rank: {lower: gpus_used}, because: x}\n  - {id: first, before: supported-before-degraded, rank: {lower: gpus_used}, because: x}\n"
    ids = [row.id for row in load(str(write(tmp_path, {"prefer.yaml": f"table: prefer\nrows:\n{rows}"}))).tables["prefer"].rows]
    assert ids[ids.index("first") + 1] == "supported-before-degraded"
    assert ids[-1] == "last"


def test_thresholds_and_facts(tmp_path: Path) -> None:
    files = {
        "ruleset.yaml": "ruleset: {name: ours, extends: default}\n"
        "off: {gpus: [T4-16GB], engines: [tgi], thresholds: [memory.share_most], warn: [hardly-shared-card]}\n",
        "thresholds.yaml": "thresholds:\n  headroom.floor: {meaning: x, unit: fraction, value: 0.3, source: handbook, checked: 2026-12-01}\n",
        "gpus.yaml": "gpus:\n  A100-80GB: {capacity_gib: 70.5, source: handbook}\n"
        "  X1-16GB: {vendor: nvidia, architecture: ada_89, memory_gb: 16, source: handbook}\n",
        "models.yaml": "models:\n  ours/seven-b: {family: qwen, same_shape_as: Qwen/Qwen2.5-7B-Instruct, chat: true, source: handbook}\n",
    }
    book = load(str(write(tmp_path, files)))
    assert book.number("headroom.floor") == 0.3
    outcome = plan({**SPEC, "model": "ours/seven-b"}, book)
    assert outcome.plan.choice is not None
    assert outcome.context.gpu.capacity_gib == 70.5
    assert outcome.context.gpu.bandwidth > 0, "fields that are not named stay"
    assert plan({**SPEC, "hardware": {"gpu": "X1-16GB"}}, book).plan.choice is not None
    assert "tgi" not in book.section("engines")
    with pytest.raises(InputError, match="unknown-gpu"):
        plan({**SPEC, "hardware": {"gpu": "T4-16GB"}}, book)
    with pytest.raises(InputError, match="unknown-engine"):
        plan({**SPEC, "pin": {"engine": "tgi"}}, book)


def test_what_the_code_needs_is_an_error_when_it_is_gone(tmp_path: Path) -> None:
    files = {"ruleset.yaml": "ruleset: {name: ours, extends: default}\noff: {thresholds: [vllm.fraction_ceiling]}\n"}
    with pytest.raises(InputError, match="missing-threshold"):
        plan(SPEC, load(str(write(tmp_path, files))))
    with pytest.raises(InputError, match="rules-gap"):
        plan(SPEC, load(str(write(tmp_path / "fit", {"fit.yaml": "table: fit\noff: [kv-cache-as-model]\n"}))))


def test_cases_and_other_sets_within_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, {"cases/one.yaml": "- {id: x}\n", ".git/x.yaml": "nonsense: true\n"})
    write(tmp_path / "inner", {"reject.yaml": "table: reject\noff: [nothing]\n"})
    assert gather(tmp_path).problems == []


@pytest.mark.parametrize("case", PROBLEMS, ids=lambda case: case["id"])
def test_problems_have_positions(case: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path, case["files"])
    with pytest.raises(InputError) as raised:
        load(str(tmp_path))
    got = [(p.code, str(p.place).removeprefix(f"{tmp_path}/")) for p in raised.value.problems]
    got += [(p.code, p.place.path) for p in raised.value.problems if p.place]  # lines of shipped files move
    assert (case["code"], case["at"]) in got, [str(p) for p in raised.value.problems]


def test_digest_of_rows_counts_what_they_say(tmp_path: Path) -> None:
    row = "table: reject\nrows:\n  - {{id: one, {} because: x{}}}\n"
    seen = set()
    for when, more in (("when: {engine: vllm},", ""), ("when: {engine: vllm},", "  "), ("when: {engine: tgi},", "")):
        gathered = gather(write(tmp_path, {"reject.yaml": row.format(when, more)}))
        seen.add(str(gathered.merged["ruleset"]["digest"]))
    assert len(seen) == 2


def shown(*words: str) -> str:
    result = CliRunner().invoke(command, ["show", *words], standalone_mode=False)
    assert result.exception is None, result.exception
    return result.output


def test_show_origin_of_everything() -> None:
    out = shown("--rules", str(POLICY), "--origin")
    assert "facts > default > only-vllm" in out
    assert "only-vllm: when {engine: {not: vllm}}\n      added by only-vllm at " in out
    assert "engines vllm\n" in out.partition("facts changed by a layer")[2]
    assert "changed by only-vllm at " in out


def test_show_one_row() -> None:
    out = shown("at-most-2-gpus", "--rules", str(POLICY), "--origin")
    assert "because  a team's share of the cluster is two GPUs" in out
    assert "source   our-policy: What the platform team supports" in out
    assert "cases    eight-gpus-but-two-are-used, more-than-two-gpus-pinned" in out
    data = json.loads(shown("reject/out-of-memory", "--json", "--rules", "default"))
    assert len(data["digest"]) == 12
    assert data["cases"]
    assert data["examples"]
    assert data["origin"][0]["layer"] == "default"


def test_show_what_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, {"reject.yaml": "table: reject\noff: [quality-loss]\n"})
    for word, says in (("quality-los", "did you mean 'quality-loss'"), ("quality-loss", "switched off at")):
        rules = str(tmp_path) if word == "quality-loss" else "default"
        with pytest.raises(InputError, match=says):
            CliRunner().invoke(command, ["show", word, "--rules", rules], standalone_mode=False, catch_exceptions=False)


def test_policy_images_come_from_the_registry() -> None:
    book = load(str(POLICY))
    outcome = plan({"model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "H100-80GB", "gpus_per_node": 8}}, book)
    choice = outcome.plan.choice
    assert choice is not None
    assert choice.engine == "vllm"
    assert choice.bits >= 8
    assert choice.tensor_parallel * choice.pipeline_parallel * choice.replicas <= 2
    assert all(candidate.engine == "vllm" and candidate.bits >= 8 for candidate in outcome.plan.alternatives)
    files = {a.path: a.text for a in artifacts(outcome.plan, [choice], book)}
    compose = yaml.safe_load(files["vllm/compose.yaml"])
    assert {service["image"] for service in compose["services"].values()} == {
        f"registry.example.com/mirror/vllm-openai:v{choice.engine_version}"
    }


def test_policy_is_about_ten_lines() -> None:
    lines = [line for file in POLICY.glob("*.yaml") for line in file.read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) <= 11
