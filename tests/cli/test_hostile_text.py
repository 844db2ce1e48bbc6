"""Hostile text in each text field of a spec: refused at its place, or it arrives literally; a secret is refused and never repeated.

The same examples every time; GEN_DEPLOY_EXAMPLES=1000 looks for new ones, as many for each test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import run
from hypothesis import given
from hypothesis import strategies as st
from specs import HOSTILE
from test_properties import quick, written

from generator.errors import InputError
from generator.readers.document import parse_yaml
from generator.rulebook.book import load
from generator.spec.deployment import from_document, is_secret_name, schema, secret_in

ROOT = Path(__file__).resolve().parents[2]
BASE: dict[str, Any] = {"model": {"id": "Qwen/Qwen2.5-7B-Instruct", "parameters": 7e9}, "hardware": {"gpu": {"memory_gib": 80, "compute_capability": 8.0}}}
SIGNS = [
    "\u0430", "\u0435", "\uff0f", "\u2024", "\u2044", "\u00a0", "\u3000", "\u200d", "\u202e", "\u2066", "\ufeff", "\x85", "\u2028", "\u2029",
    "\x00", "\x1b", "\x7f", "\ue000", "\U000e0001", "\u0301", "\ud7ff", "--", "..", "/", "$", "`", "'", '"', "\\", "\n", "\r", " ", "\t", "-", "~",
    "!", "#", ":", "{", "|", "<", "x", "Qwen/", "./", "hf.co/",
]  # fmt: skip
hostile = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from(SIGNS), min_size=1, max_size=8).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
)


def leaves(rule: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of the schema's free texts; a key that is free is `*`."""
    kinds = [rule.get("type")] if isinstance(rule.get("type"), str) else rule.get("type") or []
    if "string" in kinds and "enum" not in rule:
        yield path
    for part in (rule, rule.get("then") or {}):
        for key, inner in (part.get("properties") or {}).items():
            yield from leaves(inner, (*path, key))
        if isinstance(part.get("additionalProperties"), dict):
            yield from leaves(part["additionalProperties"], (*path, "*"))


FIELDS = sorted(set(leaves(dict(schema()))))
FREE = {"checkpoints": "awq", "env": "A", "extra_args": "vllm", "vllm": "tokenizer", "tensor_types": "attn_v", "labels": "environment", "adapters": "sql"}


def with_text(path: tuple[str, ...], text: str) -> tuple[dict[str, Any], list[str]]:
    """A plain spec with this text at a path, and the keys that lead there."""
    spec: dict[str, Any] = json.loads(json.dumps(BASE))
    target = spec
    keys: list[str] = []
    for i, step in enumerate(path):
        step = FREE[keys[-1]] if step == "*" else step
        keys.append(step)
        if i == len(path) - 1:
            target[step] = text
        else:
            if not isinstance(target.get(step), dict):
                target[step] = {}
            target = target[step]
    if keys[:2] == ["hardware", "gpu"] and len(keys) > 2:
        spec["hardware"]["gpu"] |= {"memory_gib": 80}
    if keys[:2] == ["model", "safetensors"]:
        spec["model"]["config"] = "config.json"
    if keys[:2] == ["quantize", "teacher"] and len(keys) > 2:
        spec["quantize"]["teacher"].setdefault("id", "a/b")
    return spec, keys


def test_the_fields_are_found() -> None:
    assert len(FIELDS) > 25
    assert {("model",), ("model", "id"), ("deploy", "env", "*"), ("deploy", "extra_args", "*", "*"), ("deploy", "served_name")} <= set(FIELDS)


@quick(1500)
@given(st.sampled_from(FIELDS), hostile, st.booleans())
def test_a_text_is_refused_at_its_place_or_read_literally(path: tuple[str, ...], text: str, plain: bool) -> None:
    spec, keys = with_text(path, text)
    written_as = json.dumps(spec, ensure_ascii=not plain)
    try:
        document = parse_yaml(written_as, "s.yaml")
    except InputError as error:
        assert all(p.place is not None for p in error.problems)
        return
    found, problems = from_document(document, Path("s.yaml"))
    if found is None:
        assert problems
        assert all(p.place is not None and (p.place.line, p.place.column) != (1, 1) for p in problems), problems
        assert all(len(str(p)) < 3000 and str(p).isprintable() for p in problems)
        return
    value: Any = document.data
    for key in keys:
        value = value[key]
    assert value == text


TEXTS = ["served_name", "cache_dir", "env", "value", "folder"]


