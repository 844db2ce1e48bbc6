"""The job in quantize/ with the real llama.cpp: it runs to its end, makes what was predicted, and its result is served.

From tiny models with random weights. Where a Python with torch, transformers and sentencepiece is at hand
(GEN_DEPLOY_CONVERT_PYTHON, or a virtual environment in the cache's quantize/) also from a Hugging Face folder, through the
converter of the same commit.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="the PyPI package gguf writes the files")

import yaml
from binaries import folder, quantized_mib
from server import clean_environment
from shipped_families import from_gguf
from shipped_thresholds import THRESHOLDS
from test_generated import SMALL, Generated, answered, generate
from tiny_gguf import MODELS, TinyModel, write_tiny_gguf
from virtual_gguf import MODELS as REAL
from virtual_gguf import write_virtual_gguf

from generator.quantity import MIB
from generator.quantize.gguf import gguf_output, overridden
from generator.readers.gguf_header import read_gguf
from generator.sizing.gguf import gguf_bytes, gguf_sizes
from generator.sizing.gguf_mixture import Mixture, quantizable, tensors
from generator.sizing.gguf_overrides import pattern, read_overrides

pytestmark = pytest.mark.llama_cpp

ROOT = Path(__file__).resolve().parents[3]
FACTS: dict[str, Any] = yaml.safe_load((ROOT / "rules/facts/methods.yaml").read_text(encoding="utf-8"))
METHODS: dict[str, Any] = FACTS["methods"]
GGML_TYPES: dict[str, Any] = FACTS["ggml_types"]
HEADER: float = THRESHOLDS["quantize.gguf_header_bytes"]["value"]
HERE = Path(__file__).parent

DEEP = {"llama": TinyModel(layers=9), "llama-moe": TinyModel(layers=9, experts=4), "qwen2": TinyModel("qwen2", layers=9), "gemma3": MODELS["gemma3"]}
"""Layers enough for the places at which the mixtures change their type."""


@pytest.fixture(scope="module")
def programs() -> Path:
    return folder()


@pytest.fixture(scope="module")
def observed(programs: Path) -> Path:
    if not (programs / "llama-imatrix").is_file():
        pytest.skip("this build has no llama-imatrix: run tests/engines/llama_cpp/build.sh again")
    return programs


@pytest.fixture(scope="module")
def sixteen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file in 16 bits of each tiny model."""
    root = tmp_path_factory.mktemp("sixteen")
    for name, model in DEEP.items():
        write_tiny_gguf(root / f"{name}.gguf", model)
    return {name: root / f"{name}.gguf" for name in DEEP}


def planned(programs: Path, home: Path, source: Path, method: str, asked: Mapping[str, Any], place: str = "site", name: str = "tiny.gguf") -> Generated:
    """The files that gen-deploy writes for a model in 16 bits beside the spec."""
    (home / place).mkdir()
    shutil.copy(source, home / place / name)
    spec = {
        "model": {"id": "tiny", "gguf": f"./{name}"}, "hardware": {"gpu": "cpu", "memory_gib": 8}, "workload": dict(SMALL),
        "pin": {"engine": "llama.cpp", "quantization": method}, "quantize": dict(asked),
    }  # fmt: skip
    return generate(programs, home, spec, place)


