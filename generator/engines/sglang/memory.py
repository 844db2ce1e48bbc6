"""SGLang: what `mem_fraction_static` leaves outside the static part must hold activations and graphs. Bytes.

Floor 4, pure. The pool is sized from the memory that is free before the weights (`pre`) and after them (`avail`), the smallest over all
ranks: KV pool = avail - pre · (1 - fraction), less a reservation for multimodal models. So activations and graphs are not in the static
part; they live in pre · (1 - fraction) (source `sglang-kv-cache-configurator`).

Until 0.5.16 the fp32 scales that MXFP4 experts are loaded with stay beside the ones that the weight-only kernel reads:
4 bytes for each 32 values, 22.5 GiB per GPU of DeepSeek-V4-Pro on eight (source `sglang-stale-mxfp4-scales`)."""

from __future__ import annotations

from math import ceil, floor

from generator.architecture.shape import ModelArchitecture
from generator.quantity import GIB, MIB, ceil_div
from generator.sizing.cache import CacheCost
from generator.sizing.footprint import Device, Fixed, Layout, Load, Numbers, free_share
from generator.sizing.forward import forward_bytes, moe_workspace
from generator.sizing.term import largest, part, smallest, whole


class PooledCache(CacheCost):
    """One pool for full and one for sliding layers, in a fixed ratio of tokens, and one for states, in a fixed ratio of bytes (source
    `sglang-kv-cache-configurator`). `sliding_tokens` is the size of the sliding one per token of the full one, `state_ratio` the
    bytes for states per byte for keys and values."""

    __slots__ = ()

    @property
    def _pooled_per_token(self) -> float:
        """Bytes per token of the pools for keys and values."""
        return self.full_per_token + (self.sliding_tokens if self.full else 1.0) * self.sliding_per_token

    def bytes_for(self, tokens_per_sequence: int, sequences: int) -> int:
        """Bytes that `sequences` of `tokens_per_sequence` need in the pools."""
        keys = ceil(tokens_per_sequence * sequences * self._pooled_per_token)
        states = self.state_bytes * sequences
        return keys + max(states, ceil(keys * self.state_ratio)) if states and keys else keys + states

    def tokens_in(self, pool_bytes: int, max_model_len: int) -> int:
        """Tokens that the pools hold."""
        if pool_bytes <= 0 or max_model_len <= 0 or not (self.sliding or self.state_layers):
            return super().tokens_in(pool_bytes, max_model_len)
        pool = pool_bytes / (1 + self.state_ratio) if self.state_layers else pool_bytes
        return int(pool / self._pooled_per_token) if self._pooled_per_token else 0


_WEIGHT_ONLY_MXFP4 = (9, 12)
"""Major compute capabilities on which SGLang runs MXFP4 experts of such a checkpoint through Marlin."""


def fixed(architecture: ModelArchitecture, layout: Layout, load: Load, device: Device, weights: int, numbers: Numbers) -> Fixed:
    """Activations over one prefill chunk, decode graphs, and runtime (context, NCCL, multimodal reservation), in bytes.

    SGLang measures nothing here: activations are the forward pass over `chunked_prefill_size`, or the sampler over
    `max_running_requests` × vocabulary, the attention backend's workspace, and the table of each request's tokens."""
    tokens = load.batched_tokens
    forward = forward_bytes(architecture, layout, tokens, numbers("sglang.forward_mlp_copies"), numbers("sglang.forward_hidden_copies"))
    sampler = numbers("sglang.sampler_bytes") * load.max_num_seqs * architecture.vocab_size
    experts = part("experts", moe_workspace(architecture, layout, tokens))
    activations = largest(part("forward", forward) + experts, part("sampler", sampler))
    activations += numbers("sglang.attention_workspace_gib") * GIB
    activations += part("requests", numbers("sglang.request_token_bytes") * load.max_num_seqs * load.max_model_len)
    graphs = 0.0
    if not load.enforce_eager:
        captured = smallest(load.max_num_seqs, numbers("sglang.graph_max_sequences"))
        graphs = numbers("sglang.graph_base_gib") * GIB + numbers("sglang.graph_sequence_mib") * MIB * captured
        if architecture.hybrid:
            graphs += numbers("sglang.graph_state_gib") * GIB
    runtime = numbers("sglang.context_gib") * GIB
    if layout.gpus > 1:
        runtime += numbers("sglang.nccl_gib") * GIB
    if architecture.multimodal:
        runtime += numbers("sglang.multimodal_reserve_mib") * MIB
    kept = numbers("sglang.stale_scale_bytes")
    stale = whole(part("stale_scales", kept * _stale_scales(architecture, layout, device))) if kept else 0
    return Fixed(whole(activations), whole(graphs), whole(runtime) + stale, stale)


def budget(device: Device, weights: int, fixed: Fixed, fraction: float, numbers: Numbers) -> int:
    """Bytes in use in all: the static part, pre · fraction with pre = capacity - context, and what lies outside it."""
    return whole(_free_before(device, fixed) * fraction) + fixed.total - fixed.loaded


def fraction_for(device: Device, weights: int, fixed: Fixed, numbers: Numbers, stretched: bool = False) -> float:
    """`mem_fraction_static` to emit: activations, graphs and a margin stay free, and it is never above the ceiling."""
    free_before = _free_before(device, fixed)
    if free_before <= 0:
        return 0.0
    slack = fixed.activations + fixed.cuda_graphs + numbers("sglang.margin_gib") * GIB
    room = free_share(device, numbers) - slack / free_before
    return max(0.0, min(numbers("sglang.fraction_most" if stretched else "sglang.fraction_ceiling"), floor(room * 1000) / 1000))


def _free_before(device: Device, fixed: Fixed) -> int:
    """What SGLang sees free before it loads the weights, in bytes."""
    return device.capacity - (fixed.runtime - fixed.loaded)


def _stale_scales(architecture: ModelArchitecture, layout: Layout, device: Device) -> int:
    """Scales of the MXFP4 experts of an FP8 checkpoint on one GPU, where a weight-only kernel runs them; 0 otherwise."""
    quantization = architecture.quantization
    if quantization is None or quantization.layout != "fp8" or int(device.compute_capability) not in _WEIGHT_ONLY_MXFP4:
        return 0
    scales = 0
    for matrix in architecture.matrices:
        storage = matrix.storage
        if matrix.role == "expert" and storage is not None and storage.bits == 4 and storage.group_size:
            scales += matrix.count * matrix.rows * ceil_div(matrix.columns, storage.group_size)
    return scales // layout.gpus
