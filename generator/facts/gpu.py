"""The GPU (or host) of a spec: from the catalogue, or from the fields that the spec gives; and the card that a name means,
however makers, drivers and shops write it. Words that tell no card from another, and accelerators that no engine here serves, are facts
(`gpu_names`). Floor 3, pure."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, cast

from generator.errors import InputError, did_you_mean, fold
from generator.quantity import GIB
from generator.record import dataclass
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered
from generator.rulebook.table import first_source
from generator.sizing.footprint import Device
from generator.spec.deployment import DeploymentSpec

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Entry
    from generator.rulebook.sections import Gpu as GpuEntry

_SIZE = re.compile(r"(\d+)\s*g(?:i?b)?(?![a-z0-9])")
_LONGEST = 100
_WORD = re.compile(r"[a-z0-9.]+")


def card_of(book: RuleBook, wanted: str) -> str | None:
    """The catalogue's name of a card; None where it means none, or several. A catalogue name whose unit was cut short (`H100-80G`) is a
    slip, not a spelling of shops."""
    if fold(wanted + "b") in book.index("gpus") and wanted[-2:-1].isdigit() and "-" in wanted:
        return None
    return book.index("gpus").get(fold(wanted)) or _cards(book).get(key_of(book, wanted))


def sizes_of(book: RuleBook, wanted: str) -> list[str]:
    """The cards that a name without a memory size may mean."""
    key = key_of(book, wanted)
    rest = re.compile(re.escape(key) + r"(pcie|nvl)?[1-9]\d*gb") if key else None
    return sorted({name for card, name in _cards(book).items() if rest is not None and rest.fullmatch(card)})


def served_elsewhere(book: RuleBook, wanted: str) -> tuple[str, str] | None:
    """The family of an accelerator that no engine of the catalogue serves, and what does."""
    word, key = fold(wanted), key_of(book, wanted)
    for family, entry in book.section("gpu_names").items():
        if any(start in (word[: len(start)], key[: len(start)]) for start in map(fold, entry.get("elsewhere", ()))):
            return family, entry["use"]
    return None


@remembered
def _cards(book: RuleBook) -> Mapping[str, str]:
    gpus = book.section("gpus")
    found = {key_of(book, alias): name for name, entry in gpus.items() for alias in entry.get("aliases") or ()}
    return found | {key_of(book, name): name for name in gpus}


def key_of(book: RuleBook, name: str) -> str:
    """A name without the words that tell nothing, the memory size last."""
    if len(name) > _LONGEST:
        return fold(name)
    front, anywhere = _words(book)
    written = _SIZE.sub(r"\1gb", name.lower().replace("(r)", " ").replace("(tm)", " "))
    words = [word for word in _WORD.findall(written) if word not in anywhere]
    size = [word for word in words if re.fullmatch(r"\d+gb", word)]
    key = "".join(word for word in words if word not in size)
    while lead := next((word for word in front if key.startswith(word) and key != word), ""):
        key = key[len(lead) :]
    return key + "".join(size[:1])


@remembered
def _words(book: RuleBook) -> tuple[tuple[str, ...], frozenset[str]]:
    entries: list[Entry] = list(book.section("gpu_names").values())
    front = {fold(word) for entry in entries for word in entry.get("front", ())}
    return tuple(sorted(front, key=len, reverse=True)), frozenset(fold(word) for entry in entries for word in entry.get("anywhere", ()))


@dataclass(frozen=True, slots=True)
class Gpu:
    """One accelerator, or the host for `cpu`. `memory_gb` is what the box says (decimal GB), `capacity_gib` what the driver reports (GiB)
    and what is planned with; `basis` says where that figure comes from: spec, catalogue, or assumed (a share of what the box says).
    `computes` is the arithmetic that it has in hardware; `fields` are the figures of its entry. `share_gib` is this deployment's part of
    it. `sizes` are the capacities of unequal cards, the fastest first, of which this is the mean. `bandwidth` is in GB/s; 0 where
    unknown."""

    name: str
    vendor: str
    architecture: str
    compute_capability: float
    memory_gb: float
    capacity_gib: float
    basis: str
    bandwidth: float = 0.0
    interconnect: str = "pcie"
    multiprocessors: int = 0
    unified: bool = False
    computes: frozenset[str] = frozenset()
    listed: bool = True
    source: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False)
    share_gib: float | None = None
    sizes: tuple[float, ...] = ()

    @property
    def devices(self) -> tuple[Device, ...]:
        """Each of unequal cards as sizing sees it; else the one for all."""
        return tuple(replace(self, capacity_gib=size, sizes=()).device for size in self.sizes) or (self.device,)

    @property
    def device(self) -> Device:
        """This GPU as sizing sees it; an assumed capacity of unified memory is already without the system's part, and a host's RAM has a reserve of its own."""
        unified = self.unified and self.basis != "assumed" and self.vendor != "cpu"
        own = min(self.capacity_gib, self.share_gib or self.capacity_gib)
        card = int(self.capacity_gib * GIB) if own < self.capacity_gib else 0
        return Device(int(own * GIB), self.vendor, self.compute_capability, self.multiprocessors, unified, card)

    @property
    def holds_everything(self) -> bool:
        """Whether what an engine keeps in host memory lies in this memory too: a CPU's, or unified memory that is counted whole."""
        return self.vendor == "cpu" or (self.unified and self.basis != "assumed")


