"""What `deploy.extra_args` and `deploy.env` may not do, or only with a warning: the one list that every way in passes through. Floor 5,
pure. The list is data (`rules/facts/gates.yaml`); it is read only for specs that have one of the two. Every spelling of an option counts,
at any version: aliases, what switches it off, underscores for dashes, the variable that says the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from generator.errors import Problem, fold
from generator.facts.engine import Engine
from generator.plan import Reason
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered
from generator.rulebook.table import first_source
from generator.spec.deployment import DeploymentSpec


class Gate(NamedTuple):
    """One gate as an engine meets it: by its options, under every spelling, and by variables (`NAME*`: all that begin so)."""

    name: str
    entry: Mapping[str, object]
    options: frozenset[str]
    env: frozenset[str]
    variables: bool
    """Whether the engine's extra arguments in capitals are variables (Ollama)."""

    @property
    def warns(self) -> bool:
        """Whether what it names is allowed, with a warning."""
        return self.entry.get("does") == "warn"

    def holds(self, option: str) -> bool:
        """Whether it is about an option; with dots, a key below or above one that it names counts too."""
        if self.variables and self.holds_variable(option):
            return True
        name = fold(option)
        parts = name.split(".")
        if any(".".join(parts[:n]) in self.options for n in range(1, len(parts) + 1)):
            return True
        return any(known.startswith(f"{name}.") for known in self.options)

    def refuses(self, option: str, value: object = None) -> bool:
        """Whether an option may not be set to a value; `False` leaves it to the engine's own default, which some gates let pass."""
        return not self.warns and self.holds(option) and not (value is False and self.entry.get("left_out"))

    def holds_variable(self, name: str) -> bool:
        """Whether it is about a variable."""
        return name in self.env or any(known.endswith("*") and name.startswith(known[:-1]) for known in self.env)


class Spellings(NamedTuple):
    """Every spelling of an engine's options, at any version, folded, to the name in its table; and variables, to the same."""

    options: Mapping[str, str]
    env: Mapping[str, str]

    def same(self, one: str, other: str) -> bool:
        """Whether two words, without their dashes, are spellings of one option."""
        one, other = fold(one), fold(other)
        return self.options.get(one, one) == self.options.get(other, other)


@remembered
def spellings(book: RuleBook, engine: str) -> Spellings:
    """The spellings of an engine's options, from its table."""
    options: dict[str, str] = {}
    env: dict[str, str] = {}
    table = book.section("flags").get(engine) or {"options": {}, "syntax": {}}
    prefix = str(table["syntax"].get("env_prefix"))
    for name, entries in table["options"].items():
        for entry in entries if isinstance(entries, list) else [entries]:
            words = (name, *(entry.get("names") or ()), *(entry.get("off") or ()))
            options |= {fold(word): name for word in words if len(fold(word)) > 1}
            if variable := entry.get("env"):
                env |= {variable: name, variable.replace(prefix, f"{prefix}NO_", 1): name}  # the second switches it off
    return Spellings(options, env)


@remembered
def gates(book: RuleBook, engine: str) -> list[Gate]:
    """The gates of one engine."""
    words, found = spellings(book, engine), []
    for name, entry in book.section("gates").items():
        named = {fold(option) for option in (entry.get("options") or {}).get(engine) or ()}
        meant = {words.options.get(option, "") for option in named} - {""}
        also = {spelled for spelled, option in words.options.items() if option in meant}
        variables = {variable for variable, option in words.env.items() if option in meant}
        env = frozenset(variables | set(entry.get("env") or ()))
        found.append(Gate(name, entry, frozenset(named | also), env, "parameters" in book.section("flags")[engine]))
    return found


def gate_problems(spec: DeploymentSpec, book: RuleBook) -> Iterator[Problem]:
    """What a spec may not say in `extra_args` and `env`, whichever engine is chosen in the end."""
    known = book.section("flags")
    reading = [spec.pin["engine"]] if spec.pin.get("engine") in known else list(known)
    for engine, options in (spec.deploy.get("extra_args") or {}).items():
        seen: dict[str, str] = {}
        for option, value in options.items() if engine in known else ():
            path = ("deploy", "extra_args", engine, option)
            words = spellings(book, engine)
            for gate in gates(book, engine):
                if gate.refuses(option, value):
                    yield spec.problem(path, "gate", f"extra_args.{engine}.{option}: {_why(gate)}", key=True)
                    break
            first = seen.setdefault(words.options.get(fold(option), fold(option)), option)
            if first != option:
                yield spec.problem(path, "repeated-flag", f"extra_args.{engine}: {first} and {option} are one option of {engine}", key=True)
    for name in spec.deploy.get("env") or {}:
        if problem := next((p for engine in reading if (p := _variable(name, engine, book))), None):
            yield spec.problem(("deploy", "env", name), "gate", f"env.{name}: {problem}", key=True)


def _variable(name: str, engine: str, book: RuleBook) -> str | None:
    """Why a variable is refused; one that is another spelling of an option is written as that option."""
    if gate := next((gate for gate in gates(book, engine) if gate.holds_variable(name) and not gate.warns), None):
        return _why(gate)
    option = spellings(book, engine).env.get(name)
    return None if option is None else f"it says {option} to {engine}, beside its arguments; write extra_args.{engine}.{option.lstrip('-')}"


def _why(gate: Gate) -> str:
    return f"{gate.entry['because']}; write {gate.entry['write']}" if "write" in gate.entry else str(gate.entry["because"])


def gate_warnings(spec: DeploymentSpec, engine: Engine, settings: Mapping[str, object], book: RuleBook) -> Iterator[Reason]:
    """What a reader must know of the extra options and variables of an engine; also where one replaces what was planned."""
    options = (spec.deploy.get("extra_args") or {}).get(engine.name) or {}
    variables = spec.deploy.get("env") or {}
    for gate in gates(book, engine.name) if options or variables else ():
        names = [f"extra_args.{name}" for name, value in options.items() if value is not False and gate.holds(name)]
        names += [f"env.{name}" for name in variables if gate.holds_variable(name)]
        if gate.warns and names:
            yield Reason(gate.name, f"{', '.join(names)}: {gate.entry['because']}", first_source(gate.entry["source"]), {})
    words = spellings(book, engine.name) if options else Spellings({}, {})
    planned = [entry[key] for setting in settings if (entry := engine.spelling(setting)) for key in ("flag", "key", "parameter", "env") if key in entry]
    if replaced := [name for name in options if any(words.same(name, one) for one in planned)]:
        yield Reason("planned-setting-replaced", f"extra_args say {', '.join(replaced)} in place of the plan, and no estimate counts it", "judgement-gates", {})
