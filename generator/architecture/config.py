"""A model's architecture from its Hugging Face `config.json`. Floor 3, pure. The rules list the traits of each `model_type` (`families`);
an unlisted type is an error, never a guess. Layers for speculative decoding only (MTP, next-n) are separate: engines load them
on request. The rotary table is vLLM's: as long as the scaled context, in the model's dtype.

Towers and projectors of vision and audio are small beside the language model: engines split a tower's layers like the model's, and keep
it in 16 bits (read in Transformers' models; of audio towers conformers only). Checkpoint tensors that no engine loads for serving, taken
from published checkpoints and the ignored names of Transformers' models; other families are not known well enough and not counted:

    layers.N.…   one more layer than the model has: DeepSeek-V3 and GLM-4.5, with an embedding and an output of its own; GLM-5
    mtp.…        a module of its own: Qwen3-Next and later, Nemotron 3, DeepSeek-V4; mtp_layers.… in MiMo-7B
    k_proj …     of layers that use another layer's keys and values: Gemma 4
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from generator.architecture.attention import compressed, grouped
from generator.architecture.experts import Experts, read_experts
from generator.architecture.families import Families, Family, family_of
from generator.architecture.fields import MAX_LAYERS, MAX_TOKENS, Fields
from generator.architecture.parts import Part, StorageOf, collected, matrix
from generator.architecture.quantization import Scheme, read_quantization
from generator.architecture.shape import CheckpointQuantization, Encoder, Matrix, ModelArchitecture, Role
from generator.architecture.stacks import STACKS, Context, Stack, hybrid_blocks
from generator.architecture.tables import Sizes, numbers_of, parts_of, tables
from generator.architecture.windows import head_counts, heads_of, layer_types
from generator.errors import InputError, Place, Problem, did_you_mean, fail
from generator.quantity import ceil_to
from generator.readers.resources import shipped

_UNSCALED = ("", "default", "su", "longrope", "llama3", "mrope", "proportional", "yarn")
"""Kinds of rope scaling that `max_position_embeddings` already includes."""

_MULTIMODAL_POSITIONS = 4
"""vLLM makes the table of multimodal positions four times as long."""


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
    tied = (outer if outer.has("tie_word_embeddings") else fields).flag("tie_word_embeddings")
    vocab = fields.integer("padded_vocab_size", "vocab_size")
    matrices = _embeddings(context, vocab, tied, scheme) + collected(stack.parts, scheme)
    seen, encoder = tower(outer, context.hidden, context.width, families)
    seen += audio_tower(outer, context.hidden, families)
    idle, copied = unloaded(context, stack, scheme, vocab)
    yarn = _yarn_context(fields, family)
    dim, rows = _rotary(fields, family, stack, max(context.tokens, yarn))
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
    if family.stack == "mixers":
        layers = len(hybrid_blocks(fields))
    else:
        layers = fields.integer("num_hidden_layers", "num_layers", "n_layer", "n_layers", high=MAX_LAYERS)
    layers *= 2 if family.twin_layers else 1
    hidden = fields.integer("hidden_size", "n_embd", "d_model")
    experts = read_experts(fields)
    width = _width(fields, family, hidden, experts) // (2 if family.halved_width else 1)
    return Context(fields, family, layers, hidden, width, _max_context(fields, family), experts)


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
    family, last = context.family, context.layers - 1
    given = {
        **numbers_of(family), "hidden": context.hidden, "vocab": vocab, "tokens": context.tokens, "layers": context.layers,
        "learned": family.positions == "learned", "compressed": family.stack == "compressed",
    }  # fmt: skip
    tables = (("before the layers", 0), ("after the layers", last))
    found = [matrix(part, [layer], None, False) for name, layer in tables for part in parts_of(name, Sizes(name, context.fields, given), "other")]
    if tied:
        return found
    storage = scheme("lm_head", None) if scheme else None
    head = Matrix("output", "lm_head", vocab, context.hidden, 1, "vocab", quantizable=storage is not None, layer_first=last, layer_last=last, storage=storage)
    return [found[0], head, *found[1:]]


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


def _scaling(fields: Fields) -> Fields | None:
    """`rope_scaling` or `rope_parameters`; where those are kept by kind of layer, of the first kind that is scaled."""
    found = fields.child("rope_scaling", "rope_parameters")
    if found is None or found.has("rope_type", "type"):
        return found
    kinds = [kind for key, value in found.values.items() if isinstance(value, Mapping) and (kind := found.child(key)) is not None]
    return next((kind for kind in kinds if kind.has("factor") and kind.has("rope_type", "type")), None)


def _base(fields: Fields) -> int:
    """`max_position_embeddings` in its spellings; 0 where unknown."""
    names = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len", "max_sequence_length")
    return fields.integer(*names, "model_max_length", low=0, high=MAX_TOKENS, default=0)


def _max_context(fields: Fields, family: Family) -> int:
    """Tokens of context, rope scaling included; 0 if the config does not say."""
    base = max(0, _base(fields) - family.positions_offset)
    scaling = _scaling(fields)
    if scaling is None or family.context_scaled:
        return base
    if scaling.word("rope_type", "type") in _UNSCALED:
        return base or _yarn_context(fields, family)
    return min(MAX_TOKENS, int(base * scaling.number("factor", 0.001, 1e6, 1.0)))


def _yarn_context(fields: Fields, family: Family) -> int:
    """What some engines take for the context under YaRN: the original one times the factor; 0 without YaRN. Configs that state the scaled
    length say the same with both; recipes that only add `rope_scaling` to a config do not."""
    scaling = _scaling(fields)
    if scaling is None or family.context_scaled or scaling.word("rope_type", "type") != "yarn":
        return 0
    original = scaling.integer("original_max_position_embeddings", low=0, high=MAX_TOKENS, default=0) or _base(fields)
    return min(MAX_TOKENS, int(original * scaling.number("factor", 0.001, 1e6, 1.0)))


def _rotary(fields: Fields, family: Family, stack: Stack, context: int) -> tuple[int, int]:
    """Width of one rotary row in values, and the total rows of all tables."""
    if family.positions != "rotary" or fields.flag("alibi") or stack.rotary_dim == 0:
        return 0, 0
    parameters = fields.child("rope_parameters")
    share = fields.number("partial_rotary_factor", 0, 1, 0) or fields.number("rotary_pct", 0, 1, 0)
    if not share and parameters is not None:
        share = parameters.number("partial_rotary_factor", 0, 1, 0)
    dim = stack.rotary_dim or fields.integer("rotary_dim", default=int(stack.head_dim * (share or 1.0)) or 1)
    rows = context
    scaling = _scaling(fields)
    if scaling is not None and scaling.word("rope_type", "type") in ("longrope", "su"):
        rows += fields.integer("original_max_position_embeddings", low=0, high=MAX_TOKENS, default=0)
    if family.mrope:
        rows *= _MULTIMODAL_POSITIONS
    if fields.has("rope_local_base_freq") or (parameters is not None and parameters.child("sliding_attention")):
        rows *= 2
    return dim, rows


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


_WITH_PROJECTOR = ("plain", "rotary")
"""Towers whose projector is the model's; the others bring their own."""
_TELLING = {
    "num_position_embeddings": "deepstack", "depth": "merger", "vt_hidden_size": "merged-patches", "width": "resampler",
    "pooling_kernel_size": "pooled",
}  # fmt: skip
"""Keys of a tower's config that tell its kind, where the rules do not list its `model_type`."""


