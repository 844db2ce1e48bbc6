"""Bytes of a candidate's weights on the fullest GPU: which of the formulas holds for its form.

Floor 3, pure.
"""

from __future__ import annotations

from generator.decide.context import Context
from generator.decide.made import Made
from generator.sizing.footprint import Layout
from generator.sizing.gguf import gguf_weights
from generator.sizing.weights import checkpoint_bytes, weight_bytes

_PADS_LIKE_BLACKWELL = 10.0
_UNKNOWN = 9.0
"""Compute capability of a GPU that has none: the one most logs are of."""


def weights_on_gpu(context: Context, method: str, layout: Layout, made: Made | None = None) -> int:
    """Bytes of the weights; where a file's header gave its exact size, the formula only says how they are shared out.

    Weights that a job makes are what it says of them, matrix by matrix.
    """
    architecture, model = context.model.architecture, context.model
    entry = context.book.section("methods")[method]
    if made is not None:
        if made.layout != "gguf":
            return weight_bytes(made.architecture, {}, layout, capability=_capability(context))
        return gguf_weights(architecture, made.method, context.book.section("ggml_types"), layout, cpu=context.gpu.vendor == "cpu")
    own = method == model.own_method or (model.own_method is None and entry["family"] == "float")
    exact = architecture.tensor_bytes if own else 0
    if entry["family"] == "gguf":
        types = context.book.section("ggml_types")
        return gguf_weights(architecture, entry, types, layout, cpu=context.gpu.vendor == "cpu", exact=exact)
    size = weight_bytes(architecture, entry, layout, capability=_capability(context))
    return int(size * exact / checkpoint_bytes(architecture, entry, "published")) if exact else size


def _capability(context: Context) -> float:
    """Whose padding of MXFP4 experts holds: AMD's kernels pad as those of compute capability 10 do."""
    return _PADS_LIKE_BLACKWELL if context.gpu.vendor == "amd" else context.gpu.compute_capability or _UNKNOWN
