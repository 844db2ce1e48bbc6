"""What sizing needs to know of a model: its weight matrices and what it caches per token.

Floor 2, pure. Counts are of the whole model; splitting over GPUs is `sizing`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal[
    "embedding", "lm_head", "norm", "router", "attention", "linear_attention",
    "mlp", "shared_expert", "expert", "vision", "mtp", "other",
]  # fmt: skip
Shard = Literal["column", "row", "vocab", "expert", "replicated"]


@dataclass(frozen=True, slots=True)
class Matrix:
    """`count` equal weight matrices of `rows` × `columns` (output × input features); a vector has one column.

    `shard` says how tensor parallelism splits it: its rows (`column` parallel, as the field calls it), its
    columns (`row` parallel), the vocabulary (padded), by experts (each expert is split like `column`/`row`
    without expert parallelism and kept whole with it; `split` says which), or not at all.
    """

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

    @property
    def parameters(self) -> int:
        """Parameters in all `count` matrices."""
        return self.rows * self.columns * self.count


@dataclass(frozen=True, slots=True)
class CacheGroup:
    """Layers that keep the same kind of state per token or per sequence.

    kind      what is kept
    full      keys and values of every token
    sliding   keys and values of the last `window` tokens
    latent    one latent vector of `latent_dim` values per token (MLA), not split by tensor parallelism
    state     `state_bytes` per sequence, whatever its length (Mamba, linear attention), split by tp
    """

    kind: Literal["full", "sliding", "latent", "state"]
    layers: int
    kv_heads: int = 0
    key_dim: int = 0
    value_dim: int = 0
    window: int = 0
    latent_dim: int = 0
    state_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CheckpointQuantization:
    """How a checkpoint is itself quantised, read from its `quantization_config`.

    `method` is a contract name (`awq`, `fp8-block`, …); `layout` the checkpoint's own (`awq`,
    `compressed-tensors`, `modelopt`, `fp8`, `gguf`, …); `keeps` names the roles that its ignore list leaves
    in 16 bits; `quantizes_lm_head` is true where even lm_head is quantised.
    """

    method: str
    layout: str
    bits: float
    group_size: int | None = None
    block: tuple[int, int] | None = None
    desc_act: bool = False
    zero_point: bool = False
    keeps: frozenset[Role] = frozenset()


@dataclass(frozen=True, slots=True)
class ModelArchitecture:
    """Layers, heads and experts of one model.

    `max_context` is in tokens, as trained (rope scaling of the config included); 0 where unknown.
    `bytes_on_disk` and `tensor_bytes` are exact where a GGUF or safetensors header gave them, else 0.
    """

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
    rotary_dim: int = 0
    quantization: CheckpointQuantization | None = None
    tensor_bytes: int = 0
    basis: Literal["config", "gguf", "parameters"] = "config"
    gguf_type: str | None = None

    @property
    def parameters(self) -> int:
        """Every parameter, embeddings and vision tower included; tied embeddings count once."""
        return sum(m.parameters for m in self.matrices)

    @property
    def active_parameters(self) -> int:
        """Parameters that one token passes through: of the experts, those it is routed to."""
        total = 0
        for m in self.matrices:
            if m.role == "expert" and self.experts:
                total += m.parameters * self.experts_per_token // self.experts
            else:
                total += m.parameters
        return total

    @property
    def moe(self) -> bool:
        """Whether there are routed experts."""
        return self.experts > 0

    @property
    def mla(self) -> bool:
        """Whether the KV cache holds latent vectors (multi-head latent attention)."""
        return any(c.kind == "latent" for c in self.caches)

    @property
    def hybrid(self) -> bool:
        """Whether some layers keep a state instead of keys and values (Mamba, linear attention)."""
        return any(c.kind == "state" for c in self.caches)

    @property
    def sliding(self) -> bool:
        """Whether some layers keep a window only."""
        return any(c.kind == "sliding" for c in self.caches)
