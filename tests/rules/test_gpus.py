"""The catalogue of GPUs: complete, unambiguous, within what physics allows, every figure with its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from generator.errors import fold
from generator.facts.gpu import resolve_gpu
from generator.readers.document import read_yaml
from generator.readers.resources import folder
from generator.rulebook.book import load
from generator.spec.deployment import read_spec

Entry = dict[str, Any]

ARCHITECTURE_OF = {
    6.0: "pascal_60", 6.1: "pascal_61",
    7.0: "volta_70", 7.5: "turing_75", 8.0: "ampere_80", 8.6: "ampere_86", 8.7: "ampere_86", 8.9: "ada_89", 9.0: "hopper_90",
    10.0: "blackwell_100", 10.3: "blackwell_100", 11.0: "blackwell_110", 12.0: "blackwell_120", 12.1: "blackwell_120",
}  # fmt: skip
VENDOR_OF = {"amd": "amd", "intel": "intel", "apple": "apple", "cpu": "cpu"}
FIELDS = {
    "aliases", "vendor", "architecture", "compute_capability", "memory_gb", "capacity_gib", "bandwidth_gb_per_s",
    "fp16_tflops", "fp8_tflops", "int8_tops", "fp4_tflops", "multiprocessors", "interconnect", "interconnect_gb_per_s",
    "tdp_w", "unified_memory", "source", "notes", "mig",
}  # fmt: skip
NAMED = [
    "A100-80GB", "A100-40GB", "H100-80GB", "L40S-48GB", "RTX4090-24GB", "T4-16GB", "V100-32GB", "A10G-24GB", "L4-24GB",
    "H200-141GB", "B200-180GB", "RTX3090-24GB", "RTX-PRO-6000-96GB", "MI300X-192GB", "W7900-48GB", "M3-Max-128GB",
    "cpu",
]  # fmt: skip
BANDWIDTH = {"nvidia": (100, 8200), "amd": (250, 8200), "intel": (200, 3500), "apple": (60, 850)}
FP16 = {"nvidia": (18, 2600), "amd": (20, 2600), "intel": (50, 1000), "apple": (1, 100)}
POWER = {"nvidia": (20, 1450), "amd": (45, 1450), "intel": (100, 650), "apple": (10, 400)}


def _entries(*parts: str, section: str, only: str = "*.yaml") -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for path in sorted(folder("rules").joinpath(*parts).glob(only)):
        data = read_yaml(path, path.name).data[section]
        assert not found.keys() & data.keys(), f"{path.name} repeats an entry"
        found |= data
    return found


GPUS = _entries("facts", "gpus", section="gpus")
COMPUTES = {name: set(entry["computes"]) for name, entry in load().section("architectures").items()}
SOURCES = _entries("sources", section="sources")
ACCELERATORS = {name: entry for name, entry in GPUS.items() if entry["vendor"] != "cpu"}


def test_enough_entries() -> None:
    assert len(ACCELERATORS) >= 60


@pytest.mark.parametrize("name", NAMED)
def test_promised_names(name: str) -> None:
    assert name in GPUS


def test_names_and_aliases_are_unambiguous() -> None:
    owner: dict[str, str] = {}
    for name, entry in GPUS.items():
        for word in (name, *entry.get("aliases", ())):
            assert owner.setdefault(fold(word), name) == name, f"{word} is {owner[fold(word)]} and {name}"


SEVERAL = ["A100", "V100", "RTX3080", "RTX4060Ti", "RTX5060Ti", "GH200", "M3-Max", "RTX-PRO-5000"]


@pytest.mark.parametrize("bare", SEVERAL)
def test_a_bare_name_with_several_memory_sizes_does_not_resolve(bare: str) -> None:
    words = {fold(word) for name, entry in GPUS.items() for word in (name, *entry.get("aliases", ()))}
    assert fold(bare) not in words


@pytest.mark.parametrize("name", GPUS)
def test_entry(name: str) -> None:
    entry = GPUS[name]
    vendor, architecture = entry["vendor"], entry["architecture"]
    assert entry.keys() <= FIELDS, entry.keys() - FIELDS
    assert entry["source"], "no source"
    assert not [key for key in entry["source"] if key not in SOURCES]
    assert entry["interconnect"] in ("nvlink", "pcie", "xgmi", "none")
    assert architecture.startswith(VENDOR_OF[vendor]) if vendor in VENDOR_OF else True
    if vendor == "nvidia":
        assert ARCHITECTURE_OF[entry["compute_capability"]] == architecture
    else:
        assert "compute_capability" not in entry
    assert "fp8_tflops" not in entry or "fp8" in COMPUTES[architecture]
    assert "fp4_tflops" not in entry or COMPUTES[architecture] & {"nvfp4", "mxfp4"}


@pytest.mark.parametrize("name", [name for name, entry in GPUS.items() if "mig" in entry])
def test_slices_are_parts_of_their_gpu(name: str) -> None:
    entry = GPUS[name]
    largest = max(slice["memory_gib"] for slice in entry["mig"].values())
    _between(largest, (0.9 * entry["memory_gb"], entry["memory_gb"]))
    for profile, slice in entry["mig"].items():
        units, _, memory = profile.removesuffix("gb").partition("g.")
        _between(slice["memory_gib"], (0.87 * float(memory), float(memory)))
        assert slice["multiprocessors"] <= entry.get("multiprocessors", 132)
        _between(slice["multiprocessors"] / int(units), (14, 47))


@pytest.mark.parametrize("name", ACCELERATORS)
def test_figures_are_plausible(name: str) -> None:
    entry = ACCELERATORS[name]
    vendor, memory = entry["vendor"], entry["memory_gb"]
    assert name.endswith(f"-{memory:g}GB"), "the name says another size"
    _between(entry["bandwidth_gb_per_s"], BANDWIDTH[vendor])
    for field, bounds in (("fp16_tflops", FP16[vendor]), ("tdp_w", POWER[vendor]), ("multiprocessors", (8, 200))):
        if field in entry:
            _between(entry[field], bounds)
    if "capacity_gib" in entry:
        box = memory * 1e9 / 2**30
        assert 0.85 * memory <= entry["capacity_gib"] <= 1.08 * box
    # Twice the rate of the 16-bit units, give or take a data sheet's rounding; a sparse figure would be four times.
    if "fp8_tflops" in entry and "fp16_tflops" in entry:
        assert 1.9 <= entry["fp8_tflops"] / entry["fp16_tflops"] <= 2.1
    if "fp4_tflops" in entry and "fp8_tflops" in entry:
        assert 1.9 <= entry["fp4_tflops"] / entry["fp8_tflops"] <= 3.1
    if "interconnect_gb_per_s" in entry:
        links = {"pcie": (50, 130), "nvlink": (300, 1800), "xgmi": (500, 1200), "none": (0, 0)}
        _between(entry["interconnect_gb_per_s"], links[entry["interconnect"]])


def _between(value: float, bounds: tuple[float, float]) -> None:
    assert bounds[0] <= value <= bounds[1], (value, bounds)


SAYS_MEMORY = ("gpu-log-", "gpu-nvidia-smi", "gpu-mi300x-pool", "gpu-aiconfigurator")


@pytest.mark.parametrize("name", [name for name, entry in ACCELERATORS.items() if "capacity_gib" in entry])
def test_what_a_driver_reports_has_a_source_that_says_it(name: str) -> None:
    assert any(key.startswith(SAYS_MEMORY) or key.endswith("-device-query") for key in GPUS[name]["source"])


@pytest.mark.parametrize(("vendor", "most"), [("nvidia", 12), ("amd", 0), ("intel", 0)])
def test_a_share_is_planned_with_that_few_logged_cards_fall_below(vendor: str, most: int) -> None:
    """Those of NVIDIA are cards with ECC on GDDR, of 7 GB and less, or whose box counts what is not usable."""
    share = load().number(f"gpu.capacity_share.{vendor}")
    own = {name: e["capacity_gib"] / e["memory_gb"] for name, e in ACCELERATORS.items() if "capacity_gib" in e and e["vendor"] == vendor}
    below = [name for name, logged in own.items() if logged < share and not GPUS[name].get("unified_memory")]
    assert len(below) <= most, below


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("M1-Max-32GB", 21.2, 21.4), ("M3-Max-36GB", 26.9, 28.1), ("M2-Max-96GB", 71.9, 72.1), ("M5-Max-128GB", 95.9, 107.5),
     ("Ryzen-AI-Max-128GB", 62.2, 63), ("GB10-128GB", 119, 121.7), ("Raspberry-Pi-5-16GB", 15.5, 16), ("H20-96GB", 94, 95.6)],
)  # fmt: skip
def test_what_a_machine_is_planned_with(name: str, low: float, high: float, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(f"model: a/b\nhardware: {{gpu: {name}}}\n", encoding="utf-8")
    assert low <= resolve_gpu(read_spec(tmp_path / "spec.yaml"), load()).capacity_gib <= high


def test_what_a_log_reports_is_close_to_the_box() -> None:
    """Most cards report 91 to 100 % of the box's figure read as GiB; ECC on GDDR takes the most."""
    shares = {name: e["capacity_gib"] / e["memory_gb"] for name, e in ACCELERATORS.items() if "capacity_gib" in e}
    assert len(shares) >= 15
    assert all(0.9 <= share <= 1.0 for share in shares.values()), shares
