"""Resource needs of jobs: quantization, training, distillation and pruning, per GPU, in bytes: what docs/compression.md (Memory) says, part by part.

Floor 3, pure. All figures are estimates; numbers of bytes are thresholds (`training.…`, rules/physics/training.yaml). Of FSDP two of the
largest parts of the model are whole at once. States get no margin, as they are counted to the byte; activations do (`training.margin`). Of jobs
that quantize without training: LLM Compressor and GPTQModel hold the model on the host and move one layer at a time to the GPU, the vision
tower as a whole (source `llmc-memory`); GPTQ adds a Hessian of columns × columns in 32 bits for each matrix of the layer, AWQ the inputs
of the layer's parts for all texts; ModelOpt loads the whole model onto the GPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from generator.architecture.shape import Matrix, ModelArchitecture
from generator.facts.job import Needs
from generator.quantity import GIB, ceil_div
from generator.sizing.footprint import Numbers

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import TrainingMethod

_OUTSIDE = ("embedding", "lookup", "lm_head", "vision")
_KEPT_INPUTS = 4
"""Layer parts with inputs kept by AWQ: attention, its output, the feed-forward part, its last matrix."""

_CLASSES = (("quantize.minutes_few", "minutes"), ("quantize.minutes_hour", "under an hour"), ("quantize.minutes_day", "hours"))


def job_needs(architecture: ModelArchitecture, algorithm: str, output_bytes: int, numbers: Numbers, *, samples: int = 0, tokens: int = 0) -> Needs:
    """The resource needs of a safetensors job, in bytes (GPU memory: total of all GPUs).

    `algorithm` is rtn, ptq, gptq, awq or modelopt; `samples` calibration texts of `tokens` tokens."""
    sixteen = 2 * architecture.parameters
    texts = 2 * samples * tokens * architecture.hidden_size
    layer = max((sum(_one_layer(architecture, i)) for i in range(architecture.layers)), default=0)
    vision = sum(2 * m.parameters for m in architecture.matrices if m.role == "vision")
    gpu = max(layer, vision)
    if algorithm == "modelopt":
        gpu = sixteen
    if algorithm == "gptq":
        gpu = max(layer + _hessians(architecture), vision)
    if algorithm == "awq":
        gpu += _KEPT_INPUTS * texts
    if samples:
        gpu += tokens * _widest(architecture) * 2
    margin = 1 + numbers("quantize.margin")
    minutes = architecture.parameters / 1e9 * numbers(f"quantize.minutes_per_billion_{'ptq' if algorithm == 'modelopt' else algorithm}")
    return Needs(
        gpu_memory=int(gpu * margin + numbers("quantize.runtime_gib") * GIB), host_memory=int((sixteen + 2 * texts) * margin),
        disk=sixteen + output_bytes, time_class=time_class(minutes, numbers),
        source="llmc-memory" if algorithm != "modelopt" else "modelopt-ptq",
    )  # fmt: skip


def time_class(minutes: float, numbers: Numbers) -> str:
    """The class of a time: GPUs, disks and models differ too much for a number."""
    return next((word for bound, word in _CLASSES if minutes <= numbers(bound)), "a day or more")


def _one_layer(architecture: ModelArchitecture, layer: int) -> list[int]:
    """Bytes of the matrices of one layer in 16 bits; a kind present in some layers only counts with its average share."""
    return [2 * m.rows * m.columns * _in_a_layer(m) for m in architecture.matrices if m.role not in _OUTSIDE and m.layer_first <= layer <= m.layer_last]


def _in_a_layer(matrix: Matrix) -> int:
    """The number of these matrices in a layer that has any, including all experts."""
    return max(1, matrix.count // (matrix.layer_last - matrix.layer_first + 1))


def _hessians(architecture: ModelArchitecture) -> int:
    """Bytes of the Hessians of the layer with the most (source `llmc-memory`; 4 bytes per value)."""
    layers: dict[int, int] = {}
    for m in architecture.matrices:
        if m.quantizable and m.role not in _OUTSIDE:
            for layer in range(m.layer_first, m.layer_last + 1):
                layers[layer] = layers.get(layer, 0) + 4 * m.columns**2 * _in_a_layer(m)
    return max(layers.values(), default=0)


def _widest(architecture: ModelArchitecture) -> int:
    """Live values per token: the logits, or twice a layer's inner width plus four times the hidden size."""
    width = max(architecture.intermediate_size, architecture.moe_intermediate_size * max(1, architecture.experts_per_token))
    return max(architecture.vocab_size, 2 * width + 4 * architecture.hidden_size)


_FROZEN = 2
"""Bytes of a 16-bit weight."""
_GATHERED = 2
"""Parts that FSDP holds unsharded at once: the computing one and the prefetched one."""