def make(generated: Generated, home: Path, *words: str, path: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the job, from a folder that is not its own."""
    env = clean_environment(home, {"PATH": path or f"{generated.programs}:{os.environ['PATH']}", **environment})
    run = [str(generated.folder / "quantize" / "run.sh"), *words]
    return subprocess.run(run, capture_output=True, text=True, errors="replace", env=env, cwd="/", timeout=300, check=False)


TEXT = "the quick brown fox jumps over the lazy dog, and " * 400
JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    "q4_k_m": ("gguf-q4_k_m", {}),
    "q8_0": ("gguf-q8_0", {}),
    "layers": ("gguf-q4_k_m", {"first_layers": 2, "last_layers": 1}),
    "parts": ("gguf-q3_k_m", {"keep": ["attention"], "keep_type": "q6_K", "tensor_types": {"ffn_down": "Q5_K", "output": "q8_0"}}),
    "iq4_xs-imatrix": ("gguf-iq4_xs", {"calibration": {"file": "texts.txt", "samples": 4, "tokens": 64}}),
    "iq2_xs-imatrix": ("gguf-iq2_xs", {"calibration": {"file": "texts.txt", "samples": 4, "tokens": 64}, "tensor_types": {"attn_v": "q8_0"}}),
}


SLOW = "iq2_xs-imatrix"
"""Takes half a minute a model: one is enough."""


@pytest.mark.parametrize(("name", "job"), [(name, job) for name in sorted(DEEP) for job in sorted(JOBS) if job != SLOW or name == "llama"])
def test_the_result_is_what_was_planned(name: str, job: str, programs: Path, sixteen: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Tensors to the byte, by type; the file within 1 % of the plan, and of what the plan gives out."""
    method, asked = JOBS[job]
    imatrix = "calibration" in asked
    if imatrix:
        request.getfixturevalue("observed")
    generated = planned(programs, tmp_path, sixteen[name], method, asked)
    (tmp_path / "site" / "texts.txt").write_text(TEXT)
    done = make(generated, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "run.sh: warning" not in done.stderr
    made = generated.folder / generated.plan["quantize"]["output"]
    header = read_gguf(made)
    architecture = from_gguf(read_gguf(sixteen[name]))
    entry = overridden(METHODS[method], architecture, asked)
    sizes = gguf_sizes(architecture, entry, GGML_TYPES, imatrix)
    assert sum(t.size for t in header.tensors) == sizes.file
    told: Counter[str] = Counter()
    for tensor in header.tensors:
        if not tensor.name.startswith("token_embd"):
            told[str(tensor.type).lower()] += tensor.size
    planned_types: Counter[str] = Counter()
    for one in tensors(architecture, Mixture.of(entry, GGML_TYPES, architecture, imatrix)):
        if one.role != "embedding":
            planned_types[one.type.lower()] += one.size * max(1, len(one.layers))
    assert told == planned_types
    size, bits = gguf_output(architecture, entry, GGML_TYPES, imatrix=imatrix, header_per_token=HEADER)
    assert made.stat().st_size == pytest.approx(size, rel=0.01)
    assert generated.plan["quantize"]["output_size_gib"] == round(size / 2**30, 3)
    assert bits == pytest.approx(generated.plan["quantize"]["bits_per_weight"], abs=0.001)
    if imatrix:
        assert len(list(made.parent.glob("imatrix-*.gguf"))) == 1


@pytest.fixture(scope="module")
def proving(programs: Path) -> Path:
    if not (programs / "llama-perplexity").is_file():
        pytest.skip("this build has no llama-perplexity: run tests/engines/llama_cpp/build.sh again")
    return programs


def test_what_was_lost_is_measured_and_a_broken_result_is_kept_apart(proving: Path, sixteen: dict[str, Path], tmp_path: Path) -> None:
    """The second quantiser writes the right tensors of another model: types and bytes are as planned, the weights are garbage."""
    generated = planned(proving, tmp_path, sixteen["llama"], "gguf-q8_0", {})
    report, weights = generated.folder / "quantize" / "job-report.json", generated.folder / "quantize" / "weights"
    done = make(generated, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(report.read_text())
    assert found["verdict"] == "accepted" and 0 <= found["kl"] < found["kl_bound"] == 0.01
    assert found["agreement_percent"] > 90 and found["perplexity_result"] == pytest.approx(found["perplexity_source"], rel=0.01)
    write_tiny_gguf(tmp_path / "other.gguf", DEEP["llama"], seed=7)
    broken, real = tmp_path / "broken", proving / "llama-quantize"
    broken.mkdir()
    (broken / "llama-quantize").write_text(
        f'#!/bin/bash\n[[ $1 != --dry-run ]] || exec "{real}" "$@"\nexec "{real}" "{tmp_path}/other.gguf" "${{@: -2}}"\n'
    )
    (broken / "llama-quantize").chmod(0o755)
    done = make(generated, tmp_path, "--force", path=f"{broken}:{proving}:{os.environ['PATH']}")
    assert done.returncode == 4 and "kept apart" in done.stderr, done.stderr[-2000:]
    assert json.loads(report.read_text())["verdict"] == "rejected"
    assert (weights.parent / "weights.rejected" / "model-Q8_0.gguf").is_file()
    assert not list(weights.glob("*.part.*"))


def test_a_matrix_of_other_texts_is_made_again(observed: Path, sixteen: dict[str, Path], tmp_path: Path) -> None:
    generated = planned(observed, tmp_path, sixteen["llama"], *JOBS["iq4_xs-imatrix"])
    texts, weights = tmp_path / "site" / "texts.txt", generated.folder / "quantize" / "weights"
    texts.write_text(TEXT)
    assert make(generated, tmp_path).returncode == 0
    (first,) = weights.glob("imatrix-*.gguf")
    assert "the result exists already" in make(generated, tmp_path).stderr
    again = make(generated, tmp_path, "--force")
    assert again.returncode == 0 and "computing the importance matrix" not in again.stderr
    texts.write_text(TEXT.replace("lazy", "idle"))
    again = make(generated, tmp_path)
    assert again.returncode == 0 and "computing the importance matrix" in again.stderr
    (second,) = weights.glob("imatrix-*.gguf")
    assert second.name != first.name


@pytest.mark.parametrize("job", ["q4_k_m", "parts"])
def test_the_result_is_served(job: str, programs: Path, sixteen: dict[str, Path], tmp_path: Path) -> None:
    """serve.sh says what is missing, then serves it and answers."""
    method, asked = JOBS[job]
    generated = planned(programs, tmp_path, sixteen["llama"], method, asked)
    environment = clean_environment(tmp_path, {"PATH": f"{programs}:{os.environ['PATH']}"})
    before = subprocess.run([generated.serve], capture_output=True, text=True, env=environment, timeout=30, check=False)
    assert before.returncode == 1
    assert "quantize/run.sh" in before.stderr
    assert make(generated, tmp_path).returncode == 0
    with generated.running() as server:
        answered(generated, tmp_path)
        assert server.request("/props").json()["model_path"].endswith("/model-" + method.removeprefix("gguf-").upper() + ".gguf")


@pytest.mark.parametrize(
    ("place", "name"),
    [("it's a \"site\" $(touch x) `id` & ; (1)", "tiny model; v1 'q4'.gguf"), ("new\nline", "--imatrix.gguf"), ("percent %20 {{ x }} ${HOME}", "7.gguf")],
    ids=["shell", "newline-and-dash", "templates"],
)
def test_names_are_literal(place: str, name: str, programs: Path, sixteen: dict[str, Path], tmp_path: Path) -> None:
    generated = planned(programs, tmp_path, sixteen["llama"], "gguf-q4_k_m", {}, place, name)
    done = make(generated, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    with generated.running():
        answered(generated, tmp_path)
    assert not list(tmp_path.rglob("x"))


def test_a_killed_run_leaves_no_result(programs: Path, sixteen: dict[str, Path], tmp_path: Path) -> None:
    """The quantiser writes half of it, then the script is killed: no file has the name that serve.sh looks for."""
    generated = planned(programs, tmp_path, sixteen["llama"], "gguf-q4_k_m", {})
    weights = generated.folder / "quantize" / "weights"
    broken = tmp_path / "broken"
    broken.mkdir()
    real = programs / "llama-quantize"
    (broken / "llama-quantize").write_text(
        f'#!/bin/bash\n[[ $1 != --dry-run ]] || exec "{real}" "$@"\n"{real}" "$@"\ntruncate -s 300000 "${{@: -2:1}}"\nkill -9 "$PPID"\n'
    )
    (broken / "llama-quantize").chmod(0o755)
    done = make(generated, tmp_path, path=f"{broken}:{os.environ['PATH']}")
    assert done.returncode == -9
    assert [path.name for path in weights.glob("*.gguf")] == ["result.part.gguf"]
    assert make(generated, tmp_path).returncode == 0
    assert [path.name for path in weights.glob("*.gguf")] == ["model-Q4_K_M.gguf"]
    again = make(generated, tmp_path)
    assert again.returncode == 0
    assert "the result exists already" in again.stderr


ASKED: dict[str, dict[str, Any]] = {
    "ends": {"first_layers": 3, "last_layers": 2},
    "attention": {"keep": ["attention"]},
    "down-in-5": {"tensor_types": {"ffn_down": "q5_K"}},
    "all-at-once": {"tensor_types": {"output": "q8_0", "token_embd": "q8_0"}, "first_layers": 1, "keep_type": "q6_K"},
}


@pytest.mark.parametrize("name", sorted(REAL))
def test_sizes_of_real_shapes_with_types_by_hand(name: str, programs: Path, tmp_path: Path) -> None:
    """Against llama-quantize's own dry run: what is left to the mixture is counted as it counts."""
    path = tmp_path / "model.gguf"
    write_virtual_gguf(path, REAL[name])
    architecture = from_gguf(read_gguf(path))
    kinds = quantizable(architecture)
    for method in ("gguf-q4_k_m", "gguf-q3_k_m", "gguf-q4_k_s", "gguf-iq4_xs"):
        for what, asked in ASKED.items():
            if not all(any(kind.startswith(word) for kind in [*kinds, "output"]) for word in asked.get("tensor_types", ())):
                continue
            entry = overridden(METHODS[method], architecture, asked)
            by_hand = entry["gguf"].get("overrides", {})
            words = [w for o in read_overrides(by_hand, GGML_TYPES) for w in ("--tensor-type", f"{pattern(o)}={o.type}")]
            told = quantized_mib(tmp_path, path, method.removeprefix("gguf-").upper(), *words)
            assert gguf_bytes(architecture, entry, GGML_TYPES) / MIB == pytest.approx(told, abs=0.006), (method, what)


# ---- from safetensors


@pytest.fixture(scope="module")
def converting(programs: Path) -> dict[str, str]:
    """PYTHON with what the converter needs, and LLAMA_CPP with the converter."""
    home = Path(os.environ.get("GEN_DEPLOY_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gen-deploy")
    named = os.environ.get("GEN_DEPLOY_CONVERT_PYTHON")
    probe = "import importlib.util as u, sys; sys.exit(any(u.find_spec(n) is None for n in ('torch', 'transformers', 'sentencepiece', 'safetensors')))"
    for python in [named] if named else sorted(map(str, home.glob("quantize/*/bin/python"))):
        if subprocess.run([python, "-c", probe], timeout=60, check=False).returncode == 0:
            break
    else:
        pytest.skip("no Python with torch, transformers and sentencepiece: set GEN_DEPLOY_CONVERT_PYTHON")
    if not (programs.parent / "convert" / "convert_hf_to_gguf.py").is_file():
        pytest.skip("no converter beside the programs: run tests/engines/llama_cpp/build.sh again")
    return {"PYTHON": python, "LLAMA_CPP": str(programs.parent / "convert")}


def from_folder(programs: Path, home: Path, converting: dict[str, str], *words: str, **deploy: Any) -> Generated:
    """The files for a tiny model that lies beside the spec as a Hugging Face folder."""
    (home / "site").mkdir()
    writing = [converting["PYTHON"], str(HERE / "tiny_hf.py"), str(home / "site" / "it's tiny"), *words]
    done = subprocess.run(writing, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    spec = {
        "model": {"id": "./it's tiny", "config": "./it's tiny/config.json"}, "hardware": {"gpu": "cpu", "memory_gib": 8}, "workload": dict(SMALL),
        "pin": {"engine": "llama.cpp", "quantization": "gguf-q4_k_m"}, "quantize": {}, "deploy": deploy,
    }  # fmt: skip
    return generate(programs, home, spec)


def test_from_safetensors(programs: Path, converting: dict[str, str], tmp_path: Path) -> None:
    """Converted by the real converter, quantised, within 1 % of the plan, served."""
    generated = from_folder(programs, tmp_path, converting)
    done = make(generated, tmp_path, "--keep-16bit", **converting)
    assert done.returncode == 0, done.stderr[-3000:]
    weights = generated.folder / "quantize" / "weights"
    assert from_gguf(read_gguf(weights / "model-BF16.gguf")).gguf_type == "gguf-bf16"
    made = weights / "model-Q4_K_M.gguf"
    assert 8 * sum(t.size for t in read_gguf(made).tensors) / from_gguf(read_gguf(made)).parameters == pytest.approx(
        generated.plan["quantize"]["bits_per_weight"], abs=0.001
    )
    with generated.running():
        answered(generated, tmp_path)
    assert make(generated, tmp_path, "--force", **converting).returncode == 0
    assert not (weights / "model-BF16.gguf").exists()


@pytest.mark.parametrize("allowed", [False, True])
def test_code_of_the_repository(allowed: bool, programs: Path, converting: dict[str, str], tmp_path: Path) -> None:
    """The converter itself asks for it; it runs only where the spec says so. (This tokenizer cannot be converted at all.)"""
    marker = tmp_path / "it ran"
    generated = from_folder(programs, tmp_path, converting, "--remote-code", str(marker), trust_remote_code=allowed)
    done = make(generated, tmp_path, HF_MODULES_CACHE=str(tmp_path / "modules"), **converting)
    assert done.returncode == 1
    assert marker.exists() is allowed, done.stderr[-3000:]
    assert ("only the spec can allow it" in done.stderr) is not allowed
    assert not list((generated.folder / "quantize" / "weights").glob("*.gguf"))
