"""vLLM: the law of its memory profile, from 0.4 to 0.33, in bytes on the fullest GPU.

Floor 4, pure. vLLM runs one dummy step at start and gives to the KV cache what its fraction leaves:

    KV pool = ceil(capacity · fraction) - weights - activations - runtime [- CUDA graphs, where the version does so]

The dummy step peaks either in the forward pass over `max_num_batched_tokens` or in the sampler's warm-up over
`max_num_seqs` × vocabulary; the latter depends on neither the model's depth nor tensor parallelism. The shape of the
law was read in the profile of 0.33.0 (source `vllm-profile-0-33`), its factors by version are thresholds with their
sources. The CUDA context is outside the account: the baseline is taken once it exists.

On a CPU the pool is the fraction of the host's memory less what the process holds after one step (source
`vllm-cpu-worker`): no graphs, and no warm-up of the sampler."""

from __future__ import annotations

from math import ceil, floor

from generator.architecture.shape import ModelArchitecture
from generator.quantity import GIB, ceil_div, ceil_to
from generator.sizing.cache import CacheCost
from generator.sizing.footprint import Device, Fixed, Layout, Load, Numbers, free_share, of_card, whole_card
from generator.sizing.forward import HALF, forward_bytes, hidden_bytes, moe_workspace
from generator.sizing.term import largest, part, smallest, whole


class PagedCache(CacheCost):
    """One pool of equal pages for all layers.

    Kinds of layers are cut into groups of as many layers as the rarest kind has (the rest of the last group is wasted); a state takes a whole
    page, and the block of attention layers grows until its page is as large (source `vllm-profile-0-33`). Layers with chunked attention keep
    every token. Of compressed attention (DeepSeek-V4) every kind has pages of one size, without groups (source `vllm-v4-compressor`)."""

    __slots__ = ()

    def bytes_for(self, tokens_per_sequence: int, sequences: int) -> int:
        """Whole blocks; windows keep theirs and a block that is half used, and one step is in flight."""
        tokens = tokens_per_sequence
        if not self.sliding and not self.state_layers:
            return ceil(self.full_per_token * ceil_to(tokens, self.block)) * sequences
        group, block = self._pages()
        per_token = sum([ceil_to(kept.layers, group) * kept.per_token for kept in self.full])
        size = per_token * ceil_to(tokens, block) * sequences
        for kept in self.sliding:
            held = min(ceil_to(tokens, block), ceil_to(kept.window, block) + block) * sequences
            held += ceil_to(max(0, min(self.batched_tokens, tokens - kept.window)), block)
            size += ceil_to(kept.layers, group) * kept.per_token * held
        if self.state_layers:
            size += ceil_to(self.state_layers, group) * self._state_page(block) * sequences
        return ceil(size)

    def least_for(self, cap: int) -> int:
        """A block for each sequence where layers keep a state: the capture of its graphs needs one (source `vllm-mamba-blocks`)."""
        if not self.state_layers:
            return 0
        group, block = self._pages()
        return ceil(group * self._state_page(block) * cap)

    def tokens_in(self, pool_bytes: int, max_model_len: int) -> int:
        """Tokens that a pool holds, as vLLM says it: where layers differ, full sequences times their length."""
        if pool_bytes <= 0 or max_model_len <= 0 or not (self.sliding or self.state_layers):
            return super().tokens_in(pool_bytes, max_model_len)
        one = self._request(max_model_len)
        return int(pool_bytes / one * max_model_len) if one else 0

    def _pages(self) -> tuple[int, int]:
        """Layers of one group, and tokens of one block of the layers that keep every token."""
        counts = [kept.layers for kept in (*self.full, *self.sliding)]
        if self.state_layers:
            counts.append(self.state_layers)
        least, most = min(counts, default=1), max(counts, default=1)
        group = (most if most < 1.25 * least else least) if self.grouped else 1  # nearly as many: one padded group each
        block = self.block
        per_token = self._widest
        if self.state_layers and per_token:
            block *= max(1, ceil(self.state_layer_bytes / (self.block * per_token)))
        return max(1, group), block

    @property
    def _widest(self) -> float:
        return max((kept.per_token for kept in (*self.full, *self.sliding)), default=0.0)

    def _state_page(self, block: int) -> float:
        return max(float(self.state_layer_bytes), block * self._widest)

    def _request(self, tokens: int) -> float:
        """vLLM's bound for one sequence: windows hold a whole step besides."""
        group, block = self._pages()
        size = sum(ceil_to(k.layers, group) * k.per_token for k in self.full) * ceil_to(tokens, block)
        for kept in self.sliding:
            held = min(kept.window - 1 + self.batched_tokens, tokens)
            size += ceil_to(kept.layers, group) * kept.per_token * (ceil_to(held, block) + block)
        return size + (ceil_to(self.state_layers, group) * self._state_page(block) if self.state_layers else 0.0)


