"""The unquantized parts and the expected config.json of a produced checkpoint, in the names of its tool.

Floor 3, pure. The tools' names are in `rules/facts/quantizers.yaml`. A produced checkpoint is sized by parsing the predicted
config.json like any other, so that bytes on disk, bytes on the GPU and the ignored modules have one origin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from generator.architecture.config import from_config
from generator.architecture.families import Families
from generator.architecture.shape import Matrix, ModelArchitecture, Storage
from generator.record import dataclass
from generator.sizing.tensors import scales_of

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Maker, Method, Quantizer

Recipe = dict[str, dict[str, dict[str, dict[str, object]]]]
"""Stage, `default_modifiers`, modifier, and its arguments."""

_NO_MODULES = ("embedding", "lookup", "norm", "other", "mtp")
"""Roles that no tool treats as linear layers: they are kept without being named."""


@dataclass(frozen=True, slots=True)
class Wide:
    """The parts kept in 16 bits: roles of the architecture, and a number of first and last layers."""

    roles: frozenset[str] = frozenset()
    first: int = 0
    last: int = 0

    def layers(self, count: int) -> tuple[int, ...]:
        """The indices of the unquantized layers among `count`."""
        return tuple(i for i in range(count) if i < self.first or i >= count - self.last)


def wide_of(method: Method, tool: Quantizer, architecture: ModelArchitecture, asked: Mapping[str, Any]) -> Wide:
    """The unquantized parts: by method, by model type, and by the spec (`keep`, `first_layers`, `last_layers`)."""
    roles = {*method.get("keeps_16bit", ()), *asked.get("keep", ())}
    for row in tool.get("also_wide") or ():
        if architecture.model_type in row["model_types"]:
            roles |= set(row["roles"])
    return Wide(frozenset(roles), int(asked.get("first_layers") or 0), int(asked.get("last_layers") or 0))


def ignored(tool: Quantizer, architecture: ModelArchitecture, wide: Wide) -> tuple[str, ...]:
    """The existing modules to leave unquantized, in the tool's names.

    `lm_head` is always named: if it is tied to the embeddings it has no matrix of its own, and a tool without the instruction to
    keep it unties and quantizes it."""
    has = {"lm_head", *(matrix.role for matrix in architecture.matrices)}
    found = [pattern for role in sorted(wide.roles & has) for pattern in tool["patterns"].get(role, ())]
    layers = wide.layers(architecture.layers)
    form = tool["layers"]
    if layers and "{layer}" in form:
        found += [form.replace("{layer}", str(layer)) for layer in layers]
    elif layers:
        found.append(form.replace("{layers}", "|".join(map(str, layers))))
    return tuple(found)


def not_said(tool: Quantizer, architecture: ModelArchitecture, wide: Wide) -> tuple[str, ...]:
    """Unquantized roles that the tool has no name for: then no job is offered."""
    has = {matrix.role for matrix in architecture.matrices if matrix.quantizable or matrix.role in ("lm_head", "router", "vision")}
    return tuple(sorted(role for role in wide.roles & has if role not in tool["patterns"] and role not in _NO_MODULES))


def quantization_of(
    maker: Maker, ignore: tuple[str, ...], group_size: int | None, desc_act: bool | None, kv_cache: Mapping[str, object] | None = None
) -> dict[str, object]:
    """The expected `quantization_config` of the result's config.json, in the form of its layout; `kv_cache` is what it says of the cache's scales."""
    filled = _filled({**maker["quantization"], **(kv_cache or {})}, {"{group_size}": group_size, "{desc_act}": bool(desc_act)})
    if filled["quant_method"] == "gptq":
        return {**filled, "dynamic": {pattern: {} for pattern in ignore}} if ignore else filled
    return {**filled, "ignore": list(ignore)}


def _filled(data: Mapping[str, object], words: Mapping[str, object]) -> dict[str, object]:
    return {key: _part(part, words) for key, part in data.items()}


def _part(value: object, words: Mapping[str, object]) -> object:
    if isinstance(value, Mapping):
        return _filled(value, words)
    if isinstance(value, list):
        return [_part(part, words) for part in value]
    return words[value] if isinstance(value, str) and value in words else value


def recipe_of(
    maker: Maker, ignore: tuple[str, ...], group_size: int | None, *, plain: bool = False, kv_cache: Mapping[str, object] | None = None
) -> Recipe | None:
    """LLM Compressor's recipe as data; None for other tools. `plain`: without the transform; `kv_cache`: with scales for an FP8 KV cache.

    A preset scheme implies its group size; another size is written out (`config_groups`)."""
    if "recipe" not in maker:
        return None
    modifiers: dict[str, dict[str, object]] = {}
    preset = next(iter(maker.get("group_sizes") or ()), None)
    for entry in maker["plain"] if plain else maker["recipe"]:
        for name, arguments in entry.items():
            filled = _filled(arguments, {"{ignore}": list(ignore)})
            if "scheme" in filled and group_size not in (None, preset):
                groups = quantization_of(maker, (), group_size, None)["config_groups"]
                filled = {**{k: v for k, v in filled.items() if k not in ("scheme", "targets")}, "config_groups": groups}
            modifiers[name] = {**filled, **(kv_cache or {})} if "ignore" in filled else filled
    return {"default_stage": {"default_modifiers": modifiers}}


def made_architecture(config: Mapping[str, object], quantization: Mapping[str, object], families: Families) -> ModelArchitecture:
    """The architecture of a job's result; raises `InputError` like any config.json."""
    plain = {key: value for key, value in config.items() if key not in ("quantization_config", "compression_config")}
    return from_config({**plain, "quantization_config": quantization}, families)


def stored_beside(architecture: ModelArchitecture, stored: Mapping[str, int]) -> int:
    """Bytes of the files of a produced checkpoint beyond `checkpoint_bytes` (negative if they are smaller).

    Engines widen scales and drop packing metadata; the files store both as the tool wrote them (`stored` in `rules/facts/quantizers.yaml`)."""
    return sum(_stored(m, m.storage, stored) * m.count for m in architecture.matrices if m.storage is not None and m.columns > 1)


def _stored(matrix: Matrix, storage: Storage, stored: Mapping[str, int]) -> int:
    bits = stored.get("scale_bits", storage.scale_bits) - storage.scale_bits
    inputs = matrix.columns if matrix.shard == "row" or (matrix.shard == "expert" and matrix.split == "row") else 0
    scales = scales_of(matrix.rows, matrix.columns, storage)
    return scales * bits // 8 + stored.get("matrix_bytes", 0) + inputs * stored.get("row_input_bytes", 0)
