"""Typed reading of a GGUF file's metadata: keys of one architecture, one value or one per layer.

Floor 3, pure. Every problem is an `InputError` that names the key and the file."""

from __future__ import annotations

from generator.errors import InputError, Place, fail
from generator.readers.gguf_header import GgufArray, GgufHeader, Value

MAX_WIDTH = 1 << 24
MAX_LAYERS = 4096
MAX_TOKENS = 1 << 32


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

    def _get(self, key: str) -> Value | None:
        return self.values.get(f"{self.arch}.{key}")

    def has(self, key: str) -> bool:
        """Whether the key exists."""
        return self._get(key) is not None

    def counts(self, key: str) -> bool:
        """Whether the key has a value other than 0."""
        return self._get(key) not in (None, 0)

    def false(self, key: str) -> bool:
        """Whether the key exists and is false."""
        return self._get(key) is False

    def _whole(self, key: str, value: Value, low: int, high: int) -> int:
        if type(value) is not int or not low <= value <= high:
            raise self.wrong(key, value)
        return value

    def integer(self, key: str, default: int | None = None, low: int = 0, high: int = MAX_WIDTH) -> int:
        """A whole number; for an array its maximum. Without a default the key must exist."""
        value = self._get(key)
        if value is None:
            if default is None:
                raise self.unknown(f"the key {self.arch}.{key} is missing")
            return default
        if isinstance(value, GgufArray):
            return max(self.per_layer(key, 0, low, high))
        return self._whole(key, value, low, high)

    def per_layer(self, key: str, default: int, low: int = 0, high: int = MAX_WIDTH) -> list[int]:
        """A whole number for each layer, from one number or an array with one item per layer."""
        value = self._get(key)
        if value is None:
            return [default] * self.layers
        if not isinstance(value, GgufArray):
            return [self._whole(key, value, low, high)] * self.layers
        if value.items is None or len(value.items) < self.layers:
            raise self.wrong(key, value)
        return [self._whole(key, item, low, high) for item in value.items[: self.layers]]

    def flags(self, key: str) -> list[bool] | None:
        """True or false for each layer, or None if the key is missing or not an array."""
        value = self._get(key)
        if not isinstance(value, GgufArray):
            return None
        if value.items is None or len(value.items) < self.layers:
            raise self.wrong(key, value)
        return [bool(item) for item in value.items[: self.layers]]
