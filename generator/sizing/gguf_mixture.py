"""Which ggml type each tensor of a GGUF gets, as llama-quantize chooses it. Floor 3, pure. See `generator.sizing.gguf`. Types by hand, as
`--tensor-type` takes them, name a kind of tensor (`attn_v`), layers (`blk.0-1,30-31`) or both (`blk.0-1.ffn_down`); the first that matches
holds, before the mixture. Source `lcpp-quant-src`: src/llama-quant.cpp searches a pattern in the lower-case name of a tensor."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

from generator.architecture.shape import Matrix, ModelArchitecture, Role, Stored
from generator.errors import did_you_mean, fail
from generator.quantity import ranges
from generator.record import dataclass

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Clause, GgmlType, Method

_FALLBACK = {"q2_K": "q4_0", "q3_K": "q4_0", "q4_K": "q5_0", "q5_K": "q5_1", "q6_K": "q8_0"}
"""Where rows do not divide into blocks of 256 values; `iq…` becomes iq4_nl, and f16 follows where 32 do not either."""

_ATTENTION_V = ("attn_v", "attn_qkv", "attn_kv_b")
_SPLIT_LATENT = ("attn_k_b", "attn_v_b")
"""MLA's projections by head: the quantiser takes their third dimension for experts."""

_NEVER_QUANTIZED = ("ssm_conv1d", "shortconv.conv", "altup", "laurel", "per_layer_model_proj")
_OUTSIDE = ("output", "token_embd", "rope_")
LEFT_OUT = ("vision", "mtp")
"""Roles that a language model is loaded without."""


class _Kind(NamedTuple):
    """One tensor per layer: `values` of it, in rows of `columns`."""

    name: str
    role: Role
    category: str
    columns: int
    values: int
    layers: list[int]


@dataclass(frozen=True, slots=True)
class Mixture:
    """A method's mixture, ready to be asked for one model."""

    base: str
    output: str
    token_embedding: str
    lookup: str
    kept: str
    experts: str | None
    fixed: Mapping[str, str]
    clauses: Mapping[str, tuple[tuple[str, str], ...]]
    raised: Mapping[str, str]
    types: Mapping[str, tuple[float, int]]
    tied: bool
    quantized: bool
    own_experts: str | None
    all_experts: str | None
    overrides: tuple[Override, ...] = ()

    @classmethod
    def of(cls, method: Method, ggml_types: Mapping[str, GgmlType], architecture: ModelArchitecture, imatrix: bool) -> Mixture:
        """The mixture of `method`; clauses that cannot hold for this model are left out."""
        gguf = method["gguf"]
        base = gguf["base"]
        experts = architecture.experts
        clauses = {}
        for category in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            found = cast("Clause | list[Clause]", gguf.get(category, []))
            some = found if isinstance(found, list) else [found]
            held = [_clause(clause, architecture, imatrix) for clause in some]
            clauses[category] = tuple(clause for clause in held if clause is not None)
        large = architecture.layers == 80 and 8 * architecture.kv_heads == architecture.attention_heads
        types = {name: (entry["bits_per_weight"] / 8, entry["block"]) for name, entry in ggml_types.items()}
        return cls(
            base=base, output=gguf["output"], token_embedding=gguf["token_embedding"], lookup=gguf.get("lookup", gguf["token_embedding"]),
            kept=gguf["norm"], experts=gguf["experts"]["type"] if "experts" in gguf else None,
            fixed=gguf.get("experts_8", {}) if experts == 8 else {}, clauses=clauses,
            raised=gguf.get("class_70b", {}).get("attn_v", {}) if large else {}, types=types,
            tied=not any(m.role == "lm_head" for m in architecture.matrices), quantized=types[base][1] > 1,
            own_experts="mxfp4" if architecture.quantization and architecture.quantization.method == "mxfp4" else None,
            all_experts=architecture.gguf_experts, overrides=read_overrides(gguf.get("overrides") or {}, types),
        )  # fmt: skip

    def by_hand(self, kind: _Kind, layer: int | None) -> str | None:
        """The type that an override gives a tensor, or None where the mixture chooses. Not to files in 16 bits."""
        if kind.category == "kept" or not self.quantized:
            return None
        found = next((override.type for override in self.overrides if override.matches(kind.name, layer)), None)
        return None if found is None else self.fit(found, kind.columns)

    def choose(self, kind: _Kind, index: int, many: int) -> str:
        """The type of one tensor: the `index`-th of its category, or its layer, of `many`."""
        category = kind.category
        if category == "kept":
            return self.kept
        if self.all_experts and kind.role == "expert":
            return self.all_experts
        if not self.quantized:  # a conversion to 16 bits leaves experts that come in MXFP4 as they are
            return self.own_experts if self.own_experts and kind.role == "expert" else self.base
        if kind.role == "lookup":
            return self.fit(self.lookup, kind.columns)
        if category == "output" or (category == "token_embd" and self.tied):
            divides = kind.columns % self.types[self.base][1] == 0
            return self.fit(self.output if divides else "q8_0", kind.columns)
        if category == "token_embd":
            return self.fit(self.token_embedding, kind.columns)
        if self.experts is not None and (kind.role == "expert" or kind.name in _SPLIT_LATENT):
            return self.fit(self.experts, kind.columns)
        if category in self.fixed:
            return self.fit(self.fixed[category], kind.columns)
        chosen = next((t for t, where in self.clauses.get(category, ()) if _holds(where, index, many)), self.base)
        if category == "attn_v":
            chosen = self.raised.get(chosen, chosen)
        return self.fit(chosen, kind.columns)

    def fit(self, wanted: str, columns: int) -> str:
        """`wanted`, or what replaces it in rows that its blocks do not divide."""
        if columns % self.types[wanted][1] == 0:
            return wanted
        replaced = "iq4_nl" if wanted.startswith("iq") else _FALLBACK.get(wanted, wanted)
        return replaced if columns % self.types[replaced][1] == 0 else "f16"


