"""A checkpoint's quantization, from `quantization_config`: per module, since tools quantize different modules.

Floor 3, pure. Layouts: AWQ, GPTQ, FP8 (tensor, channel, block), compressed-tensors, ModelOpt (mixed too), MXFP4,
bitsandbytes, FBGEMM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from generator.architecture.fields import Fields
from generator.architecture.ignore import Modules, inner
from generator.architecture.shape import CheckpointQuantization, Storage
from generator.errors import fail

_NVFP4 = Storage(4, 16, scale_bits=8)
_MXFP4 = Storage(4, 32, scale_bits=8)
_MXFP8 = Storage(8, 32, scale_bits=8)
_FP8 = Storage(8, channel=True, scale_bits=32)
_INT8 = Storage(8, channel=True, scale_bits=32)

_ALGORITHMS: Mapping[str, tuple[str, Storage]] = {
    "FP8": ("fp8", _FP8),
    "FP8_PER_CHANNEL_PER_TOKEN": ("fp8", _FP8),
    "FP8_PB_WO": ("fp8-block", Storage(8, block=(128, 128), scale_bits=32)),
    "NVFP4": ("nvfp4", _NVFP4),
    "W4A16_NVFP4": ("nvfp4", _NVFP4),
    "NVFP4_AWQ": ("nvfp4", _NVFP4),
    "MXFP4": ("mxfp4", _MXFP4),
    "W4A8_MXFP4_FP8": ("mxfp4", _MXFP4),
    "MXFP8": ("fp8", _MXFP8),
    "INT4_AWQ": ("awq", Storage(4, 128, scale_bits=16)),
    "W4A16_AWQ": ("awq", Storage(4, 128, scale_bits=16)),
    "W4A8_AWQ": ("awq", Storage(4, 128, scale_bits=16)),
    "INT8_SQ": ("int8", _INT8),
    "W8A8_SQ_PER_CHANNEL": ("int8", _INT8),
}
"""ModelOpt's names of one algorithm."""


@dataclass(frozen=True)
class Scheme:
    """A checkpoint's declared quantization: a summary, and the storage of each module."""

    summary: CheckpointQuantization
    decides: Callable[[str], Storage | None]

    def __call__(self, module: str, layer: int | None) -> Storage | None:
        """Storage of a module inside a layer (None: of the model itself)."""
        return self.decides(module if layer is None else f"layers.{layer}.{module}")


def read_quantization(config: Fields, text: Fields) -> Scheme | None:
    """The scheme of `quantization_config` (or of `compression_config`); None for a 16-bit checkpoint."""
    fields = config.child("quantization_config", "compression_config") or text.child(
        "quantization_config", "compression_config"
    )
    if fields is None or not fields.values:
        # ModelOpt's hf_quant_config.json, embedded in the config by some tools
        beside = config.child("hf_quant_config", "_hf_quant_config")
        return _modelopt(beside, text) if beside is not None and beside.values else None
    method = fields.word("quant_method").lower().replace("_", "-")
    if not method and fields.has("quant_algo"):
        method = "modelopt"
    reader = _READERS.get(method)
    if reader is None:
        known = ", ".join(sorted(_READERS))
        raise fail(
            "unknown-quantization",
            f"model config: {fields.where}quant_method {method[:40]!r} is unknown (known: {known})",
            config.place,
        )
    return reader(fields, text)


def _skipped(fields: Fields, *keys: str) -> Modules:
    """The modules kept in 16 bits."""
    names: list[str] = []
    for key in keys or ("ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules"):
        names += fields.sequence(key, str) or []
    return Modules(names, fields.place)


def _all_but(storage: Storage, skipped: Modules, lm_head: bool = False) -> Callable[[str], Storage | None]:
    def decides(name: str) -> Storage | None:
        if name in ("lm_head", "head") and not lm_head:
            return None
        return None if skipped and name in skipped else storage

    return decides


def _group(fields: Fields, default: int = 128) -> int:
    """`group_size`, 0 if the whole row is one group (-1)."""
    size = fields.integer("group_size", "q_group_size", low=-1, default=default)
    return max(0, size)


