"""Whether a model's matrices can be cut for tensor parallelism: heads, scale groups, FP8 blocks. Floor 3, pure. Engines refuse to start
where these do not divide (sources in `rules/default/reject`)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from generator.architecture.shape import ModelArchitecture
from generator.record import dataclass

NOT_PADDED: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Cuts:
    """The lengths, in values, that tensor parallelism divides: each once. `inputs` are cut along the input of a row-parallel matrix,
    `outputs` along the output of a column-parallel one; `expert_inputs` and `expert_outputs` the same of routed experts, which expert
    parallelism leaves whole."""

    inputs: frozenset[int]
    outputs: frozenset[int]
    expert_inputs: frozenset[int]
    expert_outputs: frozenset[int]

    def divide(self, parts: int, unit: int, experts_whole: bool, outputs_too: bool, padded: Mapping[int, int] = NOT_PADDED) -> bool:
        """Whether every cut length, divided by `parts`, is a whole number of `unit` values; `padded` replaces lengths."""
        lengths = self.inputs | (self.outputs if outputs_too else frozenset())
        if not experts_whole:
            lengths |= self.expert_inputs | (self.expert_outputs if outputs_too else frozenset())
        return all(padded.get(length, length) % (parts * unit) == 0 for length in lengths)


def cuts(architecture: ModelArchitecture, wide: frozenset[str] = frozenset()) -> Cuts:
    """The lengths of a model that may be quantised in groups or blocks, without those of the roles that stay in 16 bits (`wide`). Keys and
    values are left out: where there are fewer KV heads than GPUs they are repeated, not cut."""
    quantized = [m for m in architecture.matrices if m.quantizable and m.role not in wide and m.name not in ("attn_k", "attn_v")]

    def lengths(split: str, of_experts: bool) -> frozenset[int]:
        cut = [m for m in quantized if (m.shard == "expert") is of_experts and (m.split if of_experts else m.shard) == split]
        return frozenset(m.columns if split == "row" else m.rows for m in cut)

    return Cuts(lengths("row", False), lengths("column", False), lengths("row", True), lengths("column", True))
