"""`deploy.extra_args` of a spec, checked against the options of the engine's version. Floor 6, pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from generator.errors import Problem, did_you_mean
from generator.readers.document import parse_yaml
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec
from generator.verify.argv import find
from generator.verify.catalogue import Catalogue, catalogue
from generator.verify.data import Text, is_option
from generator.verify.engine_yaml import check_config
from generator.verify.environment import check_env
from generator.verify.modelfile import ModelfileError, quote
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