def _clause(clause: Clause, architecture: ModelArchitecture, imatrix: bool) -> tuple[str, str] | None:
    """Type and place of a clause, or None where it cannot hold for this model."""
    if clause.get("imatrix", imatrix) != imatrix or clause.get("experts", architecture.experts) != architecture.experts:
        return None
    where = clause.get("where", "all")
    if where in ("gqa_4", "gqa_4_or_experts_4"):
        shared = not _no_heads_first(architecture) and architecture.attention_heads >= 4 * architecture.kv_heads
        many = where == "gqa_4_or_experts_4" and architecture.experts >= 4
        return (clause["type"], "all") if shared or many else None
    return clause["type"], where


def _no_heads_first(architecture: ModelArchitecture) -> bool:
    """Whether the file lists KV heads by layer and the first layer, the only one that is looked at, has none."""
    names = {m.name for m in architecture.matrices}
    first = min((m.layer_first for m in architecture.matrices if m.name in ("attn_k", "attn_qkv")), default=0)
    return first > 0 and ("ssm_in" in names or any(n.startswith("shortconv") for n in names))


def _holds(where: str, i: int, n: int) -> bool:
    """Whether place `i` of `n` lies where a clause says."""
    if where == "all":
        return True
    if where == "more_bits":
        return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2
    if where == "first_eighth":
        return i < n // 8
    if where == "first_sixteenth":
        return i < n // 16
    if where == "middle":
        return n // 8 <= i < 7 * n // 8
    return i < int(where.removeprefix("first_"))


def tensors(architecture: ModelArchitecture, mixture: Mixture) -> Iterator[Stored]:
    """Every tensor of the text model, equal ones together."""
    text = [matrix for matrix in architecture.matrices if matrix.role not in LEFT_OUT]
    kinds = [kind for matrix in text for kind in _kinds(architecture, matrix)]
    for kind in kinds:
        for chosen, layers in _types(kind, kinds, architecture, mixture):
            size = int(kind.values * mixture.types[chosen][0])
            yield Stored(kind.name, kind.role, [] if _outside(kind) else layers, chosen, size)


def quantizable(architecture: ModelArchitecture) -> dict[str, Role]:
    """The kinds of tensors that the quantiser may touch, with their roles."""
    text = [matrix for matrix in architecture.matrices if matrix.role not in LEFT_OUT]
    return {kind.name: kind.role for matrix in text for kind in _kinds(architecture, matrix) if kind.category != "kept"}


def _outside(kind: _Kind) -> bool:
    return kind.category in ("token_embd", "output") or kind.name.startswith(_OUTSIDE)


def _types(kind: _Kind, kinds: list[_Kind], architecture: ModelArchitecture, mixture: Mixture) -> Iterator[tuple[str, list[int]]]:
    """The types that tensors of one kind get, and in which layers."""
    if mixture.overrides:
        by_hand: dict[str, list[int]] = {}
        left: list[int] = []
        for layer in kind.layers:
            given = mixture.by_hand(kind, None if _outside(kind) else layer)
            (left if given is None else by_hand.setdefault(given, [])).append(layer)
        yield from by_hand.items()
        if not left:
            return
        kind = kind._replace(layers=left)
    if not any(where != "all" for _, where in mixture.clauses.get(kind.category, ())):
        yield mixture.choose(kind, 0, 1), kind.layers
        return
    counted = kind.category == "attn_v" or mixture.base.startswith(("iq1", "iq2"))
    by_layer = architecture.experts > 1 and not counted
    places = {} if by_layer else _ordinals(kinds, kind.category, mixture)
    many = sum(len(k.layers) for k in kinds if k.category == "attn_v") if kind.category == "attn_v" else architecture.layers
    groups: dict[str, list[int]] = {}
    for layer in kind.layers:
        index = layer if by_layer else places[(layer, kind.name)]
        groups.setdefault(mixture.choose(kind, index, many), []).append(layer)
    yield from groups.items()


