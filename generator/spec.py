"""The spec: what the user asked for, as frozen data; every problem of the file at once, each at its place.

Floor 2, pure but for reading the schema. Defaults that depend on the profile are not here: they are rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from generator.errors import InputError, Problem, did_you_mean
from generator.resources import folder
from generator.source import Document, KeyPath, read_yaml

VERSION = 1


@dataclass(frozen=True)
class ModelRequest:
    """What the spec says of the model; the paths are as written, relative to the spec."""

    id: str
    revision: str | None = None
    config: str | None = None
    gguf: str | None = None
    safetensors: str | None = None
    parameters: float | None = None
    checkpoints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HardwareRequest:
    """What the spec says of the machine. `gpu` is a catalogue name or the fields of an unlisted one (GiB, GB/s)."""

    gpu: str | Mapping[str, Any]
    gpus_per_node: int = 1
    nodes: int = 1
    memory_gib: float | None = None
    interconnect: str | None = None
    host_memory_gib: float | None = None


@dataclass(frozen=True)
class DeploymentSpec:
    """One spec. `workload`, `pin` and `deploy` hold only what the user wrote; `folder` is that of the file."""

    name: str
    model: ModelRequest
    hardware: HardwareRequest
    workload: Mapping[str, Any]
    pin: Mapping[str, Any]
    deploy: Mapping[str, Any]
    document: Document
    folder: Path

    def problem(self, path: KeyPath, code: str, message: str, key: bool = False) -> Problem:
        """A problem at a part of this spec."""
        return Problem(code, message, self.document.place(path, key))


@lru_cache(1)
def schema() -> dict[str, Any]:
    """The JSON Schema of a spec."""
    data: dict[str, Any] = json.loads((folder("rules") / "schemas" / "spec.json").read_bytes())
    return data


@lru_cache(1)
def _validator() -> Any:
    from jsonschema.validators import Draft202012Validator

    return Draft202012Validator(schema())


def problems_of(document: Document) -> list[Problem]:
    """Everything in a spec that its schema refuses, in the order of the file."""
    found = [_problem(document, error) for error in _leaves(_validator().iter_errors(document.data))]
    return sorted(set(found), key=lambda p: (p.place.line, p.place.column) if p.place else (0, 0))


def _leaves(errors: Iterable[Any]) -> Iterable[Any]:
    """The errors that say something: of `if/then`, what is inside."""
    for error in errors:
        if error.validator in ("if", "then") and error.context:
            yield from _leaves(error.context)
        else:
            yield error


def _problem(document: Document, error: Any) -> Problem:
    path: KeyPath = tuple(error.absolute_path)
    value, rule = error.instance, error.validator_value
    name = str(path[-1]) if path else "the spec"
    match error.validator:
        case "additionalProperties" | "unevaluatedProperties":
            known = list(error.schema.get("properties", {}))
            key = next(k for k in value if k not in known)
            return Problem("unknown-key", f"{key!r} is not known here{did_you_mean(key, known)}", document.place((*path, key), key=True))
        case "required":
            key = next(k for k in rule if k not in value)
            return Problem("missing-key", f"{key!r} is missing", document.place(path))
        case "enum" | "const":
            allowed = [str(v) for v in (rule if error.validator == "enum" else [rule])]
            return Problem("unknown-value", f"{value!r} is no {name}{did_you_mean(str(value), allowed)} (one of {', '.join(allowed)})", document.place(path))
        case "type":
            wanted = " or ".join(rule) if isinstance(rule, list) else rule
            quote = "; quote it" if wanted == "string" and isinstance(value, int | float) and not isinstance(value, bool) else ""
            return Problem("wrong-type", f"{name} must be a {wanted}, not {_shown(value)}{quote}", document.place(path))
        case "minimum" | "exclusiveMinimum":
            more = "at least" if error.validator == "minimum" else "more than"
            return Problem("out-of-range", f"{name} must be {more} {rule:g}, not {value!r}", document.place(path))
        case "maximum":
            return Problem("out-of-range", f"{name} must be at most {rule:g}, not {value!r}", document.place(path))
        case "anyOf":
            return Problem("wrong-type", f"{name} must be a positive whole number or `max`, not {_shown(value)}", document.place(path))
        case "pattern":
            return Problem("bad-text", f"{name}: {_shown(value)} does not match {rule}", document.place(path))
        case _:
            return Problem("bad-value", f"{name}: {error.message[:200]}", document.place(path))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def label(stem: str) -> str:
    """A DNS label from a file's stem: `My spec_2` becomes `my-spec-2`; empty if nothing of it can stay."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in stem.lower())
    return "-".join(part for part in kept.split("-") if part)[:63].rstrip("-")


def from_document(document: Document, path: Path) -> tuple[DeploymentSpec | None, list[Problem]]:
    """The spec of a document, or every problem that its schema finds."""
    if not isinstance(document.data, dict):
        return None, [Problem("wrong-type", "a spec is a mapping with `model` and `hardware`", document.place())]
    problems = problems_of(document)
    name = document.data.get("name") or label(path.stem)
    if not name:
        problems.append(Problem("missing-key", f"no name can be made of {path.name!r}: give `name`", document.place()))
    if problems:
        return None, problems
    data = document.data
    model = data["model"] if isinstance(data["model"], dict) else {"id": data["model"]}
    texts = [(("model", k), v) for k, v in model.items() if isinstance(v, str)]
    texts += [(("deploy", k), v) for k, v in (data.get("deploy") or {}).items() if isinstance(v, str)]
    problems = [
        Problem("bad-text", f"{key[-1]} holds a control or direction character", document.place(key))
        for key, text in texts
        if not text.isprintable()
    ]
    if problems:
        return None, problems
    return (
        DeploymentSpec(
            name, ModelRequest(**model), HardwareRequest(**data["hardware"]), data.get("workload") or {},
            data.get("pin") or {}, data.get("deploy") or {}, document, path.parent,
        ),
        [],
    )  # fmt: skip


def read_spec(path: Path) -> DeploymentSpec:
    """One spec from its file; raises `InputError` with every problem of it."""
    spec, problems = from_document(read_yaml(path), path)
    if spec is None:
        raise InputError(problems)
    return spec
