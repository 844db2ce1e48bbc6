"""Names that people type: checkpoints for their model, names without a maker, numbers with k, M and B."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "decide"))
from plans import book, spec_of

from generator.errors import InputError
from generator.facts.engine import names_on
from generator.facts.model import resolve_model
from generator.facts.model_names import understood, unknown_model
from generator.spec.deployment import DeploymentSpec

HARDWARE = {"gpu": "A100-80GB"}


def spec(model: str | dict[str, Any], **more: Any) -> DeploymentSpec:
    return spec_of({"model": model, "hardware": HARDWARE, **more})


def catalogued() -> list[tuple[str, str, str, str | None]]:
    """Each checkpoint of the catalogue: its repository, its model, a method, and the GGUF type."""
    found: list[tuple[str, str, str, str | None]] = []
    for model, entry in book().section("models").items():
        for method, listed in (entry.get("checkpoints") or {}).items():
            for one in listed if isinstance(listed, list) else [listed]:
                word: str | None = next(iter(one.get("types") or ()), None)
                found.append((one["id"], model, f"gguf-{word}" if word else method, word))
    return found


def test_every_checkpoint_is_its_model_in_its_method() -> None:
    every = catalogued()
    assert len(every) > 300
    for repository, model, method, word in every:
        named = f"{repository.upper()}:{word.upper()}" if word else repository.lower()
        found = understood(spec(named), book())
        several = word is None and sum(1 for one in every if one[0] == repository) > 1  # a repository of several types, all of which the name means
        form = "gguf" if several else method
        assert (found.model.id, found.model.form, found.pin) == (model, form, {"quantization": form}), named
        read = resolve_model(found, book())
        assert read.checkpoints[method].origin == "named"
        assert read.checkpoints[method].id.lower() == repository.lower()
        assert read.listed == model


def test_what_the_catalogue_knows_of_a_checkpoint_stays() -> None:
    layouts = {one["id"]: one for entry in book().section("models").values() for listed in (entry.get("checkpoints") or {}).values()
               for one in (listed if isinstance(listed, list) else [listed]) if one.get("layout")}  # fmt: skip
    assert layouts
    for repository, listed in layouts.items():
        for written in (repository, {"id": repository, "path": "/data/x"}):
            found = understood(spec(written), book())
            read = resolve_model(found, book()).checkpoints[found.model.form or ""]
            assert (read.layout, read.group_size) == (listed["layout"], listed.get("group_size"))
            assert read.id == (repository if isinstance(written, str) else "/data/x")


def test_a_name_without_its_maker_is_answered_with_the_right_one() -> None:
    for model in book().section("models"):
        _maker, _, name = model.partition("/")
        if name and book().index("models").get(name.lower().replace("-", "").replace("_", "")) is None:
            for wrong in (name, f"someone/{name}", f"/data/{name}"):
                assert repr(model) in unknown_model(spec({"id": wrong}), book()).message
    assert "path: /data/Qwen3-8B" in unknown_model(spec("/data/Qwen3-8B"), book()).message


@pytest.mark.parametrize("pin", ["awq", "gguf-iq1_s"])
def test_a_pin_of_another_method_is_an_error(pin: str) -> None:
    with pytest.raises(InputError, match=r"contradiction.*pin\.quantization says"):
        understood(spec("unsloth/Qwen3-8B-GGUF:Q4_K_M", pin={"quantization": pin}), book())


@pytest.mark.parametrize("pin", [None, "gguf"])
def test_a_gguf_repository_without_a_type_is_any_of_its_types(pin: str | None) -> None:
    found = understood(spec("unsloth/Qwen3-8B-GGUF", pin={"quantization": pin} if pin else {}), book())
    assert found.pin["quantization"] == "gguf"
    assert len(found.model.checkpoints) > 3
    assert set(found.model.checkpoints.values()) == {"unsloth/Qwen3-8B-GGUF"}


@pytest.mark.parametrize(("here", "there"), sorted(names_on(book(), "modelscope").items())[::7])
def test_a_hub_has_its_own_names_and_both_are_understood(here: str, there: str) -> None:
    of_model = {model for model in book().section("models") if model == here} or {model for repository, model, _, _ in catalogued() if repository == here}
    for written in (here, there):
        found = understood(spec({"id": written, "hub": "modelscope"}), book())
        read = resolve_model(found, book())
        assert read.listed in of_model
        loaded = read.checkpoints[found.model.form].id if found.model.form else read.id
        assert loaded == there


@pytest.mark.parametrize(
    ("path", "pin", "form"),
    [
        ("/data/Qwen3-8B-Q4_K_M.gguf", None, "gguf-q4_k_m"),
        ("./qwen3-8b.q8_0.GGUF", None, "gguf-q8_0"),
        ("~/m/x.gguf", "gguf-q6_k", "gguf-q6_k"),
        ("/data/Qwen3-8B-IQ4_XS-00001-of-00002.gguf", "gguf", "gguf-iq4_xs"),
    ],
)
def test_a_gguf_file_says_its_type_or_the_pin_does(path: str, pin: str | None, form: str) -> None:
    found = understood(spec({"id": "Qwen/Qwen3-8B", "path": path}, pin={"quantization": pin} if pin else {}), book())
    assert (found.model.form, found.model.checkpoints) == (form, {form: path})


@pytest.mark.parametrize(
    ("written", "number"),
    [("128k", 131072), ("128K", 131072), ("1M", 1048576), ("1.5k", 1536), ("8 k", 8192), (8192, 8192), (8192.0, 8192)],
)
def test_tokens_with_k_and_m(written: object, number: int) -> None:
    found = spec("Qwen/Qwen3-8B", workload={"max_context": written, "input_tokens": written}, pin={"max_model_len": written, "max_num_batched_tokens": written})
    numbers = [found.workload["max_context"], found.workload["input_tokens"], found.pin["max_model_len"], found.pin["max_num_batched_tokens"]]
    assert numbers == [number] * 4
    assert all(type(one) is int for one in numbers)


@pytest.mark.parametrize(("written", "number"), [("7B", 7e9), ("7.6b", 7.6e9), ("350M", 3.5e8), ("1T", 1e12), (7.6e9, 7.6e9)])
def test_parameters_with_b(written: object, number: float) -> None:
    assert spec({"id": "me/mine", "parameters": written}).model.parameters == number
