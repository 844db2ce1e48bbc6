"""Checks of a server's environment variables, and of the parameters of a Modelfile. Floor 6, pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from generator.errors import Place, Problem, did_you_mean
from generator.quantity import version_key
from generator.verify.catalogue import Catalogue
from generator.verify.data import Text
from generator.verify.modelfile import ModelfileError, read_with_lines
from generator.verify.values import wrong_text


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
