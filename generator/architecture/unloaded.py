"""Checkpoint tensors that engines do not load for serving: multi-token prediction layers, unused keys and values.

Floor 3, pure. Taken from published checkpoints and from the ignored names of Transformers' models.

    layers.N.…   one more layer than the model has: DeepSeek-V3 and GLM-4.5, with an embedding and an output of its own; GLM-5
    mtp.…        a module of its own: Qwen3-Next and later, Nemotron 3, DeepSeek-V4; mtp_layers.… in MiMo-7B
    k_proj …     of layers that use another layer's keys and values: Gemma 4

Other families are not known well enough and not counted."""

from __future__ import annotations

from dataclasses import replace

from generator.architecture.attention import compressed, grouped
from generator.architecture.parts import Part, StorageOf, collected
from generator.architecture.quantization import Scheme
from generator.architecture.shape import Matrix
from generator.architecture.stacks import Context, Stack, hybrid_blocks
from generator.architecture.windows import head_counts, heads_of, layer_types
from generator.readers.resources import shipped

_MOST = 16
_COUNTS = ("mtp_num_hidden_layers", "num_mtp_layers")
_NEXT = "num_nextn_predict_layers"


def unloaded(context: Context, stack: Stack, scheme: Scheme | None, vocab: int) -> tuple[list[Matrix], bool]:
    """The matrices, and whether quantization tools copy them: llm-compressor and GPTQModel do if the config counts them. Transformers does
    not load them, so other derived checkpoints lack them."""
    fields, kept = context.fields, context.family.mtp
    if context.family.stack == "shared-kv":
        return _unused_keys(context), False
    if not kept:
        return [], False
    count = fields.integer(*_COUNTS, _NEXT, low=0, high=_MOST, default=0)
    found: list[Matrix] = []
    for index in range(count):
        prefix = f"layers.{context.layers + index}." if kept != "module" else f"mtp.layers.{index}."
        found += collected([(_layer(context, stack, index), [0])], _below(scheme, prefix) if scheme else None)
        found += _around(context, vocab if kept == "layer-with-embeddings" else 0)
    return [replace(matrix, shard="replicated") for matrix in found], fields.has(*_COUNTS)


def _below(scheme: Scheme, prefix: str) -> StorageOf:
    """Queries a scheme for modules below `prefix`, independent of the collected layer."""
    return lambda module, layer: scheme.decides(prefix + module)


def _layer(context: Context, stack: Stack, index: int) -> list[Part]:
    """The parts of one such layer: as the model's last layer, or as the config says."""
    fields, kind = context.fields, context.family.stack
    if kind == "mixers":
        blocks = hybrid_blocks(fields)
        known = shipped("layers.json")["mixers"]
        said = fields.sequence("mtp_layers_block_type", str) or list(fields.word("mtp_hybrid_override_pattern"))
        wanted = [known.get(word, word) for word in said]
        return [p for word in wanted if word in blocks for p in _parts_of(stack, blocks.index(word))]
    last = _parts_of(stack, context.layers - 1)
    if kind == "compressed" and context.experts is not None:
        ratios = fields.integers("compress_ratios", context.layers, 0, 1 << 20) or []
        ratio = ratios[context.layers + index] if len(ratios) > context.layers + index else 0
        replaced = {part.name for part in compressed(fields, context.hidden, ratios[context.layers - 1])[0]}
        return [*compressed(fields, context.hidden, ratio)[0], *(part for part in last if part.name not in replaced)]
    return last


def _parts_of(stack: Stack, layer: int) -> list[Part]:
    return [part for parts, layers in stack.parts if layer in layers for part in parts]


def _around(context: Context, vocab: int) -> list[Matrix]:
    """The connection of the layer to the model: a projection of state and embedding, norms, and its own embeddings."""
    hidden = context.hidden
    found = [Matrix("nextn.eh_proj", "mtp", hidden, 2 * hidden, 1), Matrix("nextn.norms", "norm", hidden, 3, 1)]
    if vocab:
        found += [Matrix(f"nextn.{name}", "mtp", vocab, hidden, 1) for name in ("embed_tokens", "shared_head_head")]
    return found


def _unused_keys(context: Context) -> list[Matrix]:
    """Keys and values of layers that reuse those of an earlier layer."""
    fields = context.fields
    shared = min(context.layers, fields.integer("num_kv_shared_layers", low=0, default=0))
    full = head_counts(fields, context.family, context.hidden)
    found: list[Matrix] = []
    types = layer_types(fields, context.family, context.layers)[context.layers - shared :]
    for word in sorted(set(types)):
        heads = heads_of(fields, full, context.family, word, context.tokens)
        with_keys, without = (grouped(replace(heads, own_kv=own), context.hidden, context.family, fields) for own in (True, False))
        found += [Matrix(p.name, p.role, p.rows, p.columns, p.many * types.count(word)) for p in with_keys if p not in without]
    return found
