"""Score the memory models of SGLang, TensorRT-LLM, TGI, llama.cpp and Ollama against logged starts, class by class.

    python benchmarks/accuracy/score_other_engines.py ROWS.json --configs DIR [--rows]

ROWS is a list of starts (or a mapping with `rows`), one mapping each, as they were logged; `kind2: prediction` marks an engine's
own guess, which is no truth and is left out. DIR holds config.json files named ORG__MODEL.json. A row counts in a class only
where it says what the class needs; the others are counted as not scorable, with the reason under --rows. No row has a
path or a figure in this script.

Classes named "from what was free" take the memory that the engine logged before and after the weights, so that they judge
the pool's formula alone; "whole plan" ones are what `gen-deploy plan` would say for the pinned start, with the card's
capacity and nothing else from the log.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))
from rows import Known, NotScorable

from generator.engines import ENGINES as ROOMS
from generator.engines import cache_cost
from generator.quantity import GIB, MIB
from generator.sizing.footprint import Device, Layout, Load
from generator.sizing.gguf import gguf_sizes

Row = dict[str, Any]


class Score(NamedTuple):
    """One figure of one row: what we say and what was logged, in one unit."""

    klass: str
    told: float
    logged: float


def sglang(row: Row, known: Known) -> Iterator[Score]:
    """The pool from the logged free memory, its tokens, and the whole plan where the card is known."""
    ascend = "Ascend" in str(row.get("gpu"))
    where = " on Ascend" if ascend else ""
    after = row.get("avail_after_draft_gb") if row.get("draft_loaded_before_pool") else row.get("avail_after_weights_gb")
    before, fraction = row.get("avail_before_gb"), row.get("mem_fraction_static")
    total = (row.get("kv_gib") or 0) + (row.get("mamba_cache_gib") or 0)
    if before and after and fraction and row.get("kv_gib"):
        pool = after - before * (1 - fraction)
        model = known.architecture(row)
        if not (model and model.hybrid and not row.get("mamba_cache_gib")):
            yield Score(f"sglang pool GiB, from what was free{where}", pool, total)
        if model and row.get("kv_tokens"):
            ways = max(1, (row.get("tp") or 1) // (row.get("dp") or 1))
            ratio = row.get("swa_full_tokens_ratio") or known.number("sglang.sliding_tokens", "0.5.23")
            cost = cache_cost(
                model, Layout(ways, row.get("pp") or 1), known.kv_bits(row.get("kv_dtype")), "sglang",
                numbers=lambda name, ratio=ratio: ratio if name == "sglang.sliding_tokens" else known.number(name, "0.5.23"),  # type: ignore[misc]
            )  # fmt: skip
            yield Score(
                f"sglang KV tokens, from what was free{where}",
                cost.tokens_in(int(pool * GIB), row.get("context_len") or 8192),
                row["kv_tokens"],
            )
    if not ascend and row.get("kv_tokens") and row.get("swa_full_tokens_ratio") in (None, known.number("sglang.sliding_tokens", "0.5.23")):
        _, kv = known.plan(row, "sglang", {"chunked_prefill_size": "max_num_batched_tokens", "max_running_requests": "max_num_seqs"})
        whose = "" if known.own_config(row) else ", checkpoint without its config"
        yield Score(f"sglang KV tokens, whole plan{whose}", kv["tokens"], row["kv_tokens"])


def tensorrt_llm(row: Row, known: Known) -> Iterator[Score]:
    """The pool from the logged peak, and the whole plan where card and model are known."""
    total, fraction = row.get("gpu_total_gib"), row.get("free_gpu_memory_fraction")
    if row.get("peak_profile_gib") and total and fraction and row.get("kv_available_gib"):
        pool = fraction * (total - row["peak_profile_gib"] + (row.get("tmp_kv_gib") or 0))
        yield Score("tensorrt-llm KV GiB, from the logged peak", pool, row["kv_available_gib"])
    if "pytorch" not in str(row.get("backend")):
        raise NotScorable("the TensorRT-engine back end is not planned")
    memory, _ = known.plan(row, "tensorrt-llm", {"max_batch_size": "max_num_seqs", "max_num_tokens": "max_num_batched_tokens"})
    unified = " on unified memory" if "unified" in str(row.get("gpu")) else ""
    yield Score(f"tensorrt-llm KV GiB, whole plan{unified}", memory["kv_cache"], row.get("kv_gib") or row["kv_available_gib"])


def tgi(row: Row, known: Known) -> Iterator[Score]:
    """Tokens of the pool by the whole plan."""
    logged = row.get("kv_blocks") or row.get("max_batch_total_tokens")
    if not logged:
        raise NotScorable("no pool logged")
    version = "2.4.1" if str(row.get("version")).startswith("2.") else "3.3.4"
    _, kv = known.plan(row, "tgi", {"max_batch_prefill_tokens": "max_num_batched_tokens"}, version=version)
    yield Score("tgi KV tokens, whole plan", kv["tokens"], logged)


def gguf_server(row: Row, known: Known) -> Iterator[Score]:
    """llama.cpp, its fork ik_llama.cpp and Ollama: model, KV and compute buffers on the GPUs, in MiB."""
    engine = row["engine"]
    model = known.architecture(row)
    shape = model or known.dimensions(row)
    gpus = row.get("gpu_count") or 1
    on_gpu = {key: _cuda(row.get(f"{key}_buffers_mib")) for key in ("model", "kv", "compute")}
    whole = _whole(row)
    if model and on_gpu["kv"] and row.get("n_ctx") and whole and not (model.mla and str(row.get("mla_attn")) == "0"):
        cost = cache_cost(
            model, Layout(), known.kv_bits(row.get("ctk") or "f16"), "llama.cpp",
            batched_tokens=row.get("n_ubatch") or 512, sequences=1,
        )  # fmt: skip
        size = cost.bytes_for(row["n_ctx"], 1) - cost.state_bytes
        yield Score(f"{engine} KV MiB", size / MIB, sum(on_gpu["kv"]))
    method = known.gguf_method(row)
    if model and method and on_gpu["model"] and whole and not row.get("tensor_overrides"):
        sizes = gguf_sizes(model, method, known.book.section("ggml_types"))
        yield Score(f"{engine} model MiB", (sum(sizes.layers) + sizes.output) / MIB, sum(on_gpu["model"]))
    if shape is None:
        raise NotScorable("no config and no dimensions")
    build = known.build(row)
    if not on_gpu["compute"] or not row.get("n_ubatch") or not row.get("n_ctx"):
        raise NotScorable("no compute buffer, micro-batch or context logged")
    if build is None:
        raise NotScorable("the build is not logged, and what is reserved differs between builds")
    if not whole:
        raise NotScorable("part of the model on the CPU, which stages its tensors in the compute buffer")
    replaced = {"llama_cpp.flash_attention": 1.0 if row.get("flash_attn") else 0.0}
    if engine == "ik_llama.cpp":
        replaced["llama_cpp.logits_hidden_copies"] = 2.0
    if row.get("pipeline_copies"):
        replaced["llama_cpp.pipeline_copies"] = float(row["pipeline_copies"])
    numbers = known.numbers(build, replaced)
    load = Load(row["n_ctx"], 1, row["n_ubatch"])
    stages = gpus if row.get("pipeline_copies", 4) > 1 else 1
    fixed = ROOMS["llama.cpp"].memory.fixed(shape, Layout(1, stages), load, Device(24 * GIB), 0, numbers)
    latent = " (MLA)" if shape.mla or row.get("arch") == "deepseek2" else ""
    yield Score(f"{engine} compute MiB{latent}", fixed.activations / MIB, on_gpu["compute"][-1])


def _cuda(buffers: Any) -> list[float]:
    """Buffers of the GPUs, in the order of the devices."""
    found = {int(name[4:] or 0): size for name, size in (buffers or {}).items() if name.startswith("CUDA") and name[4:].isdigit()}
    return [found[device] for device in sorted(found)]


def _whole(row: Row) -> bool:
    """Whether all layers are on the GPUs, experts included: the CPU keeps no more than the embedding."""
    done, _, layers = str(row.get("offloaded_layers") or "").partition("/")
    buffers = row.get("model_buffers_mib") or {}
    host = sum(size for name, size in buffers.items() if not (name.startswith("CUDA") and name[4:].isdigit()))
    total = sum(buffers.values())
    return done == layers and bool(total) and host <= 0.15 * total and not row.get("tensor_overrides")


ENGINES: dict[str, Callable[[Row, Known], Iterator[Score]]] = {
    "sglang": sglang,
    "tensorrt-llm": tensorrt_llm,
    "tgi": tgi,
    "llama.cpp": gguf_server,
    "ik_llama.cpp": gguf_server,
    "ollama": gguf_server,
}


def main() -> int:
    """Print the table; with --rows every figure and why a row could not be scored."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows_file", type=Path, metavar="ROWS.json")
    parser.add_argument("--configs", type=Path, metavar="DIR", help="config.json files named ORG__MODEL.json")
    parser.add_argument("--rows", action="store_true", help="every figure, worst first, and what could not be scored")
    args = parser.parse_args()
    data = json.loads(args.rows_file.read_text(encoding="utf-8"))
    rows = data["rows"] if isinstance(data, dict) else data
    known = Known(args.configs)
    found: dict[str, list[tuple[float, Score, str]]] = defaultdict(list)
    left: dict[str, int] = defaultdict(int)
    for row in rows:
        if row.get("kind2") == "prediction" or row.get("fits") is False:
            continue
        score = ENGINES.get(row["engine"])
        try:
            if score is None:
                raise NotScorable("not one of our engines")
            for one in score(row, known):
                found[one.klass].append((100 * (one.told - one.logged) / one.logged, one, str(row["id"])))
        except NotScorable as reason:
            left[row["engine"]] += 1
            if args.rows:
                print(f"  not scored further: {row['id'][:70]}: {reason}")
    for klass in sorted(found):
        errors = [error for error, _, _ in found[klass]]
        size = sorted(map(abs, errors))
        print(
            f"{klass:<48} n={len(size):<3} median |error| {statistics.median(size):6.2f} %   p90 {size[min(len(size) - 1, int(0.9 * len(size)))]:6.2f} %"
            f"   worst {size[-1]:6.1f} %   signed median {statistics.median(errors):+6.2f} %"
        )
    print("rows with something not scorable: " + ", ".join(f"{engine} {count}" for engine, count in sorted(left.items())))
    if args.rows:
        for klass in sorted(found):
            for error, one, ident in sorted(found[klass], key=lambda entry: -abs(entry[0])):
                print(f"  {klass:<44} {error:+7.1f} %  told {one.told:.6g}  logged {one.logged:.6g}  {ident[:80]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
