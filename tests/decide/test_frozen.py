"""The decisions of 500 specs are what they were."""

from __future__ import annotations

from collections import Counter

from frozen import COUNT, decided, frozen

from generator.rulebook.book import load


def test_no_decision_changed() -> None:
    book = load("default")
    was = list(frozen())
    now = [decided(one["spec"], book) for one in was]
    different = [(before, after) for before, after in zip(was, now, strict=True) if before != after]
    assert different == [], f"{len(different)} of {COUNT} decisions changed; where that is meant: python tests/frozen.py"


def test_the_specs_are_a_spread() -> None:
    found = list(frozen())
    assert len(found) == COUNT
    assert {one["spec"]["model"] for one in found} >= set(load("default").section("models")) - {"my-org/my-model"}
    engines = Counter((one["choice"] or "nothing").partition("/")[0] for one in found)
    assert min(engines[name] for name in ("vllm", "sglang", "tgi", "tensorrt-llm", "llama.cpp", "ollama", "nothing")) >= 5, engines
