"""`gen-deploy fits`: the same decisions as `plan`, in the order of the rules, filtered, and quick."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from command import run

from generator.cli import detect
from generator.errors import fold
from generator.hub.lock import Lock, Repository, text_of
from generator.rulebook.book import load

SAMPLE = ["Qwen/Qwen3-8B", "Qwen/Qwen3-30B-A3B", "meta-llama/Llama-3.3-70B-Instruct", "openai/gpt-oss-20b", "google/gemma-3-27b-it"]
SAMPLE += ["deepseek-ai/DeepSeek-V3.1"]
KEYS = ["model", "engine", "quantization", "max_model_len", "memory_gib", "output_tokens_per_second", "loss_percent"]


MACHINES = [("RTX4090-24GB", 1), ("RTX3090-24GB", 2), ("H100-80GB", 1), ("L40S-48GB", 4), ("M3-Max-128GB", 1), ("cpu", 1)]


@pytest.mark.parametrize(("gpu", "gpus"), MACHINES, ids=str)
def test_each_model_is_deployed_as_plan_would(gpu: str, gpus: int, tmp_path: Path) -> None:
    planned = 0
    for model in SAMPLE:
        rows = {row["model"]: row for row in run("fits", gpu, model, "--gpus", str(gpus), "--json").json}
        spec = tmp_path / "spec.yaml"
        spec.write_text(
            yaml.safe_dump({"model": model, "hardware": {"gpu": gpu, "gpus_per_node": gpus}, "workload": {"profile": "dev"}}), encoding="utf-8"
        )
        said = run("plan", spec, "--json")
        choice = said.json["choice"] if said.code == 0 else None
        if choice is None or any(warning["id"] == "weights-to-be-made" for warning in said.json["warnings"]):
            assert model not in rows
            continue
        planned += 1
        assert rows[model] == {
            "model": model, "engine": choice["engine"], "quantization": choice["quantization"], "max_model_len": choice["max_model_len"],
            "memory_gib": said.json["memory"]["total"], "output_tokens_per_second": said.json["performance"]["output_tokens_per_second"],
            "loss_percent": said.json["quality"]["loss_percent"]["value"],
        }  # fmt: skip
    assert planned >= 2


def test_best_first_as_the_rules_say_and_quickly() -> None:
    """At most 15 ms for each model of the catalogue, all of them read the first time, on a machine that may be three times as busy and counts coverage."""
    book = load("default")
    for machine, busy in (("8x H100", 3), ("rtx 4090", 3)):
        began = time.process_time()
        rows = run("fits", machine, "--json").json
        assert (time.process_time() - began) / len(book.section("models")) < 0.015 * busy, machine
    assert all(list(row) == KEYS for row in rows)
    assert len({row["model"] for row in rows}) == len(rows) > 100
    names = [row["model"] for row in rows]
    chat = [bool(book.section("models")[name].get("chat")) for name in names]
    assert chat == sorted(chat, reverse=True)
    first = [row for row, talks in zip(rows, chat, strict=True) if talks]
    usable = [row for row in first if row["output_tokens_per_second"] and row["output_tokens_per_second"] >= 20]
    assert first[: len(usable) // 2] == usable[: len(usable) // 2], "what is slower than people read comes after what is not"
    assert names.index("Qwen/Qwen3-32B") < names.index("Qwen/Qwen3-14B") < names.index("Qwen/Qwen3-8B") < names.index("Qwen/Qwen3-0.6B")


def test_goals_and_filters() -> None:
    fast = run("fits", "RTX4090-24GB", "qwen3", "--goal", "latency", "--json").json
    assert all("qwen3" in fold(row["model"]) for row in fast)
    speeds = [row["output_tokens_per_second"] or 0 for row in fast]  # without a figure for a model that embeds
    assert min(speeds[:5]) >= 45
    assert speeds[0] < max(speeds)  # not the smallest of all
    long = run("fits", "RTX4090-24GB", "qwen3", "--min-context", "128k", "--json").json
    assert long
    assert all(row["max_model_len"] >= 131072 for row in long)
    assert len(long) < len(fast)
    assert run("fits", "RTX4090-24GB", "qwen3", "--min-context", "128k", "--limit", "2", "--json").json == long[:2]
    assert len(run("fits", "RTX4090-24GB", "qwen3", "--limit", "3").out.splitlines()) == 4
    said = run("fits", "RTX4090-24GB", "qwen")
    assert len(said.out.splitlines()) == 21
    assert "more run on it (--limit " in said.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("rtx4091",), 1, "error[unknown-gpu]: 'rtx4091' is not a known GPU; did you mean 'RTX4090-24GB'?"),
        (("RTX4090-24GB", "qwem"), 1, "error[unknown-model]: no model of catalogue or lock has 'qwem' in its name; did you mean"),
        (("RTX4090-24GB", "--goal", "fast"), 1, "error[unknown-value]"),
        (("RTX4090-24GB", "--min-context", "much"), 1, "error["),
        (("RTX4090-24GB", "deepseek-v3"), 4, "error[nothing-fits]"),
        (("RTX4090-24GB", "--rules", "handbook"), 1, "has no table `fits`"),
        (("RTX4090-24GB", "acme/foo"), 1, "`gen-deploy lock -m acme/foo -g 'RTX4090-24GB'` adds one"),
        (("RTX4090-24GB", "--gpus", "0"), 1, "error[wrong-type]"),
    ],
    ids=str,
)
def test_what_does_not_work(words: tuple[str, ...], code: int, says: str) -> None:
    said = run("fits", *words)
    assert (said.code, says in said.err) == (code, True), said
    assert said.out == ""
    if code == 4:
        assert run("fits", *words, "--json").json == []


def test_cards_in_one_word() -> None:
    rows = run("fits", "2x RTX 3090", "llama-3.3-70b", "--json").json
    assert rows == run("fits", "RTX3090-24GB", "llama-3.3-70b", "--gpus", "2", "--json").json != []


def test_without_a_gpu_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "detected", lambda book: {"gpu": "cpu", "memory_gib": 40})
    assert run("fits", "--json", "--limit", "3").json[0]["engine"] in ("ollama", "llama.cpp")


def test_models_of_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = dict(load("default").section("models")["Qwen/Qwen3-8B"]["config"] or {})
    lock = Lock({"acme/own-8b": Repository("a" * 40, config=config, chat=("tools",))})
    Path("gen-deploy.lock").write_text(text_of(lock), encoding="utf-8")
    (row,) = run("fits", "H100-80GB", "own-8b", "--json").json
    assert row["model"] == "acme/own-8b"
