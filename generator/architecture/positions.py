"""A model's context length, and the rotary table that engines precompute.

Floor 3, pure. The rules are vLLM's: its table is as long as the scaled context, in the model's dtype."""

from __future__ import annotations

from collections.abc import Mapping

from generator.architecture.families import Family
from generator.architecture.fields import MAX_TOKENS, Fields
from generator.architecture.stacks import Stack

_UNSCALED = ("", "default", "su", "longrope", "llama3", "mrope", "proportional", "yarn")
"""Kinds of rope scaling that `max_position_embeddings` already includes."""

_MULTIMODAL_POSITIONS = 4
"""vLLM makes the table of multimodal positions four times as long."""


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


def max_context(fields: Fields, family: Family) -> int:
    """Tokens of context, rope scaling included; 0 if the config does not say."""
    base = max(0, _base(fields) - family.positions_offset)
    scaling = _scaling(fields)
    if scaling is None or family.context_scaled:
        return base
    if scaling.word("rope_type", "type") in _UNSCALED:
        return base or yarn_context(fields, family)
    return min(MAX_TOKENS, int(base * scaling.number("factor", 0.001, 1e6, 1.0)))


def yarn_context(fields: Fields, family: Family) -> int:
    """What some engines take for the context under YaRN: the original one times the factor; 0 without YaRN.

    Configs that state the scaled length say the same with both; recipes that only add `rope_scaling` to a config do not."""
    scaling = _scaling(fields)
    if scaling is None or family.context_scaled or scaling.word("rope_type", "type") != "yarn":
        return 0
    original = scaling.integer("original_max_position_embeddings", low=0, high=MAX_TOKENS, default=0) or _base(fields)
    return min(MAX_TOKENS, int(original * scaling.number("factor", 0.001, 1e6, 1.0)))


def rotary(fields: Fields, family: Family, stack: Stack, context: int) -> tuple[int, int]:
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