def _ordinals(kinds: list[_Kind], category: str, mixture: Mixture) -> dict[tuple[int, str], int]:
    """The number of each tensor among those of its category, in the quantiser's order: by layer, then by name. Tensors that get their type
    by hand are not counted: the quantiser counts where it chooses."""
    alike = [kind for kind in kinds if kind.category == category]
    names = sorted((layer, kind.name) for kind in alike for layer in kind.layers if mixture.by_hand(kind, layer) is None)
    return {name: number for number, name in enumerate(names)}


def _kinds(architecture: ModelArchitecture, matrix: Matrix) -> Iterator[_Kind]:
    per_layer = max(1, architecture.experts) if matrix.role == "expert" else 1
    span = matrix.layer_last - matrix.layer_first + 1
    count = max(1, matrix.count // per_layer)
    if count <= span:  # of interleaved kinds only the number of layers is known: they lie evenly
        layers = [matrix.layer_first + place * span // count for place in range(count)]
        values = matrix.rows * matrix.columns * (matrix.count // count)
    else:
        layers = list(range(matrix.layer_first, matrix.layer_last + 1))
        values = matrix.rows * matrix.columns * matrix.count // span
    if matrix.name == "attn_kv_b" and architecture.mla:
        yield from _split_latent(architecture, matrix, layers)
        return
    yield _Kind(matrix.name, matrix.role, _category(matrix), matrix.columns, values, layers)


def _split_latent(architecture: ModelArchitecture, matrix: Matrix, layers: list[int]) -> Iterator[_Kind]:
    """MLA: converters split `attn_kv_b`, and lay the keys' half across, so that its rows are as long as a key is."""
    rank, heads = matrix.columns, max(1, architecture.attention_heads)
    latent = max(c.latent_dim for c in architecture.caches if c.kind == "latent")
    query = next((m.rows for m in architecture.matrices if m.name in ("attn_q_b", "attn_q")), 0)
    keys = query // heads - (latent - rank)
    both = matrix.rows // heads
    keys = keys if 0 < keys < both else both // 2
    yield _Kind("attn_k_b", matrix.role, "other", keys, heads * keys * rank, layers)
    yield _Kind("attn_v_b", matrix.role, "other", rank, heads * (both - keys) * rank, layers)


def _category(matrix: Matrix) -> str:
    """The quantiser's word for a tensor's kind; `kept` ones it leaves as they are."""
    name = matrix.name
    if min(matrix.rows, matrix.columns) == 1 or matrix.role in ("norm", "router") or name.endswith(".bias"):
        return "kept"
    if name.startswith(_NEVER_QUANTIZED) or name == "position_embd":
        return "kept"
    if matrix.role == "lm_head":
        return "output"
    if matrix.role in ("embedding", "lookup"):
        return "token_embd"
    if name in _ATTENTION_V:
        return "attn_v"
    return next((c for c in ("ffn_gate", "ffn_up", "ffn_down") if name.startswith(c)), name)


_LAYERS = r"[0-9]{1,4}(?:-[0-9]{1,4})?"
_KEY = re.compile(rf"(?:blk\.(?P<layers>{_LAYERS}(?:,{_LAYERS})*))?(?:(?(layers)\.)(?P<kind>[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*))?")


class Override(NamedTuple):
    """The type of some tensors: of a kind (None: of every kind) in some layers (None: wherever they lie)."""

    kind: str | None
    layers: frozenset[int] | None
    type: str

    def matches(self, kind: str, layer: int | None) -> bool:
        """Whether a tensor gets this type; `layer` is None outside of the layers."""
        return self.kind in (None, kind) and (self.layers is None or layer in self.layers)


def read_overrides(given: Mapping[str, str], types: Collection[str]) -> tuple[Override, ...]:
    """The overrides by their keys, types in ggml's own spelling; raises `InputError` for other keys and types."""
    spelt = {name.lower(): name for name in types}
    found = []
    for key, wanted in given.items():
        match = _KEY.fullmatch(key)
        if not key or match is None or key == "blk" or (key.startswith("blk.") and match["layers"] is None):
            raise fail("bad-tensor-kind", f"{key!r} is no kind of tensor: it is written like attn_v, blk.0-1 or blk.0-1.ffn_down")
        if wanted.lower() not in spelt:
            raise fail("bad-tensor-type", f"{wanted!r} is no type of GGUF tensors that is known here{did_you_mean(wanted, types)}")
        layers = match["layers"]
        spans = [span.partition("-") for span in layers.split(",")] if layers else []
        numbers = frozenset(number for first, _, last in spans for number in range(int(first), int(last or first) + 1))
        found.append(Override(match["kind"], None if layers is None else numbers, spelt[wanted.lower()]))
    return tuple(found)


def layers_key(layers: Iterable[int]) -> str:
    """The key of all tensors in some layers: `blk.0-1,30-31`."""
    return f"blk.{ranges(layers)}"


def pattern(override: Override) -> str:
    """The regular expression (ECMAScript) that matches the names of these tensors, and no other's."""
    kind = "" if override.kind is None else re.escape(override.kind) + r"\.weight$"
    if override.layers is None:
        return rf"^(blk\.[0-9]+\.)?{kind}"
    return rf"^blk\.({'|'.join(map(str, sorted(override.layers)))})\.{kind}"
