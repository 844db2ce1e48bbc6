"""The configuration file of an engine: vLLM's and SGLang's keys are options, TensorRT-LLM's have classes of their own. Floor 6, pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from generator.errors import Problem, did_you_mean
from generator.readers.document import Document, KeyPath
from generator.verify.argv import find
from generator.verify.catalogue import Catalogue, Entry
from generator.verify.values import old_word, wrong_value


def check_config(document: Document, known: Catalogue) -> Iterator[Problem]:
    """Every finding in an engine's own YAML file."""
    rules = known.syntax.get("config")
    if rules is None:
        yield Problem("no-config-file", f"{known.engine} does not read such a file", document.place())
        return
    if document.data is None:
        return
    if not isinstance(document.data, Mapping):
        yield Problem("wrong-type", "a mapping is expected", document.place())
    elif rules["keys"] == "schema":
        yield from _fields(document, (), document.data, known.facts["keys"], known)
    else:
        for key, value in document.data.items():
            yield from _option(document, key, value, known)
        yield from _companions(document, known)


def _companions(document: Document, known: Catalogue) -> Iterator[Problem]:
    keys = {key.replace("_", "-") for key, value in document.data.items() if value is not False}
    for key in document.data:
        option = known.taken.get(f"--{key.replace('_', '-')}")
        for needed in option.needs if option is not None and option.name[2:] in keys else ():
            if needed[2:] not in keys:
                yield Problem("missing-companion", f"{key} also needs {needed[2:]}", document.place((key,), key=True))


def _option(document: Document, key: str, value: object, known: Catalogue) -> Iterator[Problem]:
    rules, at = known.syntax["config"], document.place((key,), key=True)
    place = document.place((key,))
    option, problem = find(f"--{key}", known)
    if "_" in key and rules["keys"] == "either" and option is not None:
        problem = None  # vLLM's file accepts both
    if problem is not None:
        yield problem._replace(place=at, message=problem.message.replace(f"--{key}", key))
    if option is None:
        return
    if option.name in known.refused_by_file:
        yield Problem("not-in-file", f"{known.title} refuses {key} in its configuration file: write {option.name} on the command line", at)
        return
    if option.deprecated:
        yield Problem("deprecated-flag", f"{key} is deprecated in {known.title}: use {option.use}", at, "warning", option.use)
    if value is False and option.kind == "switch" and rules["false"] == "dropped":
        yield Problem("yaml-false", f"{known.engine} silently drops {key}: false; leave it out, or write no-{key}: true", place, use=f"no-{key}: true")
    elif what := wrong_value(option, value):
        yield Problem(what[0], f"{key} of {known.title} takes {what[1]}", place)
    elif new := old_word(option, value):
        yield Problem("deprecated-word", f"{key}: {value} is deprecated in {known.title}: use {new}", place, "warning", new)


def _fields(document: Document, path: KeyPath, data: Mapping[str, object], fields: Mapping[str, Entry], known: Catalogue) -> Iterator[Problem]:
    for key, value in data.items():
        entry = fields.get(key)
        shown = ".".join(map(str, (*path, key)))
        place = document.place((*path, key), key=True)
        if entry is None and not path and key in (known.facts.get("gone_keys") or {}):
            use = known.facts["gone_keys"][key]["use"]
            yield Problem("removed-key", f"{key} is a key of older releases; use {use}", place, use=use)
            continue
        if entry is None:
            yield Problem("unknown-key", f"{known.title} has no key {shown}{did_you_mean(key, fields)}", place)
            continue
        if "seen" in entry:
            which = "older" if entry["seen"] == "A" else "newer"
            yield Problem("unsure-key", f"{shown} appears only in the {which} of the two sources", place, "warning")
        yield from _value(document, (*path, key), value, entry["type"], known)


def _value(document: Document, path: KeyPath, value: object, kind: str, known: Catalogue) -> Iterator[Problem]:
    shown, place = ".".join(map(str, path)), document.place(path)
    if value is None:
        if not kind.endswith("?") and kind != "any":
            yield Problem("wrong-type", f"{shown} cannot be null", place)
        return
    kind = kind.removesuffix("?")
    name = re.match(r"[A-Za-z_]*", kind)
    fields = known.facts["classes"].get(name and name[0])
    if fields is None:
        if what := _wrong(value, kind):
            yield Problem(what[0], f"{shown} takes {what[1]}, not {value!r}", place)
        return
    if not isinstance(value, Mapping):
        yield Problem("wrong-type", f"{shown} is a mapping, not {value!r}", place)
        return
    if "variants" in fields:
        word = value.get(fields["by"])
        if word not in fields["variants"]:
            yield Problem("wrong-choice", f"{shown}.{fields['by']} is one of {', '.join(fields['both'])}, not {word!r}", place)
            return
        fields = fields["variants"][word]
    yield from _fields(document, path, value, fields, known)


_FORMS: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"), "int": ((int,), "a whole number"), "float": ((int, float), "a number"),
    "str": ((str,), "text"), "list": ((list,), "a list"), "dict": ((dict,), "a mapping"),
}  # fmt: skip
_LEAST = {"int>0": 1, "int>=0": 0}


def _wrong(value: object, kind: str) -> tuple[str, str] | None:
    """Code and form of a value that is not of a kind (`int>=0`, `float[0..1]`, `enum(a|b)`), None for a right one or a kind of several."""
    if kind.startswith("enum("):
        inside = kind[5 : kind.index(")")]
        words = re.split(r"[ ,]", inside)[0].split("|")
        given = str(value).lower() if "case-insensitive" in inside else value
        return None if given in words else ("wrong-choice", f"one of {', '.join(words)}")
    word = re.match(r"[a-z]*", kind)
    if "|" in kind or not word or word[0] not in _FORMS:
        return None
    types, form = _FORMS[word[0]]
    if not isinstance(value, types) or (isinstance(value, bool) and word[0] != "bool"):
        return "wrong-type", form
    if isinstance(value, float | int) and kind.endswith("[0..1]") and not 0 <= value <= 1:
        return "wrong-value", "a number from 0 to 1"
    if isinstance(value, int) and value < (least := _LEAST.get(kind, value)):
        return "wrong-value", f"a whole number from {least}"
    return None
