"""llama.cpp, and Ollama which runs its server: the compute buffer of one device, in bytes, as docs/memory.md derives it.

Floor 4, pure. There is no memory fraction: the KV cache is what `--ctx-size` says, and the budget is the device less the margin that
`--fit` would keep free. With `--parallel N` llama.cpp has a cache for each slot, and the mask is as wide as one of them; Ollama has one for
all (`--kv-unified`), and a mask over all of its cells."""

from __future__ import annotations

from math import ceil

from generator.architecture.shape import Matrix, ModelArchitecture
from generator.quantity import GIB, MIB, by_identity, ceil_to
from generator.record import dataclass
from generator.sizing.cache import CacheCost
from generator.sizing.footprint import Device, Fixed, Layout, Load, Numbers
from generator.sizing.forward import FLOAT, HALF
from generator.sizing.term import largest, part, smallest, whole


@by_identity(1, 512)
def layer_width(architecture: ModelArchitecture, cpu: bool, ffn_copies: int, hidden_copies: int) -> int:
    """The fp32 values per token that the widest layer keeps alive at once, by the table of docs/memory.md.

    Counted from the graphs and checked against the real allocator on headers of published shapes, with a vocabulary so small that the logits
    do not matter (`tests/engines/llama_cpp/test_real_sizes.py`)."""
    text = {m.name: m for m in architecture.matrices if m.role not in ("vision", "mtp")}
    hidden = architecture.hidden_size
    latent = architecture.mla and ("attn_kv_b" in text or "attn_k_b" in text)
    query = architecture.attention_heads * architecture.head_dim if cpu and not latent else hidden
    rest = (hidden_copies - 1) * hidden + max(query, hidden)
    widths = [_dense(architecture, text, ffn_copies) + rest]
    if _fused(text):
        widths[0] -= hidden
    if architecture.experts:
        used = architecture.experts_per_token
        active = used * architecture.moe_intermediate_size
        widths = [ffn_copies * active + rest]
        queries = architecture.attention_heads * _latent_dim(architecture) + hidden if latent else query
        widths.append(2 * used * hidden + active + queries + hidden)
    if latent:
        widths.append(_latent(architecture, text) + hidden_copies * hidden)
    if "ssm_in" in text and "ssm_out" in text:
        inner = text["ssm_out"].columns
        convolved = text["ssm_conv1d"].rows if "ssm_conv1d" in text else inner
        widths.append(text["ssm_in"].rows + 2 * convolved + 2 * inner + 2 * hidden)
    return max(widths)


def _dense(architecture: ModelArchitecture, text: dict[str, Matrix], copies: int) -> int:
    """The feed-forward part of a dense layer; without a gate there is one copy fewer."""
    gated = not text or "ffn_up" not in text or "ffn_gate" in text or _fused(text)
    return (copies if gated else copies - 1) * architecture.intermediate_size


def _fused(text: dict[str, Matrix]) -> bool:
    up, down = text.get("ffn_up"), text.get("ffn_down")
    return up is not None and down is not None and "ffn_gate" not in text and up.rows == 2 * down.columns


def _latent_dim(architecture: ModelArchitecture) -> int:
    return max((c.latent_dim for c in architecture.caches if c.kind == "latent"), default=0)


def _latent(architecture: ModelArchitecture, text: dict[str, Matrix]) -> int:
    """MLA: queries with the absorbed key projection, what attention returns, the queries before, and the values."""
    heads = max(1, architecture.attention_heads)
    query = next((text[name].rows // heads for name in ("attn_q_b", "attn_q") if name in text), 0)
    rank = text["attn_kv_b"].columns if "attn_kv_b" in text else text["attn_k_b"].rows
    value = text["attn_output"].columns // heads if "attn_output" in text else 0
    return heads * (_latent_dim(architecture) + rank + query + value)


CELL_PADDING = 256
"""Cells are padded to a multiple of this."""


class SlotCache(CacheCost):
    """A cache for each slot, as `--parallel N` has it: cells for its context; sliding layers keep a window and a micro-batch. The layers are
    spread over the GPUs (source `llama-cpp-measured`)."""

    __slots__ = ()

    def bytes_for(self, tokens_per_sequence: int, sequences: int) -> int:
        """Bytes of the caches of so many slots."""
        return ceil(self._cells(tokens_per_sequence, 1) * sequences) + self.state_bytes * sequences

    def tokens_in(self, pool_bytes: int, max_model_len: int) -> int:
        """Tokens that a pool holds: whole slots times their length."""
        if pool_bytes <= 0 or max_model_len <= 0:
            return 0
        one = self.bytes_for(max_model_len, 1)
        return int(pool_bytes / one * max_model_len) if one else 0

    def _cells(self, tokens: int, sharing: int) -> float:
        """Bytes of one cache that so many slots share."""
        cells = ceil_to(tokens * sharing, CELL_PADDING)
        size = cells * self.full_per_token
        for kept in self.sliding:
            wanted = smallest(cells, kept.window * sharing + smallest(cells, self.batched_tokens))
            size += ceil_to(wanted, CELL_PADDING) * kept.layers * kept.per_token
        return size


class UnifiedCache(SlotCache):
    """One cache for all slots."""

    __slots__ = ()

    def bytes_for(self, tokens_per_sequence: int, sequences: int) -> int:
        """Bytes of the cache that so many slots share."""
        return ceil(self._cells(tokens_per_sequence, sequences)) + self.state_bytes * sequences


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
