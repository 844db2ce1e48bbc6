"""Families of models are data: what an entry takes over, what it is called in GGUF files, what is said of one that nobody has."""

from __future__ import annotations

import ast
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from shipped_families import FAMILIES
from test_docs import described

from generator.architecture import config as reading
from generator.architecture.config import from_config
from generator.architecture.families import ABOUT, Family, family_of, family_of_gguf
from generator.architecture.gguf import from_gguf
from generator.architecture.stacks import STACKS
from generator.architecture.tables import tables
from generator.cli import main
from generator.readers.gguf_header import read_gguf
from generator.rulebook.book import load
from generator.rulebook.rulesets import gather

sys.path.insert(0, str(Path(__file__).parent))
from gguf_file import LLAMA, llama_tensors, write
from model_configs import config

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "rules/schemas/families.json").read_text(encoding="utf-8"))
TRAITS = SCHEMA["properties"]["families"]["additionalProperties"]["properties"]


def test_the_schema_and_the_code_have_the_same_words() -> None:
    assert {field.name for field in dataclasses.fields(Family)} | set(ABOUT) == set(TRAITS)
    assert set(TRAITS["stack"]["enum"]) == set(STACKS)
    kinds = {name: table["is"] for name, table in tables().items()}
    assert set(TRAITS["tower"]["enum"]) == {name for name, kind in kinds.items() if kind in ("tower", "audio tower")} >= {*reading._TELLING.values()}
    assert set(TRAITS["linear"]["enum"]) == {name for name, kind in kinds.items() if kind == "state"}
    projectors = {f"{word} projector" for word in (*TRAITS["projector"]["enum"], *reading._WITH_PROJECTOR)}
    assert projectors == {name for name, kind in kinds.items() if kind == "projector"}


def test_no_family_is_named_in_code() -> None:
    names = set(FAMILIES) | {entry["gguf"] for entry in FAMILIES.values() if "gguf" in entry}
    for path in (ROOT / "generator").rglob("*.py"):
        words = {node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        assert not words & names, path


def test_what_an_entry_takes_over() -> None:
    base = {"stack": "latent", "norms": 4, "config": {"a": 1, "b": 2}, "gguf": "base", "gguf_windows": "none", "source": "x"}
    families: dict[str, dict[str, Any]] = {"base": base, "middle": {"like": "base", "config": {"b": 3}}, "top": {"like": "middle", "norms": 2}}
    found = family_of(families, "top")
    assert found == Family(stack="latent", norms=2, config={"a": 1, "b": 3})
    assert family_of(families, "other") is None


@pytest.mark.parametrize(
    ("arch", "keys", "name"),
    [
        ("llama", (), "llama"), ("llama", ("expert_count",), "mixtral"), ("deepseek2", (), "deepseek_v2"),
        ("deepseek2", ("attention.q_lora_rank",), "deepseek_v3"), ("gemma3", (), "gemma3_text"), ("qwen2", (), "qwen2"),
        ("deepseek_v3", (), "deepseek_v3"), ("brand-new", (), "brand-new"),
    ],
)  # fmt: skip
def test_names_in_gguf_files(arch: str, keys: tuple[str, ...], name: str) -> None:
    found, family = family_of_gguf(FAMILIES, arch, lambda key: key in keys)
    assert found == name
    assert (family == Family()) is (arch in ("deepseek_v3", "brand-new"))  # a model_type is no name of llama.cpp where another one is said


def test_own_names_of_keys_and_values_of_the_config_class() -> None:
    values = config("meta-llama__Llama-3.1-8B-Instruct")
    told = {**FAMILIES, "own": {"like": "llama", "keys": {"kv": "num_key_value_heads"}, "config": {"rms_norm_eps": 1, "vocab_size": 128256}}}
    own = {**{key: value for key, value in values.items() if key not in ("num_key_value_heads", "vocab_size")}, "kv": 8, "model_type": "own"}
    assert dataclasses.replace(from_config(own, told), model_type="llama") == from_config(values, FAMILIES)


PROBLEMS = {
    "a family that there is not": ("x: {like: qwen33}", "unknown-family", "'qwen33' is no family; did you mean 'qwen3'?"),
    "a loop": ("x: {like: y}\n  y: {like: x}", "family-loop", "'x' is like itself: x → y → x"),
    "a stack that no code has": ("x: {stack: recurrent}", "unknown-value", "recurrent"),
    "a key that there is not": ("x: {qkv_bais: true}", "unknown-key", "did you mean 'qkv_bias'?"),
}


@pytest.mark.parametrize(("text", "code", "words"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_is_wrong_with_an_entry(text: str, code: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "ruleset.yaml").write_text("ruleset: {name: ours, extends: default}\n", encoding="utf-8")
    (tmp_path / "families.yaml").write_text(f"families:\n  {text}\n", encoding="utf-8")
    found = gather(tmp_path).problems
    assert code in {problem.code for problem in found}
    assert any(words in problem.message for problem in found if problem.code == code), found
    assert all(problem.place is not None and problem.place.path.endswith("families.yaml") for problem in found)


UNKNOWN = {
    "known parts": ({"model_type": "acme_moe"}, "`families: {acme_moe: {like: qwen3_moe}}`", "its cache is full in 48 layers"),
    "a part is missing": ({"model_type": "acme_moe", "num_attention_heads": None}, "needs code", "cannot be derived: num_attention_heads"),
    "strange keys": ({"model_type": "acme_moe", "zz_decay": 1, "zz_mix": 2}, "like: qwen3_moe", "no known family has its keys zz_decay, zz_mix"),
    "a tower": ({"model_type": "pixtral"}, "like: qwen3_moe", "'pixtral' is not a known architecture"),
    "GGUF only": ({"model_type": "plamo3"}, "`model: {gguf: …}`", "only read from GGUF files"),
}


@pytest.mark.parametrize(("change", "advice", "reason"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_said_of_one_that_nobody_has(
    change: dict[str, Any], advice: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**config("Qwen__Qwen3-30B-A3B"), **change}), encoding="utf-8")
    spec = tmp_path / "spec.yaml"
    spec.write_text("model: {id: acme/support-30b, config: ./config.json}\nhardware: {gpu: H100-80GB}\n", encoding="utf-8")
    assert main(["plan", str(spec)]) == 1
    said = capsys.readouterr().err
    assert "config.json:1:1: error[unknown-architecture]" in said
    assert advice in said and reason in said


def test_a_family_of_known_parts_as_the_docs_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {name: text for name, text in described(ROOT / "docs/rules-how-to.md") if name.startswith("acme/")}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert sum(len(text.splitlines()) for name, text in files.items() if name.startswith("acme/rules/")) <= 15
    rules, spec = tmp_path / "acme/rules", tmp_path / "acme/spec.yaml"
    written = spec.read_text(encoding="utf-8")
    for engine in ("vllm", "sglang", "llama.cpp"):
        spec.write_text(f"{written}pin: {{engine: {engine}}}\n", encoding="utf-8")
        assert main(["plan", str(spec), "--rules", str(rules), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["choice"]["engine"] == engine
    families = load(str(rules)).section("families")
    values = yaml.safe_load(files["acme/config.json"])
    own, like = from_config(values, families), from_config({**values, "model_type": "qwen3_moe"}, families)
    assert own.parameters - like.parameters == 48 * 128  # the router's correction bias
    header = {key.replace("llama", "acmemoe"): "acmemoe" if value == "llama" else value for key, value in LLAMA.items()}
    assert from_gguf(read_gguf(write(tmp_path / "m.gguf", header, llama_tensors())), families).model_type == "acme_moe"
