"""Resource needs of training, distillation and pruning jobs, per GPU.

Floor 3, pure. All figures are bytes and estimates; numbers of bytes are thresholds (`training.…`, rules/physics/training.yaml).

training, full     P·(6 + 4 + 8) bytes of weights, gradients and AdamW's states on one GPU (source hf-memory-anatomy); FSDP shares
                   out P·(4 + 4 + 8), and makes the 16-bit copies as it goes: two of the largest parts of the model at once
training, lora     2·P frozen, and the same for the adapters only: r·(rows + columns) of each linear matrix
activations        every layer keeps its input (32 bits under autocast on one GPU, 16 under FSDP), and one layer at a time has
                   what its backward pass reads (source activation-recomputation: 34·h per token; here 18·h, and 8 per inner
                   value of a gated feed-forward)
loss               on whole logits a measured number of bytes per token and word of the vocabulary; TRL computes on tiles
teacher            2 bytes per parameter, frozen; on every GPU as a whole where the library does not share it out
generation         the KV cache of what the student writes
forward            the model in 16 bits over the GPUs, and one text's widest layer
sequential         as LLM Compressor's one-shot jobs: `job_needs`

States get no margin, as they are counted to the byte; activations do (`training.margin`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from generator.architecture.shape import Matrix, ModelArchitecture
from generator.facts.job import WEIGHTS, Needs
from generator.quantity import GIB, ceil_div
from generator.quantize.needs import job_needs

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import TrainingMethod

Numbers = Callable[[str], float]
_FROZEN = 2
"""Bytes of a 16-bit weight."""
_GATHERED = 2
"""Parts that FSDP holds unsharded at once: the computing one and the prefetched one."""


def training_needs(
    architecture: ModelArchitecture,
    job: str,
    entry: TrainingMethod,
    numbers: Numbers,
    *,
    gpus: int,
    student: ModelArchitecture | None = None,
    tokens: int,
    batch: int,
    samples: int = 0,
    output_bytes: int | None = None,
    lora_rank: int = 0,
) -> Needs:
    """The resource needs of `job`, in bytes; `gpu_memory` is per GPU of `gpus`.

    `architecture` is the spec's model: with a `student` it is the teacher, and the student is trained. `entry`
    is a method of `training_jobs` (its `memory`); `tokens` is the longest row and `batch` the rows of a step on one GPU.
    `lora_rank` above 0 trains adapters; `output_bytes` is the result's size, else that of the trained model in 16 bits.
    Raises ValueError for an unknown kind of memory, and for a teacher without a student.
    """
    memory = entry["memory"]
    kind = memory["kind"]
    if kind == "sequential":
        made = output_bytes if output_bytes is not None else _FROZEN * architecture.parameters
        return job_needs(architecture, memory["algorithm"], made, numbers, samples=samples, tokens=tokens)
    if kind == "forward":
        return _forward(architecture, entry, numbers, gpus, tokens, output_bytes)
    if kind != "training":
        raise ValueError(f"{job}: unknown kind of memory {kind!r}")
    if memory["teacher"] == "other" and student is None:
        raise ValueError(f"{job}: a student is needed beside the teacher")
    teacher = {"none": None, "same": architecture, "other": architecture}[memory["teacher"]]
    trained = student or architecture
    states = _states(trained, numbers, gpus, lora_rank)
    frozen = _FROZEN * teacher.parameters if teacher else 0
    share = ceil_div(frozen, gpus) if memory.get("teacher_split") else frozen
    rows = tokens * batch
    moving = activation_bytes(trained, numbers, rows, sharded=gpus > 1) + loss_bytes(trained, memory["loss"], numbers, rows)
    if memory.get("quantisers"):
        moving += 2 * _FROZEN * _largest_layer(trained)  # the layer's rounded weights, and the values kept for their backward pass
    if job == "distillation":
        moving += _cache_bytes(trained) * rows
    made = output_bytes if output_bytes is not None else _FROZEN * trained.parameters
    busy = int(states + share + moving * (1 + numbers("training.margin")))
    if memory.get("quantisers"):
        busy = max(busy, _FROZEN * trained.parameters)  # the scales are computed on one GPU, before sharding
    loaded = 2 * _FROZEN * trained.parameters if gpus == 1 else gpus * _FROZEN * trained.parameters  # by each process, in 16 bits for FSDP
    return Needs(
        gpu_memory=busy + int(numbers("quantize.runtime_gib") * GIB),
        host_memory=loaded + gpus * frozen,
        disk=_FROZEN * trained.parameters + (frozen if memory["teacher"] == "other" else 0) + 4 * trained.parameters + made,
        source="hf-memory-anatomy",
    )


def job_data(
    job: str,
    method: str,
    entry: TrainingMethod,
    numbers: Numbers,
    architecture: ModelArchitecture,
    *,
    model: Mapping[str, object],
    teacher: Mapping[str, object] | None,
    data: Mapping[str, object],
    options: Mapping[str, Mapping[str, object]],
) -> dict[str, Any]:
    """The content of a method's job.yaml: defaults for a first run, overridden by the user's `options`.

    `model` (what is trained or pruned) and `teacher` are {id, revision, trust_remote_code}; `data` is {file} or {dataset, split,
    revision}, and may name samples and tokens. `options` has the job's own sections, as `entry["settings"]`, and `training`.
    `architecture` is the model's: pruning without a target removes as many layers as `pruning.most_depth` allows.
    """
    made: dict[str, object] = {"model": dict(model), "output": WEIGHTS, "seed": 0}
    if teacher is not None:
        made["teacher"] = dict(teacher)
    settings: dict[str, dict[str, object]] = {name: {**section, **options.get(name, {})} for name, section in entry["settings"].items()}
    if entry["memory"]["kind"] == "training":
        samples, tokens = int(numbers("training.samples")), None
        training: dict[str, object] = {
            "steps": int(numbers("training.steps")),
            "batch_size": int(numbers("training.batch")),
            "max_length": int(numbers("training.tokens")),
            "learning_rate": numbers("training.learning_rate"),
            **options.get("training", {}),
        }
        if training.get("method") == "lora":
            training.setdefault("lora_rank", int(numbers("training.lora_rank")))
        made["training"] = training
        if job == "distillation":
            settings[job].setdefault("max_completion_length", int(numbers("training.completion_tokens")))
    else:
        samples, tokens = int(numbers("pruning.samples" if entry["memory"]["kind"] == "forward" else "pruning.expert_samples")), int(numbers("training.tokens"))
    made["data"] = {"samples": samples, **({"tokens": tokens} if tokens else {}), **data}
    if method == "experts":
        settings["pruning"].setdefault("share", numbers("pruning.expert_share"))
    elif job == "sparsity":
        settings["sparsity"].setdefault("share", numbers("sparsity.share"))
    elif method == "depth-width" and not {"layers", "intermediate_size"} & set(settings["pruning"]):
        settings["pruning"]["layers"] = architecture.layers - int(architecture.layers * numbers("pruning.most_depth"))
    return made | settings


def fits(needs: Needs, capacity: int) -> bool:
    """Whether a GPU of `capacity` bytes (as its driver reports) holds the job's share per GPU."""
    return needs.gpu_memory <= capacity


