"""Lists of tensors as a few lines of text, one for each group of equal tensors, and back.

Floor 2, pure. A checkpoint has thousands of tensors of a dozen kinds. A line counts those that differ in numbers of their names
only: `36 × BF16 [12288, 4096] model.layers.*.mlp.up_proj.weight`. Of a GGUF it says the layers too, since the sizing needs
them: `q4_K [4096, 12288] blk.0-3,8.ffn_up.weight`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from math import prod

from generator.errors import Place, fail
from generator.quantity import ranges
from generator.readers.gguf_header import MAX_TENSORS, GgufTensor, split_name
from generator.readers.resources import shipped
from generator.readers.safetensors_header import DTYPE_BITS, SafetensorsTensor

MAX_GROUPS = 5_000
_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
_GROUP = re.compile(
    r"(?:(?P<count>\d{1,7}) × )?(?P<type>\w{1,16}) \[(?P<shape>[\d, ]{0,120})\] (?:blk\.(?P<layers>[\d,-]{1,400})\.)?(?P<name>\S.{0,400})"
)


def folded(tensors: Iterable[SafetensorsTensor]) -> tuple[str, ...]:
    """The groups of a safetensors checkpoint, sorted by name."""
    groups = Counter((_NUMBER.sub("*", t.name), t.dtype, t.shape) for t in tensors)
    return tuple(f"{count} × {dtype} {list(shape)} {name}" for (name, dtype, shape), count in sorted(groups.items()))


def bytes_of(groups: Sequence[str], place: Place) -> int:
    """Bytes of all tensors of the groups; raises `InputError` for a line that is not one."""
    found = _parsed(groups, DTYPE_BITS, place)
    return sum(int(group["count"] or 1) * -(-prod(shape) * DTYPE_BITS[group["type"]] // 8) for group, shape in found)


def _parsed(groups: Sequence[str], types: Collection[str], place: Place) -> Iterator[tuple[re.Match[str], tuple[int, ...]]]:
    for line in groups[:MAX_GROUPS]:
        found = _GROUP.fullmatch(line)
        if found is None or found["type"] not in types:
            raise fail("bad-lock", f"{line[:80]!r} is not a group of tensors", place)
        yield found, tuple(int(number[:18]) for number in found["shape"].replace(" ", "").split(",") if number)


def gguf_folded(tensors: Iterable[GgufTensor]) -> tuple[str, ...]:
    """The groups of a GGUF file, sorted by name, each with its layers."""
    groups: dict[tuple[str, str, tuple[int, ...]], list[int]] = {}
    for tensor in tensors:
        layer, name = split_name(tensor.name)
        groups.setdefault((name, tensor.type, tensor.shape), []).extend([] if layer is None else [layer])
    return tuple(
        f"{kind} {list(shape)} {f'blk.{ranges(layers)}.' if layers else ''}{name}" for (name, kind, shape), layers in sorted(groups.items())
    )


def gguf_unfolded(groups: Sequence[str], place: Place) -> tuple[GgufTensor, ...]:
    """The tensors of the groups; raises `InputError` for a line that is not one, and for more tensors than a file may have."""
    found: list[GgufTensor] = []
    blocks = {name: (values, size) for name, values, size in shipped("gguf.json")["tensor_types"].values()}
    for group, shape in _parsed(groups, blocks, place):
        values, size = blocks[group["type"]]
        names = [f"blk.{layer}.{group['name']}" for layer in _layers(group["layers"], place)] if group["layers"] else [group["name"]]
        found += [GgufTensor(name, shape, group["type"], prod(shape) // values * size) for name in names]
        if len(found) > MAX_TENSORS:
            raise fail("bad-lock", f"more than {MAX_TENSORS} tensors", place)
    return tuple(found)


def _layers(text: str, place: Place) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        low, high = int(first or 0), int(last or first or 0)
        if not low <= high < MAX_TENSORS:
            raise fail("bad-lock", f"{part!r} is not a range of layers", place)
        yield from range(low, high + 1)
