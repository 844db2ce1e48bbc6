"""What an engine loads on a GPU beside the model: a draft for speculative decoding, adapters. Floor 5, pure."""

from __future__ import annotations

from typing import NamedTuple

from generator.architecture.shape import ModelArchitecture
from generator.decide.context import Context, numbers_of
from generator.decide.speculative import Speculation, speculation_for
from generator.engines import ENGINES
from generator.facts.engine import Engine
from generator.quantity import ceil_div
from generator.rulebook.book import file_format
from generator.rulebook.memo import remembered
from generator.sizing.footprint import Footprint, Layout, Load
from generator.sizing.tensors import stored
from generator.spec.deployment import DeploymentSpec

ADAPTED = frozenset(("attention", "linear_attention", "mlp", "shared_expert", "expert"))
"""Roles of the matrices that engines keep room for; vision towers, embeddings and norms have none."""


class Beside(NamedTuple):
    """Bytes on one GPU."""

    draft: int = 0
    adapters: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.draft + self.adapters

    def taken_from(self, footprint: Footprint) -> Footprint:
        """A footprint that was fitted with these among its weights, with each under its own name."""
        return footprint._replace(weights=footprint.weights - self.total, draft=self.draft, adapters=self.adapters)


@remembered
def beside(context: Context, engine: Engine, method: str, layout: Layout) -> Beside:
    """What one GPU of a candidate holds beside the model."""
    adapters = context.spec.serve.get("adapters") or {}
    taken = 0
    if adapters:
        whole = layout if "safetensors" in engine.facts["formats"] else Layout()
        taken = _adapter_bytes(context.model.architecture, whole, adapter_rank(context), adapter_slots(context))
    speculation = speculation_for(context, engine)
    if speculation is None:
        return Beside(0, taken)
    draft = _draft_bytes(context, speculation, method, layout)
    if "gguf" in engine.facts["formats"] and speculation.method != "ngram":
        draft += _buffer(context, engine)
    return Beside(draft, taken)


def _adapter_bytes(architecture: ModelArchitecture, layout: Layout, rank: int, slots: int) -> int:
    """Bytes on one GPU of `slots` adapters of `rank`, in 16 bits, whatever matrices an adapter really has (source `vllm-lora-layers`). Of a
    matrix split by its rows each GPU has the whole of A and its share of B; of one split by its columns it is the other way round."""
    ways, values = layout.tensor_parallel, 0
    for matrix in architecture.matrices:
        if matrix.role in ADAPTED and matrix.columns > 1:
            kind = matrix.split if matrix.shard == "expert" else matrix.shard
            rows = ceil_div(matrix.rows, ways) if kind == "column" else matrix.rows
            columns = ceil_div(matrix.columns, ways) if kind == "row" else matrix.columns
            values += matrix.count * (rows + columns)
    return 2 * slots * rank * ceil_div(values, layout.pipeline_parallel)


def adapter_rank(context: Context) -> int:
    """The largest rank of an adapter."""
    return int(context.spec.serve.get("max_adapter_rank") or context.book.number("adapters.rank_default"))


def adapter_slots(context: Context) -> int:
    """Adapters that one step may use: those of the spec, up to a threshold."""
    return min(len(context.spec.serve.get("adapters") or ()), int(context.book.number("adapters.slots_most")))


def adapter_files(spec: DeploymentSpec) -> str | None:
    """The adapters as llama.cpp takes them, files of its own format in one word; None where one is something else."""
    places = list((spec.serve.get("adapters") or {}).values())
    return ",".join(places) if places and all(place.endswith(".gguf") and place.startswith("/") and "," not in place for place in places) else None


def _buffer(context: Context, engine: Engine) -> int:
    """Bytes of the compute buffer of the draft's own context, about as wide as the model's (source `oll-draft-context`)."""
    numbers = numbers_of(context.book, engine.version)
    load = Load(context.workload.max_context, 1, int(numbers("steps.gguf")))
    return ENGINES[engine.name].memory.fixed(context.model.architecture, Layout(), load, context.gpu.device, 0, numbers).activations


def _draft_bytes(context: Context, found: Speculation, method: str, layout: Layout) -> int:
    """Bytes of the draft on one GPU: the layers that the checkpoint has for it as they are stored, any other draft in 16 bits. A GGUF has
    them in the file's own type, and its draft is a file of eight bits (source `lcpp-draft`)."""
    entry = context.book.section("methods")[method]
    gguf = file_format(entry) == "gguf"
    if found.own:
        stored_as = [sum(stored(m.rows, m.columns, m.storage)) * m.count for m in context.model.architecture.unloaded]
        size = int(found.parameters * entry["weight_bits"] / 8) if gguf else sum(stored_as)
    else:
        size = int(found.parameters * (context.book.number("speculative.gguf_bits") if gguf else 16) / 8)
    return size if gguf else ceil_div(size, layout.tensor_parallel)
