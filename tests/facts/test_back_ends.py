"""llama.cpp's back ends: which ones hardware has and in which order, their image, devices and variable, the pin and its words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "decide"))
from plans import book, spec_of

from generator.compare.model import level, moves
from generator.decide.decision import decide
from generator.errors import InputError
from generator.facts.engine import back_ends_of
from generator.plan import Plan
from generator.render.files import artifacts
from generator.render.plan_json import as_json

QWEN = "Qwen/Qwen2.5-7B-Instruct"
ENDS = {
    "volta_70": {"cuda": "cuda_server"},
    "ada_89": {"cuda": "cuda"},
    "hopper_90": {"cuda": "cuda_server"},
    "amd_cdna3": {"hip": "hip"},
    "amd_rdna": {"vulkan": "vulkan", "hip": "hip"},
    "amd_gcn5": {"vulkan": "hip", "hip": "hip"},
    "intel_xpu": {"sycl": "sycl", "vulkan": "sycl"},
    "apple_metal": {"metal": "metal"},
    "cpu_x86": {"cpu": "cpu"},
}
FILES = [  # GPU, pin, back end, image without its number, variable, devices
    ("RTX4090-24GB", None, "cuda", "server-cuda", "CUDA_VISIBLE_DEVICES", None),
    ("MI300X-192GB", None, "hip", "server-rocm", "HIP_VISIBLE_DEVICES", ["/dev/kfd", "/dev/dri"]),
    ("RX7900XTX-24GB", None, "vulkan", "server-vulkan", "GGML_VK_VISIBLE_DEVICES", ["/dev/dri"]),
    ("RX7900XTX-24GB", "hip", "hip", "server-rocm", "HIP_VISIBLE_DEVICES", ["/dev/kfd", "/dev/dri"]),
    ("MI50-32GB", None, "vulkan", "server-vulkan", "GGML_VK_VISIBLE_DEVICES", ["/dev/dri"]),
    ("Arc-B580-12GB", None, "sycl", "server-intel", "ZE_AFFINITY_MASK", ["/dev/dri"]),
    ("Arc-B580-12GB", "vulkan", "vulkan", "server-vulkan", "GGML_VK_VISIBLE_DEVICES", ["/dev/dri"]),
]


def planned(gpu: str, pin: dict[str, Any], **hardware: object) -> Plan:
    return decide(spec_of({"name": "ends", "model": QWEN, "hardware": {"gpu": gpu, **hardware}, "pin": pin, "workload": {"profile": "dev"}}), book()).plan


@pytest.mark.parametrize("generation", ENDS)
def test_the_order_in_which_a_generation_tries_back_ends(generation: str) -> None:
    engines, architecture = book().section("engines"), book().section("architectures")[generation]
    assert list(back_ends_of(engines["llama.cpp"], architecture).items()) == list(ENDS[generation].items())
    assert not any(back_ends_of(engines[name], architecture) for name in engines if name != "llama.cpp")


def test_every_generation_has_a_back_end_with_factors_and_every_word_is_known() -> None:
    facts = book().section("engines")["llama.cpp"]
    for name, architecture in book().section("architectures").items():
        ends = back_ends_of(facts, architecture)
        assert ends, name
        assert (architecture.get("back_ends") or ends).keys() == ends.keys() <= facts["back_ends"].keys()
        assert all(f"speed.local.bandwidth.{speed}" in book().thresholds for speed in ends.values())
        assert architecture["vendor"] in ("apple", "cpu") or all(
            any(row["vendor"] == architecture["vendor"] and row["back_end"] == end for row in facts["images"]) for end in ends
        )


@pytest.mark.parametrize(("gpu", "pinned", "end", "image", "variable", "devices"), FILES)
def test_image_variable_and_devices_are_those_of_the_back_end(
    gpu: str, pinned: str | None, end: str, image: str, variable: str, devices: list[str] | None
) -> None:
    plan = planned(gpu, {"engine": "llama.cpp", **({"back_end": pinned} if pinned else {})}, devices=[1])
    assert plan.choice is not None
    assert (plan.choice.back_end, as_json(plan)["choice"]["back_end"], plan.facts["engine.back_end"]) == (end, end, end)  # type: ignore[typeddict-item]
    files = {artifact.path: artifact.text for artifact in artifacts(plan, [plan.choice], book())}
    service = yaml.safe_load(files["llama.cpp/compose.yaml"])["services"]["llama.cpp"]
    assert service["image"].rpartition(":")[2].rpartition("-")[0] == image
    assert service.get("devices") == devices
    script = files["llama.cpp/serve.sh"]
    assert [line for line in script.splitlines() if line.startswith("export ") and "=\"${" in line and "1}" in line] == [
        f'export {variable}="${{{variable}:-1}}"'
    ]
    assert ("vulkaninfo" in script) is (end == "vulkan")
    assert f"back end {end}" in files["PLAN.md"]


@pytest.mark.parametrize(("gpu", "variable"), [("RX7900XTX-24GB", "GGML_VK_VISIBLE_DEVICES"), ("MI300X-192GB", "HIP_VISIBLE_DEVICES"), ("RTX4090-24GB", None)])
def test_a_container_that_sees_all_cards_is_told_to_take_those_of_the_plan(gpu: str, variable: str | None) -> None:
    plan = planned(gpu, {"engine": "llama.cpp", "pipeline_parallel": 1}, gpus_per_node=2)
    assert plan.choice is not None
    files = {artifact.path: artifact.text for artifact in artifacts(plan, [plan.choice], book())}
    environment = yaml.safe_load(files["llama.cpp/compose.yaml"])["services"]["llama.cpp"]["environment"]
    assert {name: value for name, value in environment.items() if "VISIBLE" in name} == ({variable: "0"} if variable else {})


def test_a_plan_of_an_older_version_that_did_not_say_its_back_end_is_no_other_decision() -> None:
    assert moves({"engine": "llama.cpp"}, {"engine": "llama.cpp", "back_end": "cuda"}) == []
    assert level({"choice": {"engine": "llama.cpp", "back_end": "hip"}}, {"choice": {"engine": "llama.cpp", "back_end": "vulkan"}}) == "engine"


def test_a_pin_leaves_the_engines_that_have_the_back_end() -> None:
    plan = planned("RX7900XTX-24GB", {"back_end": "hip"})
    assert {c.engine for c in (plan.choice, *plan.alternatives) if c is not None} == {"llama.cpp"}


@pytest.mark.parametrize(
    ("gpu", "pin", "said"),
    [
        ("MI300X-192GB", {"back_end": "cuda"}, "'cuda' is no back end of any engine on AMD CDNA 3 (one of hip)"),
        ("RTX4090-24GB", {"engine": "llama.cpp", "back_end": "vulkan"}, "'vulkan' is no back end of llama.cpp on NVIDIA Ada (one of cuda)"),
        ("RX7900XTX-24GB", {"back_end": "vulcan"}, "did you mean 'vulkan'? (one of vulkan, hip)"),
        ("RTX4090-24GB", {"engine": "vllm", "back_end": "cuda"}, "'cuda' is no back end of vllm on NVIDIA Ada (it has no choice of them)"),
    ],
)
def test_a_back_end_that_the_hardware_lacks_is_refused(gpu: str, pin: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        planned(gpu, pin)
    (problem,) = caught.value.problems
    assert problem.code == "unknown-back-end"
    assert said in problem.message


def test_vulkan_is_faster_than_hip_at_decode_as_measured() -> None:
    pin = {"engine": "llama.cpp", "quantization": "gguf-q4_0" if "gguf-q4_0" in book().section("methods") else "gguf-q4_k_m", "max_num_seqs": 1}
    times = []
    for end in ("vulkan", "hip"):
        choice = planned("RX7900XTX-24GB", {**pin, "back_end": end}).choice
        assert choice is not None and choice.performance is not None and choice.performance.speed is not None
        times.append(choice.performance.speed.tpot_ms.value)
    assert 1.15 < times[1] / times[0] < 1.35
