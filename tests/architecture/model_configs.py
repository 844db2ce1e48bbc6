"""Committed copies of published configs, and the facts about them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from shipped_families import from_config

from generator.architecture.shape import ModelArchitecture

DATA = Path(__file__).resolve().parents[1] / "data"
TRUTH: dict[str, list[dict[str, Any]]] = yaml.safe_load((DATA / "weights.yaml").read_text(encoding="utf-8"))
NAMES = sorted(path.stem for path in (DATA / "configs").glob("*.json"))


def config(name: str) -> dict[str, Any]:
    """A fresh copy of one config."""
    content: dict[str, Any] = json.loads((DATA / "configs" / f"{name}.json").read_text(encoding="utf-8"))
    return content


@cache
def architecture(name: str) -> ModelArchitecture:
    """The architecture of one config."""
    return from_config(config(name))
