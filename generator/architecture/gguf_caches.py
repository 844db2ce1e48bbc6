"""The keys of a GGUF file's metadata, and the cache of each layer as llama.cpp allocates it by them.

Floor 3, pure. The sliding-window layers come from the file if it names them; else from llama.cpp's default
for the architecture (`gguf_windows` of its family). Without either, a window is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from generator.architecture.families import Family
from generator.architecture.fields import MAX_LAYERS, MAX_TOKENS, MAX_WIDTH
from generator.architecture.gguf_tensors import LayerTensors
from generator.architecture.shape import CacheGroup
from generator.errors import InputError, Place, fail
from generator.readers.gguf_header import GgufArray, GgufHeader, Value


class Keys:
    """The keys of `header` that begin with its architecture's name."""

    __slots__ = ("arch", "layers", "name", "values")

    def __init__(self, header: GgufHeader) -> None:
        self.name = header.name
        self.values = header.metadata
        arch = header.metadata.get("general.architecture")
        if not isinstance(arch, str) or not arch:
            raise fail("unknown-architecture", "general.architecture is missing, so this is not a model", Place(header.name))
        self.arch = arch
        self.layers = self.integer("block_count", low=1, high=MAX_LAYERS)

    def unknown(self, message: str) -> InputError:
        """An error for an unsupported architecture, with the reason."""
        return fail("unknown-architecture", f"GGUF architecture {self.arch!r}: {message}", Place(self.name))

    def wrong(self, key: str, value: Value) -> InputError:
        """An error for an impossible value of a known key."""
        shown = "an array" if isinstance(value, GgufArray) else repr(value)[:40]
        return fail("gguf-corrupt", f"{self.arch}.{key} cannot be {shown}", Place(self.name))

    def value(self, key: str) -> Value | None:
        """The value of one of the architecture's keys."""
        return self.values.get(f"{self.arch}.{key}")

    def has(self, key: str) -> bool:
        """Whether the key exists."""
        return self.value(key) is not None

    def _whole(self, key: str, value: Value, low: int, high: int) -> int:
        if type(value) is not int or not low <= value <= high:
            raise self.wrong(key, value)
        return value

    def integer(self, key: str, default: int | None = None, low: int = 0, high: int = MAX_WIDTH) -> int:
        """A whole number; for an array its maximum. Without a default the key must exist."""
        value = self.value(key)
        if value is None:
            if default is None:
                raise self.unknown(f"the key {self.arch}.{key} is missing")
            return default
        if isinstance(value, GgufArray):
            return max(self.per_layer(key, 0, low, high))
        return self._whole(key, value, low, high)

    def per_layer(self, key: str, default: int, low: int = 0, high: int = MAX_WIDTH) -> list[int]:
        """A whole number for each layer, from one number or an array with one item per layer."""
        value = self.value(key)
        if value is None:
            return [default] * self.layers
        if not isinstance(value, GgufArray):
            return [self._whole(key, value, low, high)] * self.layers
        if value.items is None or len(value.items) < self.layers:
            raise self.wrong(key, value)
        return [self._whole(key, item, low, high) for item in value.items[: self.layers]]

    def flags(self, key: str) -> list[bool] | None:
        """True or false for each layer, or None if the key is missing or not an array."""
        value = self.value(key)
        if not isinstance(value, GgufArray):
            return None
        if value.items is None or len(value.items) < self.layers:
            raise self.wrong(key, value)
        return [bool(item) for item in value.items[: self.layers]]


def caches(keys: Keys, tensors: LayerTensors, main_layers: int, family: Family) -> tuple[CacheGroup, ...]:
    """Cache groups, equal layers together in the order of their first layer."""
    sliding, chunked = _sliding(keys, main_layers, family)
    counts: dict[CacheGroup, int] = {}
    kv_heads = keys.per_layer("attention.head_count_kv", keys.integer("attention.head_count", 0))
    owners = min(keys.layers - keys.integer("attention.shared_kv_layers", 0), family.gguf_own_caches or keys.layers)
    for layer in range(main_layers):
        found = False
        if tensors.has(layer, "attn_kv_a_mqa"):
            group = _latent(keys, tensors, kv_heads[layer])
        elif not _attends(tensors, layer):
            group = None
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


