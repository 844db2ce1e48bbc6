"""What stays wide, and what a made checkpoint's config.json will say: both in the words of the tool that makes it.

Floor 3, pure. The tools' words stand in `rules/facts/quantizers.yaml`. A made checkpoint is sized by reading the predicted
config.json like any other, so that bytes on disk, bytes on the GPU and the ignored modules have one origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generator.architecture.config import from_config
from generator.architecture.shape import ModelArchitecture

_NO_MODULES = ("embedding", "norm", "other", "mtp")
"""Roles that no tool takes for a linear layer: nothing has to be said to keep them."""


@dataclass(frozen=True, slots=True)
class Wide:
    """What stays in 16 bits: roles of the architecture, and so many of the first and last layers."""

    roles: frozenset[str] = frozenset()
    first: int = 0
    last: int = 0

    def layers(self, count: int) -> tuple[int, ...]:
        """The numbers of the layers that stay wide, of `count`."""
        return tuple(i for i in range(count) if i < self.first or i >= count - self.last)


def wide_of(method: Mapping[str, Any], tool: Mapping[str, Any], architecture: ModelArchitecture, asked: Mapping[str, Any]) -> Wide:
    """What stays wide: by the method, by the model's kind, and as the spec asks for (`keep`, `first_layers`, `last_layers`)."""
    roles = {*method.get("keeps_16bit", ()), *asked.get("keep", ())}
    for row in tool.get("also_wide") or ():
        if architecture.model_type in row["model_types"]:
            roles |= set(row["roles"])
    return Wide(frozenset(roles), int(asked.get("first_layers") or 0), int(asked.get("last_layers") or 0))


def ignored(tool: Mapping[str, Any], architecture: ModelArchitecture, wide: Wide) -> tuple[str, ...]:
    """The modules to leave alone, in the tool's words: only those that the model has.

    `lm_head` is always named: one that is tied to the embeddings has no matrix of its own, and a tool that is not told to
    keep it unties and quantises it.
    """
    has = {"lm_head", *(matrix.role for matrix in architecture.matrices)}
    patterns: Mapping[str, list[str]] = tool["patterns"]
    found = [pattern for role in sorted(wide.roles & has) for pattern in patterns.get(role, ())]
    layers = wide.layers(architecture.layers)
    form = str(tool["layers"])
    if layers and "{layer}" in form:
        found += [form.replace("{layer}", str(layer)) for layer in layers]
    elif layers:
        found.append(form.replace("{layers}", "|".join(map(str, layers))))
    return tuple(found)


def not_said(tool: Mapping[str, Any], architecture: ModelArchitecture, wide: Wide) -> tuple[str, ...]:
    """Roles that should stay wide and that the tool cannot be told to keep: no job is offered then."""
    has = {matrix.role for matrix in architecture.matrices if matrix.quantizable or matrix.role in ("lm_head", "router", "vision")}
    return tuple(sorted(role for role in wide.roles & has if role not in tool["patterns"] and role not in _NO_MODULES))


def quantization_of(maker: Mapping[str, object], ignore: tuple[str, ...], group_size: int | None, desc_act: bool | None) -> dict[str, object]:
    """The `quantization_config` that the result's config.json will hold, in the words of its layout."""
    filled: dict[str, object] = _filled(maker["quantization"], {"{group_size}": group_size, "{desc_act}": bool(desc_act)})
    if filled["quant_method"] == "gptq":
        return {**filled, "dynamic": {pattern: {} for pattern in ignore}} if ignore else filled
    return {**filled, "ignore": list(ignore)}


def _filled(value: Any, words: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(part, words) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, words) for part in value]
    return words[value] if isinstance(value, str) and value in words else value


def recipe_of(maker: Mapping[str, Any], ignore: tuple[str, ...], group_size: int | None) -> dict[str, Any] | None:
    """LLM Compressor's recipe, as data; None for tools that have none.

    A preset scheme has the group size of its name; another one is spelt out (`config_groups`).
    """
    if "recipe" not in maker:
        return None
    modifiers: dict[str, object] = {}
    preset = (maker.get("group_sizes") or [None])[0]
    for entry in maker["recipe"]:
        for name, arguments in entry.items():
            filled = _filled(arguments, {"{ignore}": list(ignore)})
            if "scheme" in filled and group_size not in (None, preset):
                groups = quantization_of(maker, (), group_size, None)["config_groups"]
                filled = {**{k: v for k, v in filled.items() if k not in ("scheme", "targets")}, "config_groups": groups}
            modifiers[name] = filled
    return {"default_stage": {"default_modifiers": modifiers}}


def made_architecture(config: Mapping[str, object], quantization: Mapping[str, object]) -> ModelArchitecture:
    """The architecture of the checkpoint that a job makes; raises `InputError` like any config.json."""
    plain = {key: value for key, value in config.items() if key not in ("quantization_config", "compression_config")}
    return from_config({**plain, "quantization_config": quantization})
