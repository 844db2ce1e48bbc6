"""`deploy.extra_args` of a spec, a server's environment variables and the parameters of a Modelfile, checked against the engine's version.

Floor 6, pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from generator.errors import Place, Problem, did_you_mean
from generator.quantity import version_key
from generator.readers.document import parse_yaml
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec
from generator.verify.argv import find
from generator.verify.catalogue import Catalogue, catalogue
from generator.verify.data import Text, is_option
from generator.verify.engine_yaml import check_config
from generator.verify.modelfile import ModelfileError, quote, read_with_lines
from generator.verify.values import wrong_text, wrong_value


def extra_problems(spec: DeploymentSpec, engine: str, version: str, book: RuleBook) -> Iterator[Problem]:
    """The problems of the user's options for an engine; with `allow_unknown: true` only those of known options."""
    form, name = book.section("engines")[engine].get("served_names"), spec.deploy.get("served_name")
    if form and name and not re.match(form["pattern"], name):
        yield spec.problem(("deploy", "served_name"), "bad-text", f"{engine} does not accept the name {name!r}: {form['form']}")
    extra: Mapping[str, object] = (spec.deploy.get("extra_args") or {}).get(engine) or {}
    variables: Mapping[str, str] = spec.deploy.get("env") or {}
    if not (extra or variables) or engine not in book.section("flags"):
        return
    known = catalogue(book, engine, version)
    lenient = bool(spec.deploy.get("allow_unknown"))
    for variable, text in variables.items():
        for found in check_env({variable: Text(str(text), spec.document.place())}, known):
            unknown = found.code == "unknown-variable"
            if not lenient if unknown else found.severity == "error":
                hint = "; `allow_unknown: true` under deploy permits it" if unknown else ""
                yield spec.problem(("deploy", "env", variable), found.code, f"env: {found.message}{hint}", key=found.code != "wrong-type")
    for name, value in extra.items():
        path = ("deploy", "extra_args", engine, name)
        what = _unsayable(name, value, known) or _problem(name, value, known, spec)
        if what is None or (lenient and what[0].startswith("unknown") and value is not False):
            continue
        hint = "; `allow_unknown: true` under deploy permits it" if what[0].startswith("unknown") and not lenient else ""
        hint = hint or ("; the meaning of `false` for it is unknown: write the value that switches it off" if lenient and value is False else "")
        yield spec.problem(path, what[0], f"extra_args.{engine}: {what[1]}{hint}", key=what[0] not in ("wrong-type", "wrong-choice", "bad-text"))


def _unsayable(name: str, value: object, known: Catalogue) -> tuple[str, str] | None:
    """What no command line or file of the engine can hold, however it is quoted."""
    in_modelfile = "parameters" in known.facts
    for text in value if isinstance(value, list) else [value]:
        if in_modelfile and not name.isupper():
            try:
                quote(str(text))
            except ModelfileError as error:
                return "bad-text", f"{name}: {error}"
        elif isinstance(text, str) and is_option(text) and not in_modelfile:
            return "bad-text", f"{name}: the engine reads {text!r} as an option, because it begins with a dash"
    if isinstance(value, list) and not value:
        return "wrong-type", f"{name} needs a value"
    return None


def _problem(name: str, value: object, known: Catalogue, spec: DeploymentSpec) -> tuple[str, str] | None:
    if "parameters" in known.facts:
        return _of_modelfile(name, value, known, spec)
    keys = known.facts.get("keys") or {}
    if name.split(".")[0] in keys and f"--{name}" not in known.taken:
        whole: object = value
        for part in reversed(name.split(".")):
            whole = {part: whole}
        wrong = next((one for one in check_config(parse_yaml(json.dumps(whole), ""), known) if one.severity == "error"), None)
        return None if wrong is None else (wrong.code, wrong.message)
    if "." in name and keys:
        return "unknown-flag", f"{known.title} has no key {name}{did_you_mean(name.split('.')[0], keys)}"
    option, problem = find(f"--{name}", known)
    if problem is not None and (option is None or problem.severity == "error" or problem.code == "abbreviated-flag"):
        return problem.code, problem.message
    if option is None or value is False:  # the plan's own word is left out
        return None
    if isinstance(value, list) and option.nargs is None and (option.repeatable or len(value) == 1):
        option = replace(option, nargs="+")
    what = wrong_value(option, value)
    return None if what is None else (what[0], f"{name} of {known.title} takes {what[1]}")


