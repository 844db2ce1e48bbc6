"""llama.cpp, and Ollama which runs its server: the compute buffer of one device, in bytes, as docs/memory.md derives it.

Floor 4, pure. There is no memory fraction: the KV cache is what `--ctx-size` says, and the budget is the device less the margin that
`--fit` would keep free. With `--parallel N` llama.cpp has a cache for each slot, and the mask is as wide as one of them; Ollama has one for
all (`--kv-unified`), and a mask over all of its cells."""

from __future__ import annotations

from generator.architecture.shape import ModelArchitecture
from generator.engines.llama_cpp.graph import layer_width
from generator.quantity import GIB, MIB, ceil_to
from generator.record import dataclass
from generator.sizing.footprint import Device, Fixed, Layout, Load, Numbers
from generator.sizing.forward import FLOAT, HALF
from generator.sizing.term import largest, part, smallest, whole

_INPUTS = 2 * 4 + 4 + 2 * 2 * 8
"""Bytes of a token's inputs: its number, its position, whether it is an output, its cells in two caches of K and V."""


def cells(load: Load, numbers: Numbers, sharing: int = 1) -> int:
    """Cells of one KV cache that so many slots share, padded as llama.cpp pads it (tokens)."""
    return ceil_to(load.max_model_len * sharing, int(numbers("llama_cpp.context_padding")))


@dataclass(frozen=True, slots=True)
class LlamaCppMemory:
    """The three functions; `name` prefixes the thresholds that go by the engine's own version. `unified`: one cache for all slots."""

    name: str
    unified: bool

    def fixed(self, architecture: ModelArchitecture, layout: Layout, load: Load, device: Device, weights: int, numbers: Numbers) -> Fixed:
        """Compute buffer of the device with the output layer, and the CUDA context (or the host's share), in bytes."""
        cpu = device.vendor == "cpu"
        size = self._compute(architecture, load, cpu, numbers)
        if layout.gpus > 1 and not cpu:
            size += part("copies", _copies(architecture, load, self._sharing(load), numbers))
        runtime = numbers("llama_cpp.host_gib" if cpu else "llama_cpp.context_mib")
        return Fixed(whole(size), 0, whole(runtime * (GIB if cpu else MIB)))

    def budget(self, device: Device, weights: int, fixed: Fixed, fraction: float, numbers: Numbers) -> int:
        """Bytes that may be used: the device less the margin that is kept free (`--fit-target` on a GPU)."""
        name = "llama_cpp.host_margin_gib" if device.vendor == "cpu" else "llama_cpp.fit_margin_gib"
        return largest(0, whole(device.capacity * fraction - numbers(name) * GIB))

    def fraction_for(self, device: Device, weights: int, fixed: Fixed, numbers: Numbers, stretched: bool = False) -> float:
        """1.0: there is no such setting."""
        return 1.0

    def _sharing(self, load: Load) -> int:
        """Slots that share a cache."""
        return load.max_num_seqs if self.unified else 1

    def _compute(self, architecture: ModelArchitecture, load: Load, cpu: bool, numbers: Numbers) -> float:
        """The compute buffer with one copy of the inputs, in bytes."""
        unit = FLOAT * load.batched_tokens
        hidden = architecture.hidden_size
        if numbers(self.name + ".full_logits"):
            kept = numbers("llama_cpp.logits_hidden_copies_cpu" if cpu else "llama_cpp.logits_hidden_copies")
            logits = unit * (architecture.vocab_size + kept * hidden)
        else:
            logits = FLOAT * load.max_num_seqs * architecture.vocab_size
        copies = int(numbers("llama_cpp.layer_ffn_copies")), int(numbers("llama_cpp.layer_hidden_copies"))
        layer = unit * layer_width(architecture, cpu, *copies)
        sharing = self._sharing(load)
        context = cells(load, numbers, sharing)
        layer += HALF * load.batched_tokens * (context + _sliding_cells(architecture, load, context, sharing))
        layer += _INPUTS * load.batched_tokens
        if numbers("llama_cpp.flash_attention"):
            return largest(part("logits", logits), part("layer", layer))
        heads = architecture.attention_heads
        scores = unit * (heads * context + context + 2 * heads * architecture.head_dim + 2 * hidden)
        return largest(part("logits", logits), part("layer", layer), part("scores", scores))


def _sliding_cells(architecture: ModelArchitecture, load: Load, context: int, sharing: int) -> int:
    """Cells of the cache of sliding-window layers, which has a mask of its own; 0 without such layers."""
    window = max((c.window for c in architecture.caches if c.kind == "sliding"), default=0)
    return smallest(context, window * sharing + load.batched_tokens) if window else 0


def _copies(architecture: ModelArchitecture, load: Load, sharing: int, numbers: Numbers) -> float:
    """What pipelining over several GPUs adds to each: copies of the embeddings and of the mask, in bytes.

    With flash attention the mask is f16 and comes on top; without, it is fp32 and one is already in the buffer."""
    copies = numbers("llama_cpp.pipeline_copies")
    mask = load.batched_tokens * cells(load, numbers, sharing)
    embeddings = copies * FLOAT * load.batched_tokens * architecture.hidden_size
    if numbers("llama_cpp.flash_attention"):
        return embeddings + copies * HALF * mask
    return embeddings + (copies - 1) * FLOAT * mask