def tower(config: Fields, text_hidden: int, text_width: int, families: Families) -> tuple[list[Matrix], Encoder | None]:
    """The matrices of the vision tower that `config` describes and what it runs with; empty without one. `text_width` is that of the
    feed-forward layers."""
    fields = config.child("vision_config", "visual", "vision_tower")
    if fields is None or not fields.values:
        return [], None
    family = family_of(families, fields.word("model_type"))
    fields = fields.completed(family)
    kind = (family.tower if family else "") or next((kind for key, kind in _TELLING.items() if fields.has(key)), "plain")
    kind = "plain-merger" if kind == "merger" and fields.has("embed_dim") else kind
    around = family_of(families, config.word("model_type"))
    try:
        image_tokens = config.integer("mm_tokens_per_image", default=0)
        sizes = Sizes(kind, fields, {"text_hidden": text_hidden, "text_width": text_width, "image_tokens": image_tokens})
        found = parts_of(kind, sizes, "vision")
        runs = _encoder(found, sizes)
        if kind in _WITH_PROJECTOR:
            projector = f"{(around.projector if around else '') or kind} projector"
            found += parts_of(projector, Sizes(projector, config, sizes), "vision")
        return _matrices("v", found), runs
    except InputError as error:
        if family is not None and family.tower:
            raise
        lacks = error.problems[0].message.removeprefix("model config: ")
        message = f"model config: a vision tower of model_type {fields.word('model_type')[:60]!r} is not known, and read like others {lacks}"
        raise fail("unknown-architecture", message, config.place) from None


def _encoder(found: list[Part], sizes: Sizes) -> Encoder | None:
    """What a tower runs with, where its table says how many patches stand behind a token. In attention the three projections, both of
    rotated and joined queries and keys, and the result are alive; in a feed-forward layer its width before and after the activation (source
    `vllm-encoder-profile`)."""
    if not sizes.get("patches_of_token"):
        return None
    by_name = {part.name: part for part in found}
    embedding, up, down = by_name["patch_embd"], by_name["ffn_up"], by_name["ffn_down"]
    attention = by_name["attn_qkv"].rows + 5 * by_name["attn_output"].columns
    return Encoder(
        sizes.get("largest_image", 0), sizes["patches_of_token"], sizes.get("outputs", 1), sizes.get("interpolated", 0),
        embedding.columns, embedding.rows, attention, up.rows + down.columns,
    )  # fmt: skip


def audio_tower(config: Fields, text_hidden: int, families: Families) -> list[Matrix]:
    """The matrices of the audio tower that `config` describes; empty without one or for an unknown one."""
    fields = config.child("audio_config")
    family = family_of(families, fields.word("model_type")) if fields is not None else None
    if fields is None or family is None or tables().get(family.tower, {}).get("is") != "audio tower":
        return []
    return _matrices("a", parts_of(family.tower, Sizes(family.tower, fields, {"text_hidden": text_hidden}), "vision"))


def _matrices(prefix: str, found: list[Part]) -> list[Matrix]:
    return [Matrix(f"{prefix}.{part.name}", "vision", part.rows, part.columns, part.many, part.shard) for part in found]
