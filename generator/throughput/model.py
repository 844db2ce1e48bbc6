"""A model's shape as speed sees it: bytes that a step reads and parameters that a token meets. Floor 4, pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.architecture.shape import CacheGroup, ModelArchitecture
from generator.quantity import by_identity
from generator.sizing.cache import CacheCost
from generator.sizing.tensors import stored
from generator.sizing.weights import method_storage, own_checkpoint, storage_of
from generator.throughput.shapes import CacheTraffic, ModelShape

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Method

_ASIDE = frozenset({"embedding", "lookup", "vision", "mtp"})
"""Roles that a step of text does not read whole: rows of embedding and tables, the tower of images, draft layers."""


@by_identity(2, 1024)
def model_shape(architecture: ModelArchitecture, method: Method) -> ModelShape:
    """The shape of a model in a method (an entry of methods.yaml). Remembered for the same two objects. GGUF types mix: their bytes are
    shared by parameters, and all is multiplied in 16 bits."""
    gguf, own = method.get("family") == "gguf", own_checkpoint(architecture, method)
    default = None if own else method_storage(method)
    size, low, full = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]  # of everything else, of the experts
    for m in architecture.matrices:
        if m.role in _ASIDE and not (m.role == "embedding" and architecture.tied_embeddings):
            continue
        routed = m.role == "expert" and architecture.experts > 0
        storage = None if gguf else storage_of(m, own, default, method)
        size[routed] += m.parameters if gguf else sum(stored(m.rows, m.columns, storage)) * m.count
        (low if storage is not None else full)[routed] += m.parameters
    dense, experts = (values * float(method["weight_bits"]) / 8 for values in size) if gguf else size
    return ModelShape(
        layers=max(1, architecture.layers), hidden=architecture.hidden_size, dense_bytes=dense, expert_bytes=experts, dense_low=low[0],
        dense_full=full[0], expert_low=low[1], expert_full=full[1], experts=architecture.experts,
        experts_per_token=architecture.experts_per_token,
        attention_flops=sum(_attention(architecture, group) for group in architecture.caches),
        head=float(architecture.vocab_size * architecture.hidden_size),
    )  # fmt: skip


def _attention(architecture: ModelArchitecture, group: CacheGroup) -> float:
    """FLOPs per token and cached token: 2 for each value of the scores and of the weighted sum."""
    heads = architecture.attention_heads
    if group.kind == "latent":
        return 4.0 * group.layers * heads * group.latent_dim / max(1, group.stride)
    if group.kind == "full":
        return 2.0 * group.layers * heads * (group.key_dim + group.value_dim)
    return 0.0  # windows and states: short, next to the matrices


def cache_traffic(cost: CacheCost) -> CacheTraffic:
    """What a step reads of the cache whose cost is given, on the fullest GPU."""
    return CacheTraffic(
        per_token=sum(kept.layers * kept.per_token for kept in cost.full),
        windows=tuple((kept.layers * kept.per_token, kept.window) for kept in cost.sliding),
        state=float(cost.state_bytes),
    )

