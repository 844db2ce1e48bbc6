"""A checkpoint's quantization, from `quantization_config`: per module, since tools quantize different modules. Floor 3, pure. Layouts: AWQ,
GPTQ, FP8 (tensor, channel, block), compressed-tensors, ModelOpt (mixed too), MXFP4, bitsandbytes, FBGEMM. Lists of ignored modules hold exact
names, prefixes, globs and `re:` patterns; names are compared from `layers.N.` on, since tools use different prefixes."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from generator.architecture.fields import Fields
from generator.architecture.shape import CheckpointQuantization, Storage
from generator.errors import Place, fail
from generator.readers.resources import shipped
from generator.record import dataclass

FILE = "quantizations.json"
"""Storages, ModelOpt's names of algorithms, layouts of its mixed checkpoints, words of `quant_method`."""
_MIXED = "MIXED_PRECISION"


class Stored(NamedTuple):
    """What one of ModelOpt's algorithms means: a method, a storage, and the layout by which the rules know which engines load it."""

    method: str
    storage: Storage
    layout: str


@lru_cache(32)
def _storage(name: str) -> Storage:
    said = shipped(FILE)["stored"][name]
    return Storage(**{**said, "block": tuple(said["block"]) if "block" in said else None})


def _algorithm(name: str) -> Stored | None:
    one = shipped(FILE)["modelopt"].get(name.upper())
    return None if one is None else Stored(one["method"], _storage(one["stored"]), one["layout"])


@dataclass(frozen=True)
class Scheme:
    """A checkpoint's declared quantization: a summary, and the storage of each module."""

    summary: CheckpointQuantization
    decides: Callable[[str], Storage | None]

    def __call__(self, module: str, layer: int | None) -> Storage | None:
        """Storage of a module inside a layer (None: of the model itself)."""
        return self.decides(module if layer is None else f"layers.{layer}.{module}")


def with_quant_file(config: Mapping[str, object], quant: Mapping[str, object] | None) -> Mapping[str, object]:
    """A config.json with the `hf_quant_config.json` of its repository (None: there is none), which counts where the config itself says
    nothing. vLLM and SGLang read them in this order (source `modelopt-two-files`)."""
    if quant is None or any(config.get(key) for key in ("quantization_config", "compression_config")):
        return config
    return {**config, "hf_quant_config": quant}


def read_quantization(config: Fields, text: Fields) -> Scheme | None:
    """The scheme of `quantization_config` (or of `compression_config`); None for a 16-bit checkpoint."""
    fields = config.child("quantization_config", "compression_config") or text.child("quantization_config", "compression_config")
    if fields is None or not fields.values:
        # ModelOpt's hf_quant_config.json, embedded in the config by some tools
        beside = config.child("hf_quant_config", "_hf_quant_config")
        return _modelopt(beside, text) if beside is not None and beside.values else None
    method = fields.word("quant_method").lower().replace("_", "-")
    if not method and fields.has("quant_algo"):
        method = "modelopt"
    forms = {word: form for form, words in shipped(FILE)["forms"].items() for word in words}
    if method not in forms:
        message = f"model config: {fields.where}quant_method {method[:40]!r} is unknown (known: {', '.join(sorted(forms))})"
        raise fail("unknown-quantization", message, config.place)
    return _READERS[forms[method]](fields, text)


def _skipped(fields: Fields, *keys: str) -> Modules:
    lists = keys or ("ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules")
    return Modules([name for key in lists for name in fields.sequence(key, str) or ()], fields.place)


def _all_but(storage: Storage, skipped: Modules, lm_head: bool = False) -> Callable[[str], Storage | None]:
    def decides(name: str) -> Storage | None:
        if name in ("lm_head", "head") and not lm_head:
            return None
        return None if skipped and name in skipped else storage

    return decides


def _summary(method: str, layout: str, storage: Storage, desc_act: bool = False, fp8_cache: bool = False) -> CheckpointQuantization:
    return CheckpointQuantization(method, layout, storage.bits, storage.group_size or None, storage.block, desc_act, fp8_cache=fp8_cache)


def _grouped(fields: Fields, bits: int, zeros: bool, default: int = 128) -> Storage:
    """Whole numbers of so many bits, a scale for each `group_size` (-1: for each row), with or without zero points."""
    group = max(0, fields.integer("group_size", "q_group_size", low=-1, default=default))
    return Storage(bits, group, None, not group, 16, bits if zeros else 0)


def _awq(fields: Fields, text: Fields) -> Scheme:
    bits = fields.integer("bits", "w_bit", high=16, default=4)
    storage = _grouped(fields, bits, fields.flag("zero_point", default=True))
    return Scheme(_summary("awq", "awq", storage), _all_but(storage, _skipped(fields)))


