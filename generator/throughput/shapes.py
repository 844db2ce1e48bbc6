"""What an estimate of speed needs, and what it says. Floor 4, pure. Bytes are bytes, rates are per second, times are seconds unless a name
says `_ms`."""

from __future__ import annotations

from typing import NamedTuple

SECONDS_OF_HOUR, MILLION = 3600.0, 1e6


class ModelShape(NamedTuple):
    """One model in one method, whole (not yet split over GPUs).

    `dense_bytes` are read by every step, `expert_bytes` by the steps whose tokens are routed to them; the input
    embedding is in neither. `dense_low` and `dense_full` are parameters that a token is multiplied with in the method's
    own precision and in 16 bits, `expert_low` and `expert_full` the same of all experts. `attention_flops` per token
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
    """What a deployment does under a load.

    `output_tokens_per_second` of the whole deployment, `per_gpu`, `per_user` (1 / TPOT), times in milliseconds. `limit` is what takes most
    of a step: bandwidth, compute, communication, host, or kv-capacity where the cache holds fewer sequences than were asked for. `basis`
    names the class of measurements that the bounds come from. `concurrency` sequences run at once, of the `asked` (None: as many as there
    is room for); those that find no place wait, and their wait is in `ttft_ms`."""

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
