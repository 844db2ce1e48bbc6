"""The shipped families of models, read as plainly as can be, and architectures with them: the rule book is not under test here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from generator.architecture import config, gguf
from generator.architecture.shape import ModelArchitecture
from generator.errors import Place
from generator.readers.gguf_header import GgufHeader

FILES = sorted((Path(__file__).resolve().parents[1] / "rules" / "facts" / "families").glob("*.yaml"))
FAMILIES: dict[str, dict[str, Any]] = {
    name: entry for file in FILES for name, entry in yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)["families"].items()
}


def from_config(found: Mapping[str, object], place: Place | None = None) -> ModelArchitecture:
    """The architecture of a `config.json`."""
    return config.from_config(found, FAMILIES, place)


def from_gguf(header: GgufHeader, methods: Collection[str] = ()) -> ModelArchitecture:
    """The architecture of a GGUF file; `methods` are the names that its type may have beside the plain ones."""
    return gguf.from_gguf(header, FAMILIES, methods)
