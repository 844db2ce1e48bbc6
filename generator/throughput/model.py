"""A model's shape as speed sees it, bytes that a step reads and parameters that a token meets; and a GPU's: bandwidth, arithmetic in the
method's precision, links. Floor 4, pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.architecture.shape import CacheGroup, ModelArchitecture
from generator.quantity import GB, by_identity
from generator.sizing.cache import CacheCost
from generator.sizing.footprint import Numbers
from generator.sizing.tensors import stored
from generator.sizing.weights import method_storage, own_checkpoint, storage_of
from generator.throughput.shapes import CacheTraffic, Generation, HardwareShape, ModelShape

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Architecture, Gpu, Method

TERA = 1e12
_ASIDE = frozenset({"embedding", "lookup", "vision", "mtp"})
"""Roles that a step of text does not read whole: rows of embedding and tables, the tower of images, draft layers."""


@by_identity(2, 1024)
def model_shape(architecture: ModelArchitecture, method: Method) -> ModelShape:
    """The shape of a model in a method (an entry of methods.yaml). Remembered for the same two objects. GGUF types mix: their bytes are
    shared by parameters, and all is multiplied in 16 bits."""
    gguf, own = method.get("family") == "gguf", own_checkpoint(architecture, method)
    default = None if own else method_storage(method)
    size, low, full = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]  # of everything else, of the experts
    for m in architecture.matrices:
        if m.role in _ASIDE and not (m.role == "embedding" and architecture.tied_embeddings):
            continue
        routed = m.role == "expert" and architecture.experts > 0
        storage = None if gguf else storage_of(m, own, default, method)
        size[routed] += m.parameters if gguf else sum(stored(m.rows, m.columns, storage)) * m.count
        (low if storage is not None else full)[routed] += m.parameters
    dense, experts = (values * float(method["weight_bits"]) / 8 for values in size) if gguf else size
    return ModelShape(
        layers=max(1, architecture.layers), hidden=architecture.hidden_size, dense_bytes=dense, expert_bytes=experts, dense_low=low[0],
        dense_full=full[0], expert_low=low[1], expert_full=full[1], experts=architecture.experts,
        experts_per_token=architecture.experts_per_token,
        attention_flops=sum(_attention(architecture, group) for group in architecture.caches),
        head=float(architecture.vocab_size * architecture.hidden_size),
    )  # fmt: skip


def _attention(architecture: ModelArchitecture, group: CacheGroup) -> float:
    """FLOPs per token and cached token: 2 for each value of the scores and of the weighted sum."""
    heads = architecture.attention_heads
    if group.kind == "latent":
        return 4.0 * group.layers * heads * group.latent_dim / max(1, group.stride)
    if group.kind == "full":
        return 2.0 * group.layers * heads * (group.key_dim + group.value_dim)
    return 0.0  # windows and states: short, next to the matrices


def cache_traffic(cost: CacheCost) -> CacheTraffic:
    """What a step reads of the cache whose cost is given, on the fullest GPU."""
    return CacheTraffic(
        per_token=sum(kept.layers * kept.per_token for kept in cost.full),
        windows=tuple((kept.layers * kept.per_token, kept.window) for kept in cost.sliding),
        state=float(cost.state_bytes),
    )


def hardware_shape(
    entry: Gpu, architecture: Architecture, method: Method, numbers: Numbers, *, interconnect: str | None = None, across: bool = False,
    host_bandwidth: float | None = None, back_end: str | None = None,
) -> HardwareShape:  # fmt: skip
    """The shape of a GPU (an entry of the catalogue, or a spec's own) of an architecture for a method (an entry of methods.yaml). What a
    catalogue entry does not say is 0, but for the links and the host's memory (`host_bandwidth` in GB/s): a threshold stands for an unknown
    one. `back_end` is the class of llama.cpp's speeds, where it is not the architecture's own."""
    host, factors = host_bandwidth or numbers("speed.host_bandwidth"), architecture.get("speed") or {}
    bandwidth = float(entry.get("bandwidth_gb_per_s") or 0.0)
    of_host = not bandwidth and architecture["vendor"] == "cpu"
    bandwidth, assumed = (host, host_bandwidth is None) if of_host else (bandwidth, False)
    full = float(entry.get("fp16_tflops") or 0.0) * TERA
    kind, low = _arithmetic(entry, architecture, method)
    kind_of_link = interconnect or entry.get("interconnect") or "pcie"
    both = float(entry.get("interconnect_gb_per_s") or 0.0) if kind_of_link == entry.get("interconnect", kind_of_link) else 0.0
    if not both and kind_of_link != "none":
        both = numbers("speed.link_unknown" if kind_of_link in ("nvlink", "xgmi") else "speed.pcie_unknown")
    return HardwareShape(
        bandwidth=bandwidth * GB, full_flops=full, low_flops=low * TERA or full, kind=kind, link=both / 2.0 * GB, link_kind=kind_of_link,
        generation=Generation(factors.get("compute"), factors.get("host"), back_end or architecture["back_end"], bool(architecture.get("measured"))),
        across=across, host=host * GB, assumed=assumed, host_known=host_bandwidth is not None,
        int8_ops=float(entry.get("int8_tops") or 0.0) * TERA,
    )  # fmt: skip


def _arithmetic(entry: Gpu, architecture: Architecture, method: Method) -> tuple[str, float]:
    """What the kernels of a method compute in on this GPU, and its TFLOPS (0: as in 16 bits). Where the hardware lacks the method's own
    arithmetic the weights are unpacked to 16 bits; where it has it, but nobody says how fast, it is taken to be as fast as in 16 bits.
    MXFP4 weights meet 8-bit activations on hardware with FP4 units, and 16-bit ones elsewhere (source `speed-mxfp4-activations`)."""
    family, bits = method.get("family"), float(method.get("weight_bits") or 16)
    if family == "float" or bits >= 16:
        return "bf16", 0.0
    fp8, fp4, has = float(entry.get("fp8_tflops") or 0.0), float(entry.get("fp4_tflops") or 0.0), architecture["computes"]
    if family == "fp8" and (fp8 or "fp8" in has):
        return "fp8", fp8
    if family == "int8" and float(entry.get("int8_tops") or 0.0) > float(entry.get("fp16_tflops") or 0.0):
        return "int8", float(entry["int8_tops"])
    if family == "fp4" and (fp4 or "nvfp4" in has or "mxfp4" in has):
        return ("fp8", fp8) if float(method.get("activation_bits") or 16) > 4 else ("fp4", fp4)
    return "weight-only", 0.0
