"""What can be said of a config.json whose `model_type` no rule set has: the nearest known family, and how to add it. Floor 3, pure. The
configs of the catalogue stand for their families."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher

from generator.architecture.config import UnknownFamily, from_config
from generator.architecture.families import Family, family_of
from generator.errors import InputError, Problem
from generator.facts.model import config_of
from generator.rulebook.book import RuleBook

NESTED = ("text_config", "llm_config", "language_config")
PAGE = 'docs/rules-how-to.md, "Add a family of known parts"'


def explained(error: UnknownFamily, config: Mapping[str, object], book: RuleBook) -> InputError:
    """The error with what could not be derived from the config's keys, and what to write where the model is built like a known one."""
    families = book.section("families")
    own, everywhere = _keys(config), set[str]()
    best = (False, 0.0, 0.0, "", "")
    for model in book.section("models"):
        found = config_of(model, book) or {}
        keys, kind = _keys(found), _text(found).get("model_type")
        everywhere |= keys
        if isinstance(kind, str) and kind in families:
            form = (_text(found) is found) is (_text(config) is config)
            best = max(best, (form, len(own & keys) / len(own | keys), SequenceMatcher(None, kind, error.name[:60]).ratio(), kind, model))
    _, share, _, near, model = best
    if not near:  # a rule set without such configs
        return error
    strange = ", ".join(sorted(own - everywhere)[:5])
    entry, family = f"families: {{{error.name[:60]}: {{like: {near}}}}}", family_of(families, near) or Family()
    try:
        read = from_config(config, {**families, error.name: {"like": near}})
    except InputError as other:
        lacks = other.problems[0].message.removeprefix("model config: ")
        says = f"read like that, its attention and cache cannot be derived: {lacks}"
        write = f"If it is built of known parts, say what differs beside `{entry}` ({PAGE}); another kind of attention or cache needs code"
    else:
        caches = ", ".join(f"{cache.kind} in {cache.layers} layers" for cache in read.caches)
        says = f"read like that, its cache is {caches}; biases, norms and names of modules are not in its keys"
        write = f"If it is built like that, a rule set says so: `{entry}` ({PAGE})"
    says += f"; no known family has its keys {strange}" if strange else ""
    nearest = f"the nearest known family is {near} (stack: {family.stack}; {share:.0%} of the keys of {model}): {says}. {write}"
    return InputError(Problem(p.code, f"{p.message.partition(';')[0]}; {nearest}", p.place) for p in error.problems)


def _text(config: Mapping[str, object]) -> Mapping[str, object]:
    inside = next((part for part in map(config.get, NESTED) if isinstance(part, Mapping)), None)
    return config if inside is None else inside


def _keys(config: Mapping[str, object]) -> set[str]:
    """Keys of the language model's config that have a value."""
    return {key for key, value in _text(config).items() if isinstance(key, str) and value is not None and not key.startswith("_")}
