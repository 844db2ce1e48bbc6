"""What training jobs take, and the facts about them."""

from __future__ import annotations

import ast
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from shipped_families import from_config
from shipped_thresholds import THRESHOLDS

from generator.architecture.shape import ModelArchitecture
from generator.decide.context import resolve
from generator.decide.training import TrainingJob, training_job
from generator.quantity import GIB
from generator.quantize.training import (
    activation_bytes,
    adapter_parameters,
    least_gpus,
    loss_bytes,
    state_bytes,
    training_needs,
)
from generator.readers.document import parse_yaml
from generator.rulebook.book import load
from generator.rulebook.sections import TrainingMethod
from generator.spec.deployment import from_document

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests/data"
ROWS = yaml.safe_load((DATA / "training/memory.yaml").read_text(encoding="utf-8"))["rows"]
JOBS: dict[str, Any] = yaml.safe_load((ROOT / "rules/facts/training.yaml").read_text(encoding="utf-8"))["training_jobs"]
METHODS = [(job, method) for job, entry in JOBS.items() for method in entry["methods"]]
TEMPLATES = ROOT / "templates/quantize"


def numbers(name: str) -> float:
    """A shipped threshold's number."""
    return float(THRESHOLDS[name]["value"])


def qwen3(model: dict[str, Any]) -> ModelArchitecture:
    """A Qwen3 of a size."""
    return from_config(
        {
            "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "torch_dtype": "bfloat16", "num_hidden_layers": model["layers"],
            "hidden_size": model["hidden_size"], "intermediate_size": model["intermediate_size"], "vocab_size": model["vocab_size"],
            "num_attention_heads": model["heads"], "num_key_value_heads": model["kv_heads"], "head_dim": model["head_dim"],
            "max_position_embeddings": 40960, "tie_word_embeddings": model.get("tied", False), "rms_norm_eps": 1e-6, "rope_theta": 1000000,
        }
    )  # fmt: skip


@cache
def config(name: str) -> ModelArchitecture:
    """One of the committed configs."""
    return from_config(json.loads((DATA / "configs" / f"{name}.json").read_text(encoding="utf-8")))


LLAMA = "meta-llama__Llama-3.1-8B-Instruct"
SMALL = "Qwen__Qwen2-0.5B-Instruct"


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_what_others_say(row: dict[str, Any]) -> None:
    architecture = qwen3(row["model"])
    entry: TrainingMethod = {"memory": row["memory"], "source": ["x"]}

    def needs(gpus: int) -> Any:
        return training_needs(architecture, entry, numbers, gpus=gpus, tokens=row["tokens"], batch=row["batch"])

    if "least_gpus" in row:
        assert least_gpus(needs, int(row["capacity_gib"] * GIB), 64) == row["least_gpus"]
    if "about_gb" in row:
        assert needs(row["gpus"]).gpu_memory / 1e9 == pytest.approx(row["about_gb"], rel=row["within"])


