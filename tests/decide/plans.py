"""Plans from text, for tests."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from generator.decide.decision import Outcome, decide
from generator.errors import InputError
from generator.readers.document import parse_yaml
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import DeploymentSpec, from_document

ROOT = Path(__file__).resolve().parents[2]


@lru_cache
def book(name: str = "default") -> RuleBook:
    """A rule set, loaded once."""
    return load(name)


def spec_of(spec: dict[str, Any], folder: Path | None = None) -> DeploymentSpec:
    """A spec given as data."""
    path = (folder or Path()) / "case.yaml"
    found, problems = from_document(parse_yaml(yaml.safe_dump(spec, sort_keys=False), str(path)), path)
    if found is None:
        raise InputError(problems)
    return found


def plan(spec: dict[str, Any], rules: str = "default", thorough: bool = False, folder: Path | None = None) -> Outcome:
    """The outcome for a spec given as data."""
    return decide(spec_of(spec, folder), book(rules), thorough)