@pytest.mark.slow
@quick(15)
@given(st.sampled_from(["vllm", "sglang", "tgi", "llama.cpp", "ollama"]), st.fixed_dictionaries(dict.fromkeys(TEXTS, hostile)))
def test_what_is_written_is_what_was_said(engine: str, texts: dict[str, str]) -> None:
    """Several hostile texts in one spec, each left out where the spec refuses it alone; the rest arrives in Compose's own data."""
    gguf = engine in ("llama.cpp", "ollama")
    option = {"vllm": "chat-template", "sglang": "chat-template", "tgi": "otlp-endpoint", "llama.cpp": "chat-template", "ollama": "stop"}[engine]

    def spec_of(kept: dict[str, str]) -> dict[str, Any]:
        place = "./m/" + kept["folder"] + (".gguf" if gguf else "") if "folder" in kept else None
        method = "gguf-q4_k_m" if gguf else "awq"
        deploy: dict[str, Any] = {key: kept[key] for key in ("served_name", "cache_dir") if key in kept}
        deploy |= {"env": {"A": kept["env"]}} if "env" in kept else {}
        deploy |= {"extra_args": {engine: {option: kept["value"]}}} if "value" in kept else {}
        model: dict[str, Any] = {"id": "Qwen/Qwen2.5-7B-Instruct"} | ({"checkpoints": {method: place}} if place else {})
        pin = {"engine": engine, "quantization": method}
        return {"model": model, "hardware": {"gpu": "A100-80GB"}, "pin": pin, "deploy": deploy}

    def said(kept: dict[str, str]) -> Any:
        with written(spec_of(kept), json.dumps(spec_of(kept))) as (path, folder):
            result = run(path, "-o", folder / "out")
            compose = folder / "out/case" / engine / "compose.yaml"
            return result, yaml.safe_load(compose.read_text(encoding="utf-8")) if result.code == 0 else None, str(path)

    kept = {}
    for name, text in texts.items():
        result, data, path = said({name: text})
        assert result.code in (0, 1), result.err
        if result.code == 1:
            assert all(re.match(re.escape(path) + r":\d+:\d+: error\[", line) for line in result.err.splitlines()), result.err
        else:
            kept[name] = text
    result, data, _ = said(kept)
    assert result.code == 0, result.err
    service = next(iter(data["services"].values()))
    for name, text in kept.items():
        doubled = text.replace("$", "$$")
        if name == "env":
            assert service["environment"]["A"] == doubled
        elif name in ("cache_dir", "folder"):
            sources = [v["source"] for s in data["services"].values() for v in s["volumes"] if isinstance(v, dict) and v.get("source")]
            assert any(doubled.strip("./").split("/")[-1].rstrip() in source for source in sources)
        elif name == "served_name" and engine not in ("vllm", "sglang", "tgi"):
            assert any(doubled in s["command"] for s in data["services"].values())


SECRETS = ["hf_" + "aB3" * 12, "sk-proj-" + "aB3" * 10, "ghp_" + "aB3" * 12, "AKIA" + "A1B2" * 4, "https://user:pa55word@host/m", "glpat-" + "aB3" * 8]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_refused_wherever_it_stands_and_never_repeated(secret: str) -> None:
    for i, path in enumerate(FIELDS):
        text = (secret, f"/x/{secret}/y", f"a={secret}")[i % 3]
        spec, _ = with_text(path, text)
        with written(spec) as (file, folder):
            said = run(file, "-o", folder / "out")
            assert said.code == 1, (path, text)
            assert "error[secret]" in said.err
            assert secret not in said.err + said.out and "pa55word" not in said.err
            assert not (folder / "out").exists()


def test_of_all_options_only_secrets_are_secret_by_their_names() -> None:
    """Of about 2,000 names: a number of tokens, a tokenizer or a key of the cache is none."""
    names = 0
    found: set[tuple[str, str]] = set()
    for engine, table in load("default").section("flags").items():
        for section in ("options", "keys", "env", "parameters"):
            for name, entries in (table.get(section) or {}).items():
                for entry in entries if isinstance(entries, list) else [entries]:
                    words = [name, *(entry.get("names") or ()), *(entry.get("off") or ()), *([entry["env"]] if "env" in entry else [])]
                    names += len(words)
                    found |= {(engine, word) for word in words if entry["type"] != "switch" and is_secret_name(word)}
    assert names > 1500
    assert found == {
        ("vllm", "--api-key"), ("vllm", "--hf-token"), ("sglang", "--api-key"), ("sglang", "--admin-api-key"), ("sglang", "--ssl-keyfile-password"),
        ("llama.cpp", "--api-key"), ("llama.cpp", "LLAMA_API_KEY"), ("llama.cpp", "--hf-token"), ("llama.cpp", "HF_TOKEN"),
        ("tgi", "--api-key"), ("tgi", "API_KEY"), ("tgi", "--ngrok-authtoken"), ("tgi", "NGROK_AUTHTOKEN"),
    }  # fmt: skip


def test_nothing_in_the_catalogue_or_the_examples_looks_like_a_secret() -> None:
    for path in [*(ROOT / "rules").rglob("*.yaml"), *(ROOT / "examples").rglob("*.yaml")]:
        if path.name != "gates.yaml":
            assert [word for word in path.read_text(encoding="utf-8").split() if secret_in(word)] == [], path


def test_what_is_let_through_is_warned_of_in_the_plan() -> None:
    deploy = {"extra_args": {"vllm": {"allowed-local-media-path": "/", "load-format": "auto"}}, "env": {"VLLM_SERVER_DEV_MODE": "1"}}
    spec = {"model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "A100-80GB"}, "pin": {"engine": "vllm"}, "deploy": deploy}
    with written(spec) as (path, folder):
        said = run(path, "-o", folder / "out")
        warned = {w["id"] for w in json.loads((folder / "out/case/plan.json").read_text(encoding="utf-8"))["warnings"]}
        assert {"files-of-the-machine", "endpoints-for-operators", "planned-setting-replaced"} <= warned
        assert "warning[files-of-the-machine]: extra_args.allowed-local-media-path" in said.err
        assert 'load-format: "auto"' in (folder / "out/case/vllm/config.yaml").read_text(encoding="utf-8")