def _awq(fields: Fields, text: Fields) -> Scheme:
    bits = fields.integer("bits", "w_bit", high=16, default=4)
    group, zero = _group(fields), fields.flag("zero_point", default=True)
    storage = Storage(bits, group, None, not group, 16, bits if zero else 0)
    summary = CheckpointQuantization("awq", "awq", bits, group or None, zero_point=zero)
    return Scheme(summary, _all_but(storage, _skipped(fields)))


def _gptq(fields: Fields, text: Fields) -> Scheme:
    bits, group = fields.integer("bits", high=16), _group(fields)
    symmetric, order = fields.flag("sym", default=True), fields.flag("desc_act")
    # engines drop the stored zero points of symmetric checkpoints when they repack the weights
    storage = Storage(bits, group, None, not group, 16, 0 if symmetric else bits)
    dynamic = fields.child("dynamic")
    names = [f"re:{k[2:]}" for k in dynamic.values if isinstance(k, str) and k.startswith("-:")] if dynamic else []
    skipped = Modules([*names, *(fields.sequence("modules_to_not_convert", str) or [])], fields.place)
    summary = CheckpointQuantization("gptq", "gptq", bits, group or None, None, order, not symmetric)
    return Scheme(summary, _all_but(storage, skipped, fields.flag("lm_head")))


def _fp8(fields: Fields, text: Fields) -> Scheme:
    block = fields.integers("weight_block_size", 2, 1)
    if block:
        pair = (block[0], block[1])
        storage = Storage(8, block=pair, scale_bits=32)
        summary = CheckpointQuantization("fp8-block", "fp8", 8, block=pair)
    else:
        storage, summary = _FP8, CheckpointQuantization("fp8", "fp8", 8)
    listed = _listed(fields)
    if listed:  # experts of another precision in an FP8 checkpoint; the ignore list applies to them
        base = _all_but(storage, Modules([]))
        return Scheme(summary, lambda name: _lookup(listed, name) or base(name))
    base = _all_but(storage, _skipped(fields))
    if text.word("expert_dtype") == "fp4":
        return Scheme(summary, lambda name: _MXFP4 if ".experts." in name else base(name))
    return Scheme(summary, base)


def _mxfp4(fields: Fields, text: Fields) -> Scheme:
    skipped = _skipped(fields)
    summary = CheckpointQuantization("mxfp4", "mxfp4", 4, 32)
    return Scheme(summary, lambda name: _MXFP4 if ".experts" in name and name not in skipped else None)


def _bitsandbytes(fields: Fields, text: Fields) -> Scheme:
    skipped = _skipped(fields, "llm_int8_skip_modules", "modules_to_not_convert")
    if fields.flag("load_in_8bit", "_load_in_8bit"):
        return Scheme(CheckpointQuantization("bitsandbytes", "bitsandbytes", 8), _all_but(_INT8, skipped))
    double = fields.flag("bnb_4bit_use_double_quant")
    storage = Storage(4, 64, scale_bits=8 if double else 32)
    return Scheme(CheckpointQuantization("bitsandbytes", "bitsandbytes", 4, 64), _all_but(storage, skipped))


def _compressed(fields: Fields, text: Fields) -> Scheme:
    groups = fields.child("config_groups")
    if groups is None:
        raise fields.missing("config_groups")
    skipped = _skipped(fields)
    rules: list[tuple[Modules | None, Storage, str]] = []
    for key in groups.values:
        group = groups.child(key)
        weights = group.child("weights") if group else None
        if group is None or weights is None:
            continue
        targets = group.sequence("targets", str) or ["Linear"]
        form = group.word("format") or fields.word("format")
        storage, method = _weights(weights, form)
        everywhere = any(t in ("Linear", "LinearBase", "FusedMoE", "MoE") for t in targets)
        rules.append((None if everywhere else Modules(targets, fields.place), storage, method))
    if not rules:
        raise fields.missing("config_groups.*.weights")

    def decides(name: str) -> Storage | None:
        if skipped and name in skipped:
            return None
        for modules, storage, _ in rules:
            if modules is None:
                if name not in ("lm_head", "head"):
                    return storage
            elif name in modules:
                return storage
        return None

    _, storage, method = min(rules, key=lambda rule: rule[1].bits)
    zero = storage.zero_bits > 0
    sparse = fields.child("sparsity_config")
    pruned = (sparse is not None and sparse.word("format").lower() not in ("", "dense")) or fields.word("format") == "marlin-24"
    layout = "sparse-2-4" if pruned else "compressed-tensors"
    summary = CheckpointQuantization(
        method, layout, storage.bits, storage.group_size or None, storage.block, zero_point=zero
    )
    return Scheme(summary, decides)


