"""The GPU of a spec: listed or described, and where its capacity comes from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "decide"))
from plans import book, spec_of

from generator.errors import InputError
from generator.facts.gpu import Gpu, resolve_gpu, sizes_of


def gpu(hardware: dict[str, Any], rules: str = "default") -> Gpu:
    return resolve_gpu(spec_of({"model": "Qwen/Qwen2.5-7B-Instruct", "hardware": hardware}), book(rules))


@pytest.mark.parametrize(
    ("hardware", "capacity", "basis"),
    [
        ({"gpu": "A100-80GB"}, 79.25, "catalogue"),
        ({"gpu": "a100 80gb"}, 79.25, "catalogue"),  # spelled as people do
        ({"gpu": "A100-80GB", "memory_gib": 40}, 40, "spec"),
        ({"gpu": {"memory_gib": 24, "compute_capability": 8.9}}, 24, "spec"),
        ({"gpu": "cpu", "memory_gib": 64}, 64, "spec"),
        ({"gpu": "cpu", "host_memory_gib": 96}, 96, "spec"),
    ],
)
def test_capacity(hardware: dict[str, Any], capacity: float, basis: str) -> None:
    found = gpu(hardware)
    assert found.capacity_gib == pytest.approx(capacity, abs=0.1)
    assert found.basis == basis


def test_digits_of_a_name_are_no_memory_size() -> None:
    assert sizes_of(book(), "A100") == ["A100-40GB", "A100-80GB", "A100-PCIe-40GB", "A100-PCIe-80GB"]
    assert not [name for name in sizes_of(book(), "A40") if name != "A40-48GB"]  # nor A4000-16GB


def test_a_capacity_that_nobody_read_is_a_share_of_what_the_box_says() -> None:
    sections = book().section("gpus")
    assumed = [name for name, entry in sections.items() if "memory_gb" in entry and "capacity_gib" not in entry and "memory_gib" not in entry]
    assert assumed
    for name in assumed:
        found = gpu({"gpu": name})
        assert 0.4 * found.memory_gb < found.capacity_gib < found.memory_gb
        assert found.basis == "assumed"
    assert gpu({"gpu": "cpu"}).basis == "assumed"


@pytest.mark.parametrize(
    ("described", "architecture", "vendor", "capability"),
    [
        ({"compute_capability": 8.9}, "ada_89", "nvidia", 8.9),
        ({"compute_capability": "9.0"}, "hopper_90", "nvidia", 9.0),
        ({"architecture": "hopper_90"}, "hopper_90", "nvidia", 9.0),  # the first capability of it
        ({"architecture": "amd_cdna3"}, "amd_cdna3", "amd", 0.0),
        ({"vendor": "apple"}, "apple_metal", "apple", 0.0),  # the only one of this maker
    ],
)
def test_described(described: dict[str, Any], architecture: str, vendor: str, capability: float) -> None:
    found = gpu({"gpu": {"memory_gib": 24, **described}})
    assert (found.architecture, found.vendor, found.compute_capability) == (architecture, vendor, capability)
    assert not found.listed and found.name == "custom GPU"


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ("H100-80G", "unknown-gpu"),
        ({"memory_gib": 24, "compute_capability": "new"}, "wrong-type"),
        ({"memory_gib": 24, "architecture": "hoper_90"}, "unknown-architecture"),
        ({"memory_gib": 24}, "missing-key"),
        ({"memory_gib": 24, "compute_capability": 99.9}, "missing-key"),
        ({"memory_gib": 24, "vendor": "amd", "architecture": "hopper_90"}, "bad-value"),
    ],
)
def test_what_cannot_be_known_is_an_error(wanted: object, code: str) -> None:
    with pytest.raises(InputError) as caught:
        gpu({"gpu": wanted})
    assert [problem.code for problem in caught.value.problems] == [code]


def test_the_handbook_takes_any_gpu() -> None:
    found = gpu({"gpu": "Unheard-Of-1"}, "handbook")
    assert found.name == "Unheard-Of-1" and not found.listed


def test_the_spec_says_how_gpus_are_linked() -> None:
    assert gpu({"gpu": "A100-80GB"}).interconnect == "nvlink"
    assert gpu({"gpu": "A100-80GB", "interconnect": "pcie"}).interconnect == "pcie"