RATES = ("bandwidth_gb_per_s", "fp16_tflops", "fp8_tflops", "fp4_tflops", "int8_tops")


def resolve_gpu(spec: DeploymentSpec, book: RuleBook) -> Gpu:
    """The GPU of a spec. Raises `InputError` for a name that is not in the catalogue (unless the rule set has a fallback), and for an
    unlisted GPU whose architecture can be neither read nor derived."""
    hardware, wanted = spec.hardware, spec.hardware.gpu
    if any(card != wanted for card in hardware.cards):
        return _together([resolve_gpu(replace(spec, hardware=replace(hardware, gpu=card, cards=())), book) for card in hardware.cards])
    entry: GpuEntry
    if isinstance(wanted, str):
        name, entry = _listed(spec, wanted, book)
    else:
        name, entry = str(wanted.get("name") or "custom GPU"), _described(spec, wanted, book)
    if hardware.mig is not None:
        entry = _slice(spec, name, entry)
    if hardware.devices and entry["vendor"] in ("cpu", "apple"):
        raise InputError(spec.problem(("hardware", "devices"), "bad-value", f"{name} is no card with a number: leave `devices` out"))
    capacity, basis = _capacity(spec, entry, book)
    kind = book.section("architectures")[entry["architecture"]]
    return Gpu(
        name=name, vendor=entry["vendor"], architecture=entry["architecture"],
        compute_capability=float(entry.get("compute_capability") or next(iter(kind.get("compute_capabilities") or ()), 0)),
        memory_gb=float(entry.get("memory_gb") or capacity * GIB / 1e9), capacity_gib=capacity, basis=basis,
        bandwidth=float(entry.get("bandwidth_gb_per_s") or 0), interconnect=hardware.interconnect or entry.get("interconnect") or "pcie",
        multiprocessors=int(entry.get("multiprocessors") or 0), unified=bool(entry.get("unified_memory")), computes=frozenset(kind["computes"]),
        listed=isinstance(wanted, str) and name in book.section("gpus"), source=first_source(entry.get("source")),
        fields=cast("Mapping[str, Any]", entry), share_gib=hardware.share_gib,
    )  # fmt: skip


def _slice(spec: DeploymentSpec, name: str, entry: GpuEntry) -> GpuEntry:
    """One MIG slice of a GPU: its own memory, with its part of the bandwidth and of the arithmetic, and no link to another slice."""
    profiles = entry.get("mig") or {}
    found = profiles.get(spec.hardware.mig or "")
    if found is None:
        known = f"no MIG profile of {name}{did_you_mean(spec.hardware.mig or '', profiles)} (one of {', '.join(profiles)})"
        message = f"{spec.hardware.mig!r} is {known}" if profiles else f"no MIG profiles of {name} are known: leave `mig` out"
        raise InputError(spec.problem(("hardware", "mig"), "unknown-mig", message))
    full = max(profiles.values(), key=lambda one: one["memory_gib"])
    memory, cores = found["memory_gib"] / full["memory_gib"], found["multiprocessors"] / full["multiprocessors"]
    scaled = {key: value * (memory if key == "bandwidth_gb_per_s" else cores) for key, value in entry.items() if key in RATES}  # type: ignore[operator]
    own = {"capacity_gib": found["memory_gib"], "memory_gb": found["memory_gib"] * GIB / 1e9, "multiprocessors": found["multiprocessors"]}
    return cast("GpuEntry", {**entry, **scaled, **own, "interconnect": "none", "interconnect_gb_per_s": 0})


def _together(cards: list[Gpu]) -> Gpu:
    """Unequal cards as one kind: layers are spread by memory and read one card after the other, so rates are means by memory. What the
    cards can compute is taken from the first: the engines that spread layers run on each card what it can."""
    total, first = sum(card.capacity_gib for card in cards), cards[0]
    known = [key for key in RATES if all(card.fields.get(key) for card in cards)]
    rates = {key: total / sum(card.capacity_gib / card.fields[key] for card in cards) for key in known}
    names = Counter(card.name for card in cards)
    return replace(
        first, name=" + ".join(name if count == 1 else f"{count}x {name}" for name, count in names.items()), listed=False, fields=rates,
        basis=next((card.basis for card in cards if card.basis == "assumed"), first.basis), bandwidth=rates.get("bandwidth_gb_per_s", 0.0),
        interconnect="pcie", sizes=tuple(card.capacity_gib for card in cards),
    )  # fmt: skip


