"""Bytes of a GGUF that llama-quantize makes, from an architecture and a method's mixture alone. Floor 3, pure. The mixtures stand in
`rules/facts/methods.yaml` (its header says what the clauses mean); which tensor gets which clause, and what happens to rows that no block
divides, is as in llama.cpp's src/llama-quant.cpp (source `lcpp-quant-src`)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from generator.architecture.shape import ModelArchitecture, Stored
from generator.quantity import by_identity, ceil_div
from generator.record import dataclass
from generator.sizing.footprint import Layout
from generator.sizing.gguf_mixture import LEFT_OUT, Mixture, tensors

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import GgmlType, Method



@dataclass(frozen=True, slots=True)
class GgufSizes:
    """Bytes by place: each layer, the input embeddings, and what follows the last layer (norm and output matrix). With tied embeddings the
    file holds one matrix and a GPU build a second copy, as its output: `output` counts that copy, `file` does not. `experts` are the routed
    experts of each layer, a part of `layers`; `largest` is one tensor."""

    layers: tuple[int, ...]
    embedding: int
    output: int
    file: int
    experts: tuple[int, ...]
    largest: int

    def scaled(self, exact: int) -> GgufSizes:
        """The same where the file is known to have `exact` bytes (0: not known)."""
        if not exact or not self.file:
            return self
        layers, experts = (tuple(size * exact // self.file for size in sizes) for sizes in (self.layers, self.experts))
        embedding, output, largest = (size * exact // self.file for size in (self.embedding, self.output, self.largest))
        return replace(self, layers=layers, experts=experts, embedding=embedding, output=output, file=exact, largest=largest)

    def without(self, cpu_experts: int) -> tuple[int, ...]:
        """Bytes of each layer where the experts of so many layers, from the first on, are elsewhere."""
        return tuple(size - (self.experts[layer] if layer < cpu_experts else 0) for layer, size in enumerate(self.layers))


class Placed(NamedTuple):
    """Bytes of the weights by where they lie and how a token reads them: whole, or the experts that it is routed to."""

    gpu_dense: int
    gpu_experts: int
    host_dense: int
    host_experts: int

    @property
    def host(self) -> int:
        """Bytes in the host's memory, the input embedding apart."""
        return self.host_dense + self.host_experts


@by_identity(3, 16_384)
def gguf_sizes(architecture: ModelArchitecture, method: Method, ggml_types: Mapping[str, GgmlType], imatrix: bool = False) -> GgufSizes:
    """Bytes of the file that `method` (an entry of methods.yaml) makes of `architecture`, by place. Remembered for the same three objects;
    they must not change afterwards."""
    mixture = Mixture.of(method, ggml_types, architecture, imatrix)
    return _sizes(architecture.layers, tensors(architecture, mixture), mixture.tied)


def stored_sizes(layers: int, stored: Iterable[Stored]) -> GgufSizes:
    """Exact bytes by place of a file whose header is known; `layers` are those of the language model."""
    loaded = [tensor for tensor in stored if tensor.role not in LEFT_OUT]
    return _sizes(layers, loaded, not any(tensor.role == "lm_head" for tensor in loaded))


def _sizes(many: int, found: Iterable[Stored], tied: bool) -> GgufSizes:
    last = many - 1
    layers, experts = [0] * many, [0] * many
    everywhere = embedding = output = file = largest = 0
    for tensor in found:
        size = tensor.size * max(1, len(tensor.layers))
        file += size
        if tensor.role in ("embedding", "lookup"):
            embedding += size
            if tied and tensor.name == "token_embd":
                output += size
            continue
        if not tensor.layers:
            output += size
        else:
            largest = max(largest, tensor.size)
        if tensor.role != "expert" and len(tensor.layers) == many and tensor.layers[0] == 0 and tensor.layers[-1] == last:
            everywhere += tensor.size
            continue
        for layer in tensor.layers:
            layers[min(layer, last)] += tensor.size
            if tensor.role == "expert":
                experts[min(layer, last)] += tensor.size
    return GgufSizes(tuple([size + everywhere for size in layers]), embedding, output, file, tuple(experts), largest)


