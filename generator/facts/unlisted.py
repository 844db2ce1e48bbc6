"""What can be said of a config.json whose `model_type` no rule set has: the nearest known family, and how to add it. Floor 3, pure. The
configs of the catalogue stand for their families. And a typical dense model of a given size, where a spec says no more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from difflib import SequenceMatcher

from generator.architecture.config import UnknownFamily, from_config
from generator.architecture.families import Family, family_of
from generator.architecture.shape import ModelArchitecture
from generator.errors import InputError, Problem, fail
from generator.facts.model import config_of
from generator.readers.resources import shipped
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


_KIND = "typical"
"""A family without any traits: grouped-query attention and a gated feed-forward layer."""


def typical(parameters: float) -> ModelArchitecture:
    """A dense model with about that many parameters (within 2 %): the nearest published shape, deeper or shallower. `basis` is
    `parameters`; the context is unknown (0)."""
    if isinstance(parameters, bool) or not isinstance(parameters, int | float) or not math.isfinite(parameters):
        raise fail("bad-model-config", "model: parameters must be a number, such as 7.6e9")
    if not 1e7 <= parameters <= 1e14:
        raise fail("bad-model-config", f"model: parameters must be between 1e7 and 1e14, not {parameters:g}")
    # published dense models, from Qwen2.5-0.5B to Llama-3.1-405B: the nearest one is scaled
    near = min(shipped("typical.json"), key=lambda shape: abs(math.log(shape["parameters"] / parameters)))
    layers, hidden, heads, kv_heads, width, vocab, tied = (near[k] for k in ("layers", "hidden", "heads", "kv_heads", "width", "vocab", "tied"))
    embeddings = vocab * hidden * (1 if tied else 2)
    head_dim = 64 if hidden < 2048 else 128
    while hidden > 64 and embeddings > parameters / 2:  # far below the smallest shape: narrower, smaller vocabulary
        hidden, width, vocab = hidden // 2, width // 2, vocab // 2
        heads, kv_heads, embeddings = max(1, heads // 2), 1, vocab * hidden
    per_layer = hidden * head_dim * 2 * (heads + kv_heads) + 3 * hidden * width
    layers = max(1, min(4096, round((parameters - embeddings) / per_layer)))
    width += round((parameters - embeddings - layers * per_layer) / (3 * hidden * layers))
    architecture = from_config(
        {
            "model_type": _KIND, "num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads,
            "num_key_value_heads": kv_heads, "head_dim": head_dim, "intermediate_size": max(64, width // 64 * 64), "vocab_size": vocab,
            "tie_word_embeddings": tied,
        },
        {_KIND: {}},
    )
    return replace(architecture, basis="parameters")
