"""What an estimate of speed needs, and what it says: a model's shape as speed sees it, bytes that a step reads and parameters that a token
meets; and a GPU's: bandwidth, arithmetic in the method's precision, links. Floor 4, pure. Bytes are bytes, rates are per second, times
are seconds unless a name says `_ms`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from generator.architecture.shape import CacheGroup, ModelArchitecture
from generator.quantity import GB, by_identity
from generator.sizing.cache import CacheCost
from generator.sizing.footprint import Numbers
from generator.sizing.tensors import stored
from generator.sizing.weights import method_storage, own_checkpoint, storage_of

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Architecture, Gpu, Method

SECONDS_OF_HOUR, MILLION = 3600.0, 1e6


class ModelShape(NamedTuple):
    """One model in one method, whole (not yet split over GPUs). `dense_bytes` are read by every step, `expert_bytes` by the steps whose
    tokens are routed to them; the input embedding is in neither. `dense_low` and `dense_full` are parameters that a token is multiplied
    with in the method's own precision and in 16 bits, `expert_low` and `expert_full` the same of all experts. `attention_flops` per token
    and cached token. `head` parameters make the logits: every step, but once per prompt."""

    layers: int
    hidden: int
    dense_bytes: float
    expert_bytes: float
    dense_low: float
    dense_full: float
    expert_low: float
    expert_full: float
    experts: int = 0
    experts_per_token: int = 0
    attention_flops: float = 0.0
    head: float = 0.0

    def weighing(self, size: float) -> ModelShape:
        """The same model where the bytes that a step reads are known to be `size` in all."""
        known = self.dense_bytes + self.expert_bytes
        share = size / known if known else 1.0
        return self._replace(dense_bytes=self.dense_bytes * share, expert_bytes=self.expert_bytes * share)

    @property
    def routed_share(self) -> float:
        """Share of the experts that one token is routed to."""
        return self.experts_per_token / self.experts if self.experts else 0.0

    def covered(self, tokens: float) -> float:
        """Share of the experts that at least one of `tokens` is routed to, if routing is even: 1 − (1 − k/E)^T."""
        return 1.0 - (1.0 - self.routed_share) ** tokens if self.experts else 0.0


class Generation(NamedTuple):
    """What an architecture of the catalogue says of speed: the thresholds of its factors (None: 1), llama.cpp's back end, and
    whether many have measured servers on it."""

    compute: str | None = None
    host: str | None = None
    back_end: str = "cpu"
    measured: bool = False


class HardwareShape(NamedTuple):
    """One GPU (or host) and its links.

    `bandwidth` in bytes/s; `full_flops` in 16 bits and `low_flops` in the method's own precision, dense, 0 where unknown; `kind` of
    arithmetic (`bf16`, `fp8`, `fp4`, `int8`, `weight-only`). `link` in bytes/s of one direction, `link_kind` nvlink, xgmi, pcie or none,
    `generation` of its architecture. `across` whether one replica spans nodes. `host` is the bandwidth of the host's memory in bytes/s,
    `assumed` whether `bandwidth` is that of a host of which nothing is known, `host_known` whether somebody said how fast the host's memory
    is. `int8_ops` is the dense INT8 peak per second whatever the method, 0 where unknown."""

    bandwidth: float
    full_flops: float
    low_flops: float
    kind: str
    link: float
    link_kind: str
    generation: Generation
    across: bool = False
    host: float = 0.0
    assumed: bool = False
    host_known: bool = False
    int8_ops: float = 0.0


class CacheTraffic(NamedTuple):
    """What one GPU reads of the KV cache for one token of one sequence, in bytes. `per_token` of the layers that keep every token,
    `windows` as (bytes per token, window), `state` bytes per sequence that are read and written whatever its length."""

    per_token: float
    windows: tuple[tuple[float, int], ...] = ()
    state: float = 0.0

    def bytes_at(self, context: float) -> float:
        """Bytes read for one token when `context` tokens are cached."""
        size = self.per_token * context + 2.0 * self.state
        for per_token, window in self.windows:
            size += per_token * min(context, window)
        return size

    def shared(self, ranks: int) -> CacheTraffic:
        """The same for a GPU that has one in `ranks` of the sequences."""
        windows = tuple((per_token / ranks, window) for per_token, window in self.windows)
        return CacheTraffic(self.per_token / ranks, windows, self.state / ranks)


class InHost(NamedTuple):
    """What a GPU leaves in the host's memory: shares of the bytes of everything but experts, of the experts, and of the layers
    that the CPU runs whole, their cache with them."""

    dense: float = 0.0
    experts: float = 0.0
    layers: float = 0.0

    @property
    def some(self) -> bool:
        """Whether a token reads anything of it."""
        return self.dense > 0.0 or self.experts > 0.0


class Drafting(NamedTuple):
    """Speculative decoding: `tokens` that a draft of `bytes` and `layers` proposes for each step, each accepted with the chance `accepted`
    once those before it were."""

    tokens: int
    accepted: float
    bytes: float
    layers: int

    @property
    def each_step(self) -> float:
        """Tokens that a step yields: those that are accepted in a row, and the model's own."""
        return sum(self.accepted**n for n in range(self.tokens + 1))


class Split(NamedTuple):
    """How one replica is split: ways of tensor parallelism, pipeline stages; and how many replicas there are."""

    tensor: int = 1
    pipeline: int = 1
    replicas: int = 1

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.tensor * self.pipeline * self.replicas


class Demand(NamedTuple):
    """The load on the whole deployment. `concurrency` sequences at once (None: as many as the cache holds), `input_tokens` and
    `output_tokens` of one, `most` sequences that one replica runs at once (its `max_num_seqs` and what its cache holds). `burst`: all come
    at once; else each comes when another is done, and answers differ in length."""

    concurrency: int | None
    input_tokens: float
    output_tokens: float
    most: float
    burst: bool = False


class Range(NamedTuple):
    """A figure with the bounds between which measurements of its class lie."""

    value: float
    low: float
    high: float


class Speed(NamedTuple):
    """What a deployment does under a load. `output_tokens_per_second` of the whole deployment, `per_gpu`, `per_user` (1 / TPOT), times in
    milliseconds. `limit` is what takes most of a step: bandwidth, compute, communication, host, or kv-capacity where the cache holds fewer
    sequences than were asked for. `basis` names the class of measurements that the bounds come from. `concurrency` sequences run at once,
    of the `asked` (None: as many as there is room for); those that find no place wait, and their wait is in `ttft_ms`."""

    output_tokens_per_second: Range
    ttft_ms: Range | None
    tpot_ms: Range
    limit: str
    basis: str
    concurrency: float
    gpus: int
    asked: int | None = None

    @property
    def per_gpu(self) -> Range:
        """Output tokens per second and GPU."""
        return Range(*(bound / self.gpus for bound in self.output_tokens_per_second))

    @property
    def per_user(self) -> Range:
        """Output tokens per second that one user sees."""
        time = self.tpot_ms
        return Range(1000.0 / time.value, 1000.0 / time.high, 1000.0 / time.low)

    @property
    def gpu_hours(self) -> Range:
        """GPU-hours per million output tokens."""
        rate = self.output_tokens_per_second
        one = self.gpus * MILLION / SECONDS_OF_HOUR
        return Range(one / rate.value, one / rate.high, one / rate.low)

    @property
    def waiting(self) -> bool:
        """Whether more were asked for at once than there are places, so that some wait for their first token."""
        return self.asked is not None and self.concurrency < self.asked * (1.0 - 1e-9)


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