def _listed(spec: DeploymentSpec, wanted: str, book: RuleBook) -> tuple[str, GpuEntry]:
    gpus = book.section("gpus")
    name = card_of(book, wanted)
    if name is not None:
        return name, gpus[name]
    fallback = book.fallback("gpu")
    if fallback is not None:
        return wanted, gpus[fallback]
    place, elsewhere, sizes = spec.hardware.at, served_elsewhere(book, wanted), sizes_of(book, wanted)
    if sizes:
        raise InputError(spec.problem(place, "unknown-gpu", f"{wanted!r} is sold with several memory sizes; write one of {', '.join(sizes)}"))
    if elsewhere is not None:
        family, use = elsewhere
        message = f"{wanted!r} is an accelerator of the family {family}, for which nothing is planned or written here; it is served by {use}"
        raise InputError(spec.problem(place, "unsupported-gpu", message))
    names = [name for name, entry in gpus.items() if entry.get("vendor")]
    shorter = {name.rpartition("-")[0]: name for name in reversed(names) if name.endswith("GB")}  # people leave the memory out
    near = did_you_mean(wanted, names if "gb" in wanted.lower() else shorter)
    near = next((near.replace(repr(short), repr(name)) for short, name in shorter.items() if repr(short) in near), near)
    from generator.spec.words import machine  # imported lazily: only errors need it

    said = machine(wanted)
    if len(said) > 1 and card_of(book, str(said["gpu"])) is not None:
        near = "; write `gpu: {gpu}` and `gpus_per_node: {gpus_per_node}`".format(**said)
    raise InputError(spec.problem(place, "unknown-gpu", f"{wanted!r} is not a known GPU{near} (`gen-deploy list gpus` lists them)"))


def _described(spec: DeploymentSpec, wanted: Mapping[str, Any], book: RuleBook) -> GpuEntry:
    def wrong(key: str, code: str, message: str) -> InputError:
        return InputError(spec.problem((*spec.hardware.at, *([key] if key else [])), code, message))

    architectures, vendor = book.section("architectures"), wanted.get("vendor", "nvidia")
    capability, architecture = wanted.get("compute_capability"), wanted.get("architecture")
    if capability is not None:
        with contextlib.suppress(ValueError):
            capability = float(capability)
        if not isinstance(capability, float) or not isfinite(capability) or capability <= 0:
            raise wrong("compute_capability", "wrong-type", f"{wanted['compute_capability']!r} is no compute capability such as 8.9")
    if architecture is not None and architecture not in architectures:
        near = did_you_mean(architecture, architectures)
        raise wrong("architecture", "unknown-architecture", f"{architecture!r} is no architecture{near} (one of {', '.join(architectures)})")
    if architecture is None and capability is not None:
        architecture = next((a for a, e in architectures.items() if capability in (e.get("compute_capabilities") or ())), None)
    if architecture is None:
        alone = [a for a, e in architectures.items() if e["vendor"] == vendor]
        architecture = alone[0] if len(alone) == 1 or vendor == "cpu" else None
    if architecture is None:
        raise wrong("", "missing-key", f"give the `architecture` of this GPU (one of {', '.join(architectures)}), or its `compute_capability`")
    made_by = architectures[architecture]["vendor"]
    if made_by != wanted.get("vendor", made_by):
        raise wrong("vendor", "bad-value", f"{architecture} is an architecture of {made_by}, not of {vendor}")
    if made_by == "nvidia" and capability is None:
        capability = architectures[architecture]["compute_capabilities"][0]
    return cast("GpuEntry", {**wanted, "vendor": made_by, "architecture": architecture, "compute_capability": capability})


def _capacity(spec: DeploymentSpec, entry: GpuEntry, book: RuleBook) -> tuple[float, str]:
    """What the driver reports, in GiB, and where that comes from."""
    if spec.hardware.memory_gib is not None:
        return spec.hardware.memory_gib, "spec"
    if entry["vendor"] == "cpu" and "memory_gib" not in entry and "memory_gb" not in entry:
        if spec.hardware.host_memory_gib is not None:
            return spec.hardware.host_memory_gib, "spec"
        return book.number("cpu.memory_gib"), "assumed"
    if "memory_gib" in entry:
        return float(entry["memory_gib"]), "spec"
    if entry.get("capacity_gib"):
        return float(entry["capacity_gib"]), "catalogue"
    memory, vendor = float(entry["memory_gb"]), entry["vendor"]
    unified = ("gpu.unified_share", f"gpu.unified_share.{vendor}")
    every, own = unified if entry.get("unified_memory") else ("gpu.capacity_share", f"gpu.capacity_share.{vendor}")
    names = (f"{own}.large" if memory >= book.number("gpu.unified_large_gb") else own, own, every)
    return memory * book.number(next(name for name in names if name in book.thresholds)), "assumed"
