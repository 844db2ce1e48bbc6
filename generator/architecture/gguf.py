"""A GGUF file's header as a `ModelArchitecture`: exact bytes, and the shape for sizing. Floor 3, pure. Supports every text-generating
llama.cpp architecture whose keys describe the caches of its layers. The cache of each layer is as llama.cpp allocates it by the file's keys:
sliding-window layers from the file if it names them, else llama.cpp's default (`gguf_windows` of the family); without either, a window is
an error."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Literal

from generator.architecture.families import Families, Family, family_of_gguf
from generator.architecture.fields import MAX_LAYERS, MAX_TOKENS, MAX_WIDTH, Fields
from generator.architecture.gguf_tensors import LayerTensors, folded, gather
from generator.architecture.shape import CacheGroup, CheckpointQuantization, ModelArchitecture
from generator.architecture.tables import Sizes
from generator.errors import InputError, Place, fail
from generator.readers.gguf_header import GgufArray, GgufHeader
from generator.readers.resources import shipped

_DYNAMIC = re.compile(r"(?<![a-z0-9])(ud-i?q[0-9][a-z0-9_]*)(?=[.\s-]|\Z)")
_GUESSED = 1024


def from_gguf(header: GgufHeader, families: Families, methods: Collection[str] = ()) -> ModelArchitecture:
    """The architecture that `header` describes; `tensor_bytes` and `stored` are exact. A dynamic type (`UD-…`) is told from the file's name
    or `general.name`, where it is one of `methods`. Raises `InputError`: `unknown-architecture` (something is missing), `gguf-corrupt` (an
    impossible value)."""
    keys = Keys(header)
    if header.metadata.get("general.type") == "mmproj" or keys.arch == "clip":
        raise keys.unknown("this is a vision projector (mmproj); name the language model's file instead")
    if keys.values.get("attention.causal") is False:
        raise keys.unknown("this is an encoder, which does not generate text")
    predicting = keys.integer("nextn_predict_layers", default=0, high=keys.layers)
    main_layers = keys.layers - predicting
    if not main_layers:
        raise keys.unknown("all its layers are for multi-token prediction")
    tensors = gather(header.tensors, keys.layers, main_layers)
    embedding = next((m for m in tensors.matrices if m.name == "token_embd"), None)
    if embedding is None:
        raise keys.unknown("the tensor token_embd.weight is missing")
    hidden = keys.integer("embedding_length", low=1)
    heads = keys.integer("attention.head_count", default=0)
    head_dim = keys.integer("attention.key_length", default=hidden // heads if heads else 0)
    experts = keys.integer("expert_count", default=0)
    kind = _gguf_type(header, methods)
    model_type, family = family_of_gguf(families, keys.arch, lambda key: bool(keys.values.get(key)))
    return ModelArchitecture(
        model_type=model_type, layers=main_layers, hidden_size=hidden,
        intermediate_size=_width(tensors, "ffn_down") or keys.integer("feed_forward_length", default=0), vocab_size=embedding.rows,
        attention_heads=heads, kv_heads=keys.integer("attention.head_count_kv", default=heads),
        head_dim=keys.integer("attention.key_length_mla", default=head_dim), max_context=keys.integer("context_length", default=0, high=MAX_TOKENS),
        dtype=_dtype(header), matrices=tensors.matrices, caches=caches(keys, tensors, main_layers, family), experts=experts,
        experts_per_token=min(experts, keys.integer("expert_used_count", default=0)), moe_intermediate_size=_width(tensors, "ffn_down_exps"),
        tied_embeddings=not any(m.name == "output" for m in tensors.matrices), rotary_dim=keys.integer("rope.dimension_count", default=head_dim),
        quantization=_quantization(header, kind), tensor_bytes=header.tensor_bytes, basis="gguf", gguf_type=kind,
        stored=folded(header.tensors, main_layers),
    )  # fmt: skip


def _width(tensors: LayerTensors, word: str) -> int:
    return max((m.columns for m in tensors.matrices if m.name == word), default=0)


def _gguf_type(header: GgufHeader, methods: Collection[str]) -> str | None:
    """The file's type as a method name, `gguf-q4_k_m`; by its most frequent tensor type if not declared. `general.file_type` has no word
    for dynamic types: such files declare any plain one."""
    for name in (header.name, str(header.metadata.get("general.name", ""))):
        dynamic = _DYNAMIC.search(name.lower())
        if dynamic and f"gguf-{dynamic[1]}" in methods:
            return f"gguf-{dynamic[1]}"
    said, names = header.metadata.get("general.file_type"), shipped("gguf.json")
    if type(said) is int and (word := names["file_types"].get(str(said & ~_GUESSED))):
        return f"gguf-{word}"
    main = _bytes_by_type(header).most_common(1)
    return "gguf-" + names["usual"].get(main[0][0], main[0][0].lower()) if main else None


def _bytes_by_type(header: GgufHeader) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for tensor in header.tensors:
        if len(tensor.shape) > 1:
            sizes[tensor.type] += tensor.size
    return sizes


def _dtype(header: GgufHeader) -> Literal["bf16", "fp16", "fp32"]:
    types = _bytes_by_type(header)
    if "bf16" in types:
        return "bf16"
    return "fp32" if set(types) == {"f32"} else "fp16"


def _quantization(header: GgufHeader, kind: str | None) -> CheckpointQuantization | None:
    if kind is None or kind in ("gguf-f32", "gguf-f16", "gguf-bf16"):
        return None
    values = sum(prod(t.shape) for t in header.tensors)
    return CheckpointQuantization(kind, "gguf", round(8 * header.tensor_bytes / values, 4))


class Keys(Fields):
    """The keys of `header` that begin with its architecture's name, without it; an array has an item for each layer."""

    __slots__ = ("arch", "layers")

    def __init__(self, header: GgufHeader) -> None:
        arch = header.metadata.get("general.architecture")
        if not isinstance(arch, str) or not arch:
            raise fail("unknown-architecture", "general.architecture is missing, so this is not a model", Place(header.name))
        values = {key.removeprefix(f"{arch}."): value for key, value in header.metadata.items() if key.startswith(f"{arch}.")}
        super().__init__(values, Place(header.name), f"{arch}.")
        self.arch = arch
        self.layers = self.integer("block_count", low=1, high=MAX_LAYERS)

    def unknown(self, message: str) -> InputError:
        """An error for an unsupported architecture, with the reason."""
        return fail("unknown-architecture", f"GGUF architecture {self.arch!r}: {message}", self.place)

    def problem(self, key: str, message: str) -> InputError:
        """An error for an impossible value of a known key."""
        return fail("gguf-corrupt", f"{self.where}{key} {message}", self.place)

    def missing(self, *keys: str) -> InputError:
        """An error for missing `keys`."""
        return self.unknown(f"the key {self.where}{keys[0]} is missing")

    def integer(self, *keys: str, low: int = 0, high: int = MAX_WIDTH, default: int | None = None) -> int:
        """A whole number; for an array its maximum. Without a default the key must exist."""
        key, value = self._first(keys)
        if isinstance(value, GgufArray):
            return max(self.per_layer(key, 0, low, high))
        return super().integer(*keys, low=low, high=high, default=default)

    def per_layer(self, key: str, default: int, low: int = 0, high: int = MAX_WIDTH) -> list[int]:
        """A whole number for each layer, from one number or an array with one item per layer."""
        items = self._items(key)
        if items is None:
            return [self.integer(key, low=low, high=high, default=default)] * self.layers
        return [self._whole(key, item, low, high) for item in items]

    def flags(self, key: str) -> list[bool] | None:
        """True or false for each layer, or None if the key is missing or not an array."""
        items = self._items(key)
        return None if items is None else list(map(bool, items))

    def _items(self, key: str) -> Sequence[int | float | bool] | None:
        value = self.values.get(key)
        if not isinstance(value, GgufArray):
            return None
        if value.items is None or len(value.items) < self.layers:
            raise self.problem(key, "must be an array with an item for each layer")
        return value.items[: self.layers]