def training_needs(
    architecture: ModelArchitecture, entry: TrainingMethod, numbers: Numbers, *, gpus: int, tokens: int, batch: int = 1, samples: int = 0,
    student: ModelArchitecture | None = None, lora_rank: int = 0,
) -> Needs:  # fmt: skip
    """The resource needs of a job, in bytes; `gpu_memory` is per GPU of `gpus`.

    `architecture` is the spec's model: with a `student` it is the teacher, and the student is trained. `entry` is a method of `training_jobs`
    (its `memory`); `tokens` is the longest row, `batch` the rows of a step on one GPU; `lora_rank` above 0 trains adapters."""
    memory, trained = entry["memory"], student or architecture
    weights, layer = _FROZEN * trained.parameters, _largest_layer(trained)
    if memory["kind"] == "sequential":
        return job_needs(architecture, memory["algorithm"], weights, numbers, samples=samples, tokens=tokens)
    margin, runtime = 1 + numbers("training.margin"), numbers("quantize.runtime_gib") * GIB
    gathered = _FROZEN * max(layer, _largest_table(trained)) if gpus > 1 else 0
    if memory["kind"] == "forward":
        moving = tokens * _one_layer_bytes(trained, numbers)
        return Needs(int(ceil_div(weights, gpus) + gathered + moving * margin + runtime), weights, 2 * weights, source=entry["source"][0])
    frozen = _FROZEN * architecture.parameters if memory["teacher"] != "none" else 0
    share = ceil_div(frozen, gpus) if memory.get("teacher_split") else frozen
    rows = tokens * batch
    moving = activation_bytes(trained, numbers, rows, sharded=gpus > 1) + loss_bytes(trained, memory["loss"], numbers, rows)
    if memory.get("quantisers"):
        moving += 2 * _FROZEN * layer  # the layer's rounded weights, and the values kept for their backward pass
    if memory.get("generates"):
        moving += _cache_bytes(trained) * rows
    changed = adapter_parameters(trained, lora_rank) if lora_rank else trained.parameters
    states = state_bytes(changed, numbers, sharded=gpus > 1) + (weights if lora_rank else 0)
    busy = int(ceil_div(states, gpus) + _GATHERED * gathered + share + moving * margin)
    if memory.get("quantisers"):
        busy = max(busy, weights)  # the scales are computed on one GPU, before sharding
    loaded = 2 * weights if gpus == 1 else gpus * weights  # by each process, in 16 bits for FSDP
    download = weights + (frozen if memory["teacher"] == "other" else 0)
    return Needs(busy + int(runtime), loaded + gpus * frozen, download + 4 * trained.parameters + weights, source="hf-memory-anatomy")


def least_gpus(needs: Callable[[int], Needs], capacity: int, most: int) -> int | None:
    """The smallest power of two of GPUs of `capacity` bytes (as their driver reports) that hold the job; None if `most` are not enough."""
    counts = (1 << power for power in range(most.bit_length()))
    return next((gpus for gpus in counts if needs(gpus).gpu_memory <= capacity), None)


def state_bytes(parameters: int, numbers: Numbers, *, sharded: bool = False) -> int:
    """Weights, gradients and optimizer states for mixed-precision training (source hf-memory-anatomy), in total over all GPUs.

    With FSDP (`sharded`) there is no permanent 16-bit copy."""
    weight = numbers("training.weight_bytes") - (_FROZEN if sharded else 0)
    return int(parameters * (weight + numbers("training.gradient_bytes") + numbers("training.optimizer_bytes")))


def activation_bytes(architecture: ModelArchitecture, numbers: Numbers, rows: int, *, sharded: bool = False) -> int:
    """Activations of `rows` tokens with checkpoints at every layer, plus one layer's backward pass."""
    residual = numbers("training.residual_bytes_fsdp" if sharded else "training.residual_bytes")
    return int(rows * (architecture.layers * architecture.hidden_size * residual + _one_layer_bytes(architecture, numbers)))


def _one_layer_bytes(architecture: ModelArchitecture, numbers: Numbers) -> float:
    """Bytes per token of one layer's backward pass; of a mixture's feed-forward, those of the experts per token."""
    inner = max(architecture.intermediate_size, architecture.moe_intermediate_size * architecture.experts_per_token)
    return architecture.hidden_size * numbers("training.layer_hidden_bytes") + inner * numbers("training.layer_inner_bytes")


def loss_bytes(architecture: ModelArchitecture, loss: str, numbers: Numbers, rows: int) -> int:
    """Memory of the loss: on `full` logits, on both models' (`distillation`), or on `tiles` of both in 32 bits."""
    if loss == "tiles":
        words = min(architecture.vocab_size, int(numbers("training.tile_words")))
        return 2 * 4 * min(rows, int(numbers("training.tile_tokens"))) * words
    each = numbers("training.distillation_loss_bytes" if loss == "distillation" else "training.loss_bytes")
    return int(rows * architecture.vocab_size * each)


def adapter_parameters(architecture: ModelArchitecture, rank: int) -> int:
    """Parameters of LoRA adapters of `rank` on every linear layer but lm_head: two thin matrices for each."""
    outside = ("embedding", "lookup", "lm_head", "norm", "vision", "router")
    return sum(rank * (m.rows + m.columns) * m.count for m in architecture.matrices if m.role not in outside and m.columns > 1)


def _largest_layer(architecture: ModelArchitecture) -> int:
    """Parameters of the largest layer; matrices present in some layers only count as spread evenly over their span."""
    outside = ("embedding", "lookup", "lm_head", "vision")
    layers = [0] * max(1, architecture.layers)
    for matrix in architecture.matrices:
        if matrix.role not in outside:
            for layer in range(min(matrix.layer_first, len(layers) - 1), min(matrix.layer_last, len(layers) - 1) + 1):
                layers[layer] += ceil_div(matrix.parameters, matrix.layer_last - matrix.layer_first + 1)
    return max(layers)


def _largest_table(architecture: ModelArchitecture) -> int:
    return max((m.rows * m.columns for m in architecture.matrices if m.role in ("embedding", "lm_head")), default=0)


def _cache_bytes(architecture: ModelArchitecture) -> int:
    """Bytes of keys and values of one token in 16 bits, as Transformers caches them."""
    return sum(c.layers * _FROZEN * (c.kv_heads * (c.key_dim + c.value_dim) or c.latent_dim) for c in architecture.caches)
