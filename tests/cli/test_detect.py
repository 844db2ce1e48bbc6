"""`detected`: the hardware of this machine from what the makers' tools print, as public pages show it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from command import run

from generator.cli import detect
from generator.errors import InputError
from generator.rulebook.book import load

MIB = 1 << 20
Machine = Callable[..., None]

# https://github.com/triton-inference-server/server/pull/8070 has name and compute_cap of an RTX 5880 Ada, gpu-utils#83 the form of
# `csv,noheader,nounits`; memory of the cards as sources `gpu-nvidia-smi` and `gpu-cuda-archs` list it
NVIDIA_4090 = "NVIDIA GeForce RTX 4090, 24564, 8.9\n"
NVIDIA_H100 = "NVIDIA H100 80GB HBM3, 81559, 9.0\n"
NVIDIA_3060 = "NVIDIA GeForce RTX 3060, 12288, 8.6\n"
NVIDIA_UNKNOWN = "NVIDIA TITAN V, 12288, 7.0\n"
# https://github.com/marimo-team/marimo/issues/9237
ROCM = """{
  "card0": {
    "GPU use (%)": "0",
    "VRAM Total Memory (B)": "21458059264",
    "VRAM Total Used Memory (B)": "27856896",
    "Card Series": "Radeon RX 7900 XT",
    "Card Model": "0x744c",
    "Card Vendor": "Advanced Micro Devices, Inc. [AMD/ATI]",
    "Card SKU": "D70401XT",
    "Subsystem ID": "0x471e",
    "Device Rev": "0xcc",
    "Node ID": "1",
    "GUID": "26967",
    "GFX Version": "gfx1100"
  }
}
"""
# https://github.com/mudler/LocalAI/pull/7761, as JSON: a card whose name may be one of three, and a processor's graphics
ROCM_NAVI = """{"card0": {"VRAM Total Memory (B)": "17163091968", "Card Series": "Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]", "Card Model": "0x73bf"},
"card1": {"VRAM Total Memory (B)": "67108864", "Card Series": "Raphael", "Card Model": "0x164e"}}
"""
# https://rocm.docs.amd.com/projects/amdsmi/en/latest/how-to/amdsmi-cli-tool.html
AMD_SMI = """GPU: 0
    ASIC:
        MARKET_NAME: AMD Instinct MI300X
        VENDOR_ID: 0x1002
        VENDOR_NAME: Advanced Micro Devices Inc. [AMD/ATI]
    VRAM:
        TYPE: HBM3
        VENDOR: HYNIX
        SIZE: 196592 MB
        BIT_WIDTH: 8192
        MAX_BANDWIDTH: 5300 GB/s
"""
# https://github.com/Dr-Noob/cpufetch/issues/183
APPLE = """Hardware:

    Hardware Overview:

      Model Name: MacBook Pro
      Model Identifier: Mac14,10
      Model Number: MNW83D/A
      Chip: Apple M2 Pro
      Total Number of Cores: 12 (8 performance and 4 efficiency)
      Memory: 16 GB
      System Firmware Version: 10151.61.4
      OS Loader Version: 10151.61.4
"""
# https://intel.github.io/xpumanager/smi_user_guide.html has the rows, llama.cpp#28725 the name
XPU = 'Device Name,Memory Physical Size\n"Intel(R) Arc(TM) A770 Graphics","16288.00 MiB"\n'
XPU_OLD = 'Device Name,Memory Physical Size\n"Intel(R) Graphics [0x56c0]","14248.00 MiB"\n'
# https://github.com/intel/compute-runtime/issues/586 and oobabooga/textgen#3761
CLINFO = """Number of platforms                               2
  Platform Name                                   NVIDIA CUDA
Number of devices                                 1
  Device Name                                     Something else
  Global memory size                              25282281472 (23.55GiB)
  Platform Name                                   Intel(R) OpenCL Graphics
Number of devices                                 1
  Device Name                                     Intel(R) Arc(TM) A770 Graphics
  Device Vendor                                   Intel(R) Corporation
  Global memory size                              16225243136 (15.11GiB)
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with 64 GiB that has only the tools given, each printing a text."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(detect, "memory", lambda: 62.7)

    def tool(name: str, text: str, then: str = "") -> None:
        (folder / f"{name}.out").write_text(text, encoding="utf-8")
        script = folder / name
        script.write_text(f"#!/bin/sh\n/bin/cat '{folder / name}.out'\n{then}\n", encoding="utf-8")
        script.chmod(0o755)

    return tool