def fixed(architecture: ModelArchitecture, layout: Layout, load: Load, device: Device, weights: int, numbers: Numbers) -> Fixed:
    """Activations, graphs and runtime, in bytes, of the GPU with the last pipeline stage (it runs the sampler)."""
    return Fixed(
        activations=_activations(architecture, layout, load, device, numbers),
        cuda_graphs=0 if load.enforce_eager or device.vendor == "cpu" else _graphs(architecture, layout, load, numbers),
        runtime=_runtime(architecture, layout, load, device, numbers),
    )


def budget(device: Device, weights: int, fixed: Fixed, fraction: float, numbers: Numbers) -> int:
    """Bytes that vLLM will use in all under `gpu_memory_utilization`.

    Where the version does not subtract the graphs (`vllm.graphs_in_budget` 0) they come on top of its request."""
    requested = ceil(whole_card(device) * fraction)
    return requested if numbers("vllm.graphs_in_budget") else requested + fixed.cuda_graphs


def fraction_for(device: Device, weights: int, fixed: Fixed, numbers: Numbers, stretched: bool = False) -> float:
    """`gpu_memory_utilization` to emit: the ceiling, or less where context and uncounted graphs need the room."""
    reserve = numbers("vllm.cpu_reserve_gib" if device.vendor == "cpu" else "vllm.reserve_gib") * GIB
    if not numbers("vllm.graphs_in_budget"):
        reserve += fixed.cuda_graphs
    room = min(free_share(device, numbers), 1.0 - reserve / device.capacity)
    most = numbers("vllm.fraction_most" if stretched else "vllm.fraction_ceiling")
    return of_card(device, max(0.0, min(most, floor(room * 100) / 100)))


def _sampled_entries(architecture: ModelArchitecture, load: Load) -> int:
    """Elements of one logits tensor in the sampler's warm-up: min(max_num_seqs, batched tokens) × vocabulary."""
    return smallest(load.max_num_seqs, load.batched_tokens) * architecture.vocab_size


def _activations(architecture: ModelArchitecture, layout: Layout, load: Load, device: Device, numbers: Numbers) -> int:
    """max(c·S·V + B + T·h·2 + base, T·2·(3·I/tp + n·h)) + W + E, or the encoder's own peak, in bytes; S·V is not divided by tp.

    c `sampler_bytes` (with speculative decoding, `verify_bytes` for each verified row besides), B the Triton sampler's scratch of one row per
    multiprocessor, W the workspace of the experts, E the encoder's results, which stay while the model runs. A later pipeline stage also keeps
    the two tensors that it receives (T·h·2 each): with pp 2 the log says 2.01 GiB where pp 1 says 1.89 (source `vllm-planner-h100-0-19`). A
    rank of data-parallel attention also gathers the hidden states of all ranks for the experts, and what they return (`vllm-moe-chunks`)."""
    tokens = load.batched_tokens
    hidden = hidden_bytes(architecture, tokens)
    gathered: float = tokens
    if layout.data_parallel > 1:  # each rank meets the tokens of all
        gathered = smallest(tokens * layout.data_parallel, numbers("vllm.moe_chunk_tokens"))
    workspace = moe_workspace(architecture, layout, gathered)
    multiprocessors = device.multiprocessors or numbers("vllm.multiprocessors_unknown")
    sampler = (
        numbers("vllm.sampler_bytes") * _sampled_entries(architecture, load)
        + numbers("vllm.sampler_scratch_bytes") * multiprocessors * architecture.vocab_size
        + hidden
        + numbers("vllm.activation_base_gib") * GIB
    )
    if load.verified > 1:
        sampler += numbers("vllm.verify_bytes") * _sampled_entries(architecture, load) * load.verified
    mlp_copies, hidden_copies = numbers("vllm.forward_mlp_copies"), numbers("vllm.forward_hidden_copies")
    forward = forward_bytes(architecture, layout, tokens, mlp_copies, hidden_copies)
    indexed = [group.index_bytes / group.stride for group in architecture.caches if group.kind == "latent" and group.index_bytes]
    if architecture.streams > 1 and indexed:  # heads are padded to what the kernel takes, whatever tp is
        forward += hidden_bytes(architecture, tokens) * hidden_copies * (architecture.streams - 1)
        forward += tokens * HALF * numbers("vllm.forward_attention_copies") * architecture.attention_heads * architecture.head_dim
    forward, workspace = part("forward", forward), part("experts", workspace)
    peak = (forward if device.vendor == "cpu" else largest(part("sampler", sampler), forward)) + workspace
    if layout.pipeline_parallel > 1:
        peak += part("received", 2 * hidden)
    if layout.data_parallel > 1:
        peak += part("dispatched", 2 * hidden * layout.data_parallel)
    if indexed:
        peak += part("indexer", numbers("vllm.indexer_contexts") * load.max_model_len * largest(*indexed, 0))
    if architecture.multimodal:
        kept, encoder = _encoder(architecture, layout, tokens, numbers)
        peak = largest(peak + kept, encoder, numbers("vllm.multimodal_floor_gib") * GIB)
    return whole(peak)


