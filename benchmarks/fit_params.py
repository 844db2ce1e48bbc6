"""Where llama.cpp's own fitting puts a model, and where the plan does: the table in docs/memory.md.

    python benchmarks/fit_params.py BIN

BIN holds `llama-fit-params` and `ggml-rpc-server` of a CPU build with `-DGGML_RPC=ON` (tests/engines/llama_cpp/build.sh makes one with
that option and target added). A GPU is played by an RPC server that believes to have its memory, less the CUDA context that the
plan counts; files are of real shape without weights (tests/engines/llama_cpp/virtual_gguf.py), every matrix in Q8_0. Needs gcc; a minute.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/engines/llama_cpp")]

from virtual_gguf import MODELS, write_virtual_gguf  # noqa: E402

from generator.decide.decision import decide  # noqa: E402
from generator.readers.document import Document  # noqa: E402
from generator.rulebook.book import load  # noqa: E402
from generator.spec.deployment import from_document  # noqa: E402

CASES = (
    ("qwen3-30b-a3b", 12, 1, 8192), ("qwen3-30b-a3b", 24, 1, 8192), ("gpt-oss-20b", 12, 1, 16384), ("gpt-oss-120b", 32, 2, 131072),
    ("qwen3-235b-a22b", 24, 1, 8192), ("deepseek-v3", 24, 1, 8192), ("llama3-70b", 24, 1, 8192), ("gemma2-9b", 8, 1, 4096),
)  # fmt: skip
"""Model, GiB of a GPU, GPUs, context."""

MEMORY = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
long sysconf(int name) {
  long (*real)(int) = dlsym(RTLD_NEXT, "sysconf");
  const char *mib = getenv("FAKE_MIB");
  return mib && (name == _SC_PHYS_PAGES || name == _SC_AVPHYS_PAGES) ? atol(mib) * (1048576 / real(_SC_PAGESIZE)) : real(name);
}
"""


def fitted(programs: Path, model: Path, mib: int, gpus: int, context: int, library: Path) -> str:
    """Layers on the GPUs and experts in host memory, as llama-fit-params sets them."""
    ports = [50100 + number for number in range(gpus)]
    env = {**os.environ, "LD_PRELOAD": str(library), "FAKE_MIB": str(mib)}
    servers = [
        subprocess.Popen([programs / "ggml-rpc-server", "-p", str(port)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for port in ports
    ]
    time.sleep(1.5)
    try:
        words = ["--rpc", ",".join(f"127.0.0.1:{port}" for port in ports), "-c", str(context), "-np", "1", "-ub", "512", "-fa", "on"]
        told = subprocess.run([programs / "llama-fit-params", "-m", model, *words], capture_output=True, text=True, check=True).stdout
    finally:
        for server in servers:
            server.terminate()
            server.wait()
    found = re.search(r"-ngl (\d+)", told)
    layers = int(found.group(1)) if found else -1
    moved = {int(layer): "exps" in rest for layer, rest in re.findall(r"blk\\\.(\d+)(\\\.[^=,]*)", told) if int(layer) < layers - 1}
    whole, part = sum(moved.values()), len(moved) - sum(moved.values())
    return f"{layers}" + (f", {whole}{' and a part of one more' if part else ''}" if moved else "")


def planned(model: Path, gib: float, gpus: int, context: int) -> str:
    """The same as the plan has it, and the experts of layers that have any."""
    data = {
        "name": "fit", "model": {"id": "my-org/model", "gguf": str(model)}, "workload": {"profile": "dev", "concurrency": 1, "max_context": context},
        "hardware": {"gpu": {"memory_gib": gib, "compute_capability": 8.9}, "gpus_per_node": gpus, "host_memory_gib": 2048},
        "pin": {"engine": "llama.cpp", **({"pipeline_parallel": gpus} if gpus > 1 else {})},
    }  # fmt: skip
    spec, _ = from_document(Document("spec.yaml", data, {}, {}), ROOT / "spec.yaml")
    assert spec is not None
    choice = decide(spec, load("default")).plan.choice
    assert choice is not None
    dense = MODELS[model.stem].dense_layers
    return f"{choice.gpu_layers}" + (f", {choice.cpu_experts - dense}" if choice.cpu_experts else "")


def main(programs: Path) -> None:
    """Print the table."""
    context_mib = load("default").number("llama_cpp.context_mib")
    with tempfile.TemporaryDirectory() as folder:
        library, source = Path(folder, "memory.so"), Path(folder, "memory.c")
        source.write_text(MEMORY, encoding="utf-8")
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        print("| model | GPU | context | `llama-fit-params` | the plan |\n|---|---|---:|---:|---:|")
        for name, gib, gpus, context in CASES:
            model = Path(folder, f"{name}.gguf")
            if not model.exists():
                write_virtual_gguf(model, MODELS[name], "Q8_0")
            told = fitted(programs, model, round(gib * 1024 - context_mib), gpus, context, library)
            print(f"| {name} | {f'{gpus} × ' if gpus > 1 else ''}{gib} GiB | {context:,} | {told} | {planned(model, gib, gpus, context)} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
