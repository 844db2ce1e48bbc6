"""The traits of a model family: what its model code fixes and its `config.json` leaves out. Floor 3, pure. The section `families` of the
rules has an entry for each `model_type`: of a language model, of a multimodal model around one (`text`, `projector`), of a tower (`tower`),
and of models that are only read from GGUF files (`gguf_only`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Literal

from generator.record import dataclass

Families = Mapping[str, Mapping[str, Any]]
"""The section: entries by `model_type`, as the schema `families` has them."""

Bias = bool | Literal["config"]
OWN = ("gguf", "gguf_when", "gguf_windows", "gguf_own_caches", "gguf_experts", "tool_call_parser", "reasoning_parser")
"""Keys that an entry does not take over from the one that it is `like`."""
ABOUT = ("like", "source", "replaces")
"""Keys that are no traits."""


@dataclass(frozen=True, slots=True)
class Family:
    """The traits of one `model_type`; the schema `families` says what each means."""

    stack: str = "grouped"
    linear: str = "delta"
    linear_beside: bool = False
    twin_layers: bool = False
    attn_gate: Literal["", "head", "full", "config"] = ""
    config: Mapping[str, object] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    qkv_bias: Bias = "config"
    out_bias: Bias = "config"
    mlp_bias: Bias = "config"
    qk_norm: Literal["", "head", "full", "flag"] = ""
    norms: int = 2
    norm_bias: bool = False
    gated: bool = True
    lm_head_bias: bool = False
    fused_qkv: bool = False
    fused_gate_up: bool = False
    sinks: bool = False
    expert_bias: bool = False
    router_bias: bool = False
    shared_gate: bool = False
    mrope: bool = False
    context_scaled: bool = False
    encoder: bool = False
    positions: Literal["rotary", "learned", "none"] = "rotary"
    positions_offset: int = 0
    yarn_original: int = 0
    windows: Literal["", "everywhere", "chunked"] = ""
    heads: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    halved_width: bool = False
    mlp_times_hidden: int | None = None
    mtp: Literal["", "module", "layer", "layer-with-embeddings"] = ""
    attn: str = "self_attn"
    ffn: str = "mlp"
    experts: str = "mlp.experts"
    router: str = "mlp.gate"
    shared: str = "mlp.shared_experts"
    expert_names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj")
    text: str = ""
    tower: str = ""
    projector: str = ""
    gguf_only: bool = False
    gguf: str = ""
    gguf_when: Mapping[str, str] = field(default_factory=dict)
    gguf_windows: Mapping[str, int | bool] | str | None = None
    gguf_own_caches: int | None = None
    tool_call_parser: Mapping[str, str] = field(default_factory=dict)
    reasoning_parser: Mapping[str, str] = field(default_factory=dict)
    gguf_experts: str | None = None

    @property
    def generates(self) -> bool:
        """Whether the entry describes a language model by its config.json."""
        return not (self.text or self.tower or self.projector or self.gguf_only)


def family_of(families: Families, name: str) -> Family | None:
    """The traits of a `model_type`, with those of the families that it is `like`; None for an unlisted one."""
    return Family(**_traits(families, name)) if name in families else None


def _traits(families: Families, name: str) -> dict[str, Any]:
    """The entry's traits over those that it takes over; mappings are joined key by key. The rules have no loops (`facts_check`)."""
    entry = families[name]
    found = {key: value for key, value in _traits(families, entry["like"]).items() if key not in OWN} if "like" in entry else {}
    for key, value in entry.items():
        if key not in ABOUT:
            found[key] = {**found[key], **value} if isinstance(value, dict) and isinstance(found.get(key), dict) else value
    return found


def family_of_gguf(families: Families, arch: str, has: Callable[[str], bool]) -> tuple[str, Family]:
    """The `model_type` and traits behind llama.cpp's name of an architecture; several share one, told apart by the file's keys (`has`)."""
    named = {name: entry.get("gguf_when") or {} for name, entry in families.items() if entry.get("gguf") == arch}
    special = (name for name, when in named.items() if when and all(has(key) is (word == "has") for word, key in when.items()))
    name = next(special, None) or next((name for name, when in named.items() if not when), arch)
    return name, (family_of(families, name) if families.get(name, {}).get("gguf", arch) == arch else None) or Family()
