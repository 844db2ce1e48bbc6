"""A model's context length, and the rotary table that engines precompute.

Floor 3, pure. The rules are vLLM's: its table is as long as the scaled context, in the model's dtype.
"""

from __future__ import annotations

from generator.architecture.families import Family
from generator.architecture.fields import MAX_TOKENS, Fields
from generator.architecture.stacks import Stack

_UNSCALED = ("", "default", "su", "longrope", "llama3", "mrope", "proportional")
"""Kinds of rope scaling that `max_position_embeddings` already includes."""

_MULTIMODAL_POSITIONS = 4
"""vLLM makes the table of multimodal positions four times as long."""


def _scaling(fields: Fields) -> Fields | None:
    """`rope_scaling`, or `rope_parameters` if they apply to all layers."""
    found = fields.child("rope_scaling", "rope_parameters")
    return found if found is not None and found.has("rope_type", "type") else None


def _base(fields: Fields) -> int:
    """`max_position_embeddings` in its spellings; 0 where unknown."""
    names = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len", "max_sequence_length")
    return fields.integer(*names, "model_max_length", low=0, high=MAX_TOKENS, default=0)


def max_context(fields: Fields, family: Family) -> int:
    """Tokens of context, rope scaling included; 0 if the config does not say."""
    base = _base(fields)
    scaling = _scaling(fields)
    if scaling is None or family.context_scaled:
        return base
    word = scaling.word("rope_type", "type")
    if word in _UNSCALED:
        return base
    factor = scaling.number("factor", 0.001, 1e6, 1.0)
    if word == "yarn":
        original = scaling.integer("original_max_position_embeddings", low=0, high=MAX_TOKENS, default=0)
        scaled = int((original or base) * factor)
        # several configs already state the scaled length, which is the trained one
        return scaled if not base or not original or base <= original else base
    return min(MAX_TOKENS, int(base * factor))


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
