"""The words of a command line, read as the engine's own parser reads them; what it takes but a reader may not, is a warning.

Floor 6, pure. Warnings: a beginning for a name, underscores for dashes, a repeated option, an old word. Errors: also `--config=FILE`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from generator.errors import InputError, Problem, did_you_mean
from generator.readers.json_text import parse
from generator.verify.catalogue import Catalogue, Option
from generator.verify.data import Text, is_option
from generator.verify.values import number, old_word, wrong_text


class Stray(NamedTuple):
    """A word of its own, or an option that the version does not have, with what is most likely its value."""

    word: Text
    values: list[Text]
    problems: list[Problem]


class Argument(NamedTuple):
    """An option as a command gives it (`name`); `inner` is a key inside its JSON value, `problems` are those of its spelling."""

    option: Option
    name: str
    inner: str
    values: list[Text]
    word: Text
    problems: list[Problem]

    @property
    def last(self) -> Text:
        """The value that counts; of a switch `on` or `off`."""
        return self.values[-1] if self.values else Text("off" if self.name in self.option.off else "on", self.word.place)

    def data(self) -> Any:
        """What it says: a truth for a switch, a list for several values, else a number, the data of a JSON text, or the text."""
        option, texts = self.option, [value.text for value in self.values]
        if option.kind == "switch":
            return self.last.text != "off"
        if len(texts) > 1 or option.nargs in ("+", "*"):
            return texts
        if option.kind.startswith("json") or self.inner:
            with suppress(InputError):
                return parse(self.last.text, "", strict=False)
        figure = number(self.last.text) if option.kind in ("int", "uint", "float", "size") else None
        return self.last.text if figure is None else int(figure) if figure == int(figure) else figure

    def added_to(self, before: Any) -> Any:
        """Its data together with what the same option said before, where that does not lose it."""
        if self.inner:
            whole = target = dict(before) if isinstance(before, dict) else {}
            *outer, last = self.inner.split(".")
            for part in outer:
                target = target.setdefault(part, {})
            target[last] = self.data()
            return whole
        if not self.option.repeatable or before is None:
            return self.data()
        return [*(before if isinstance(before, list) else [before]), self.data()]


def arguments(words: Sequence[Text], known: Catalogue) -> Iterator[Argument | Stray]:
    """The options of a command with their values, and its other words, as the engine's parser reads them."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not is_option(word.text):
            yield Stray(word, [], [])
            continue
        name, joined, option, problems = _read(word, known)
        values = [joined] if joined is not None else _values(option, rest)
        if option is None:
            yield Stray(word, values, problems)
        else:
            yield Argument(option, name, name.partition(".")[2] if name not in option.names else "", values, word, problems)


def check_argv(words: Sequence[Text], known: Catalogue, positionals: int) -> Iterator[Problem]:
    """Every finding in the arguments of a server, without its command (`vllm serve`)."""
    plugins = known.facts.get("plugins") or {}  # an option's words are not all, where a plugin adds to them
    plugged = {option for option, flag in plugins.items() if any(word.text.partition("=")[0] == flag for word in words)}
    seen: dict[str, Text] = {}
    for one in arguments(words, known):
        yield from one.problems
        if isinstance(one, Stray):
            positionals -= not is_option(one.word.text)
            if positionals < 0 and one.word.known and not is_option(one.word.text):
                yield Problem("stray-word", f"{one.word.text!r} does not belong to any option of {known.title}", one.word.place)
            continue
        option, name = one.option, one.name
        if option.deprecated:
            use = f": use {option.use}" if option.use else ""
            yield Problem("deprecated-flag", f"{name} is deprecated in {known.title}{use}", one.word.place, "warning", option.use)
        key = name if one.inner else option.name
        if key in seen and not option.repeatable:
            yield Problem("repeated-flag", f"{name} is given twice; the last one counts", one.word.place, "warning")
        seen[key] = seen[option.name] = one.word
        if option.kind == "switch":
            if one.values:
                yield Problem("no-value", f"{name} takes no value", one.last.place)
            continue
        for value in one.values:
            what = wrong_text(option, value.text) if value.known and not one.inner else None
            if what and not (what[0] == "wrong-choice" and option.name in plugged):
                yield Problem(what[0], f"{name} of {known.title} takes {what[1]}", value.place)
            if new := old_word(option, value.text):
                yield Problem("deprecated-word", f"{known.title} reads {name} {value.text} as {new}: write {new}", value.place, "warning", new)
        if not one.values and option.nargs not in ("?", "*"):
            yield Problem("needs-value", f"{name} needs a value", one.word.place)
    if known.config_flag in seen:
        return  # what is needed may be in the config file
    for name, word in seen.items():
        for needed in known.taken[name].needs if name in known.taken else ():
            if needed not in seen:
                yield Problem("missing-companion", f"{name} also needs {needed}", word.place)