def least_gpus(needs: Callable[[int], Needs], capacity: int, most: int) -> int | None:
    """The smallest number of GPUs of `capacity` bytes that hold the job, by doubling up to `most`; None if `most` is not enough."""
    gpus = 1
    while gpus <= most:
        if fits(needs(gpus), capacity):
            return gpus
        gpus *= 2
    return None


def state_bytes(parameters: int, numbers: Numbers, *, sharded: bool = False) -> int:
    """Weights, gradients and optimizer states for mixed-precision training (source hf-memory-anatomy), in total over all GPUs.

    With FSDP (`sharded`) there is no permanent 16-bit copy.
    """
    weight = numbers("training.weight_bytes") - (_FROZEN if sharded else 0)
    return int(parameters * (weight + numbers("training.gradient_bytes") + numbers("training.optimizer_bytes")))


def activation_bytes(architecture: ModelArchitecture, numbers: Numbers, rows: int, *, sharded: bool = False) -> int:
    """Activations of `rows` tokens with checkpoints at every layer, plus one layer's backward pass."""
    residual = numbers("training.residual_bytes_fsdp" if sharded else "training.residual_bytes")
    kept = architecture.layers * architecture.hidden_size * residual
    hidden = architecture.hidden_size * numbers("training.layer_hidden_bytes")
    return int(rows * (kept + hidden + _inner(architecture) * numbers("training.layer_inner_bytes")))


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


def _states(trained: ModelArchitecture, numbers: Numbers, gpus: int, rank: int) -> int:
    if rank:
        whole = _FROZEN * trained.parameters + state_bytes(adapter_parameters(trained, rank), numbers, sharded=gpus > 1)
    else:
        whole = state_bytes(trained.parameters, numbers, sharded=gpus > 1)
    gathered = _GATHERED * _FROZEN * max(_largest_layer(trained), _largest_table(trained)) if gpus > 1 else 0
    return ceil_div(whole, gpus) + gathered


def _forward(architecture: ModelArchitecture, entry: TrainingMethod, numbers: Numbers, gpus: int, tokens: int, output_bytes: int | None) -> Needs:
    weights = _FROZEN * architecture.parameters
    hidden = architecture.hidden_size * numbers("training.layer_hidden_bytes")
    moving = tokens * (hidden + _inner(architecture) * numbers("training.layer_inner_bytes"))
    uneven = _FROZEN * max(_largest_layer(architecture), _largest_table(architecture)) if gpus > 1 else 0
    return Needs(
        gpu_memory=int(ceil_div(weights, gpus) + uneven + moving * (1 + numbers("training.margin")) + numbers("quantize.runtime_gib") * GIB),
        host_memory=weights,
        disk=weights + (output_bytes if output_bytes is not None else weights),
        source=entry["source"][0],
    )


def _inner(architecture: ModelArchitecture) -> int:
    """Inner values per token of the widest feed-forward: for a mixture, of the experts per token."""
    return max(architecture.intermediate_size, architecture.moe_intermediate_size * architecture.experts_per_token)


def _largest_layer(architecture: ModelArchitecture) -> int:
    """Parameters of the largest layer; matrices present in some layers only count as spread evenly over their span."""
    outside = ("embedding", "lookup", "lm_head", "vision")
    layers = [0] * max(1, architecture.layers)
    for matrix in architecture.matrices:
        if matrix.role not in outside:
            for layer in _span(matrix, len(layers)):
                layers[layer] += ceil_div(matrix.parameters, matrix.layer_last - matrix.layer_first + 1)
    return max(layers)


def _span(matrix: Matrix, layers: int) -> range:
    return range(min(matrix.layer_first, layers - 1), min(matrix.layer_last, layers - 1) + 1)


def _largest_table(architecture: ModelArchitecture) -> int:
    """Parameters of the larger of embedding and lm_head."""
    return max((m.rows * m.columns for m in architecture.matrices if m.role in ("embedding", "lm_head")), default=0)


def _cache_bytes(architecture: ModelArchitecture) -> int:
    """Bytes of keys and values of one token in 16 bits, as Transformers caches them."""
    return sum(c.layers * _FROZEN * (c.kv_heads * (c.key_dim + c.value_dim) or c.latent_dim) for c in architecture.caches)