def caches(keys: Keys, tensors: LayerTensors, main_layers: int, family: Family) -> tuple[CacheGroup, ...]:
    """Cache groups, equal layers together in the order of their first layer."""
    sliding, chunked = _sliding(keys, main_layers, family)
    counts: dict[CacheGroup, int] = {}
    kv_heads = keys.per_layer("attention.head_count_kv", keys.integer("attention.head_count", default=0))
    owners = min(keys.layers - keys.integer("attention.shared_kv_layers", default=0), family.gguf_own_caches or keys.layers)
    for layer in range(main_layers):
        found = False
        if tensors.has(layer, "attn_kv_a_mqa"):
            group = _latent(keys, tensors, kv_heads[layer])
        elif not tensors.has(layer, "attn_k", "attn_q", "attn_v") and (not tensors.has(layer, "attn_qkv") or tensors.stateful(layer)):
            group = None  # no softmax attention: linear attention has `attn_qkv` too, but with state-space tensors
        else:
            found = True
            group = _attention(keys, kv_heads[layer], sliding[layer], chunked) if layer < owners else None
        for one in (group, _state(keys) if tensors.stateful(layer) else None):
            if one is not None:
                found = True
                counts[one] = counts.get(one, 0) + 1
        if not found and not any(w.startswith("ffn_") for w in tensors.words[layer]):
            raise keys.unknown(f"layer {layer} has no tensors of attention, state space or feed-forward")
    if not counts:
        raise keys.unknown("no layer keeps keys and values or a state, so it does not generate text")
    return tuple(replace(group, layers=layers) for group, layers in counts.items())


