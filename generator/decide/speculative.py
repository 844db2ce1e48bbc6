"""Speculative decoding as a spec asks for it: by which method, with which draft, how many tokens. Floor 5, pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from generator.architecture.families import family_of
from generator.architecture.shape import CacheGroup, Matrix, ModelArchitecture
from generator.errors import Place, did_you_mean, fail, fold
from generator.facts.engine import Engine
from generator.facts.model import Model, published, shape_of
from generator.quantity import version_key
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.decide.context import Context

NEAR = 128
"""Tokens by which the vocabularies of a model and its draft may differ (source `lcpp-draft`): both are padded."""


class Speculation(NamedTuple):
    """A draft proposes `tokens` at a time, and the model verifies them in one step. `model` is the draft's repository, `gguf` its
    repository of GGUF files, `file` a file on this machine; all None where the checkpoint brings the layers (`own`) or the text itself is
    the draft (ngram). `parameters` and `caches` are the draft's; `assumed`: its shape is not known, and a typical one stands in. `options` are
    further ones of vLLM that its maker or a recipe gives."""

    method: str
    tokens: int
    model: str | None = None
    parameters: int = 0
    caches: tuple[CacheGroup, ...] = ()
    own: bool = False
    assumed: bool = False
    gguf: str | None = None
    file: str | None = None
    same_vocabulary: bool = True
    automatic: bool = False
    options: Mapping[str, object] = MappingProxyType({})


def speculation_of(spec: DeploymentSpec, model: Model, book: RuleBook) -> Speculation | None:
    """What the spec asks for; raises `InputError` for a draft that is not known, does not match, or is not there."""
    asked = spec.serve.get("speculative")
    if not asked or asked == "off":
        return None
    request: Mapping[str, object] = asked if isinstance(asked, dict) else {"method": asked}
    method, automatic = str(request["method"]), request["method"] == "auto"
    if automatic:
        found = [one for one in ("mtp", "eagle3") if (one == "mtp" and _heads(model, book)) or one in model.drafts]
        if not found or spec.workload.get("goal") != "latency":
            return None
        method = found[0]
    place = spec.document.place(("serve", "speculative"))
    listed = model.drafts.get(method) or {}
    name = request.get("model") or listed.get("id")
    tokens = int(str(request.get("tokens") or listed.get("tokens") or book.number(f"speculative.tokens.{method}")))
    base = Speculation(method, tokens, None if name is None else str(name), automatic=automatic, options=_options(listed, name))
    if method == "ngram":
        return base
    if method == "mtp" and name is None:
        heads = _heads(model, book)
        if not heads:
            raise fail("no-draft", f"{model.id} has no layers that predict several tokens; use draft, eagle3 or ngram", place)
        return base._replace(own=True, parameters=sum(m.parameters for m in heads), caches=_last(model.architecture))
    if name is None:
        known = ", ".join(model.drafts) or "none"
        raise fail("no-draft", f"name the draft: serve: {{speculative: {{method: {method}, model: …}}}} (catalogued for {model.id}: {known})", place)
    if method == "draft" and str(name).endswith(".gguf"):
        return _local_file(base, spec, model, str(name), book)
    if method == "draft":
        return _small_model(base, model, str(name), book, place)
    exact = listed if fold(str(listed.get("id", ""))) == fold(str(name)) else {}
    parameters = int(1e9 * float(str(exact["billion"]))) if "billion" in exact else _typical(model.architecture)
    caches = () if exact.get("shares_cache") else _last(model.architecture)
    return base._replace(parameters=parameters, caches=caches, assumed="billion" not in exact)


def _options(listed: Mapping[str, object], name: object) -> Mapping[str, object]:
    """The options that the catalogue has for its own draft."""
    options = listed.get("options") if name == listed.get("id") else None
    return options if isinstance(options, dict) else {}


def speculation_for(context: Context, engine: Engine) -> Speculation | None:
    """The same for one engine: what was left to the tool is left out where this version cannot do it."""
    found = context.speculation
    return None if found is None or (found.automatic and word_of(engine, found.method) is None) else found


def speculation_json(context: Context, engine: Engine) -> dict[str, str | int | None] | None:
    """The same as a plan says it."""
    found = speculation_for(context, engine)
    return found and {"method": found.method, "model": found.model or found.file, "tokens": found.tokens}


def word_of(engine: Engine, method: str) -> str | None:
    """This version's word for a method of speculative decoding; None where it has none."""
    entry = (engine.facts.get("speculative") or {}).get(method)
    return str(entry["word"]) if entry and version_key(engine.version) >= version_key(entry.get("since", "0")) else None