def test_states_are_18_bytes_and_shared_out() -> None:
    entry: TrainingMethod = {"memory": {"kind": "training", "teacher": "none", "loss": "tiles"}, "source": ["x"]}
    llama = config(LLAMA)
    assert state_bytes(llama.parameters, numbers) == 18 * llama.parameters
    one, eight = (training_needs(llama, entry, numbers, gpus=n, tokens=1024, batch=1).gpu_memory for n in (1, 8))
    gathered = 2 * 2 * llama.vocab_size * llama.hidden_size  # the embedding is larger than a layer
    residual = int(1.2 * 2 * 1024 * llama.layers * llama.hidden_size)  # kept in 16 bits instead of 32
    assert one - eight == pytest.approx(18 * llama.parameters - 16 * llama.parameters // 8 - gathered + residual, abs=4)


def test_adapters_take_less_than_training_it_all() -> None:
    entry, llama = JOBS["distillation"]["methods"]["responses"], config(LLAMA)
    full, lora = (
        training_needs(llama, entry, numbers, gpus=1, student=llama, tokens=512, batch=1, lora_rank=r) for r in (0, 16)
    )
    # q, k, v, o, gate, up and down of 32 layers: 16 × (rows + columns)
    by_hand = 16 * 32 * (2 * 4096 + 2 * (4096 + 1024) + 2 * 4096 + 3 * (4096 + 14336))
    assert adapter_parameters(llama, 16) == by_hand
    assert full.gpu_memory - lora.gpu_memory == 16 * llama.parameters - 18 * by_hand


def test_the_teacher_lies_on_every_gpu_where_it_is_not_shared_out() -> None:
    llama, small = config(LLAMA), config(SMALL)
    entry = JOBS["distillation"]["methods"]["logits"]
    alone: Any = {**entry, "memory": {**entry["memory"], "teacher": "none"}}
    with_teacher = training_needs(llama, entry, numbers, gpus=4, student=small, tokens=512, batch=1).gpu_memory
    without = training_needs(small, alone, numbers, gpus=4, tokens=512, batch=1).gpu_memory
    assert with_teacher - without == 2 * llama.parameters


def test_a_loss_on_tiles_does_not_grow_with_the_vocabulary() -> None:
    llama, rows = config(LLAMA), 16384
    assert loss_bytes(llama, "tiles", numbers, rows) == 2 * 4 * 4096 * 32768
    assert loss_bytes(llama, "full", numbers, rows) == 14 * rows * llama.vocab_size
    assert loss_bytes(llama, "distillation", numbers, rows) == 30 * rows * llama.vocab_size


def test_activations_by_hand() -> None:
    assert activation_bytes(config(LLAMA), numbers, 1000) == 1000 * (4 * 32 * 4096 + 18 * 4096 + 8 * 14336)
    assert activation_bytes(config(LLAMA), numbers, 1000, sharded=True) == 1000 * (2 * 32 * 4096 + 18 * 4096 + 8 * 14336)


def test_ranking_takes_the_model_once_and_sparsegpt_a_layer() -> None:
    llama = config(LLAMA)
    ranking = training_needs(llama, JOBS["pruning"]["methods"]["depth-width"], numbers, gpus=1, tokens=2048, batch=1)
    assert 2 * llama.parameters < ranking.gpu_memory < 2 * llama.parameters + 3 * GIB
    sparse = training_needs(llama, JOBS["sparsity"]["methods"]["sparsegpt"], numbers, gpus=1, tokens=2048, batch=1, samples=512)
    wanda = training_needs(llama, JOBS["sparsity"]["methods"]["wanda"], numbers, gpus=1, tokens=2048, batch=1, samples=512)
    assert wanda.gpu_memory < sparse.gpu_memory < 8 * GIB


def test_a_plan_that_fits_nowhere_says_so() -> None:
    entry: TrainingMethod = {"memory": {"kind": "training", "teacher": "none", "loss": "full"}, "source": ["x"]}
    big = config("deepseek-ai__DeepSeek-V3")
    assert least_gpus(lambda n: training_needs(big, entry, numbers, gpus=n, tokens=2048, batch=1), 79 * GIB, 8) is None


@pytest.mark.parametrize(("job", "method"), METHODS)
def test_every_method_can_be_sized(job: str, method: str) -> None:
    entry = JOBS[job]["methods"][method]
    student = config(SMALL) if entry["memory"]["teacher"] == "other" else None
    needs = training_needs(config(LLAMA), entry, numbers, gpus=2, student=student, tokens=512, batch=1, samples=8)
    assert needs.gpu_memory > GIB and needs.host_memory > 0 and needs.disk > 0


@pytest.mark.parametrize(("job", "method"), METHODS)
def test_facts_are_whole(job: str, method: str) -> None:
    entry, top = JOBS[job]["methods"][method], JOBS[job]
    assert (TEMPLATES / top["program"]).is_file() and all((TEMPLATES / name).is_file() for name in top["common"])
    assert entry["proven"] in ("run", "schema") and entry["source"]
    assert any(word.startswith(f"{entry['package']}==") for word in entry["requirements"]) or entry["proven"] == "schema"
    sources = yaml.safe_load((ROOT / "rules/sources/compression.yaml").read_text(encoding="utf-8"))["sources"]
    assert set(entry["source"]) | {row["source"] for row in top["not_chosen"]} <= set(sources)


@pytest.mark.parametrize("program", sorted({entry["program"] for entry in JOBS.values()} | {"training_job.py"}))
def test_programs_hold_no_data_of_a_spec(program: str) -> None:
    text = (TEMPLATES / program).read_text(encoding="utf-8")
    ast.parse(text)
    assert "{{" not in text and "{%" not in text  # copied as they are
    assert "trust_remote_code=True" not in text


def test_nothing_is_said_to_gain_from_zeros() -> None:
    for entry in JOBS["sparsity"]["methods"].values():
        assert entry["engines"] == [] and "vllm-sparse24-removed" in entry["source"]


def test_minitron_speaks_only_options_that_nvidias_program_has() -> None:
    """The program is not on PyPI: its options stand in tests/data/training, copied from its source."""
    known = yaml.safe_load((DATA / "training/prune_minitron.yaml").read_text(encoding="utf-8"))
    text = (TEMPLATES / "pruning.py").read_text(encoding="utf-8")
    function = text[text.index("def minitron_command") : text.index("def minitron(")]
    words = (node.value for node in ast.walk(ast.parse(function)) if isinstance(node, ast.Constant))
    said = {word.split("=")[0] for word in words if isinstance(word, str) and word.startswith("--")}
    assert said - {"--nproc_per_node"} <= set(known["options"])
    assert {"--hf_model_name_or_path", "--output_hf_path"} <= said


def job_of(job: str, method: str, model: str = "meta-llama/Llama-3.1-8B-Instruct", quantize: str = "") -> TrainingJob:
    """A job for a model on two A100."""
    text = f"model: {model}\nhardware: {{gpu: A100-80GB, gpus_per_node: 2}}\nquantize: {{teacher: Qwen/Qwen2.5-7B-Instruct{quantize}}}\n"
    spec, problems = from_document(parse_yaml(text, "x.yaml"), Path("x.yaml"))
    assert spec is not None, problems
    return training_job(resolve(spec, load("default")), job, method)


def data_of(job: str, method: str) -> dict[str, Any]:
    """The job.yaml of one method; experts are taken from a mixture of them."""
    return dict(job_of(job, method, "Qwen/Qwen3-30B-A3B" if method == "experts" else "meta-llama/Llama-3.1-8B-Instruct").data)


@pytest.mark.parametrize(("job", "method"), METHODS)
def test_job_yaml_has_each_key_that_its_program_asks_for(job: str, method: str) -> None:
    text = (TEMPLATES / JOBS[job]["program"]).read_text(encoding="utf-8") + (TEMPLATES / "training_job.py").read_text(encoding="utf-8")
    made = yaml.safe_load(yaml.safe_dump(data_of(job, method)))
    read = {call.args[0].value for call in ast.walk(ast.parse(text)) if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
            and call.func.attr == "get" and call.args and isinstance(call.args[0], ast.Constant)}  # fmt: skip
    for section in ("training", *JOBS[job]["methods"][method]["settings"]):
        assert {f"{section}.{key}" for key in made.get(section, {})} <= read
    assert made["output"] == "weights" and made["data"]["samples"] > 0 and ("teacher" in made) == (job == "distillation")


def test_numbers_are_thresholds_and_settings_stay_as_they_are() -> None:
    assert data_of("pruning", "depth-width")["pruning"] == {"method": "depth-width", "layers": 26}
    assert data_of("pruning", "experts")["pruning"] == {"method": "experts", "share": 0.25}
    assert data_of("sparsity", "wanda")["sparsity"] == {"method": "wanda", "mask": "0:0", "ignore": ["re:.*lm_head"], "share": 0.5}
    assert JOBS["sparsity"]["methods"]["wanda"]["settings"]["sparsity"] == {"method": "wanda", "mask": "0:0", "ignore": ["re:.*lm_head"]}  # untouched
    assert job_of("sparsity", "wanda", quantize=", calibration: {samples: 7, file: ./a.txt}").data["data"] == {
        "samples": 7, "tokens": 2048, "file": "./a.txt"
    }  # fmt: skip


def test_adapters_are_sized_as_adapters() -> None:
    """Of the student's 16 bytes a parameter that FSDP shares out only two are left, and the adapters' own."""
    adapters, whole = job_of("distillation", "lora"), job_of("distillation", "responses")
    assert adapters.data["training"] == {"method": "lora", **whole.data["training"], "lora_rank": 16}
    saved = 14 * config(LLAMA).parameters - 16 * adapter_parameters(config(LLAMA), 16)  # FSDP keeps no copy in 16 bits
    assert whole.needs.gpu_memory - adapters.needs.gpu_memory == pytest.approx(saved / 2, abs=4)
