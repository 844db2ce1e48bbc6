"""GGUF files produced by a job: their size with individual tensor types, and the job's resource needs.

Floor 3, pure. Individual tensor types become part of a method's entry (`gguf: {overrides}`), so that the
file, the weights on a GPU and the job's command have one origin; `generator.sizing.gguf_mixture` defines the form of keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from generator.architecture.shape import ModelArchitecture
from generator.errors import did_you_mean, fail
from generator.facts.job import Needs
from generator.quantity import GIB
from generator.sizing.footprint import Numbers
from generator.sizing.gguf import gguf_bytes
from generator.sizing.gguf_mixture import layers_key, quantizable

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import GgmlType, Method


_SIXTEEN = ("f32", "f16", "bf16")
_BY_HAND = ("tensor_types", "keep", "first_layers", "last_layers")
"""The keys for individual tensors in a spec's `quantize` section."""

_EXPERTS = ("_exps", "_shexp", "_chexps")
"""Suffixes of expert tensors: a kind without a suffix includes these, as in llama-quantize."""

_WIDE = "q8_0"
"""Default type of tensors kept wide: the narrowest type with almost no loss (`rules/facts/methods.yaml`)."""

_SLAB = 8 * GIB
_BATCH = 2048
"""Of the pinned build: rows of one tensor held at once (LLAMA_QUANT_MAX_BUF_SIZE in src/llama-quant.cpp), and the tokens of a
batch, for all of which llama-imatrix computes logits (n_batch in common/common.h)."""


def overridden(method: Method, architecture: ModelArchitecture, asked: Mapping[str, Any]) -> Method:
    """`method` with the tensor types of a spec's `quantize` section; the same object if there are none.

    Single kinds (`tensor_types`) take precedence over roles (`keep`), and these over the first and last layers; kept tensors get
    `keep_type`, q8_0 by default. Raises `InputError` for a kind missing in the model."""
    gguf = method.get("gguf")
    if not gguf or gguf["base"] in _SIXTEEN or asked.keys().isdisjoint(_BY_HAND):
        return method
    kinds = quantizable(architecture)
    wide = str(asked.get("keep_type") or _WIDE)
    found: dict[str, str] = {}
    for word, wanted in (asked.get("tensor_types") or {}).items():
        for kind in _kinds_named(str(word), kinds):
            found.setdefault(kind, str(wanted))
    for kind, role in kinds.items():
        if role in (asked.get("keep") or ()):
            found.setdefault(kind, wide)
    first, last = int(asked.get("first_layers") or 0), int(asked.get("last_layers") or 0)
    layers = [i for i in range(architecture.layers) if i < first or i >= architecture.layers - last]
    if layers:
        found[layers_key(layers)] = wide
    return {**method, "gguf": {**gguf, "overrides": found}} if found else method


def _kinds_named(word: str, kinds: Mapping[str, object]) -> list[str]:
    if word == "output" and word not in kinds:  # tied: the input embeddings are the output matrix
        word = "token_embd"
    found = [kind for kind in kinds if kind == word or kind.removeprefix(word) in _EXPERTS]
    if not found:
        raise fail("unknown-tensor-kind", f"this model has no tensors of the kind {word!r}{did_you_mean(word, kinds)} (it has {', '.join(sorted(kinds))})")
    return found


def gguf_output(
    architecture: ModelArchitecture, method: Method, ggml_types: Mapping[str, GgmlType], *, imatrix: bool = False, header_per_token: float = 0.0
) -> tuple[int, float]:
    """Bytes of a job's output file, and its average bits per weight.

    `header_per_token` are bytes of the header for each entry of the vocabulary: its text, type and score, and the merges."""
    tensors = gguf_bytes(architecture, method, ggml_types, imatrix)
    weights = sum(m.parameters for m in architecture.matrices if m.role not in ("vision", "mtp"))
    return tensors + round(header_per_token * architecture.vocab_size), 8 * tensors / max(1, weights)


def gguf_needs(
    architecture: ModelArchitecture, output_bytes: int, ggml_types: Mapping[str, GgmlType], methods: Mapping[str, Method], numbers: Numbers,
    *, imatrix: bool = False, from_gguf: bool = False,
) -> Needs:  # fmt: skip
    """The estimated resource needs of a job, in bytes. No GPU; `from_gguf`: nothing is downloaded or converted.

    Disk: the download, the 16-bit file, the result. Host memory, at the worst step: converting holds one tensor as stored, in 32 bits and
    as written; quantizing holds it in 16 bits, in 32 and as result, 8 GiB of rows at most; llama-imatrix reads the 16-bit file repeatedly,
    and holds the logits of a batch. Read in src/llama-quant.cpp and tools/imatrix/imatrix.cpp of the pinned build."""
    sixteen = gguf_bytes(architecture, methods["gguf-f16"], ggml_types)
    stacked = max(1, architecture.experts)  # a layer's experts share one tensor
    largest = max((m.rows * m.columns * (stacked if m.role == "expert" else 1) for m in architecture.matrices), default=0)
    steps = [min(8 * largest, _SLAB + 2 * largest)]
    if not from_gguf:
        steps.append(8 * largest)
    if imatrix:
        steps.append(sixteen + 4 * _BATCH * architecture.vocab_size)
    return Needs(
        gpu_memory=0,
        host_memory=int(max(steps) * (1 + numbers("quantize.margin")) + numbers("quantize.runtime_gib") * GIB),
        disk=output_bytes + (0 if from_gguf else sixteen + (architecture.tensor_bytes or 2 * architecture.parameters)),
        source="lcpp-quant",
    )