def _of_modelfile(name: str, value: object, known: Catalogue, spec: DeploymentSpec) -> tuple[str, str] | None:
    """A parameter of the Modelfile, or in capitals a variable of the server."""
    if isinstance(value, dict):
        return "wrong-type", f"{name} takes a value, not a mapping"
    if value is False and known.takes_value(name):
        return None  # the plan's own word is left out
    if name.isupper():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        found = next(iter(check_env({name: Text(text, spec.document.place())}, known)), None)
        return None if found is None else (found.code, found.message)
    option = known.parameters.get(name)
    if option is None:
        return "unknown-parameter", f"{known.title} has no parameter {name}{did_you_mean(name, known.parameters)}"
    if isinstance(value, list) and len(value) > 1 and not option.repeatable:
        return "wrong-type", f"{name} takes one value, not a list"
    for item in value if isinstance(value, list) else [value]:
        if what := wrong_text(option, str(item).lower() if isinstance(item, bool) else str(item)):
            return what[0], f"{name} takes {what[1]}"
    return None


def check_env(env: Mapping[str, Text], known: Catalogue, given: Mapping[str, tuple[Text, str]] | None = None) -> Iterator[Problem]:
    """Every finding in a server's variables; variables of other programs are ignored. `given`: what `given_options` found."""
    prefix = known.syntax.get("env_prefix")
    for name, value in env.items():
        if name in known.env:
            option = known.env[name]
            said, where = (given or {}).get(option.name, (value, name))
            if where != name and said.known and value.known and said.text != value.text:
                message = f"{name} says {value.text!r}, but {where} says {said.text!r}: {known.engine} takes the option; write one of them"
                yield Problem("said-twice", message, value.place, "warning")
            if option.kind == "switch" and value.text not in ("1", "true", "on", "enabled", "0", "false", "off", "disabled") and value.known:
                yield Problem("wrong-type", f"{name} of {known.title} must be true or false, not {value.text!r}", value.place)
            elif option.kind != "switch" and value.known and (what := wrong_text(option, value.text)):
                yield Problem(what[0], f"{name} of {known.title} takes {what[1]}", value.place)
        elif name in known.gone_env:
            gone = known.gone_env[name]
            lost = gone.use is not None and value.text not in (gone.words or ())  # else it asks for what the engine does anyway
            message = f"{known.engine} does not read {name} from {gone.until} on; {gone.instead}"
            yield Problem("removed-variable", message, value.place, "error" if lost else "warning", gone.use)
        elif prefix and name.startswith(prefix) and not name.startswith(f"{prefix}NO_"):
            near = did_you_mean(name, known.env)
            yield Problem("unknown-variable", f"{known.title} silently ignores {name}{near}", value.place)
        elif (missing := unread(name, known)) is not None:
            yield Problem("unknown-variable", missing, value.place, "warning")


def unread(name: str, known: Catalogue) -> str | None:
    """What to say of a variable with a prefix of the engine's own that this version does not read; None for others."""
    table = known.facts.get("variables") or {"prefixes": (), "since": {}}
    if not name.startswith(tuple(table["prefixes"])):
        return None
    since = {one: version for version, names in table["since"].items() for one in names}
    if name not in since:
        return f"{known.title} does not read {name}{did_you_mean(name, since)}"
    newer = version_key(since[name]) > version_key(known.checked_as)
    return f"{known.title} does not read {name} yet, {known.engine} {since[name]} does" if newer else None


def check_modelfile(text: str, name: str, known: Catalogue) -> Iterator[Problem]:
    """Every finding in a Modelfile: grammar, parameter names and types."""
    try:
        commands = read_with_lines(text)
    except ModelfileError as error:
        yield Problem("modelfile", error.message, Place(name, max(1, error.line)))
        return
    seen: set[str] = set()
    for line, command in commands:
        place = Place(name, line)
        gone = (known.facts.get("gone_keys") or {}).get(command.word)
        if gone is not None and version_key(known.version) >= version_key(gone["until"]):
            yield Problem("removed-key", f"{known.engine} refuses {command.word} from {gone['until']} on; use {gone['use']}", place, use=gone["use"])
        if command.word != "PARAMETER":
            continue
        if command.name in known.facts["deprecated_parameters"]:
            yield Problem("deprecated-parameter", f"{known.title} ignores {command.name} with a warning", place, "warning")
        elif (option := known.parameters.get(command.name)) is None:
            variable = f"{known.syntax.get('env_prefix')}{command.name.upper()}"
            beside = f"; it is the variable {variable} of the server"
            near = beside if variable in known.env else did_you_mean(command.name, known.parameters)
            yield Problem("unknown-parameter", f"{known.title} has no parameter {command.name}{near}", place)
        else:
            if what := wrong_text(option, command.value):
                yield Problem(what[0], f"{command.name} takes {what[1]}", place)
            if command.name in seen and not option.repeatable:
                yield Problem("repeated-parameter", f"{command.name} is given twice; the last one counts", place, "warning")
        seen.add(command.name)
    for parameter, because in (known.facts.get("unset") or {}).items():
        if parameter not in seen:
            yield Problem("default-taken", f"without {parameter}, {because}", Place(name, 1), "note", f"PARAMETER {parameter}")
