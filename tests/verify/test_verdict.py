"""`verify --gpu`: the verdict on a command is that of a plan that pins the same, on every logged start and failure."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "sizing"))

from starts import book, facts, planned

from generator.cli.main import main
from generator.facts.engine import resolve_engine
from generator.verify.files import Asked, check_text

SAID = ("tensor_parallel", "pipeline_parallel", "max_model_len", "max_num_seqs", "max_num_batched_tokens", "gpu_memory_utilization", "kv_cache_dtype")

RTX3090_TWICE = {"gpu": "RTX 3090", "gpus_per_node": 2}
H100_8 = {"gpu": "H100", "gpus_per_node": 8}


def command(spec: dict[str, Any], folder: Path) -> str | None:
    """A spec's pins as the command line of its engine; None for what a command line cannot pin (a method without a checkpoint of its own)."""
    pin = spec["pin"]
    engine = resolve_engine(pin["engine"], pin["engine_version"], book())
    if pin["quantization"] not in ("bf16", "fp16") or pin["engine"] != "vllm":
        return None
    config = json.loads(Path(spec["model"]["config"]).read_text(encoding="utf-8"))
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    words = ["vllm", "serve", "./model", "--dtype", {"bf16": "bfloat16", "fp16": "half"}[pin["quantization"]]]
    for name in SAID:
        entry = engine.spelling(name)
        if name in pin and entry is not None:
            words += [entry["flag"], str(pin[name])]
    return shlex.join([*words, *(["--enforce-eager"] if pin.get("enforce_eager") else [])])


def test_verdicts_are_those_of_pinned_plans(tmp_path: Path) -> None:
    """Public starts that went well and that failed, as commands: fits or not as the plan that pins the same."""
    compared = {True: 0, False: 0}
    for ident, _, spec in facts(tmp_path):
        if isinstance(spec["model"], str) or "config" not in spec["model"] or (line := command(spec, tmp_path)) is None:
            continue
        asked = Asked("vllm", spec["pin"]["engine_version"], spec["hardware"])
        report = check_text(str(tmp_path / "start.sh"), line, book(), asked)
        verdict, plan = report.verdicts[0], planned(spec, tmp_path)
        assert verdict.fits is (plan.choice is not None), (ident, [finding.message for finding in report.findings])
        compared[plan.choice is not None] += 1
    assert compared[True] >= 20
    assert compared[False] >= 4, compared


@pytest.mark.parametrize(
    ("text", "gpu", "fits", "says"),
    [
        ("vllm serve Qwen/Qwen3-32B-AWQ --max-model-len 131072", RTX3090_TWICE, False, "--tensor-parallel-size 2 --max-model-len 40960"),
        ("docker run vllm/vllm-openai:v0.20.2 --model openai/gpt-oss-20b", {"gpu": "RTX 4090"}, True, "KV cache"),
        ("llama-server -hf unsloth/Qwen3-8B-GGUF:Q4_K_M -c 131072 -ngl 99 -np 4", {"gpu": "RTX3060-12GB"}, False, "it would with --ctx-size"),
        ("python -m sglang.launch_server --model-path deepseek-ai/DeepSeek-R1 --tp-size 8", H100_8, False, "leave nothing for the KV cache"),
        ("vllm serve $MODEL", {"gpu": "H100"}, None, "say which it is with --model ID"),
    ],
)  # fmt: skip
def test_what_people_paste(text: str, gpu: dict[str, Any], fits: bool | None, says: str) -> None:
    """Commands from standard input: the verdict, the term that it fails on, and what would fit."""
    report = check_text("-", text, book(), Asked(hardware=gpu))
    assert report.verdicts[0].fits is fits
    assert any(says in finding.message for finding in report.findings), [finding.message for finding in report.findings]


def test_what_would_fit_fits() -> None:
    """The corrected command is judged again, and starts."""
    gpu = RTX3090_TWICE
    text = "vllm serve Qwen/Qwen3-32B-AWQ --max-model-len 131072 --enable-prefix-caching --api-key sk-1"
    again = check_text("-", text, book(), Asked(hardware=gpu)).verdicts[0].command
    assert "sk-1" not in again
    assert "--enable-prefix-caching" in again
    assert check_text("-", again.replace("$API_KEY", "x"), book(), Asked(hardware=gpu)).verdicts[0].fits is True


def test_a_config_file_beside_the_script_is_read(tmp_path: Path) -> None:
    """vLLM's --config FILE beside the script counts for memory."""
    (tmp_path / "config.yaml").write_text("max-model-len: 32768\nmax-num-seqs: 32\n", encoding="utf-8")
    (tmp_path / "run.sh").write_text("vllm serve Qwen/Qwen3-8B --config config.yaml\n", encoding="utf-8")
    report = check_text(str(tmp_path / "run.sh"), (tmp_path / "run.sh").read_text(encoding="utf-8"), book(), Asked(hardware={"gpu": "RTX4090-24GB"}))
    assert report.verdicts[0].sized is not None
    assert report.verdicts[0].sized.max_model_len == 32768


def spec_from(folder: Path, words: str, gpu: str) -> dict[str, Any]:
    """The spec that `init --from` makes of a command, as data."""
    (folder / "serve.sh").write_text(words, encoding="utf-8")
    target = folder / "made.yaml"
    target.unlink(missing_ok=True)
    assert main(["init", str(target), "--from", str(folder / "serve.sh"), "-g", gpu]) == 0
    data: dict[str, Any] = yaml.safe_load(target.read_text(encoding="utf-8"))
    return data


def test_a_draft_and_shared_experts_of_a_command_are_planned(tmp_path: Path) -> None:
    """`--speculative-config` and ranks of attention become words of a spec, whose plan says the same command."""
    drafts = '{"method": "mtp", "num_speculative_tokens": 3}'
    words = f"vllm serve Qwen/Qwen3.6-27B --tensor-parallel-size 2 --max-model-len 32768 --speculative-config '{drafts}'\n"
    data = spec_from(tmp_path, words, "2x H100")
    assert data["serve"] == {"speculative": {"method": "mtp", "tokens": 3}}
    shared = spec_from(tmp_path, "vllm serve deepseek-ai/DeepSeek-V3.1 --data-parallel-size 8 --enable-expert-parallel\n", "8x H200")
    assert (shared["pin"]["data_parallel"], shared["pin"]["expert_parallel"]) == (8, True)
    unknown = words.replace("Qwen/Qwen3.6-27B", "Qwen/Qwen3-8B")  # has no such layers: said as it was
    assert spec_from(tmp_path, unknown, "2x H100")["deploy"]["extra_args"]["vllm"]["speculative-config"] == json.loads(drafts)
