"""A longer context by YaRN (`serve.context_extension`), and what a command says in place of a model's config.json. Floor 5, pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import NamedTuple

from generator.facts.engine import Engine
from generator.facts.model import Model
from generator.spec.deployment import DeploymentSpec


class Extension(NamedTuple):
    """YaRN over a model's positions: `factor` times the `original` tokens."""

    original: int
    factor: float

    @property
    def tokens(self) -> int:
        """Tokens of the longer context."""
        return int(self.original * self.factor)


def extension_of(spec: DeploymentSpec, model: Model, most: float) -> Extension | None:
    """The smallest factor, in halves and up to `most`, that the context of the spec needs; None where it asks for no extension, or needs none."""
    known = model.architecture.max_context
    if spec.serve.get("context_extension") != "yarn" or not known:
        return None
    original = min(known, model.yarn_original or known)
    wanted = int(spec.pin.get("max_model_len") or spec.workload.get("max_context") or original * most)
    return Extension(original, min(most, ceil(2 * wanted / original) / 2)) if wanted > known else None


def extended(model: Model, extension: Extension) -> Model:
    """The model with its longer context, and the rotary table that goes with it."""
    old = model.architecture
    rows = old.rotary_rows * extension.tokens // old.max_context
    return replace(model, architecture=replace(old, max_context=extension.tokens, yarn_context=extension.tokens, rotary_rows=rows))


def overrides_of(engine: Engine, model: Model, task: str, extension: Extension | None) -> str | None:
    """What this engine must be told in place of the model's config.json, as JSON; None for nothing, or no way to say it."""
    spelling = engine.spelling("config_overrides")
    if spelling is None:
        return None
    found = dict(model.overrides.get(task) or {})
    if extension is not None:
        config = model.config or {}
        inside = config.get("text_config")
        values = _scaled(inside if isinstance(inside, Mapping) else config, extension, spelling["rope_key"])
        found |= {"text_config": values} if isinstance(inside, Mapping) else values
    return json.dumps(found) if found else None


def _scaled(config: Mapping[str, object], extension: Extension, key: str) -> dict[str, object]:
    """The positions of a config under YaRN; `rope_parameters` replaces the whole entry, its base included."""
    old = config.get("rope_parameters")
    base = config.get("rope_theta", old.get("rope_theta") if isinstance(old, Mapping) else None)
    kept = {"rope_theta": base} if base is not None and key == "rope_parameters" else {}
    scaling = {**kept, "rope_type": "yarn", "factor": extension.factor, "original_max_position_embeddings": extension.original}
    return {key: scaling, "max_position_embeddings": extension.tokens}