def _attention(keys: Keys, heads: int, window: int, chunked: bool) -> CacheGroup | None:
    if not heads:
        return None
    even = max(1, keys.integer("embedding_length", low=1) // keys.integer("attention.head_count", low=1))
    key, value = (
        keys.integer(*([f"attention.{word}_length_swa"] if window else []), f"attention.{word}_length", default=even, low=1) for word in ("key", "value")
    )
    return CacheGroup("sliding" if window else "full", 1, heads, key, value, window, chunked=chunked and window > 0)


def _latent(keys: Keys, tensors: LayerTensors, heads: int) -> CacheGroup | None:
    """MLA: one latent vector; files older than the split of attn_kv_b keep full keys and values."""
    if not keys.has("attention.key_length_mla"):
        return _attention(keys, heads, 0, False)
    latent = next(m.rows for m in tensors.matrices if m.name == "attn_kv_a_mqa")
    index = 2 * keys.integer("attention.indexer.key_length", default=0)
    return CacheGroup("latent", 1, 1, latent_dim=latent, index_bytes=index)


_STATES = {"shortconv.l_cache": "short-conv in GGUF", "kda.head_dim": "kimi-delta in GGUF", "ssm.state_size": "mamba in GGUF"}
"""Tables of the sizes of a state, by a key that tells its kind."""


def _state(keys: Keys) -> CacheGroup:
    """The state of one sequence; llama.cpp keeps it and the convolution's last inputs in fp32."""
    kind = next((kind for key, kind in _STATES.items() if keys.has(key)), None)
    if kind is None:
        raise keys.unknown("its recurrent layers have no ssm.state_size, shortconv.l_cache or kda.head_dim")
    sizes = Sizes(kind, keys, {})
    convolution, recurrent = sizes["conv_values"], sizes["ssm_values"]
    return CacheGroup("state", 1, state_bytes=4 * (convolution + recurrent), conv_values=convolution, ssm_values=recurrent, ssm_bits=32)


def _sliding(keys: Keys, main_layers: int, family: Family) -> tuple[list[int], bool]:
    """The window of each layer, in tokens (0: full attention), and whether the windows are fixed chunks."""
    known = family.gguf_windows
    default = known if isinstance(known, Mapping) else {}
    window = keys.integer("attention.sliding_window", default=default.get("size", 0), high=MAX_TOKENS)
    if not window or known == "none" or main_layers != default.get("layers", main_layers):
        return [0] * keys.layers, False
    window = default.get("fixed_size", window)
    chunked = bool(default.get("chunked"))
    said = keys.flags("attention.sliding_window_pattern")
    if said is not None:
        return [window if slides else 0 for slides in said], chunked
    every = keys.integer("attention.sliding_window_pattern", default=default.get("full_every", -1))
    if every < 0:
        raise keys.unknown("it has a sliding window, but its sliding layers are unknown (docs/rules-how-to.md: `gguf_windows`)")
    whole = 0 if default.get("full_first") else every - 1
    return [0 if every and layer % every == whole else window for layer in range(keys.layers)], chunked
