"""The model shape for sizing: weight matrices and caches. Floor 3, pure. Counts are of the whole model; `sizing` splits them over GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from generator.record import dataclass

Role = Literal[
    "embedding", "lm_head", "norm", "router", "attention", "linear_attention",
    "mlp", "shared_expert", "expert", "vision", "mtp", "lookup", "other",
]  # fmt: skip
Shard = Literal["column", "row", "vocab", "expert", "replicated"]


@dataclass(frozen=True, slots=True)
class Storage:
    """The storage of a quantized weight matrix. `bits` of one weight, `group_size` weights of a row that share a scale (0: none), `block` a
    scale per block of rows × columns, `channel` a scale per row; `scale_bits` and `zero_bits` of one scale and one stored zero point."""

    bits: float
    group_size: int = 0
    block: tuple[int, int] | None = None
    channel: bool = False
    scale_bits: int = 0
    zero_bits: int = 0


@dataclass(frozen=True, slots=True)
class Matrix:
    """`count` equal weight matrices of `rows` × `columns` (output × input features); a vector has one column. `shard` is its
    tensor-parallel split: its rows (`column` parallel, as the field calls it), its columns (`row` parallel), the vocabulary (padded), by
    experts (each expert is split like `column`/`row` without expert parallelism and kept whole with it; `split` is the direction), or not
    at all. `heads` are units that are not split further: with more GPUs than heads each GPU keeps one (KV heads). `storage` is the
    checkpoint's own storage, if quantized; None leaves it to the method."""

    name: str
    role: Role
    rows: int
    columns: int
    count: int
    shard: Shard = "replicated"
    split: Literal["column", "row"] = "column"
    quantizable: bool = False
    layer_first: int = 0
    layer_last: int = 0
    heads: int = 0
    storage: Storage | None = None

    @property
    def parameters(self) -> int:
        """Parameters in all `count` matrices."""
        return self.rows * self.columns * self.count


@dataclass(frozen=True, slots=True)
class CacheGroup:
    """Layers with the same kind of cache per token or per sequence.

    kind      what is kept
    full      keys and values of every token
    sliding   keys and values of the last `window` tokens
    latent    one latent vector of `latent_dim` values per token (MLA), not split by tensor parallelism
    state     `state_bytes` per sequence, whatever its length (Mamba, linear attention), split by tp
    partial   `index_bytes` of each of the last `window` tokens, not yet compressed into a latent vector, not split by tp

    `chunked` marks sliding layers with fixed chunks as windows (Llama 4): some engines keep all tokens. `stride` is the number of tokens
    per latent vector. `index_bytes` per token and layer are kept for an indexer (sparse attention), not split. `state_bytes` and the rest
    are of one layer: `state_bytes` counts `conv_values` in 16 bits and `ssm_values` in `ssm_bits` (0: the engine chooses; 32 are counted).
    `fp8_bytes` are kept beside the values of a token where these have 8 bits: rotated ones stay in 16, and scales. `states` are those that a
    sequence has of a layer: with a draft one for each token that a step verifies."""

    kind: Literal["full", "sliding", "latent", "state", "partial"]
    layers: int
    kv_heads: int = 0
    key_dim: int = 0
    value_dim: int = 0
    window: int = 0
    latent_dim: int = 0
    state_bytes: int = 0
    chunked: bool = False
    stride: int = 1
    index_bytes: int = 0
    fp8_bytes: int = 0
    conv_values: int = 0
    ssm_values: int = 0
    ssm_bits: int = 0
    states: int = 1


class Encoder(NamedTuple):
    """What a vision tower keeps in memory for one patch, in values. `tokens` are those of the largest image (0: fewer than any step of an
    engine), `patches` stand behind one token, and each token has `outputs` vectors of the language model's width. `positions` hidden states
    are alive while positions are interpolated (0: they are not). `whole`: tensor parallelism does not divide its layers."""

    tokens: int
    patches: int
    outputs: int
    positions: int
    pixels: int
    hidden: int
    attention: int
    mlp: int
    whole: bool = False


class Stored(NamedTuple):
    """Equal tensors of a GGUF file, or of one that would be made: one in each of `layers` (empty: outside of them). `name` is without
    `blk.N.` and `.weight`, `type` a ggml type such as `q4_K`, `size` that of one, in bytes."""

    name: str
    role: Role
    layers: Sequence[int]
    type: str
    size: int


@dataclass(frozen=True, slots=True)
class CheckpointQuantization:
    """A checkpoint's own quantization, from its `quantization_config`. `method` is a contract name (`awq`, `fp8-block`, …); `layout` the
    checkpoint's own (`awq`, `compressed-tensors`, `modelopt`, `fp8`, `gguf`, …); `keeps` names the roles that its ignore list keeps in 16
    bits. Each matrix has its own `storage`. `fp8_cache`: it has scales for an FP8 KV cache."""

    method: str
    layout: str
    bits: float
    group_size: int | None = None
    block: tuple[int, int] | None = None
    desc_act: bool = False
    keeps: frozenset[Role] = frozenset()
    fp8_cache: bool = False


@dataclass(frozen=True, slots=True)
class ModelArchitecture:
    """Layers, heads and experts of one model.

    `max_context` is in tokens, as trained (rope scaling of the config included); 0 where unknown. `yarn_context` is the original
    context times YaRN's factor, which some engines take instead; 0 without YaRN.
    `tensor_bytes` is exact if known from a GGUF or safetensors header, else 0; `stored` are the tensors of a GGUF header.
    `rotary_rows` are the positions of all rotary tables that an engine precomputes (each row `rotary_dim` values). `unloaded` are
    matrices in the published checkpoint that engines do not load (multi-token prediction layers, unused keys); `unloaded_copied`:
    quantization tools copy them unchanged. `gguf_experts` is the ggml type in which every GGUF of the model has its routed experts, whatever
    the file's type is called. `in_host` are lookup tables that the engine keeps in host memory. `encoder` is only known for some towers. `streams`
    hidden states run side by side (hyper-connections)."""

    model_type: str
    layers: int
    hidden_size: int
    intermediate_size: int
    vocab_size: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    max_context: int
    dtype: Literal["bf16", "fp16", "fp32"]
    matrices: tuple[Matrix, ...]
    caches: tuple[CacheGroup, ...]
    experts: int = 0
    experts_per_token: int = 0
    moe_intermediate_size: int = 0
    tied_embeddings: bool = False
    multimodal: bool = False
    encoder: Encoder | None = None
    streams: int = 1
    rotary_dim: int = 0
    rotary_rows: int = 0
    yarn_context: int = 0
    quantization: CheckpointQuantization | None = None
    tensor_bytes: int = 0
    unloaded: tuple[Matrix, ...] = ()
    unloaded_copied: bool = False
    in_host: tuple[Matrix, ...] = ()
    basis: Literal["config", "gguf", "parameters"] = "config"
    gguf_type: str | None = None
    gguf_experts: str | None = None
    stored: tuple[Stored, ...] = ()

    @property
    def parameters(self) -> int:
        """Every parameter, embeddings, lookup tables and vision tower included; tied embeddings count once."""
        return sum(m.parameters for m in (*self.matrices, *self.in_host))

    @property
    def moe(self) -> bool:
        """Whether the model has routed experts."""
        return self.experts > 0

    @property
    def mla(self) -> bool:
        """Whether the KV cache holds latent vectors (multi-head latent attention)."""
        return any(c.kind == "latent" for c in self.caches)

    @property
    def hybrid(self) -> bool:
        """Whether some layers keep a state instead of keys and values (Mamba, linear attention)."""
        return any(c.kind == "state" for c in self.caches)
