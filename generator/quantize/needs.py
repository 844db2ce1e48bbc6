"""Resource needs of a job: GPU memory, host memory, disk and time, from the model's shape and the tool's memory use.

Floor 3, pure. LLM Compressor and GPTQModel hold the model on the host and move one layer at a time to the GPU, the vision
tower as a whole (source `llmc-memory`); GPTQ adds a Hessian of columns × columns in 32 bits for each matrix of the layer,
AWQ the inputs of the layer's parts for all texts. ModelOpt loads the whole model onto the GPUs. All of these are estimates."""

from __future__ import annotations

from collections.abc import Callable

from generator.architecture.shape import Matrix, ModelArchitecture
from generator.facts.job import Needs
from generator.quantity import GIB

Numbers = Callable[[str], float]
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