def _encoder(architecture: ModelArchitecture, layout: Layout, tokens: int, numbers: Numbers) -> tuple[float, float]:
    """Results of the encoder's profile run, and its peak, in bytes: over the largest image, or as many images as a step has tokens.

    Patches, their hidden states and the interpolated positions are on every GPU, attention and feed-forward layers are divided by tp,
    unless each GPU encodes images of its own (sources `vllm-encoder-profile`, `vllm-encoder-data-parallel`)."""
    runs = architecture.encoder
    if runs is None:
        return part("encoder_results", hidden_bytes(architecture, tokens)), 0.0
    tokens = largest(tokens, runs.tokens)
    cached = largest(tokens, whole(numbers("vllm.video_cache_tokens"))) if runs.positions else tokens
    layer = 2 * runs.hidden + largest(runs.attention, runs.mlp) / (1 if runs.whole else layout.tensor_parallel)
    values = runs.pixels + largest(runs.positions * runs.hidden, layer)
    results = part("encoder_results", hidden_bytes(architecture, cached) * runs.outputs)
    return results, part("encoder", tokens * runs.patches * values * HALF)


def _graphs(architecture: ModelArchitecture, layout: Layout, load: Load, numbers: Numbers) -> int:
    """Captured CUDA graphs: a base and a share per layer of the stage, part of which tensor parallelism divides.

    The share grows with the batch sizes that are captured, up to twice `max_num_seqs` (source `vllm-capture-sizes`), until more cost little."""
    layers = ceil_div(architecture.layers, layout.pipeline_parallel)
    split = numbers("vllm.graph_split_share")
    size, per_layer = numbers("vllm.graph_base_gib"), numbers("vllm.graph_layer_mib") / 1024
    if architecture.experts:
        size += numbers("vllm.graph_moe_gib")
    captured = smallest(1, 2 * load.max_num_seqs / numbers("vllm.graph_full_tokens"))
    return whole((size + per_layer * layers * (1 - split + split / layout.tensor_parallel) * captured) * GIB)


def _runtime(architecture: ModelArchitecture, layout: Layout, load: Load, device: Device, numbers: Numbers) -> int:
    """What is neither weights nor torch's peak (NCCL, all-reduce), and the V2 runner's sampler state, in bytes.

    On a CPU it is the process itself; the sampler's state is not resident when the pool is sized."""
    if device.vendor == "cpu":
        return whole(numbers("vllm.cpu_process_gib") * GIB)
    if layout.ranks > 1:
        fast = numbers("vllm.fast_allreduce_capability") <= device.compute_capability < numbers("vllm.fast_allreduce_below")
        size = numbers("vllm.non_torch_tp_fast_gib" if fast else "vllm.non_torch_tp_gib")
    elif layout.pipeline_parallel > 1:
        size = numbers("vllm.non_torch_pp_gib")
    else:
        size = numbers("vllm.non_torch_gib")
    return whole(size * GIB + part("sampler_state", numbers("vllm.sampler_state_bytes") * _sampled_entries(architecture, load)))
