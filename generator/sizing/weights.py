"""Weight bytes on the fullest GPU, tensor by tensor, for checkpoints in safetensors. Floor 3, pure. A quantised checkpoint decides for each
matrix how it is stored; for 16-bit weights that a method quantises, the method's own list of what stays in 16 bits does. What one figure of
bits per weight misses: embeddings, lm_head, norms, routers and vision towers in 16 bits, scales and zero points, what tensor parallelism
replicates, the rotary table, and the allocator's rounding."""

from __future__ import annotations

from collections.abc import Mapping
from math import lcm
from typing import TYPE_CHECKING, Literal

from generator.architecture.shape import Matrix, ModelArchitecture, Storage
from generator.quantity import by_identity, ceil_div, ceil_to
from generator.sizing.footprint import Layout
from generator.sizing.tensors import Tensor, allocated, padded_mxfp4, shape_on_gpu, stored, tensors

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Method

_VOCABULARY_PADDING = 64
"""vLLM and SGLang pad the vocabulary to a multiple of this (and of the ways it is split)."""

_FP8 = Storage(8)


def weight_bytes(architecture: ModelArchitecture, method: Method, layout: Layout, capability: float = 9.0) -> int:
    """Bytes of the weights on the fullest GPU, as an engine holds them, for one of `methods` that is not GGUF: the sum of `weight_parts`."""
    return int(sum(weight_parts(architecture, method, layout, capability).values()))


def weight_parts(architecture: ModelArchitecture, method: Method, layout: Layout, capability: float = 9.0) -> Mapping[str, float]:
    """The same bytes by the role of the matrices, and the rotary table; they must not be changed. Where the checkpoint is itself quantised
    with a method of the same family its own layout decides, matrix by matrix; with any other family (another checkpoint of the same model)
    the method does. `capability` is the GPU's compute capability: the kernels for MXFP4 experts pad their weights differently."""
    return _fullest_stage(architecture, method, layout._replace(replicas=1), capability)


def checkpoint_bytes(architecture: ModelArchitecture, method: Method, files: Literal["loaded", "published", "made"] = "loaded") -> int:
    """Bytes of the same weights as files: nothing rounded, no rotary table. `files` says whether what lies in the files and is not loaded
    counts, too. In a model's own repository (`published`) that is `unloaded`, stored as it says; in what a tool makes of it (`made`) only
    what tools carry over, in 16 bits (source `llmc-mtp`, `gptqmodel-mtp`). In the GPTQ layout (a method may have it as `layout`) it is the
    order of the columns, and the zero points that symmetric groups store all the same."""
    own = own_checkpoint(architecture, method)
    default = None if own else method_storage(method)
    total = 0
    for m in (*architecture.matrices, *architecture.in_host):
        total += sum(stored(m.rows, m.columns, storage_of(m, own, default, method))) * m.count
    if files == "loaded":
        return total
    idle = architecture.unloaded
    if files == "published" and (own or default is None):
        total += sum(sum(stored(m.rows, m.columns, m.storage if own else None)) * m.count for m in idle)
    elif architecture.unloaded_copied:
        total += sum(2 * m.parameters for m in idle)
    layout = architecture.quantization.layout if own and architecture.quantization else method.get("layout")
    if layout == "gptq":
        total += sum(_gptq_leftovers(m, storage_of(m, own, default, method)) for m in architecture.matrices)
    return total


def _gptq_leftovers(matrix: Matrix, storage: Storage | None) -> int:
    """Bytes of `g_idx` (32 bits for each input) and of the zero points of symmetric groups, which engines drop."""
    if storage is None:
        return 0
    groups = ceil_div(matrix.columns, storage.group_size) if storage.group_size else 1
    zeros = 0 if storage.zero_bits else int(matrix.rows * groups * storage.bits) // 8
    return (zeros + 4 * matrix.columns) * matrix.count


def own_checkpoint(architecture: ModelArchitecture, method: Method) -> bool:
    """Whether the architecture's own quantisation is what `method` means."""
    own = architecture.quantization
    if own is None:
        return False
    if not method:
        return True
    family, bits = method.get("family"), method.get("weight_bits")
    families = {"awq": "int4", "gptq": "int4", "nvfp4": "fp4", "mxfp4": "fp4", "int8": "int8"}
    mine = families.get(own.method, "fp8" if own.method.startswith("fp8") else own.method)
    return mine == family or (family not in ("float", "gguf") and bits == own.bits)


def method_storage(method: Method) -> Storage | None:
    """How a method stores a matrix that it quantises; None for 16 bits."""
    bits = method.get("weight_bits", 16)
    if bits >= 16:
        return None
    block = method.get("block")
    return Storage(
        bits, int(method.get("group_size") or 0), (int(block[0]), int(block[1])) if block else None, method.get("strategy") == "channel",
        int(method.get("scale_bits") or 0), int(method.get("zero_bits") or 0) if method.get("zero_point") else 0,
    )  # fmt: skip


