"""Cases: what holds, what does not and where, what is brought up to date, and what is covered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from generator.cases.case import case_files, read_cases
from generator.cases.compare import run
from generator.cli.test import command
from generator.errors import InputError
from generator.rulebook.book import RuleBook, load
from generator.rulebook.rulesets import find

GIVEN = "{model: Qwen/Qwen2.5-7B-Instruct, hardware: {gpu: A100-80GB}, pin: {engine: vllm, quantization: bf16}}"


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return load("default")


def case(folder: Path, expect: str, given: str = GIVEN) -> Path:
    path = folder / "cases.yaml"
    path.write_text(f"- id: one\n  given: {given}\n  expect: {expect}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("rules", ["default", "handbook"])
def test_shipped_cases_hold(rules: str) -> None:
    book = load(rules)
    cases = read_cases(case_files(find(rules)))
    assert len(cases) >= 54
    assert [f"{one.place}: {one.message}" for c in cases for one in run(c, book).differences] == []


HOLDS = [
    "{choice: {engine: vllm, quantization: bf16, tensor_parallel: 1}}",
    "{choice: {quantization: [fp8, bf16]}}",
    "{settings: {tensor_parallel: 1, pipeline_parallel: null}}",
    "{warnings: [unpinned], no_warnings: [idle-gpus]}",
    "{trace: {settings: [address], workload: [profile-is-chat]}}",
    "{engines: [vllm]}",
    "{plan: {memory.capacity: 79.25, rule_of_thumb.memory_ratio: 0.5}}",
    "{rows: {workload: [profile-is-chat, others-are-balanced, chat-lengths]}}",
]
FAILS = {
    "{choice: {engine: sglang}}": (3, "engine: expected sglang, got vllm"),
    "{choice: null}": (3, "the choice is vllm/bf16"),
    "{choice: {quantization: [fp8, int8]}}": (3, "quantization: expected ['fp8', 'int8'], got bf16"),
    "{settings: {tensor_parallel: 2}}": (3, "tensor_parallel: expected 2, got 1"),
    "{warnings: [idle-gpus]}": (3, "row 'idle-gpus' of warn is not involved"),
    "{no_warnings: [unpinned]}": (3, "row 'unpinned' of warn is involved"),
    "{warnings: [unpined]}": (3, "warn has no row 'unpined'; did you mean 'unpinned'?"),
    "{trace: {settings: [several-nodes]}}": (3, "is not involved"),
    "{rows: {workload: [profile-is-chat]}}": (3, "not expected chat-lengths, others-are-balanced"),
    "{rejected: {tgi: [engine-in-maintenance]}}": (3, "tgi is not rejected"),
    "{engines: [vllm, sglang]}": (3, "missing sglang"),
    "{plan: {memory.capacity: 80}}": (3, "expected 80, got 79.25"),
    "{error: unknown-gpu}": (3, "expected unknown-gpu, got a plan"),
    "{figures: [vllm/bf16]}": (3, "not rejected with these figures"),
}


@pytest.mark.parametrize("expect", HOLDS)
def test_holds(expect: str, tmp_path: Path, book: RuleBook) -> None:
    (only,) = read_cases([case(tmp_path, expect)])
    assert run(only, book).differences == ()


@pytest.mark.parametrize("expect", FAILS)
def test_fails_at_its_place(expect: str, tmp_path: Path, book: RuleBook) -> None:
    (only,) = read_cases([case(tmp_path, expect)])
    found = run(only, book).differences
    line, words = FAILS[expect]
    assert found
    assert any(words in one.message for one in found), [one.message for one in found]
    assert {one.place.line for one in found} == {line}


def test_errors_are_expected_by_code(tmp_path: Path, book: RuleBook) -> None:
    path = case(tmp_path, "{error: unknown-gpu}", "{model: Qwen/Qwen2.5-7B-Instruct, hardware: {gpu: A100-81GB}}")
    assert run(read_cases([path])[0], book).differences == ()
    path = case(tmp_path, "{choice: {engine: vllm}}", "{model: Qwen/Qwen2.5-7B-Instruct, hardware: {gpu: A100-81GB}}")
    (only,) = run(read_cases([path])[0], book).differences
    assert "the spec is invalid" in only.message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("- {id: one, given: {}, expect: {chioce: null}}\n", "unknown-key"),
        ("- {id: One, given: {}, expect: {choice: null}}\n", "bad-text"),
        ("- {id: one, expect: {choice: null}}\n", "missing-key"),
        ("cases: []\n", "wrong-type"),
        ("- {id: one, given: {}, expect: {choice: null}}\n- {id: one, given: {}, expect: {choice: null}}\n", "duplicate-case"),
    ],
)
def test_form(text: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "cases.yaml").write_text(text)
    with pytest.raises(InputError) as raised:
        read_cases([tmp_path / "cases.yaml"])
    assert {problem.code for problem in raised.value.problems} == {code}


def invoke(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, list(words), standalone_mode=False)
    assert result.exception is None, result.exception
    return result.return_value, result.output


def test_command(tmp_path: Path) -> None:
    path = case(tmp_path, "{choice: {engine: sglang}}")
    code, out = invoke(str(path), "--rules", "default")
    assert code == 1
    assert f"{path}:3:29: error[case-failed]: one: engine: expected sglang, got vllm" in out
    assert "1 case, 1 failed" in out
    path.write_text(path.read_text().replace("sglang", "vllm"))
    code, out = invoke(str(path), "--rules", "default", "--json")
    assert code == 0
    assert json.loads(out)["failed"] == 0


def test_paths_in_a_spec_are_relative_to_files(tmp_path: Path, book: RuleBook) -> None:
    (tmp_path / "files").mkdir()
    given = "{model: {id: me/mine, config: config.json}, hardware: {gpu: A100-80GB}}"
    path = case(tmp_path, "{choice: {engine: vllm}}", given)
    assert "config.json" in run(read_cases([path])[0], book).differences[0].message
    config = (Path(__file__).resolve().parents[1] / "data/configs/Qwen__Qwen3-32B.json").read_text()
    (tmp_path / "files/config.json").write_text(config)
    assert run(read_cases([path])[0], book).differences == ()