def _weights(weights: Fields, form: str) -> tuple[Storage, str]:
    """Storage and method of one `weights` entry of compressed-tensors."""
    bits, kind = weights.integer("num_bits", high=16), weights.word("type", default="int")
    group = weights.integer("group_size", low=-1, default=0)
    group = max(0, group)
    block = weights.integers("block_structure", 2, 1) if weights.word("strategy") == "block" else None
    if kind == "float" and bits == 4:
        return (_MXFP4, "mxfp4") if group == 32 or "mxfp4" in form else (_NVFP4, "nvfp4")
    if kind == "float":
        if block:
            return Storage(8, block=(block[0], block[1]), scale_bits=32), "fp8-block"
        return (Storage(8, group, scale_bits=8), "fp8") if group else (_FP8, "fp8")
    symmetric = weights.flag("symmetric", default=True)
    storage = Storage(bits, group, None, not group, 16, 0 if symmetric else bits)
    if bits == 8:
        return storage, "int8"
    return storage, "gptq" if symmetric else "awq"


def _modelopt(fields: Fields, text: Fields) -> Scheme:
    inside = fields.child("quantization") or fields
    algorithm = (inside.word("quant_algo") or fields.word("quant_algo")).upper()
    listed = _listed(inside)
    if listed:
        storage = min(listed.values(), key=lambda s: s.bits)
        method = next(m for m, s in _ALGORITHMS.values() if s == storage)
        summary = CheckpointQuantization(method, "modelopt", storage.bits, storage.group_size or None)
        skipped = _skipped(inside)
        return Scheme(summary, lambda name: None if skipped and name in skipped else _lookup(listed, name))
    if algorithm not in _ALGORITHMS:
        raise fail(
            "unknown-quantization",
            f"model config: {inside.where}quant_algo {algorithm[:40]!r} is not known",
            fields.place,
        )
    method, storage = _ALGORITHMS[algorithm]
    summary = CheckpointQuantization(method, "modelopt", storage.bits, storage.group_size or None, storage.block)
    return Scheme(summary, _all_but(storage, _skipped(inside)))


def _listed(fields: Fields) -> dict[str, Storage]:
    """`quantized_layers`: storage by module name."""
    child = fields.child("quantized_layers")
    found: dict[str, Storage] = {}
    for name, entry in child.values.items() if child else ():
        algorithm: object = entry.get("quant_algo") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or not isinstance(algorithm, str) or algorithm.upper() not in _ALGORITHMS:
            raise fields.problem("quantized_layers", "names an unknown algorithm")
        found[inner(name)] = _ALGORITHMS[algorithm.upper()][1]
    return found


def _lookup(listed: Mapping[str, Storage], name: str) -> Storage | None:
    """The storage of a module, or of its closest listed parent."""
    while name:
        if name in listed:
            return listed[name]
        name = name.rpartition(".")[0]
    return None


_READERS: Mapping[str, Callable[[Fields, Fields], Scheme]] = {
    "awq": _awq,
    "awq-marlin": _awq,
    "auto-round": _gptq,
    "gptq": _gptq,
    "gptq-marlin": _gptq,
    "fp8": _fp8,
    "fbgemm-fp8": _fp8,
    "mxfp4": _mxfp4,
    "bitsandbytes": _bitsandbytes,
    "compressed-tensors": _compressed,
    "modelopt": _modelopt,
    "modelopt-fp4": _modelopt,
    "modelopt-mixed": _modelopt,
}