def _attends(tensors: LayerTensors, layer: int) -> bool:
    """Whether the layer has softmax attention; linear attention also has `attn_qkv`, but with state-space tensors."""
    if tensors.has(layer, "attn_k", "attn_q", "attn_v"):
        return True
    return tensors.has(layer, "attn_qkv") and not tensors.stateful(layer)


def _lengths(keys: Keys, suffix: str = "") -> tuple[int, int]:
    heads = keys.integer("attention.head_count", low=1)
    even = max(1, keys.integer("embedding_length", low=1) // heads)
    key = keys.integer("attention.key_length", even, low=1)
    value = keys.integer("attention.value_length", even, low=1)
    if suffix:
        key = keys.integer("attention.key_length" + suffix, key, low=1)
        value = keys.integer("attention.value_length" + suffix, value, low=1)
    return key, value


def _attention(keys: Keys, heads: int, window: int, chunked: bool) -> CacheGroup | None:
    if not heads:
        return None
    key, value = _lengths(keys, "_swa" if window else "")
    return CacheGroup("sliding" if window else "full", 1, heads, key, value, window, chunked=chunked and window > 0)


def _latent(keys: Keys, tensors: LayerTensors, heads: int) -> CacheGroup | None:
    """MLA: one latent vector; files older than the split of attn_kv_b keep full keys and values."""
    if not keys.has("attention.key_length_mla"):
        return _attention(keys, heads, 0, False)
    latent = next(m.rows for m in tensors.matrices if m.name == "attn_kv_a_mqa")
    index = 2 * keys.integer("attention.indexer.key_length", 0)
    return CacheGroup("latent", 1, 1, latent_dim=latent, index_bytes=index)


def _state(keys: Keys) -> CacheGroup:
    """The state of one sequence; llama.cpp keeps it and the convolution's last inputs in fp32."""
    if keys.has("shortconv.l_cache"):
        convolution = keys.integer("embedding_length") * (keys.integer("shortconv.l_cache", low=1) - 1)
        recurrent = 0
    elif keys.has("kda.head_dim"):
        head, heads = keys.integer("kda.head_dim", low=1), keys.integer("attention.head_count", low=1)
        convolution = 3 * (keys.integer("ssm.conv_kernel", 4, low=1) - 1) * heads * head
        recurrent = head * head * heads
    elif keys.has("ssm.state_size"):
        state, inner = keys.integer("ssm.state_size", low=1), keys.integer("ssm.inner_size", low=1)
        width = inner + 2 * keys.integer("ssm.group_count", 0) * state
        convolution = (keys.integer("ssm.conv_kernel", low=1) - 1) * width
        recurrent = state * inner
    else:
        raise keys.unknown("its recurrent layers have no ssm.state_size, shortconv.l_cache or kda.head_dim")
    size = 4 * (convolution + recurrent)
    return CacheGroup("state", 1, state_bytes=size, conv_values=convolution, ssm_values=recurrent, ssm_bits=32)


def _sliding(keys: Keys, main_layers: int, family: Family) -> tuple[list[int], bool]:
    """The window of each layer, in tokens (0: full attention), and whether the windows are fixed chunks."""
    known = family.gguf_windows
    default = known if isinstance(known, Mapping) else {}
    window = keys.integer("attention.sliding_window", default.get("size", 0), high=MAX_TOKENS)
    if not window or known == "none" or main_layers != default.get("layers", main_layers):
        return [0] * keys.layers, False
    window = default.get("fixed_size", window)
    chunked = bool(default.get("chunked"))
    said = keys.flags("attention.sliding_window_pattern")
    if said is not None:
        return [window if slides else 0 for slides in said], chunked
    every = keys.integer("attention.sliding_window_pattern", default.get("full_every", -1))
    if every < 0:
        raise keys.unknown("it has a sliding window, but its sliding layers are unknown (docs/rules-how-to.md: `gguf_windows`)")
    whole = 0 if default.get("full_first") else every - 1
    return [0 if every and layer % every == whole else window for layer in range(keys.layers)], chunked