@pytest.mark.parametrize(
    ("name", "text", "hardware"),
    [
        ("nvidia-smi", NVIDIA_4090, {"gpu": "RTX4090-24GB", "host_memory_gib": 62}),
        ("nvidia-smi", NVIDIA_3060 * 2, {"gpu": "RTX3060-12GB", "gpus_per_node": 2, "host_memory_gib": 62}),
        ("nvidia-smi", NVIDIA_H100 * 8, {"gpu": "H100-80GB", "gpus_per_node": 8, "host_memory_gib": 62}),
        (
            "nvidia-smi",
            NVIDIA_4090 + NVIDIA_3060 * 2,
            {"gpus": [{"gpu": "RTX4090-24GB", "count": 1}, {"gpu": "RTX3060-12GB", "count": 2}], "host_memory_gib": 62},
        ),
        ("nvidia-smi", NVIDIA_4090.replace("24564", "49140"), {"gpu": "RTX4090-24GB", "memory_gib": 47.99, "host_memory_gib": 62}),
        (
            "nvidia-smi",
            NVIDIA_UNKNOWN,
            {"gpu": {"name": "NVIDIA TITAN V", "memory_gib": 12.0, "compute_capability": "7.0"}, "host_memory_gib": 62},
        ),
        ("rocm-smi", ROCM, {"gpu": "RX7900XT-20GB", "host_memory_gib": 62}),
        ("amd-smi", AMD_SMI * 2, {"gpu": "MI300X-192GB", "gpus_per_node": 2, "host_memory_gib": 62}),
        ("system_profiler", APPLE, {"gpu": "M2-Pro-16GB"}),
        ("xpu-smi", XPU, {"gpu": "Arc-A770-16GB", "host_memory_gib": 62}),
        ("xpu-smi", XPU_OLD, {"gpu": {"name": "Intel(R) Graphics [0x56c0]", "memory_gib": 13.91, "vendor": "intel"}, "host_memory_gib": 62}),
        ("clinfo", CLINFO, {"gpu": "Arc-A770-16GB", "host_memory_gib": 62}),
        ("nvidia-smi", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", {"gpu": "cpu", "memory_gib": 62}),
        ("rocm-smi", "{}", {"gpu": "cpu", "memory_gib": 62}),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 16 else "",
)
def test_what_the_tools_print(machine: Machine, name: str, text: str, hardware: dict[str, object]) -> None:
    machine(name, text, "exit 9" if "has failed" in text else "")
    assert detect.detected(load("default")) == hardware


def test_init_writes_the_spec_of_this_machine(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    machine("nvidia-smi", NVIDIA_4090 + NVIDIA_3060 * 2)
    cards = {"gpus": [{"gpu": "RTX4090-24GB", "count": 1}, {"gpu": "RTX3060-12GB", "count": 2}], "host_memory_gib": 62}
    assert run("init", "--detect").code == 0
    text = Path("spec.yaml").read_text(encoding="utf-8")
    run("init", "starter.yaml")
    starter = Path("starter.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == {**yaml.safe_load(starter), "hardware": cards}
    assert text.partition("hardware:")[0] == starter.partition("hardware:")[0]  # with its comments
    assert run("init", "--detect", "-m", "Qwen/Qwen3-8B", "own.yaml").code == 0
    assert yaml.safe_load(Path("own.yaml").read_text(encoding="utf-8")) == {"model": "Qwen/Qwen3-8B", "hardware": cards}
    assert run("plan", "spec.yaml", "own.yaml", "--quiet").code == 0
    said = run("init", "--detect", "-g", "T4")
    assert (said.code, said.err) == (2, "error[usage]: --detect asks this machine for its GPUs: leave --gpu out\n")


def test_init_from_a_launch_file_on_this_machine(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    machine("nvidia-smi", NVIDIA_4090)
    Path("run.sh").write_text("vllm serve Qwen/Qwen3-8B-AWQ --max-model-len 8192\n", encoding="utf-8")
    assert run("init", "--from", "run.sh", "--detect").code == 0
    assert yaml.safe_load(Path("spec.yaml").read_text(encoding="utf-8"))["hardware"] == {"gpu": "RTX4090-24GB", "host_memory_gib": 62}


def test_a_machine_without_tools_is_its_processor(machine: Machine) -> None:
    assert detect.detected(load("default")) == {"gpu": "cpu", "memory_gib": 62}


def test_a_card_whose_name_means_several_is_an_error_with_its_cure(machine: Machine) -> None:
    machine("rocm-smi", ROCM_NAVI)
    with pytest.raises(InputError) as error:
        detect.detected(load("default"))
    (problem,) = error.value.problems
    assert problem.code == "unknown-gpu"
    assert "memory_gib: 16.0, architecture: …" in problem.message
    assert "amd_rdna" in problem.message


def test_an_answer_may_be_anything(machine: Machine) -> None:
    machine("nvidia-smi", "\x1b[2J\x00evil, 24564, 8.9\n" + "NVIDIA " * 50_000)
    assert detect.detected(load("default")) == {"gpu": "cpu", "memory_gib": 62}  # beyond what is read, and killed for it
    machine("nvidia-smi", "\x1b[2Jevil, 24564, 8.9\n")
    hardware = detect.detected(load("default"))
    assert hardware["gpu"] == {"name": "\\x1b[2Jevil", "memory_gib": 23.99, "compute_capability": "8.9"}


def test_a_tool_that_hangs_is_stopped(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "SECONDS", 0.3)
    machine("nvidia-smi", NVIDIA_4090, "/bin/sleep 30")
    began = time.monotonic()
    assert detect.detected(load("default")) == {"gpu": "cpu", "memory_gib": 62}
    assert time.monotonic() - began < 5


def test_the_memory_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(detect, "CGROUP", limit)
    whole = detect.memory()
    limit.write_text("max\n", encoding="ascii")
    assert detect.memory() == whole > 0
    limit.write_text(f"{512 * MIB}\n", encoding="ascii")
    assert detect.memory() == 0.5