def gguf_bytes(architecture: ModelArchitecture, method: Method, ggml_types: Mapping[str, GgmlType], imatrix: bool = False) -> int:
    """Bytes of all tensors in the file; the header, some megabytes of vocabulary, is not in it."""
    return gguf_sizes(architecture, method, ggml_types, imatrix).file


def fullest(sizes: GgufSizes, layout: Layout, cpu: bool = False, exact: int = 0) -> int:
    """Bytes of weights on the fullest GPU, the model split by layer over `layout.pipeline_parallel` equal GPUs. Input embeddings stay in
    host memory; the output counts as one more layer, the last. On the CPU all of the file is in RAM. `exact` is the size that a file's own
    header gives: the estimate is scaled to it."""
    most = sizes.file if cpu else ceil_div(_fullest(sizes, layout.pipeline_parallel), layout.tensor_parallel)
    return most * exact // sizes.file if exact and sizes.file else most


@by_identity(1, 16_384)
def _fullest(sizes: GgufSizes, devices: int) -> int:
    return max(_by_device(sizes, devices))


def _by_device(sizes: GgufSizes, devices: int) -> list[int]:
    """Bytes of each device: layer i of n goes where i / (n + 1) falls among equal parts, the output where n does."""
    parts = [*sizes.layers, sizes.output]
    ends = [(device + 1) / devices for device in range(devices)]
    ends[-1] = 1.0
    totals = [0] * devices
    for index, size in enumerate(parts):
        totals[bisect_right(ends, index / len(parts))] += size
    return totals


def places(sizes: GgufSizes, devices: int, cpu: bool = False) -> dict[str, float]:
    """Bytes of the fullest of `devices` by place in the model: what `fullest` sums."""
    if cpu:
        return {"embedding": sizes.embedding, "layers": sum(sizes.layers), "output": sizes.file - sizes.embedding - sum(sizes.layers)}
    totals = _by_device(sizes, devices)
    fullest = totals.index(max(totals))
    output = sizes.output if fullest == devices - 1 else 0
    return {"layers": totals[fullest] - output, "output": output}


def on_devices(sizes: GgufSizes, layers: int, devices: int = 1, cpu_experts: int = 0) -> int:
    """Bytes on the fullest of `devices` with `-ngl layers`: the output, which counts as a layer, and the last layers. With `--n-cpu-moe
    cpu_experts` the experts of the model's first layers, dense ones counted, stay in the host's memory."""
    if layers < 1:
        return 0
    first = max(0, len(sizes.layers) - (layers - 1))
    if devices == 1:
        return sizes.output + sum(sizes.layers[first:]) - sum(sizes.experts[first:cpu_experts])
    return max(_by_device(replace(sizes, layers=sizes.without(cpu_experts)[first:]), devices))


def balanced(parts: Sequence[float], rooms: Sequence[float]) -> tuple[int, ...]:
    """How many of the parts, in their order, each device gets so that the fullest holds least of its room, to a thousandth: what
    `--tensor-split` says. `rooms` compare the devices, the largest being 1."""
    ends = list(accumulate(parts))

    def filled(most: float) -> tuple[int, ...]:
        """Parts by device where each takes what fits under `most` of its room."""
        found, start = [], 0
        for room in rooms:
            end = bisect_right(ends, (ends[start - 1] if start else 0) + most * room, start)
            found.append(end - start)
            start = end
        return tuple(found)

    low, high = max(max(parts), ends[-1] / sum(rooms)), ends[-1]
    best = filled(high)
    while high - low > 1e-3 * high:
        middle = (low + high) / 2.0
        found = filled(middle)
        low, high, best = (low, middle, found) if sum(found) == len(ends) else (middle, high, best)
    return best


def placed(sizes: GgufSizes, layers: int, cpu_experts: int = 0) -> Placed:
    """Where the weights lie with `-ngl layers --n-cpu-moe cpu_experts`; all devices together."""
    first = max(0, len(sizes.layers) - (layers - 1))
    dense = [size - experts for size, experts in zip(sizes.layers, sizes.experts, strict=True)]
    beside = max(first, cpu_experts)
    return Placed(sizes.output + sum(dense[first:]), sum(sizes.experts[beside:]), sum(dense[:first]), sum(sizes.experts[:beside]))