def config_of(engine: Engine, found: Speculation) -> str:
    """vLLM's JSON for it."""
    named = {} if found.model is None else {"model": found.model}
    return json.dumps({"method": word_of(engine, found.method), **named, "num_speculative_tokens": found.tokens, **found.options})


def with_draft(architecture: ModelArchitecture, found: Speculation, pooled: bool) -> ModelArchitecture:
    """The architecture with the draft's caches beside its own. In a pool a sequence has a state for each token that a step verifies, to go
    back to (source `vllm-mamba-drafts`)."""
    states = 1 + found.tokens if pooled else 1
    kept = [replace(one, states=states) if one.kind == "state" else one for one in architecture.caches]
    return replace(architecture, caches=(*kept, *found.caches))


def _heads(model: Model, book: RuleBook) -> tuple[Matrix, ...]:
    family = family_of(book.section("families"), model.architecture.model_type)
    return model.architecture.unloaded if family is not None and family.mtp else ()


def _last(architecture: ModelArchitecture) -> tuple[CacheGroup, ...]:
    """The cache of one further layer like the model's own with attention to every token."""
    kept = next((one for one in architecture.caches if one.kind in ("full", "latent")), None)
    return () if kept is None else (replace(kept, layers=1),)


def _typical(architecture: ModelArchitecture) -> int:
    """Parameters of an EAGLE-3 head: one layer over two hidden states, the projection of three, an output of 32,000 tokens (source `eagle3-configs`)."""
    hidden = architecture.hidden_size
    attention = (architecture.attention_heads + 2 * architecture.kv_heads) * architecture.head_dim * 2 * hidden
    attention += architecture.attention_heads * architecture.head_dim * hidden
    width = architecture.intermediate_size if not architecture.moe else 4 * hidden
    return attention + 3 * hidden * width + 3 * hidden * hidden + 32000 * hidden


def _local_file(base: Speculation, spec: DeploymentSpec, model: Model, name: str, book: RuleBook) -> Speculation:
    """A draft that is a GGUF file on this machine, for llama.cpp: as large as its header says."""
    from generator.architecture.gguf import from_gguf  # imported lazily: few drafts are files
    from generator.readers.gguf_header import read_gguf

    path = ("serve", "speculative", "model")
    if not name.startswith("/"):
        raise fail("bad-draft", f"write the file of the draft with its whole path, which a container sees too, not {name!r}", spec.document.place(path))
    shape = from_gguf(read_gguf(spec.named_file(path, name)), book.section("families"), book.section("methods"))
    _same_words(shape.vocab_size, model, name, spec.document.place(path))
    bits = book.number("speculative.gguf_bits")
    return base._replace(model=None, parameters=round(8 * shape.tensor_bytes / bits), caches=shape.caches, file=name, same_vocabulary=True)


def _same_words(vocabulary: int, model: Model, name: str, place: Place) -> int:
    """How many tokens the vocabularies of a model and its draft are apart; raises `InputError` where they cannot be the same."""
    own = model.architecture.vocab_size
    if abs(vocabulary - own) > NEAR:
        raise fail("draft-vocabulary", f"{name} has a vocabulary of {vocabulary} tokens, {model.id} one of {own}: it cannot draft for it", place)
    return abs(vocabulary - own)


def _small_model(base: Speculation, model: Model, name: str, book: RuleBook, place: Place) -> Speculation:
    listed = book.index("models").get(fold(name))
    shape = shape_of(listed, book) if listed else None
    if listed is None or shape is None:
        near = did_you_mean(name, book.section("models"))
        raise fail("unknown-draft", f"the catalogue does not know the draft {name!r}{near}; its size and cache would be a guess", place)
    apart = _same_words(shape.vocab_size, model, listed, place)
    gguf = published(book.section("models")[listed]).get("gguf-q8_0")
    repository = f"{gguf[0].id}:Q8_0" if gguf else None
    return base._replace(model=listed, parameters=shape.parameters, caches=shape.caches, gguf=repository, same_vocabulary=not apart)
