"""Feed-forward layers: dense, and mixtures of experts with router and shared experts. Floor 3, pure."""

from __future__ import annotations

from dataclasses import replace

from generator.architecture.families import Family
from generator.architecture.fields import Fields
from generator.architecture.parts import Part
from generator.architecture.tables import Sizes, numbers_of, parts_of
from generator.architecture.windows import marked
from generator.record import dataclass


@dataclass(frozen=True, slots=True)
class Experts:
    """The routed experts of a layer: how many, how many a token uses, their width, and the shared ones' width. `latent` is the experts'
    input width, if it differs from the hidden size (0: equal). `others` are further groups of routed experts, each with a router of its own
    (ERNIE-4.5-VL: for images): how many, and their width."""

    count: int
    used: int
    width: int
    shared: int = 0
    latent: int = 0
    others: tuple[tuple[int, int], ...] = ()


def dense(width: int, hidden: int, family: Family, fields: Fields) -> list[Part]:
    """A feed-forward layer of `width`."""
    bias = fields.flag("mlp_bias") if family.mlp_bias == "config" else family.mlp_bias
    sizes = Sizes("feed-forward", fields, {**numbers_of(family), "width": width, "hidden": hidden, "mlp_bias": bias})
    return parts_of("feed-forward", sizes, "mlp", family.ffn)


def mixture(experts: Experts, hidden: int, family: Family) -> list[Part]:
    """Router, routed experts and shared experts of one layer."""
    names = dict(zip(("gate_proj", "up_proj", "down_proj"), family.expert_names, strict=True))
    given = {**numbers_of(family), **numbers_of(experts), "hidden": hidden, "inner": experts.latent or hidden}
    found: list[Part] = []
    for count, width in ((experts.count, experts.width), *experts.others):
        sizes = Sizes("experts", None, {**given, "count": count, "width": width})
        found += parts_of("experts", sizes, "expert", f"{family.experts}.0", words=names)
    around = Sizes("experts' surroundings", None, given)
    found += parts_of("experts' surroundings", around, "other", family.experts.partition(".")[0])
    if experts.shared:
        shared = Sizes("feed-forward", None, {**given, "width": experts.shared, "mlp_bias": 0})
        found += parts_of("feed-forward", shared, "shared_expert", family.shared, "{}_shexp")
    return found


def read_experts(fields: Fields) -> Experts | None:
    """The experts of a config, in any spelling; None for a dense model."""
    names = ("num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts", "num_moe_experts")
    groups = fields.values.get("moe_intermediate_size")
    if isinstance(groups, list) and len(groups) == 2 and groups[0] != groups[1]:
        widths = fields.integers("moe_intermediate_size", 2, 1) or []
        counts = fields.integers("moe_num_experts", len(widths), 1) if isinstance(fields.values.get("moe_num_experts"), list) else None
        counts = counts or [fields.integer(*names)] * len(widths)
        first = read_experts(fields.changed([("moe_intermediate_size", widths[0]), ("moe_num_experts", counts[0])]))
        return first and replace(first, others=tuple(zip(counts[1:], widths[1:], strict=False)))
    count = fields.integer(*names, low=0, default=0)
    if count <= 1:
        return None
    used = fields.integer("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_k", "moe_topk", "experts_per_token")
    if used > count:
        raise fields.problem("num_experts_per_tok", f"must not be above the number of experts, {count}")
    width = fields.integer("moe_intermediate_size", "intermediate_size")
    latent = fields.integer("moe_latent_size", "routed_expert_hidden_size", low=0, default=0)
    return Experts(count, used, width, _shared_width(fields, width), latent)


def _shared_width(fields: Fields, width: int) -> int:
    """Total width of all shared experts; 0 without."""
    explicit = ("moe_shared_expert_intermediate_size", "shared_expert_intermediate_size", "share_expert_dim", "shared_intermediate_size")
    if fields.has(*explicit):
        return fields.integer(*explicit, low=0)
    return width * fields.integer("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", low=0, high=4096, default=0)


def sparse_layers(fields: Fields, layers: int) -> list[bool]:
    """For each layer whether its feed-forward part is a mixture of experts."""
    found = marked("mixtures", fields, layers)
    if found is not None:
        return found
    first = fields.integer("first_k_dense_replace", "moe_layer_start_index", "num_dense_layers", low=0, default=0)
    step = fields.integer("decoder_sparse_step", "moe_layer_freq", "moe_layer_interval", low=1, high=4096, default=1)
    skipped = set(fields.sequence("mlp_only_layers", int) or ())
    if fields.has("decoder_sparse_step"):
        return [i not in skipped and (i + 1) % step == 0 for i in range(layers)]
    return [i >= first and i % step == 0 for i in range(layers)]
