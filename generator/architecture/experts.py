"""Feed-forward layers: dense, and mixtures of experts with router and shared experts. Floor 3, pure."""

from __future__ import annotations

from dataclasses import replace

from generator.architecture.families import Family
from generator.architecture.fields import Fields
from generator.architecture.parts import Part, biased, vector
from generator.architecture.shape import Role
from generator.record import dataclass


@dataclass(frozen=True, slots=True)
class Experts:
    """The routed experts of a layer: how many, how many a token uses, their width, and the shared ones' width.

    `latent` is the experts' input width, if it differs from the hidden size (0: equal). `others` are further groups of routed experts,
    each with a router of its own (ERNIE-4.5-VL: for images): how many, and their width."""

    count: int
    used: int
    width: int
    shared: int = 0
    latent: int = 0
    others: tuple[tuple[int, int], ...] = ()


def dense(width: int, hidden: int, family: Family, fields: Fields) -> list[Part]:
    """A feed-forward layer of `width`."""
    bias = fields.flag("mlp_bias") if family.mlp_bias == "config" else family.mlp_bias
    return _feed_forward("", "mlp", width, hidden, family, bias, family.ffn)


def _feed_forward(suffix: str, role: Role, width: int, hidden: int, family: Family, bias: bool, module: str) -> list[Part]:
    base = f"{module}." if module else ""
    parts: list[Part] = []
    if family.fused_gate_up:
        parts += biased(Part(f"ffn_up{suffix}", role, 2 * width, hidden, "column", f"{base}gate_up_proj"), bias)
    else:
        if family.gated:
            parts += biased(Part(f"ffn_gate{suffix}", role, width, hidden, "column", f"{base}gate_proj"), bias)
        parts += biased(Part(f"ffn_up{suffix}", role, width, hidden, "column", f"{base}up_proj"), bias)
    parts += biased(Part(f"ffn_down{suffix}", role, hidden, width, "row", f"{base}down_proj"), bias)
    return parts


def mixture(experts: Experts, hidden: int, family: Family) -> list[Part]:
    """Router, routed experts and shared experts of one layer."""
    inner = experts.latent or hidden
    parts: list[Part] = []
    base = f"{family.experts}.0."
    gate, up, down = family.expert_names
    names = (("ffn_gate_exps", gate),) if family.gated else ()
    for count, width in ((experts.count, experts.width), *experts.others):
        parts.append(Part("ffn_gate_inp", "router", count, hidden, "replicated", family.router, linear=False))
        if family.router_bias:
            parts.append(vector("exp_probs_b", "router", count))
        for name, module in (*names, ("ffn_up_exps", up)):
            part = Part(name, "expert", width, inner, "expert", base + module, count)
            parts += biased(part, family.expert_bias)
        last = Part("ffn_down_exps", "expert", inner, width, "expert", base + down, count, "row")
        parts += biased(last, family.expert_bias)
    if experts.latent:
        ffn = family.experts.partition(".")[0]
        parts.append(Part("ffn_latent_down", "other", inner, hidden, "replicated", f"{ffn}.fc1_latent_proj"))
        parts.append(Part("ffn_latent_up", "other", hidden, inner, "replicated", f"{ffn}.fc2_latent_proj"))
    if experts.shared:
        parts += _feed_forward("_shexp", "shared_expert", experts.shared, hidden, family, False, family.shared)
        if family.shared_gate:
            parts.append(Part("ffn_gate_inp_shexp", "router", 1, hidden, module=f"{family.shared}_gate", linear=False))
    return parts


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
    kinds = fields.sequence("mlp_layer_types", str, layers)
    if kinds is not None:
        return [kind == "sparse" for kind in kinds[:layers]]
    moe_layers = fields.sequence("moe_layers", int)
    if moe_layers is not None:
        chosen_layers = set(moe_layers)
        return [i in chosen_layers for i in range(layers)]
    listed = fields.values.get("moe_layers_enum")
    if isinstance(listed, str):  # "3,4,5"
        words = set(listed.replace(" ", "").split(","))
        return [str(i) in words for i in range(layers)]
    if isinstance(fields.values.get("moe_layer_freq"), list):
        chosen = fields.integers("moe_layer_freq", layers) or []
        return [bool(value) for value in chosen[:layers]]
    if fields.has("interleave_moe_layer_step"):
        step = fields.integer("interleave_moe_layer_step", low=0, high=4096)
        return [step > 0 and (i + 1) % step == 0 for i in range(layers)]
    if fields.has("expert_layer_period"):  # Jamba
        period, offset = fields.integer("expert_layer_period", high=4096), fields.integer("expert_layer_offset", low=0, high=4096, default=0)
        return [i % period == offset for i in range(layers)]
    first = fields.integer("first_k_dense_replace", "moe_layer_start_index", "num_dense_layers", low=0, default=0)
    step = fields.integer("decoder_sparse_step", "moe_layer_freq", "moe_layer_interval", low=1, high=4096, default=1)
    skipped = set(fields.sequence("mlp_only_layers", int) or ())
    if fields.has("decoder_sparse_step"):
        return [i not in skipped and (i + 1) % step == 0 for i in range(layers)]
    return [i >= first and i % step == 0 for i in range(layers)]
