"""`deploy.extra_args` in the engine's own options: each appears once and replaces the plan's value of the same option.

Floor 6, pure. Imported lazily: few specs have extra arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from generator.decide.gates import spellings
from generator.facts.engine import Engine
from generator.render.spelling import Spelled, nest, text_of
from generator.rulebook.book import RuleBook
from generator.verify.argv import find
from generator.verify.catalogue import Catalogue, Option, catalogue

_SEVERAL = re.compile(r"[0-9.]+( [0-9.]+)+|[A-Za-z][\w.-]*=[\w./-]+( [A-Za-z][\w.-]*=[\w./-]+)+")
"""Several numbers, or several NAME=PLACE, in one string: no engine reads that as one word."""


def add_extra(spelled: Spelled, engine: Engine, extra: Mapping[str, object], book: RuleBook) -> None:
    """Add the user's options for the engine; each replaces the planned option under any spelling.

    Forbidden options were refused before: gates and secrets by the spec, unknown options of the version by `extra_problems`."""
    known, spelling = catalogue(book, engine.name, engine.version), spellings(book, engine.name)
    places: tuple[dict[str, Any], ...] = (spelled.flags, spelled.config, spelled.parameters, spelled.env)
    for name, value in extra.items():
        for words in places:
            for word in [word for word in words if spelling.same(word.lstrip("-"), name)]:
                del words[word]
        option, _ = find(f"--{name}", known)
        if isinstance(value, bool) and "." in name and known.syntax.get("dotted"):
            value = text_of(value)  # a key of a mapping, which false would leave out, and true make a switch
        if value is False and (option is not None or known.takes_value(name)):
            if option is None or not option.off:
                continue  # expressed by omission
            name, value = option.off[-1].lstrip("-"), True
        _extra(spelled, known, option, name, value)


def _extra(spelled: Spelled, known: Catalogue, option: Option | None, name: str, value: object) -> None:
    said = json.dumps(value) if isinstance(value, dict) else value  # older engines read a mapping only as JSON
    if option is not None and option.nargs in ("+", "*") and isinstance(said, str) and _SEVERAL.fullmatch(said):
        said = said.split()
    values = [text_of(one) for one in (said if isinstance(said, list) else [said])]
    file, keys = known.syntax.get("config"), known.facts.get("keys")
    if "parameters" in known.facts:
        if name.isupper():
            spelled.env[name] = values[0]
        else:
            spelled.parameters[name] = values
    elif file and keys is None and (option is None or (option.name not in known.refused_by_file and not (option.repeatable and len(values) > 1))):
        spelled.config[name] = said
    elif keys is not None and option is None and ("." in name or name in keys):
        nest(spelled.config, name, value)
    elif option is not None and option.repeatable and option.nargs is None:
        spelled.flags[f"--{name}"] = [*[word for text in values for word in (f"--{name}", text)][1:]]
    elif value is True:
        spelled.flags[f"--{name}"] = None
    else:
        spelled.flags[f"--{name}"] = [*values]
