"""Vision towers and their projectors: small relative to the language model, with only the norms replicated.

Floor 3, pure. Engines split a tower's layers by tensor parallelism like the model's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from generator.architecture.families import Families, family_of
from generator.architecture.fields import Fields
from generator.architecture.shape import Matrix, Shard
from generator.errors import InputError, fail


def tower(config: Fields, text_hidden: int, text_width: int, families: Families) -> list[Matrix]:
    """The matrices of the vision tower that `config` describes; empty without one."""
    fields = config.child("vision_config", "visual", "vision_tower")
    if fields is None or not fields.values:
        return []
    family = family_of(families, fields.word("model_type"))
    fields = fields.completed(family)
    kind = (family.tower if family else "") or next((kind for key, kind in _TELLING.items() if fields.has(key)), "plain")
    around = family_of(families, config.word("model_type"))
    try:
        if kind in _OWN:
            return _OWN[kind](fields, text_hidden)
        if kind == "pooled-patches":
            return _pooled(fields, text_hidden, text_width)
        return _vit(config, fields, kind, text_hidden, around.projector if around else "")
    except InputError as error:
        if family is not None and family.tower:
            raise
        lacks = error.problems[0].message.removeprefix("model config: ")
        message = f"model config: a vision tower of model_type {fields.word('model_type')[:60]!r} is not known, and read like others {lacks}"
        raise fail("unknown-architecture", message, config.place) from None


class _Tower:
    """Collects matrices; `add` makes one with an optional bias."""

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self.found: list[Matrix] = []

    def add(self, name: str, rows: int, columns: int, count: int, shard: Shard, bias: bool = False) -> None:
        self.found.append(Matrix(f"v.{name}", "vision", rows, columns, count, shard))
        if bias:
            of: Shard = "column" if shard == "column" else "replicated"
            self.found.append(Matrix(f"v.{name}.bias", "vision", rows, 1, count, of))

    def norm(self, name: str, width: int, count: int, bias: bool) -> None:
        self.add(name, width, 2 if bias else 1, count, "replicated")

    def block(
        self, hidden: int, width: int, attention: int, bias: bool, gated: bool, mlp_bias: bool, norms: int, norm_bias: bool, kv: int = 0
    ) -> None:
        """All transformer layers: q, k, v (of width `kv`, by default as wide as q) and output, feed-forward, norms."""
        n = self.layers
        self.add("attn_qkv", attention + 2 * (kv or attention), hidden, n, "column", bias)
        self.add("attn_output", hidden, attention, n, "row", bias)
        self.add("ffn_up", width * (2 if gated else 1), hidden, n, "column", mlp_bias)
        self.add("ffn_down", hidden, width, n, "row", mlp_bias)
        self.norm("norms", hidden, norms * n, norm_bias)


def _deepstack(fields: Fields, text_hidden: int) -> list[Matrix]:
    """Qwen3-VL and Qwen3.5: a merger, plus further ones for deep-layer inputs."""
    hidden, width, depth = fields.integer("hidden_size"), fields.integer("intermediate_size"), fields.integer("depth")
    out, patch = fields.integer("out_hidden_size"), fields.integer("patch_size", high=4096)
    merge = fields.integer("spatial_merge_size", high=64) ** 2 * hidden
    found = _Tower(depth)
    pixels = fields.integer("in_channels", "in_chans", default=3, high=64) * patch**2
    found.add("patch_embd", hidden, pixels * fields.integer("temporal_patch_size", high=64), 1, "replicated", True)
    found.add("position_embd", fields.integer("num_position_embeddings", default=1), hidden, 1, "replicated")
    found.block(hidden, width, hidden, True, False, True, 2, True)
    deep = len(fields.sequence("deepstack_visual_indexes", int) or [])
    found.norm("merger_norm", hidden, 1, True)
    if deep:
        found.norm("deepstack_norm", merge, deep, True)
    found.add("merger_up", merge, merge, 1 + deep, "column", True)
    found.add("merger_down", out, merge, 1 + deep, "row", True)
    return found.found


def _merger(fields: Fields, text_hidden: int) -> list[Matrix]:
    """Qwen2-VL (`embed_dim`, a plain feed-forward layer) and Qwen2.5-VL (gated)."""
    old = fields.has("embed_dim")
    hidden = fields.integer("embed_dim") if old else fields.integer("hidden_size")
    width = int(hidden * fields.number("mlp_ratio", 0.1, 64, 4)) if old else fields.integer("intermediate_size")
    out = text_hidden if old else fields.integer("out_hidden_size", default=text_hidden)
    patch = fields.integer("patch_size", default=14, high=4096)
    merge = fields.integer("spatial_merge_size", default=2, high=64) ** 2 * hidden
    found = _Tower(fields.integer("depth"))
    pixels = 3 * patch**2 * fields.integer("temporal_patch_size", default=2, high=64)
    found.add("patch_embd", hidden, pixels, 1, "replicated")
    heads = fields.integer("num_heads", default=1)
    kv = hidden * fields.integer("num_key_value_heads", default=heads) // heads
    found.block(hidden, width, hidden, True, not old, True, 2, old, kv)
    found.norm("merger_norm", hidden, 1, old)
    found.add("merger_up", merge, merge, 1, "column", True)
    found.add("merger_down", out, merge, 1, "row", True)
    return found.found


def _downsampled(fields: Fields, text_hidden: int) -> list[Matrix]:
    """GLM-4V: a convolution over neighbouring patches, then a gated merger. With biases (GLM-OCR): norms of query and key, no positions."""
    hidden, out = fields.integer("hidden_size"), fields.integer("out_hidden_size", default=text_hidden)
    width, patch = fields.integer("intermediate_size"), fields.integer("patch_size", high=4096)
    channels, bias = fields.integer("in_channels", default=3, high=64), fields.flag("attention_bias")
    merge = fields.integer("spatial_merge_size", high=64) ** 2
    found = _Tower(fields.integer("depth"))
    found.add("patch_embd", hidden, channels * patch**2 * fields.integer("temporal_patch_size", high=64), 1, "replicated", True)
    found.block(hidden, width if bias else out, hidden, bias, True, bias, 2, False)
    if bias:
        found.norm("qk_norm", hidden // fields.integer("num_heads"), 2 * found.layers, False)
    else:
        found.add("position_embd", (fields.integer("image_size", high=65536) // patch) ** 2, hidden, 1, "replicated")
    found.norm("post_norm", hidden, 1 + int(not bias), False)
    found.add("downsample", out, hidden * merge, 1, "replicated", True)
    found.add("merger", out, out, 1, "column")
    found.norm("merger_norm", out, 1, True)
    found.add("merger_up", 2 * (channels * out if bias else width), out, 1, "column")
    found.add("merger_down", out, channels * out if bias else width, 1, "row")
    return found.found


def _resampled(fields: Fields, text_hidden: int) -> list[Matrix]:
    """ERNIE-4.5-VL: two layers over neighbouring patches, two more over neighbouring frames."""
    hidden, patch = fields.integer("hidden_size"), fields.integer("patch_size", high=4096)
    width = fields.integer("intermediate_size", default=int(hidden * fields.number("mlp_ratio", 0.1, 64, 4)))
    merged = hidden * fields.integer("spatial_merge_size", high=64) ** 2
    frames = fields.integer("temporal_merge_size", default=2, high=64)
    found = _Tower(fields.integer("depth"))
    found.add("patch_embd", hidden, fields.integer("in_channels", "in_chans", default=3, high=64) * patch**2, 1, "replicated")
    found.block(hidden, width, hidden, True, False, True, 2, True)
    found.norm("post_norm", hidden, 1, True)
    found.add("mm_spatial", merged, merged, 2, "replicated", True)
    found.add("mm_temporal_up", merged, frames * merged, 1, "replicated", True)
    found.add("mm_temporal_down", merged, merged, 1, "replicated", True)
    found.norm("mm_norm", merged, 2, True)
    found.add("mm", text_hidden, merged, 1, "replicated", True)
    found.norm("mm_post_norm", text_hidden, 1, False)
    return found.found


def _moonvit(fields: Fields, text_hidden: int) -> list[Matrix]:
    """MoonViT of Kimi-K2.5 and K3."""
    hidden, width = fields.integer("vt_hidden_size"), fields.integer("vt_intermediate_size")
    layers, patch = fields.integer("vt_num_hidden_layers"), fields.integer("patch_size", high=4096)
    qkv = fields.integer("qkv_hidden_size", default=hidden)
    bias = fields.flag("attn_bias", default=True)
    rms = fields.word("norm_type") == "rmsnorm"
    kernel = fields.integers("merge_kernel_size", 2, 1, 64) or [2, 2]
    merged = hidden * kernel[0] * kernel[1]
    found = _Tower(layers)
    found.add("patch_embd", hidden, 3 * patch**2, 1, "replicated", fields.flag("patch_embed_proj_bias", default=True))
    rows = fields.integer("init_pos_emb_height", high=65536) * fields.integer("init_pos_emb_width", high=65536)
    found.add("position_embd", rows, hidden, 1, "replicated")
    found.block(hidden, width, qkv, bias, False, fields.flag("linear_bias", default=True), 2, not rms)
    found.norm("post_norm", hidden, 1, not rms)
    found.norm("mm_norm", hidden, 1, not rms)
    found.add("mm_up", merged, merged, 1, "replicated", True)
    found.add("mm_down", fields.integer("text_hidden_size", default=text_hidden), merged, 1, "replicated", True)
    return found.found


def _resampler(fields: Fields, text_hidden: int) -> list[Matrix]:
    """Qwen-VL: ViT-bigG and a resampler of 256 queries."""
    hidden, out = fields.integer("width"), fields.integer("output_dim")
    width = int(hidden * fields.number("mlp_ratio", 0.1, 64, 4))
    patch, image = fields.integer("patch_size", high=4096), fields.integer("image_size", high=65536)
    found = _Tower(fields.integer("layers"))
    found.add("patch_embd", hidden, 3 * patch**2, 1, "replicated")
    found.add("position_embd", (image // patch) ** 2, hidden, 1, "replicated")
    found.block(hidden, width, hidden, True, False, True, 2, True)
    found.add("resampler_kv", out, hidden, 1, "replicated")
    found.add("resampler_attn", 4 * out, out, 1, "replicated", True)
    found.add("resampler_query", 256, 2 * out, 1, "replicated")
    found.add("resampler_out", out, out, 1, "replicated")
    return found.found


def _perception(fields: Fields, text_hidden: int) -> list[Matrix]:
    """Perception encoder: scaled residuals, then two convolutions of 3 × 3 that halve both sides, and one projection."""
    hidden, layers, patch = fields.integer("width"), fields.integer("layers"), fields.integer("patch_size", high=4096)
    found = _Tower(layers)
    found.add("patch_embd", hidden, 3 * patch**2, 1, "replicated")
    found.add("position_embd", (fields.integer("image_size", high=65536) // patch) ** 2, hidden, 1, "replicated")
    found.block(hidden, round(hidden * fields.number("mlp_ratio", 0.1, 64, 4)), hidden, True, False, True, 2, True)
    found.norm("layer_scale", hidden, 2 * layers, False)
    found.add("downsample_1", 2 * hidden, 9 * hidden, 1, "replicated", True)
    found.add("downsample_2", 4 * hidden, 9 * 2 * hidden, 1, "replicated", True)
    found.add("mm", text_hidden, 4 * hidden, 1, "column")
    return found.found


def _vit(config: Fields, fields: Fields, kind: str, text_hidden: int, projector: str) -> list[Matrix]:
    """SigLIP, CLIP, Pixtral, Llama 4's and Gemma 4's towers: plain transformers that differ in biases and projector."""
    hidden = fields.integer("hidden_size")
    width = fields.integer("intermediate_size", "mlp_dim", default=int(hidden * fields.number("mlp_ratio", 0.1, 64, 4)))
    layers, patch = fields.integer("num_hidden_layers"), fields.integer("patch_size", default=14, high=4096)
    found = _Tower(layers)
    pixels = fields.integer("num_channels", default=3, high=64) * patch**2
    patches = fields.integer("num_patches", default=(fields.integer("image_size", default=336, high=65536) // patch) ** 2)
    if kind in ("rotary", "pooled"):
        found.add("patch_embd", hidden, pixels, 1, "replicated")
        if kind == "pooled":
            rows = 2 * fields.integer("position_embedding_size", default=10240, high=1 << 20)
            found.add("position_embd", rows, hidden, 1, "replicated")
        heads = fields.integer("num_attention_heads", default=1)
        kv = hidden * fields.integer("num_key_value_heads", default=heads) // heads
        found.block(hidden, width, hidden, False, True, False, 4 if kind == "pooled" else 2, False, kv)
        found.norm("pre_norm", hidden, 1, False)
        if kind == "pooled":
            return [*found.found, Matrix("v.mm", "vision", text_hidden, hidden, 1)]
        if not projector:
            return found.found + _mistral_projector(config, hidden, text_hidden)
    shuffled = kind == "shuffled"
    if kind != "rotary":
        found.add("patch_embd", hidden, pixels, 1, "replicated", not shuffled)
        if fields.word("position_embedding_type") != "rope":
            found.add("position_embd", patches + int(shuffled), hidden, 1, "replicated")
        found.block(hidden, width, hidden, True, False, True, 2, True)
        found.norm("post_norm", hidden, 1 + int(shuffled), True)
    if shuffled:
        ratio = fields.number("pixel_shuffle_ratio", 0.05, 1.0, 0.5)
        narrow = int(hidden / ratio**2)
        middle, out = fields.integer("projector_input_dim"), fields.integer("projector_output_dim")
        found.add("mm_adapter_up", middle, narrow, 1, "column")
        found.add("mm_adapter_down", out, middle, 1, "row")
        found.add("mm", text_hidden, fields.integer("vision_output_dim", default=out), 1, "replicated")
    elif projector == "merged":
        middle = config.integer("projector_hidden_size", default=4 * hidden)
        found.norm("mm_norm", hidden, 1, True)
        found.add("mm_up", middle, 4 * hidden, 1, "replicated", True)
        found.add("mm_down", text_hidden, middle, 1, "replicated", True)
    elif projector == "four-layers":  # two over each patch, two over the merged ones
        middle = config.integer("projector_hidden_size")
        found.add("mm_up", middle, hidden, 1, "replicated", True)
        found.add("mm_down", text_hidden, middle, 1, "replicated", True)
        found.add("mm_merge_up", text_hidden, 4 * text_hidden, 1, "replicated", True)
        found.add("mm_merge_down", text_hidden, text_hidden, 1, "replicated", True)
    elif projector:
        scale = 4 if projector == "four-patches" else 1
        found.add("mm_up", text_hidden, scale * hidden, 1, "replicated", True)
        found.add("mm_down", text_hidden, text_hidden, 1, "replicated", True)
    else:
        found.norm("mm_norm", hidden, 1, False)
        found.add("mm", text_hidden, hidden, 1, "replicated")
    return found.found


def _mistral_projector(config: Fields, hidden: int, text_hidden: int) -> list[Matrix]:
    """Mistral 3: merges patches, then two layers."""
    merge = config.integer("spatial_merge_size", default=1, high=64) ** 2
    found = _Tower(1)
    found.norm("mm_norm", hidden, 1, False)
    if merge > 1:
        found.add("mm_merge", hidden, hidden * merge, 1, "replicated")
    found.add("mm_up", text_hidden, hidden, 1, "column")
    found.add("mm_down", text_hidden, text_hidden, 1, "row")
    return found.found


def _pooled(fields: Fields, text_hidden: int, text_width: int) -> list[Matrix]:
    """Molmo: attention over patches of two layers, a gated projector, and embeddings of its own."""
    hidden, width = fields.integer("hidden_size"), fields.integer("intermediate_size")
    patch, image = fields.integer("patch_size", high=4096), fields.integer("image_size", high=65536)
    found = _Tower(fields.integer("num_hidden_layers"))
    found.add("patch_embd", hidden, 3 * patch**2, 1, "replicated")
    found.add("position_embd", (image // patch) ** 2 + 1, hidden, 1, "replicated")
    found.block(hidden, width, hidden, True, False, True, 2, True)
    found.add("pool_qkv", 3 * hidden, 2 * hidden, 1, "replicated", True)
    found.add("pool_output", hidden, hidden, 1, "replicated", True)
    found.add("mm_up", text_width, hidden, 1, "replicated")
    found.add("mm_down", text_hidden, text_width // 2, 1, "replicated")
    found.add("new_embd", fields.integer("new_embeddings"), text_hidden, 1, "replicated")
    return found.found


_OWN: Mapping[str, Callable[[Fields, int], list[Matrix]]] = {
    "deepstack": _deepstack, "downsampled": _downsampled, "resampled": _resampled, "merger": _merger, "merged-patches": _moonvit,
    "resampler": _resampler, "perception": _perception,
}  # fmt: skip
_TELLING = {
    "num_position_embeddings": "deepstack", "depth": "merger", "vt_hidden_size": "merged-patches", "width": "resampler",
    "pooling_kernel_size": "pooled",
}  # fmt: skip
"""Keys of a tower's config that tell its kind, where the rules do not list its `model_type`."""
