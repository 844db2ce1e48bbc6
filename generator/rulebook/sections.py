"""What the entries of a rule set hold, as far as Python reads them by name; the schemas in `rules/schemas` say the whole form.

Floor 1. For type checks only: imported under `TYPE_CHECKING`, as every start would pay for building the types. No key is sure
to be there unless its schema, or `facts_check.NEEDED`, says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypedDict

Source = str | list[str] | None
Handbook = Mapping[Literal["memory_gb", "tokens_per_second", "speed"], float]


class Gpu(TypedDict, total=False):
    vendor: str
    architecture: str
    aliases: list[str]
    compute_capability: float | None
    memory_gb: float
    memory_gib: float  # only what a spec says itself has it
    capacity_gib: float
    bandwidth_gb_per_s: float
    fp16_tflops: float
    fp8_tflops: float
    fp4_tflops: float
    int8_tops: float
    multiprocessors: int
    interconnect: str
    interconnect_gb_per_s: float
    unified_memory: bool
    handbook: Handbook
    source: Source


class Architecture(TypedDict, total=False):
    vendor: str
    compute_capabilities: list[float]
    bf16: bool


class GgmlType(TypedDict):
    bits_per_weight: float
    block: int


class Clause(TypedDict, total=False):
    """A type for some tensors of a kind: where, and only with or without an importance matrix, or for a number of experts."""

    type: str
    where: str
    imatrix: bool
    experts: int


class GgufMixture(TypedDict, total=False):
    """Types of tensors; under the name of each other kind of tensor lies a clause, or several."""

    base: str
    output: str
    token_embedding: str
    norm: str
    experts: Clause
    experts_8: Mapping[str, str]
    class_70b: Mapping[str, Mapping[str, str]]
    imatrix: str
    overrides: Mapping[str, str]  # what a spec sets by hand


class Method(TypedDict, total=False):
    title: str
    family: str
    weight_bits: float
    activation_bits: float
    group_size: int | None
    block: list[int] | None
    scale_bits: int
    zero_bits: int
    zero_point: bool
    strategy: str
    keeps_16bit: list[str]
    layout: str  # that of one checkpoint
    checkpoint: str
    online: Mapping[str, str]
    support_key: Mapping[str, str]
    gguf: GgufMixture
    handbook: Handbook
    source: Source


class Maker(TypedDict, total=False):
    """How a tool makes one method."""

    scheme: str
    algorithm: str
    group_sizes: list[int]
    stored: Mapping[str, int]
    not_for: list[str]
    recipe: list[Mapping[str, Mapping[str, object]]]
    quantization: Mapping[str, object]
    source: list[str]


class Quantizer(TypedDict, total=False):
    title: str
    version: str
    package: str
    program: str
    common: list[str]
    requirements: list[str]
    layout: str
    layers: str
    all_gpus: bool
    patterns: Mapping[str, list[str]]
    also_wide: list[Mapping[Literal["model_types", "roles"], list[str]]]
    makes: Mapping[str, Maker]
    types: Mapping[str, str]


class TrainingMemory(TypedDict, total=False):
    kind: str
    teacher: Literal["none", "same", "other"]
    teacher_split: bool
    loss: str
    quantisers: bool
    algorithm: str


class TrainingMethod(TypedDict, total=False):
    library: str
    package: str
    version: str
    requirements: list[str]
    settings: Mapping[str, Mapping[str, object]]
    memory: TrainingMemory
    engines: list[str]
    note: str
    proven: str
    source: list[str]


class TrainingJob(TypedDict, total=False):
    title: str
    program: str
    common: list[str]
    result: str
    methods: Mapping[str, TrainingMethod]


class Name(TypedDict, total=False):
    """A name that rules may read; its words are listed in `values`, or taken from the catalogue (`from`)."""

    stage: str
    type: str
    values: list[str]
    unit: str
    origin: str
    meaning: str


class Threshold(TypedDict, total=False):
    """A number, or one for each span of versions from `since` on."""

    meaning: str
    unit: str
    value: float
    since: str
    by_version: list[Threshold]
    source: str | None
    checked: str
    at: str


class Row(TypedDict, total=False):
    id: str
    when: Mapping[str, object]
    because: str
    source: str | None
    set: Mapping[str, object]
    rank: Mapping[str, str]
    order: Mapping[str, list[object]]
    at: str
    index: int


class Table(TypedDict):
    hit: str
    rows: list[Row]
    at: str


class Ruleset(TypedDict, total=False):
    name: str
    sizing: str
    digest: str
    fallback: Mapping[str, str]


class Policy(TypedDict):
    ruleset: Ruleset
    names: Mapping[str, Name]
    settings: Mapping[str, Mapping[str, object]]
    thresholds: Mapping[str, Threshold]
    tables: Mapping[str, Table]


class Loss(TypedDict):
    value: float
    low: float
    high: float


class Quality(TypedDict, total=False):
    method: str
    models_from_billion: float
    models_below_billion: float
    loss_percent: Loss
    source: Source
