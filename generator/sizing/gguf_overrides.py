"""Types that single tensors of a GGUF get by hand, as `llama-quantize --tensor-type` takes them.

Floor 3, pure. A key names a kind of tensor (`attn_v`, `output`), layers (`blk.0-1,30-31`: all tensors in them), or a kind in
layers (`blk.0-1.ffn_down`). The first that matches a tensor holds. Source `lcpp-quant-src`: src/llama-quant.cpp, where a
pattern is searched for in the lower-case name of a tensor, and a match goes before the mixture."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from generator.errors import did_you_mean, fail
from generator.quantity import ranges

_LAYERS = r"[0-9]{1,4}(?:-[0-9]{1,4})?"
_KEY = re.compile(rf"(?:blk\.(?P<layers>{_LAYERS}(?:,{_LAYERS})*))?(?:(?(layers)\.)(?P<kind>[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*))?")


class Override(NamedTuple):
    """The type of some tensors: of a kind (None: of every kind) in some layers (None: wherever they lie)."""

    kind: str | None
    layers: frozenset[int] | None
    type: str

    def matches(self, kind: str, layer: int | None) -> bool:
        """Whether a tensor gets this type; `layer` is None outside of the layers."""
        return self.kind in (None, kind) and (self.layers is None or layer in self.layers)


def read_overrides(given: Mapping[str, str], types: Collection[str]) -> tuple[Override, ...]:
    """The overrides by their keys, types in ggml's own spelling; raises `InputError` for other keys and types."""
    spelt = {name.lower(): name for name in types}
    found = []
    for key, wanted in given.items():
        match = _KEY.fullmatch(key)
        if not key or match is None or key == "blk" or (key.startswith("blk.") and match["layers"] is None):
            raise fail("bad-tensor-kind", f"{key!r} is no kind of tensor: it is written like attn_v, blk.0-1 or blk.0-1.ffn_down")
        if wanted.lower() not in spelt:
            raise fail("bad-tensor-type", f"{wanted!r} is no type of GGUF tensors that is known here{did_you_mean(wanted, types)}")
        layers = match["layers"]
        spans = [span.partition("-") for span in layers.split(",")] if layers else []
        numbers = frozenset(number for first, _, last in spans for number in range(int(first), int(last or first) + 1))
        found.append(Override(match["kind"], None if layers is None else numbers, spelt[wanted.lower()]))
    return tuple(found)


def layers_key(layers: Iterable[int]) -> str:
    """The key of all tensors in some layers: `blk.0-1,30-31`."""
    return f"blk.{ranges(layers)}"


def pattern(override: Override) -> str:
    """The regular expression (ECMAScript) that matches the names of these tensors, and no other's."""
    kind = "" if override.kind is None else re.escape(override.kind) + r"\.weight$"
    if override.layers is None:
        return rf"^(blk\.[0-9]+\.)?{kind}"
    return rf"^blk\.({'|'.join(map(str, sorted(override.layers)))})\.{kind}"