def storage_of(matrix: Matrix, own: bool, default: Storage | None, method: Method) -> Storage | None:
    """How one matrix is stored: as its `own` checkpoint says, or by the method, whose storage is `default`."""
    if own:
        return matrix.storage
    keeps = method.get("keeps_16bit", ())
    if matrix.role in method.get("in_fp8", ()):
        return _FP8
    narrow = matrix.quantizable or matrix.storage is not None or matrix.role in method.get("narrow", ())
    return default if narrow and matrix.role not in keeps else None


@by_identity(2, 4096)
def _fullest_stage(architecture: ModelArchitecture, method: Method, layout: Layout, capability: float) -> dict[str, float]:
    own = own_checkpoint(architecture, method)
    default = None if own else method_storage(method)
    stages: list[dict[str, float]] = [{} for _ in range(layout.pipeline_parallel)]
    bounds = stage_bounds(architecture.layers, layout.pipeline_parallel)
    sizes = _sizes(architecture, layout._replace(pipeline_parallel=1), capability)
    for number, tensor in enumerate(tensors(architecture)):
        lead = tensor.lead
        storage = storage_of(lead, own, default, method)
        key = (number, storage)
        size = sizes.get(key)
        if size is None:
            size = sizes[key] = _on_gpu(tensor, architecture, layout, capability, storage)
        for stage, share in _shares(tensor, bounds, architecture.tied_embeddings):
            stages[stage][lead.role] = stages[stage].get(lead.role, 0.0) + size * share
    most = max(stages, key=lambda roles: sum(roles.values()))
    table = 2 * architecture.rotary_dim * architecture.rotary_rows
    return {**most, "rotary_table": table} if table else most


@by_identity(1, 1024)
def _sizes(architecture: ModelArchitecture, layout: Layout, capability: float) -> dict[tuple[int, Storage | None], float]:
    """Bytes of each tensor (by its number) on one GPU, as stored: filled as methods ask, which share most of a model's."""
    return {}


def _on_gpu(tensor: Tensor, architecture: ModelArchitecture, layout: Layout, capability: float, storage: Storage | None) -> float:
    """Bytes of one such tensor (of one layer) on one GPU, as allocated."""
    ways, lead, copies = layout.tensor_parallel, tensor.lead, 1
    if lead.shard == "expert" and architecture.experts:
        copies = ceil_div(architecture.experts, layout.ranks) if layout.expert_parallel else architecture.experts
    if lead.shard == "vocab":
        rows = ceil_to(lead.rows, lcm(_VOCABULARY_PADDING, ways)) // ways
        return sum(allocated(size) for size in stored(rows, lead.columns, storage))
    sizes: dict[int, int] = {}
    padded = architecture.quantization is not None and architecture.quantization.layout == "mxfp4"
    for matrix in tensor.matrices:
        rows, columns = shape_on_gpu(matrix, layout, architecture.head_dim)
        if padded and matrix.role == "expert" and storage is not None:
            rows, columns = padded_mxfp4(matrix, rows, columns, capability)
        for index, size in enumerate(stored(rows, columns, storage, copies)):
            sizes[index] = sizes.get(index, 0) + size
    total = sum(allocated(size) for size in sizes.values())
    if lead.name == "attn_kv_b" and storage is not None:
        # the absorbed form of latent attention is computed from an unpacked copy, which stays
        total += allocated(sum(2 * m.columns * ceil_div(m.rows, ways) for m in tensor.matrices))
    return total


def stage_bounds(layers: int, stages: int) -> list[tuple[int, int]]:
    """First and last layer (exclusive) of each pipeline stage; left-over layers go to the stages before the last."""
    sizes = [layers // stages] * stages
    for index in range(2, layers % stages + 2):
        sizes[-index % stages] += 1
    bounds, start = [], 0
    for size in sizes:
        bounds.append((start, start + size))
        start += size
    return bounds


def _shares(tensor: Tensor, bounds: list[tuple[int, int]], tied: bool) -> list[tuple[int, float]]:
    """For each pipeline stage how many layers' worth of this tensor it holds."""
    last = len(bounds) - 1
    if last == 0:
        return [(0, tensor.layers)]
    role = tensor.lead.role
    if role in ("embedding", "vision"):
        # tied embeddings are needed again where the logits are made
        return [(0, tensor.layers), (last, tensor.layers)] if tied and role == "embedding" else [(0, tensor.layers)]
    if role == "lm_head" or (tensor.layers == 1 and tensor.first == tensor.last == bounds[-1][1] - 1):
        return [(last, tensor.layers)]
    density = tensor.layers / (tensor.last - tensor.first + 1)
    shares = []
    for stage, (start, end) in enumerate(bounds):
        overlap = min(end, tensor.last + 1) - max(start, tensor.first)
        if overlap > 0:
            shares.append((stage, overlap * density))
    return shares