def _read(word: Text, known: Catalogue) -> tuple[str, Text | None, Option | None, list[Problem]]:
    """Name, joined value and option of a word, and the problems of its spelling."""
    name, equals, value = word.text.partition("=")
    joined = Text(value, word.place, word.known) if equals else None
    problems: list[Problem] = []
    if equals and not known.syntax.get("equals"):
        problems.append(Problem("equals-form", f"{known.engine} does not accept {name}=VALUE: write {name} VALUE", word.place))
    elif equals and name in (known.syntax.get("equals_ignored") or ()):
        problems.append(Problem("equals-form", f"{known.engine} accepts {name}=FILE but never reads it: write {name} FILE", word.place))
    option, spelling = find(name, known)
    if option is None and known.syntax.get("equals") and name[1:2] != "-" and len(name) > 2 and (short := known.taken.get(name[:2])):
        return name[:2], Text(word.text[2:], word.place, word.known), short, []
    if spelling is not None:
        problems.append(spelling._replace(place=word.place))
    return name, joined, option, problems


def find(name: str, known: Catalogue) -> tuple[Option | None, Problem | None]:
    """The option of a name at this version, and the problem of the name (the caller adds its place)."""
    if name in known.taken:
        return known.taken[name], None
    base = name.split(".", 1)[0]
    if known.syntax.get("dotted") and base != name:
        option, problem = find(base, known)
        if option is not None and option.kind not in ("json", "json_or_string"):
            return None, Problem("unknown-flag", f"{base} of {known.title} has no sub-keys: {name}")
        return option, problem
    rule = known.syntax.get("underscores")
    dashed = name[:2] + name[2:].replace("-", "_") if rule == "required" else name.replace("_", "-")
    if dashed in known.taken:
        severity = "warning" if rule in ("accepted", "same") else "error"
        return known.taken[dashed], Problem("misspelt-flag", f"{name}: {known.engine} spells it {dashed}", severity=severity, use=dashed)
    for spelled in (name, dashed):
        if spelled in known.gone:
            option = known.gone[spelled]
            return None, Problem("removed-flag", f"{name} was removed in {known.engine} {option.until}; {option.instead}", use=option.use)
        if spelled in known.later:
            return None, Problem("future-flag", f"{name} is new in {known.engine} {known.later[spelled].since}; this is {known.checked_as}")
    full = sorted(spelled for spelled in known.taken if dashed.startswith("--") and spelled.startswith(dashed))
    if full and len(name) > 3 and known.syntax.get("abbreviations"):
        what = "the full name" if len(full) == 1 else "one of them; as it is, the server refuses it"
        severity, option = ("warning", known.taken[full[0]]) if len(full) == 1 else ("error", None)
        return option, Problem("abbreviated-flag", f"{name} is short for {' or '.join(full[:4])}: write {what}", severity=severity, use=full[0])
    return None, Problem("unknown-flag", f"{known.title} has no {name}{did_you_mean(name, known.taken)}")


def _values(option: Option | None, rest: list[Text]) -> list[Text]:
    """The values of an option, consumed from the words after it; of an unknown one what is most likely its value."""
    if option is None:
        most = int(bool(rest) and rest[0].known)
    elif option.kind == "switch":
        most = int(bool(rest) and rest[0].text.lower() in ("true", "false"))
    else:
        most = 1 if option.nargs in (None, "?") else option.nargs if isinstance(option.nargs, int) else len(rest)
    found: list[Text] = []
    while rest and len(found) < most and not is_option(rest[0].text):
        found.append(rest.pop(0))
    return found
