"""Which cards a deployment has, in its files: `devices`, `mig`, `share_gib` and unequal `gpus`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "decide"))
from plans import book, spec_of

from generator.decide.decision import decide
from generator.render.files import artifacts

QWEN = "Qwen/Qwen2.5-7B-Instruct"
CUDA = "CUDA_VISIBLE_DEVICES"


def files_of(data: dict[str, Any]) -> dict[str, str]:
    plan = decide(spec_of({"name": "cards", **data}), book()).plan
    assert plan.choice is not None
    return {artifact.path: artifact.text for artifact in artifacts(plan, [plan.choice], book())}


def exported(data: dict[str, Any]) -> list[str]:
    script = next(text for path, text in files_of(data).items() if path.endswith("serve.sh"))
    return [line.removeprefix("export ") for line in script.splitlines() if line.startswith("export ") and ("VISIBLE" in line or "ORDER" in line)]


def service(data: dict[str, Any], name: str) -> Any:
    text = next(text for path, text in files_of(data).items() if path.endswith("compose.yaml"))
    return yaml.safe_load(text)["services"][name]


@pytest.mark.parametrize(
    ("hardware", "lines"),
    [
        ({"gpu": "RTX3090-24GB"}, []),
        ({"gpu": "RTX3090-24GB", "devices": [3]}, ["CUDA_DEVICE_ORDER=PCI_BUS_ID", f'{CUDA}="${{{CUDA}:-3}}"']),
        ({"gpu": "RTX3090-24GB", "devices": [3, 2]}, ["CUDA_DEVICE_ORDER=PCI_BUS_ID", f'{CUDA}="${{{CUDA}:-3,2}}"']),
        ({"gpu": "MI300X-192GB", "devices": [5]}, ['HIP_VISIBLE_DEVICES="${HIP_VISIBLE_DEVICES:-5}"']),
        ({"gpu": "H100-80GB", "mig": "2g.20gb"}, [f'{CUDA}="${{{CUDA}:?set it to the UUID of a 2g.20gb slice, as nvidia-smi -L prints it (MIG-...)}}"']),
    ],
)
def test_the_script_takes_the_cards_of_the_spec(hardware: dict[str, Any], lines: list[str]) -> None:
    assert exported({"model": QWEN, "hardware": hardware, "pin": {"engine": "vllm"}}) == lines


@pytest.mark.parametrize(
    ("hardware", "which", "inside"),
    [
        ({"gpu": "RTX3090-24GB", "devices": [3]}, {"device_ids": ["3"]}, None),
        ({"gpu": "RTX3090-24GB", "devices": [2, 3]}, {"device_ids": ["2", "3"]}, None),
        ({"gpu": "RTX3090-24GB", "devices": [3, 2]}, {"device_ids": ["2", "3"]}, "1,0"),  # counted from 0 inside
        ({"gpu": "RTX3090-24GB"}, {"count": 1}, None),
        (
            {"gpu": "H100-80GB", "mig": "2g.20gb"},
            {"device_ids": ["${MIG_DEVICE:?set MIG_DEVICE to a 2g.20gb slice: its UUID, or card:slice such as 0:1}"]}, None,
        ),
    ],
)
def test_the_container_gets_the_cards_of_the_spec(hardware: dict[str, Any], which: dict[str, Any], inside: str | None) -> None:
    pin = {"engine": "vllm", "tensor_parallel": len(hardware.get("devices", [0]))}
    found = service({"model": QWEN, "hardware": hardware, "pin": pin}, "vllm")
    assert found["deploy"]["resources"]["reservations"]["devices"] == [{"driver": "nvidia", **which, "capabilities": ["gpu"]}]
    assert found["environment"].get(CUDA) == inside


def test_amd_containers_see_all_cards_and_are_told_which() -> None:
    found = service({"model": QWEN, "hardware": {"gpu": "MI300X-192GB", "devices": [5]}, "pin": {"engine": "vllm"}}, "vllm")
    assert found["environment"]["HIP_VISIBLE_DEVICES"] == "5"


@pytest.mark.parametrize("engine", ["vllm", "tgi", "sglang", "llama.cpp", "tensorrt-llm"])
def test_what_is_written_takes_no_more_than_the_share(engine: str) -> None:
    share, data = 14.0, {"name": "shared", "model": QWEN, "pin": {"engine": engine}, "workload": {"profile": "dev"}}
    plan = decide(spec_of({**data, "hardware": {"gpu": "RTX4090-24GB", "share_gib": share}}), book()).plan
    choice = plan.choice
    assert choice is not None and choice.memory is not None
    assert choice.memory.capacity == share * 2**30
    assert max(choice.memory.budget, choice.memory.total) <= choice.memory.capacity
    if engine in ("vllm", "tgi"):  # of the whole card
        assert choice.gpu_memory_utilization is not None
        assert 0.85 * share < choice.gpu_memory_utilization * 23.52 <= share


def test_layers_follow_the_memory_of_unequal_cards() -> None:
    data = {
        "model": "Qwen/Qwen3-32B", "hardware": {"gpus": [{"gpu": "RTX3060-12GB", "count": 2}, {"gpu": "RTX3090-24GB"}], "devices": [4, 6, 5]},
        "workload": {"profile": "dev", "max_context": 16384}, "pin": {"engine": "llama.cpp", "quantization": "gguf-q6_k"},
    }  # fmt: skip
    script = next(text for path, text in files_of(data).items() if path.endswith("serve.sh"))
    split = [int(part) for part in script.partition("--tensor-split ")[2].split()[0].split(",")]
    assert sum(split) == 65 and split[0] > split[1] + split[2] - 2 >= split[0] / 2  # the fastest card first, with the most
    assert "--main-gpu 0" in script
    assert exported(data)[1] == f'{CUDA}="${{{CUDA}:-5,4,6}}"'
    assert service(data, "llama.cpp")["environment"][CUDA] == "1,0,2"


def test_batching_servers_take_equal_cards() -> None:
    data = {"model": QWEN, "hardware": {"gpus": [{"gpu": "RTX3060-12GB"}, {"gpu": "RTX3090-24GB", "count": 2}]}, "pin": {"engine": "vllm"}}
    plan = decide(spec_of({"name": "equal", **data}), book()).plan
    assert plan.choice is not None
    assert plan.choice.tensor_parallel * plan.choice.replicas == 2
    assert plan.spec["hardware"]["gpu"] == "RTX3090-24GB"
    assert plan.spec["hardware"]["devices"] == [1, 2]
    assert "cards-left-out" in {warning.row for warning in plan.warnings}