def _gptq(fields: Fields, text: Fields) -> Scheme:
    # engines drop the stored zero points of symmetric checkpoints when they repack the weights
    storage = _grouped(fields, fields.integer("bits", high=16), not fields.flag("sym", default=True))
    dynamic = fields.child("dynamic")
    names = [f"re:{k[2:]}" for k in dynamic.values if isinstance(k, str) and k.startswith("-:")] if dynamic else []
    skipped = Modules([*names, *(fields.sequence("modules_to_not_convert", str) or [])], fields.place)
    return Scheme(_summary("gptq", "gptq", storage, fields.flag("desc_act")), _all_but(storage, skipped, fields.flag("lm_head")))


def _fp8(fields: Fields, text: Fields) -> Scheme:
    block = fields.integers("weight_block_size", 2, 1)
    storage = Storage(8, block=(block[0], block[1]), scale_bits=32) if block else _storage("fp8")
    listed = _listed(fields)
    if listed:  # experts of another precision in an FP8 checkpoint; the ignore list applies to them
        base = _all_but(storage, Modules([]))
        least = min(listed.values(), key=lambda one: one.storage.bits)
        summary = _summary(least.method, f"fp8-{least.method}", replace(least.storage, block=None))
        return Scheme(summary, lambda name: _lookup(listed, name) or base(name))
    base, summary = _all_but(storage, _skipped(fields)), _summary("fp8-block" if block else "fp8", "fp8", storage)
    if text.word("expert_dtype") == "fp4":
        return Scheme(summary, lambda name: _storage("mxfp4") if ".experts." in name else base(name))
    return Scheme(summary, base)


def _mxfp4(fields: Fields, text: Fields) -> Scheme:
    skipped, storage = _skipped(fields), _storage("mxfp4")
    return Scheme(_summary("mxfp4", "mxfp4", storage), lambda name: storage if ".experts" in name and name not in skipped else None)


def _bitsandbytes(fields: Fields, text: Fields) -> Scheme:
    skipped = _skipped(fields, "llm_int8_skip_modules", "modules_to_not_convert")
    if fields.flag("load_in_8bit", "_load_in_8bit"):
        storage = _storage("int8")
    else:
        storage = Storage(4, 64, scale_bits=8 if fields.flag("bnb_4bit_use_double_quant") else 32)
    return Scheme(_summary("bitsandbytes", "bitsandbytes", storage), _all_but(storage, skipped))


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
    sparse = fields.child("sparsity_config")
    pruned = (sparse is not None and sparse.word("format").lower() not in ("", "dense")) or fields.word("format") == "marlin-24"
    layout = "sparse-2-4" if pruned else "compressed-tensors"
    return Scheme(_summary(method, layout, storage, fp8_cache=_fp8_cache(fields)), decides)


def _weights(weights: Fields, form: str) -> tuple[Storage, str]:
    """Storage and method of one `weights` entry of compressed-tensors."""
    bits, kind = weights.integer("num_bits", high=16), weights.word("type", default="int")
    block = weights.integers("block_structure", 2, 1) if weights.word("strategy") == "block" else None
    symmetric = kind == "float" or weights.flag("symmetric", default=True)
    storage = _grouped(weights, bits, not symmetric, 0)
    group = storage.group_size
    if kind == "float" and bits == 4:
        method = "mxfp4" if group == 32 or "mxfp4" in form else "nvfp4"
        return _storage(method), method
    if kind == "float":
        if block:
            return Storage(8, block=(block[0], block[1]), scale_bits=32), "fp8-block"
        return (Storage(8, group, scale_bits=8), "fp8") if group else (_storage("fp8"), "fp8")
    if bits == 8:
        return storage, "int8"
    return storage, "gptq" if symmetric else "awq"


def _modelopt(fields: Fields, text: Fields) -> Scheme | None:
    inside = fields.child("quantization") or fields
    algorithm = (inside.word("quant_algo") or fields.word("quant_algo")).upper()
    listed = _listed(inside)
    if listed:
        least = min(listed.values(), key=lambda one: one.storage.bits)
        beside = {one.layout for one in listed.values()} - {"modelopt"}
        layout = shipped(FILE)["mixed"].get(" ".join(sorted(beside)), "modelopt-mixed-other")
        summary = _summary(least.method, layout, replace(least.storage, block=None), fp8_cache=_fp8_cache(inside))
        skipped = _skipped(inside)
        return Scheme(summary, lambda name: None if skipped and name in skipped else _lookup(listed, name))
    if not algorithm and not fields.word("quant_method"):
        return None  # the file beside a config may say that nothing is quantized
    found = _algorithm(algorithm)
    if found is None:
        why = "needs quantized_layers, which say how each module is quantized" if algorithm == _MIXED else "is not known"
        raise fail("unknown-quantization", f"model config: {inside.where}quant_algo {algorithm[:40]!r} {why}", fields.place)
    summary = _summary(found.method, found.layout, found.storage, fp8_cache=_fp8_cache(inside))
    return Scheme(summary, _all_but(found.storage, _skipped(inside)))


