"""A model's architecture from its Hugging Face `config.json`.

Floor 3, pure. The rules list the traits of each `model_type` (`families`); an unlisted type is an error, never
a guess. Layers for speculative decoding only (MTP, next-n) are separate (`unloaded`): engines load them on request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from generator.architecture.experts import Experts, read_experts
from generator.architecture.families import Families, Family, family_of
from generator.architecture.fields import MAX_LAYERS, Fields
from generator.architecture.parts import Collector, Part, vector
from generator.architecture.positions import max_context, rotary, yarn_context
from generator.architecture.quantization import Scheme, read_quantization
from generator.architecture.shape import CheckpointQuantization, Matrix, ModelArchitecture, Role
from generator.architecture.stacks import STACKS, Context, hybrid_blocks
from generator.architecture.unloaded import unloaded
from generator.architecture.vision import audio_tower, tower
from generator.errors import InputError, Place, Problem, did_you_mean, fail
from generator.quantity import ceil_to


class UnknownFamily(InputError):
    """No entry of the rules describes the `model_type` called `name`."""

    def __init__(self, name: str, problem: Problem) -> None:
        self.name = name
        super().__init__(problem)


def from_config(config: Mapping[str, object], families: Families, place: Place | None = None) -> ModelArchitecture:
    """The architecture that a `config.json` describes; an `InputError` names the missing, unknown or impossible key."""
    if not isinstance(config, Mapping):
        raise fail("bad-model-config", "model config: must be a mapping", place)
    outer = Fields(config, place)
    outer, fields, kind, family = _read(outer, families)
    context = _context(fields, family)
    stack = STACKS[family.stack](context)
    scheme = read_quantization(outer, fields)
    collector = Collector(scheme)
    for parts, layers in stack.parts:
        collector.add(parts, layers)
    tied = (outer if outer.has("tie_word_embeddings") else fields).flag("tie_word_embeddings")
    vocab = fields.integer("padded_vocab_size", "vocab_size")
    matrices = _embeddings(context, vocab, tied, scheme) + collector.matrices()
    seen, encoder = tower(outer, context.hidden, context.width, families)
    seen += audio_tower(outer, context.hidden, families)
    idle, copied = unloaded(context, stack, scheme, vocab)
    yarn = yarn_context(fields, family)
    dim, rows = rotary(fields, family, stack, max(context.tokens, yarn))
    experts = context.experts or Experts(0, 0, 0)
    return ModelArchitecture(
        model_type=kind, layers=context.layers, hidden_size=context.hidden, intermediate_size=context.width or experts.width,
        vocab_size=vocab, attention_heads=stack.heads, kv_heads=stack.kv_heads, head_dim=stack.head_dim, max_context=context.tokens,
        yarn_context=yarn, dtype=_dtype(outer, fields), matrices=tuple(matrices + seen),
        caches=() if family.encoder else tuple(replace(cache, layers=count) for cache, count in stack.caches.items()), experts=experts.count,
        experts_per_token=experts.used, moe_intermediate_size=experts.width if experts.count else 0, tied_embeddings=tied,
        multimodal=bool(seen), encoder=encoder, streams=fields.integer("hc_mult", high=64, default=1), rotary_dim=dim, rotary_rows=rows,
        quantization=_summary(scheme, matrices), unloaded=tuple(idle),
        unloaded_copied=copied, gguf_experts=family.gguf_experts if scheme and scheme.summary.method == family.gguf_experts else None,
    )  # fmt: skip


def _read(outer: Fields, families: Families) -> tuple[Fields, Fields, str, Family]:
    """The whole config and the language model's part, each with what its family says; the language model's `model_type` and traits."""
    kind = outer.word("model_type")
    if not kind:
        raise outer.missing("model_type")
    around = family_of(families, kind)
    outer = outer.completed(around)
    inside = outer.child("text_config", "llm_config", "language_config")
    name = (inside.word("model_type") if inside else "") or (around.text if around and around.text else kind)
    family = family_of(families, name)
    if family is not None and family.text:
        name, family = family.text, family_of(families, family.text)
    if family is None or not family.generates:
        where = f"{inside.where if inside else ''}model_type {name!r}"
        if family is not None and family.gguf_only:
            raise fail("unknown-architecture", f"model config: {where[:120]} is only read from GGUF files (`model: {{gguf: …}}`)", outer.place)
        message = f"model config: {where[:120]} is not a known architecture{did_you_mean(name[:60], families)}"
        raise UnknownFamily(name, Problem("unknown-architecture", message, outer.place))
    return outer, (inside or outer).completed(family), name, family


def _context(fields: Fields, family: Family) -> Context:
    """Sizes that every stack reads."""
    if family.stack == "mixers":
        layers = len(hybrid_blocks(fields))
        if layers > MAX_LAYERS:
            raise fields.problem("layers_block_type", f"must not have more than {MAX_LAYERS} layers")
    else:
        layers = fields.integer("num_hidden_layers", "num_layers", "n_layer", "n_layers", high=MAX_LAYERS)
    layers *= 2 if family.twin_layers else 1
    hidden = fields.integer("hidden_size", "n_embd", "d_model")
    experts = read_experts(fields)
    width = _width(fields, family, hidden, experts) // (2 if family.halved_width else 1)
    return Context(fields, family, layers, hidden, width, max_context(fields, family), experts)


def _width(fields: Fields, family: Family, hidden: int, experts: Experts | None) -> int:
    """Width of a dense feed-forward layer; 0 for models without one."""
    names = ("dense_intermediate_size", "intermediate_size_mlp", "intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim")
    if not experts and fields.has("shared_intermediate_size"):
        return fields.integer("shared_intermediate_size")
    if family.stack in ("blocks", "compressed") or (experts and not fields.has(*names)):
        return fields.integer(*names, default=0, low=0)
    width = fields.integer(*names, default=family.mlp_times_hidden and family.mlp_times_hidden * hidden)
    if not fields.flag("block_auto_adjust_ff_dim"):
        return width
    unit = fields.integer("block_multiple_of", default=256)  # LFM2: two thirds, times a factor, rounded up
    return max(1, ceil_to(int(fields.number("block_ffn_dim_multiplier", 0.01, 64, 1.0) * int(2 * width / 3)), unit))


def _embeddings(context: Context, vocab: int, tied: bool, scheme: Scheme | None) -> list[Matrix]:
    """Input and output embeddings and the last norm, in the pipeline stages that hold them."""
    fields, hidden, last = context.fields, context.hidden, context.layers - 1
    rows = fields.integer("embedding_size", default=vocab)
    found = [Matrix("token_embd", "embedding", rows, hidden, 1, "vocab")]
    if not tied:
        storage = scheme("lm_head", None) if scheme else None
        head = Matrix("output", "lm_head", vocab, hidden, 1, "vocab", "column", storage is not None, last, last)
        found.append(replace(head, storage=storage))
    if context.family.lm_head_bias or fields.flag("lm_head_bias"):
        found.append(Matrix("output.bias", "lm_head", vocab, 1, 1, "vocab", layer_first=last, layer_last=last))
    if context.family.positions == "learned":
        found.append(Matrix("position_embd", "embedding", max(1, context.tokens), hidden, 1))
    if types := fields.integer("type_vocab_size", low=0, default=0):
        found.append(Matrix("token_types", "embedding", types, hidden, 1))
    norms = [vector("output_norm", "norm", hidden)]
    if context.family.norm_bias:
        norms.append(vector("output_norm.bias", "norm", hidden))
    if context.family.stack == "compressed":
        streams = fields.integer("hc_mult", high=64, default=1)
        norms.append(Part("hc_head_fn", "other", streams, 2 * streams * hidden, linear=False))
    found += [Matrix(p.name, p.role, p.rows, p.columns, 1, layer_first=last, layer_last=last) for p in norms]
    per_layer = fields.integer("hidden_size_per_layer_input", low=0, default=0)
    if per_layer:
        width = per_layer * context.layers
        rows = fields.integer("vocab_size_per_layer_input", default=vocab)
        found.append(Matrix("per_layer_token_embd", "embedding", rows, width, 1, "vocab"))
        found.append(Matrix("per_layer_model_proj", "other", width, hidden, 1))
        found.append(Matrix("per_layer_proj_norm", "norm", per_layer, 1, 1))
    return found


def _summary(scheme: Scheme | None, matrices: list[Matrix]) -> CheckpointQuantization | None:
    """The checkpoint's own quantization, with the roles it keeps in 16 bits."""
    if scheme is None:
        return None
    stored: set[Role] = {m.role for m in matrices if m.storage is not None}
    return replace(scheme.summary, keeps=frozenset(m.role for m in matrices if m.role not in stored))


def _dtype(outer: Fields, fields: Fields) -> Literal["bf16", "fp16", "fp32"]:
    """The 16-bit type that the config names; bf16 by default."""
    word = fields.word("torch_dtype", "dtype") or outer.word("torch_dtype", "dtype")
    word = word.removeprefix("torch.")
    return "fp16" if word in ("float16", "half") else "fp32" if word == "float32" else "bf16"
