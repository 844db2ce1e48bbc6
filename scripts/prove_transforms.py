"""Prove which architectures the transforms of LLM Compressor are right for, and write `rules/facts/transforms.yaml`.

SmoothQuant and AWQ rescale layers before the rounding, by mappings of the tool from one layer to the next. A mapping that does not fit an
architecture changes the model silently, or stops the job after hours. For each model type that the rules know and transformers has, a tiny
model of random weights (outliers in the norms, as real models have) goes through:

alone   the transform without any rounding: must change nothing (share of the source's knowledge lost, see templates/quantize/proof.py)
with    the method with its transform
plain   the same scheme by GPTQ, without the transform

A type is proved where `alone` is at most 0.00002 (right ones are at 1e-7, those that leave out a router at 1e-3), and `with` at most 1.5 times
`plain`. About 5 seconds each.

    .../llm-compressor-VERSION/bin/python scripts/prove_transforms.py [TYPE…]      the interpreter: tests/engines/quantize/setup.sh llm-compressor

With types only these are tried anew; the rest of the file stays.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.metadata
import io
import json
import multiprocessing
import os
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "rules/facts/transforms.yaml"
sys.path[:0] = [str(ROOT / "templates/quantize"), str(ROOT / "tests/engines/quantize")]
sys.dont_write_bytecode = True

import proof  # noqa: E402
import tiny_models  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
import yaml  # noqa: E402
from transformers.models.auto import modeling_auto as auto  # noqa: E402

SMALL: dict[str, Any] = {
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), 512),
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "embed_dim", "embedding_size", "text_hidden_size", "out_hidden_size"), 128),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "block_ff_dim", "ffn_hidden_size", "intermediate_size_mlp"), 256),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "depth"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "linear_num_key_heads", "linear_num_value_heads", "swa_num_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "num_attention_groups", "swa_num_key_value_heads"), 2),
    **dict.fromkeys(("head_dim", "linear_key_head_dim", "linear_value_head_dim", "qk_nope_head_dim", "v_head_dim", "global_head_dim", "swa_head_dim"), 32),
    **dict.fromkeys(("qk_rope_head_dim", "index_head_dim"), 16),
    **dict.fromkeys(("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_k", "top_k_experts", "moe_topk"), 2),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", "expert_ffn_hidden_size"), 128),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "o_lora_rank", "hidden_size_per_layer_input"), 128),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts", "first_k_dense_replace", "moe_layer_start_index", "num_shared_experts"), 1),
    "max_position_embeddings": 1024, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "qk_head_dim": 48,
    "mamba_n_heads": 8, "mamba_d_head": 32, "mamba_expand": 2, "mamba_n_groups": 1, "mamba_d_state": 16, "mamba_num_heads": 8, "mamba_head_dim": 32,
    "ssm_state_size": 16, "n_groups": 1, "num_kv_shared_layers": 0, "index_n_heads": 2, "index_topk": 64, "sliding_window": 64,
    "rotary_dim": 16, "word_embed_proj_dim": 128, "zero_expert_num": 1, "patch_size": 14, "image_size": 28,
}  # fmt: skip
"""Of a tiny configuration, whatever a model type calls it."""
METHODS: dict[str, tuple[str, str, list[str]]] = {
    "int8": ("SmoothQuantModifier", "W8A8", ["SmoothQuantModifier: {smoothing_strength: 0.8}"]),
    "awq": ("AWQModifier", "W4A16_ASYM", ["AWQModifier: {}"]),
}
"""By method: its transform, its scheme, and the line of its recipe in rules/facts/quantizers.yaml."""
IGNORE = [
    "re:.*lm_head",
    "re:.*[.]gate$",
    "re:.*router.*",
    "re:.*shared_expert_gate$",
    "re:.*(visual|vision|audio|multi_modal_projector).*",
]
WRONG, WORSE = 2e-5, 1.5
SEED = 7


def known_types() -> list[str]:
    """The model types of `rules/facts/families` that transformers loads as a text, or an image and text, model."""
    found: set[str] = set()
    for file in (ROOT / "rules/facts/families").glob("*.yaml"):
        found |= set(yaml.safe_load(file.read_text())["families"])
    return sorted(found & (set(auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) | set(auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)))


def loader_of(kind: str) -> Any:
    """As the job chooses it: with the vision tower where there is one."""
    image = kind in auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES and kind not in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return transformers.AutoModelForImageTextToText if image else transformers.AutoModelForCausalLM


def tiny_config(kind: str) -> Any:
    """A configuration of that type with tiny dimensions."""
    made = transformers.CONFIG_MAPPING[kind]

    def shrunk(config: Any) -> dict[str, Any]:
        found = {key: value for key, value in SMALL.items() if getattr(config, key, None) is not None}
        found |= {"num_experts_per_tok": 2} if hasattr(config, "num_experts_per_tok") else {}
        if "qk_rope_head_dim" in found:  # latent attention: a head of keys for each of queries, and head_dim is the rotated part
            found["num_key_value_heads"] = found["num_attention_heads"]
            found |= {"head_dim": 16} if "head_dim" in found else {}
        elif hasattr(config, "num_attention_heads") and not isinstance(getattr(type(config), "head_dim", None), property):
            found |= {"head_dim": 32, "num_key_value_heads": 2}
        rope = dict(getattr(config, "rope_parameters", None) or {})
        if "mrope_section" in rope or config.model_type.startswith(
            ("qwen2_vl_t", "qwen2_5_vl_t", "glm4v_t", "glm4v_moe_t", "glm_ocr_t", "paddleocr_vl_t")
        ):
            found["rope_parameters"] = {"rope_type": "default", "rope_theta": 10000.0, **rope, "mrope_section": [4, 6, 6]}
        for key, part in vars(config).items():
            if isinstance(part, transformers.PretrainedConfig):
                found[key] = {"model_type": part.model_type, **shrunk(part)}
        if isinstance(getattr(config, "moe_intermediate_size", None), list):
            found["moe_intermediate_size"] = [128] * 4
        return found

    small = shrunk(made())
    text = small.get("text_config", small)
    if any(word in json.dumps(made().to_dict(), default=str) for word in ("linear_attention", "mamba", '"conv', "linear_attn")):
        text.update(
            {key: 4 for key in ("num_hidden_layers", "n_layer", "num_layers") if key in text}
        )  # so that both kinds of layers are there
    return made(**small, tie_word_embeddings=False)


def tiny_model(kind: str, folder: Path) -> None:
    """Random weights that make distinct predictions, with outlier channels behind the norms."""
    torch.manual_seed(SEED)
    with torch.device("cpu"):
        model = loader_of(kind).from_config(tiny_config(kind), dtype=torch.float32)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 1 and "norm" in name and name.endswith("weight"):
                spread = torch.randn(weight.shape).mul(0.2).exp() * (1 + 3 * (torch.rand(weight.shape) < 0.03))
                weight.copy_(spread - 1 if float(weight.abs().max()) == 0 else spread)  # (1 + w) of Gemma begins at 0
            elif weight.dim() >= 2 and "embed" not in name and "vision" not in name and "visual" not in name:
                weight.normal_(0, 0.5 * weight.shape[-1] ** -0.5)
            elif weight.dim() == 2 and "vision" not in name and "visual" not in name:
                weight.normal_(0, 1)
    model.save_pretrained(folder)
    tiny_models.tokenizer().save_pretrained(folder)


def loaded(kind: str, folder: Path) -> Any:
    from llmcompressor.utils.dev import load_context

    loader = loader_of(kind)
    with load_context(loader):
        return loader.from_pretrained(str(folder), dtype=torch.float32).eval()


def figures(kind: str) -> dict[str, Any]:
    """What was found for one model type, by method."""
    from compressed_tensors.quantization import disable_quantization
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.pipelines.cache import IntermediatesCache

    IntermediatesCache.pin_memory = lambda *_, **__: None
    generator = torch.Generator().manual_seed(SEED)
    numbers = torch.randint(3, 512, (12, 96), generator=generator).tolist()
    texts = Dataset.from_list([{"input_ids": row, "attention_mask": [1] * len(row)} for row in numbers[4:]])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tiny_model(kind, folder / "model")
        untouched = loaded(kind, folder / "model")
        source = proof.Predictions(untouched, numbers[:4], folder / "source.npy")

        def shares(recipe: list[str]) -> list[float]:
            """What this recipe loses, and what it loses where nothing is rounded in the forward pass."""
            stage = {"default_stage": {"default_modifiers": {k: v for line in recipe for k, v in yaml.safe_load(line).items()}}}
            model = copy.deepcopy(untouched)
            recipe_text, texts_as = yaml.safe_dump(stage, sort_keys=False), {"num_calibration_samples": len(texts), "max_seq_length": 96}
            oneshot(
                model=model,
                tokenizer=tiny_models.tokenizer(),
                recipe=recipe_text,
                dataset=texts,
                shuffle_calibration_samples=False,
                **texts_as,
            )
            found = []
            for prepare in (lambda _: None, disable_quantization):
                model.apply(prepare)
                result = proof.Predictions(model, numbers[:4], folder / "result.npy")
                lost = proof.compared(source, result, numbers[:4])
                found.append(float(lost["kl"]) / max(1e-9, float(lost["known"])))
            return found

        found: dict[str, Any] = {}
        for method, (_, scheme, transform) in METHODS.items():
            rest = f"Modifier: {{targets: [Linear], scheme: {scheme}, ignore: {json.dumps(IGNORE)}}}"
            entry: dict[str, Any] = {}
            try:
                entry["plain"] = shares([f"GPTQ{rest}"])[0]
                if method == "int8":
                    entry["alone"] = shares(transform)[0]
                    entry["with"] = shares([*transform, f"GPTQ{rest}"])[0]
                else:  # AWQ searches by the rounding: it is left out afterwards
                    entry["with"], entry["alone"] = shares([*transform, f"Quantization{rest}"])
            except Exception as error:
                entry["error"] = f"{type(error).__name__}: {error}".split("\n")[0][:60]
            found[method] = entry
        return found


def child(kind: str, answer: Any) -> None:
    """In a process of its own: what one type breaks does not reach the next."""
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        from loguru import logger

        logger.remove()
        try:
            found = figures(kind)
        except BaseException as error:
            found = {"model": f"{type(error).__name__}: {error}".split("\n")[0][:60]}
    answer.send(found)


def is_proved(entry: dict[str, Any]) -> bool:
    """Whether the transform changes nothing, and the method with it is not worse than without."""
    return "error" not in entry and entry["alone"] <= WRONG and entry["with"] <= WORSE * entry["plain"] + WRONG


def main() -> None:
    """Try every type, and write the file."""
    import llmcompressor  # noqa: F401  (imported once, before the processes split)

    kinds = sys.argv[1:] or known_types()
    results = written() if sys.argv[1:] else {}
    context = multiprocessing.get_context("fork")
    for kind in kinds:
        here, there = context.Pipe()
        started = time.monotonic()
        process = context.Process(target=child, args=(kind, there))
        process.start()
        there.close()
        try:
            results[kind] = here.recv() if here.poll(240) else {"model": "takes longer than 240 seconds"}
        except EOFError:
            results[kind] = {"model": "the process died"}
        process.kill()
        process.join()
        TARGET.write_text(page(dict(sorted(results.items()))), encoding="utf-8")
        print(kind, json.dumps(results[kind]), f"{time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def written() -> dict[str, Any]:
    """What the file says already."""
    found = yaml.safe_load(TARGET.read_text())["transforms"]["llm-compressor"] if TARGET.exists() else {"modifiers": {}}
    results: dict[str, Any] = {kind: {"model": text} for kind, text in (found.get("untried") or {}).items()}
    for method, (name, _, _) in METHODS.items():
        for kind, entry in found["modifiers"].get(name, {}).get("figures", {}).items():
            results.setdefault(kind, {})[method] = entry
    return results


def page(results: dict[str, Any]) -> str:
    """The file: proved types by method, and the figures of all that were tried."""
    version = importlib.metadata.version("llmcompressor")
    lines = [
        "# yaml-language-server: $schema=../schemas/transforms.json",
        "# Which model types a transform of a tool is right for. Written by scripts/prove_transforms.py, which says how and by what bounds;",
        "# not edited by hand. alone: what the transform loses without rounding, as a share of what the source knows of the next token; with: the",
        "# method with it; plain: the same scheme by GPTQ. A job for a type that is not among `proved` leaves the transform out, and says so.",
        "transforms:",
        "  llm-compressor:",
        f"    version: {version}",
        "    source: prove-transforms",
        f"    transformers: {transformers.__version__}",
        "    modifiers:",
    ]
    for method, (name, _, _) in METHODS.items():
        tried = {kind: entry[method] for kind, entry in results.items() if method in entry}
        proved = [kind for kind, entry in tried.items() if is_proved(entry)]
        listed = textwrap.wrap(f"        proved: [{', '.join(proved)}]", 130, subsequent_indent=" " * 10)
        lines += [f"      {name}:", *listed, "        figures:"]
        for kind, entry in tried.items():
            words = [f"{key}: {entry[key]:.1e}" for key in ("alone", "with", "plain") if key in entry]
            if "error" in entry:
                words.append(f"error: {json.dumps(entry['error'])}")
            lines.append(f"          {kind}: {{{', '.join(words)}}}")
    untried = {kind: entry["model"] for kind, entry in results.items() if "model" in entry}
    lines += ["    untried:"] + [f"      {kind}: {json.dumps(text)}" for kind, text in untried.items()] if untried else []
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