def _fp8_cache(fields: Fields) -> bool:
    """Whether the checkpoint has scales for an FP8 KV cache: `kv_cache_quant_algo` names it, `kv_cache_scheme` describes or names it."""
    if isinstance(fields.values.get("kv_cache_scheme"), Mapping):
        scheme = fields.child("kv_cache_scheme")
        return scheme is not None and scheme.word("type") == "float" and scheme.integer("num_bits", default=0, low=0) == 8
    return fields.word("kv_cache_scheme", "kv_cache_quant_algo").upper() == "FP8"


def _listed(fields: Fields) -> dict[str, Stored]:
    child = fields.child("quantized_layers")
    found: dict[str, Stored] = {}
    for name, entry in child.values.items() if child else ():
        algorithm = _algorithm(str(entry.get("quant_algo"))) if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or algorithm is None:
            raise fields.problem("quantized_layers", "names an unknown algorithm")
        found[inner(name)] = algorithm
    return found


def _lookup(listed: Mapping[str, Stored], name: str) -> Storage | None:
    """The storage of a module, or of its closest listed parent."""
    while name:
        if name in listed:
            return listed[name].storage
        name = name.rpartition(".")[0]
    return None


_READERS: Mapping[str, Callable[[Fields, Fields], Scheme | None]] = {
    "awq": _awq, "gptq": _gptq, "fp8": _fp8, "mxfp4": _mxfp4, "bitsandbytes": _bitsandbytes, "compressed": _compressed, "modelopt": _modelopt,
}  # fmt: skip


_OUTER = ("model.", "language_model.", "backbone.", "transformer.", "text_model.")
_MAX_PATTERNS = 256
_MAX_REPEATS = 5
_QUANTIFIED_GROUP = re.compile(r"\)\s*[*+{?]")
_REPEATS = re.compile(r"[*+{]")


def inner(name: str) -> str:
    """A module's name without the prefix of the enclosing models."""
    while True:
        outer = next((o for o in _OUTER if name.startswith(o)), None)
        if outer is None:
            return name
        name = name[len(outer) :]


class Modules:
    """A set of modules with a membership test."""

    def __init__(self, entries: Iterable[str], place: Place | None = None) -> None:
        self._exact: set[str] = set()
        self._prefixes: set[str] = set()
        self._patterns: list[re.Pattern[str]] = []
        for entry in entries:
            if entry.startswith("re:"):
                self._patterns.append(_regex(entry[3:], place))
            elif entry.endswith("*") and not any(c in entry[:-1] for c in "*?["):
                self._prefixes.add(inner(entry[:-1]))
            elif any(c in entry for c in "*?["):
                # a glob for a module includes its submodules
                self._patterns.append(re.compile(fnmatch.translate(entry)))
                self._patterns.append(re.compile(fnmatch.translate(entry + ".*")))
            else:
                self._exact.add(inner(entry))
            if len(self._patterns) > _MAX_PATTERNS:
                raise fail("bad-model-config", f"model config: more than {_MAX_PATTERNS} module patterns", place)
        self._lengths = sorted({len(p) for p in self._prefixes})
        self._words: dict[str, set[int]] = {}
        """numbers of words of the exact names, by their first word"""
        for name in self._exact:
            first, *more = name.split(".")
            self._words.setdefault(first, set()).add(1 + len(more))

    def __bool__(self) -> bool:
        return bool(self._exact or self._prefixes or self._patterns)

    def __contains__(self, name: str) -> bool:
        if self._exact:
            words = name.split(".")
            for first, word in enumerate(words):
                for count in self._words.get(word, ()):
                    if ".".join(words[first : first + count]) in self._exact:
                        return True
        if any(name[:length] in self._prefixes for length in self._lengths):
            return True
        if not self._patterns:
            return False
        forms = (name, f"model.{name}", f"language_model.model.{name}", f"model.language_model.{name}")
        return any(pattern.match(form) for pattern in self._patterns for form in forms)


def _regex(text: str, place: Place | None) -> re.Pattern[str]:
    """A pattern without catastrophic backtracking: no repeated group, few repeats."""
    if len(text) > 500 or _QUANTIFIED_GROUP.search(text) or len(_REPEATS.findall(text)) > _MAX_REPEATS:
        raise fail("bad-model-config", f"model config: module pattern too complex: {text[:60]!r}", place)
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise fail("bad-model-config", f"model config: bad module pattern {text[:60]!r}: {error}", place) from None
