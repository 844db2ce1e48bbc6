"""The words of a command line, read as the engine's own parser reads them; what it takes but a reader may not, is a warning.

Floor 6, pure. Warnings: a beginning for a name, underscores for dashes, a repeated option, an old word. Errors: also `--config=FILE`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generator.errors import did_you_mean
from generator.verify.catalogue import Catalogue, Option
from generator.verify.finding import Finding, Text, is_option
from generator.verify.values import old_word, wrong_text

_TRUTHS = ("true", "false")


def check_argv(words: Sequence[Text], known: Catalogue, positionals: int) -> Iterator[Finding]:
    """Every finding in the arguments of a server, without its command (`vllm serve`)."""
    rest = list(words)
    plugins = known.facts.get("plugins") or {}  # an option's words are not all, where a plugin adds to them
    plugged = {option for option, flag in plugins.items() if any(word.text.partition("=")[0] == flag for word in words)}
    seen: dict[str, Text] = {}
    while rest:
        word = rest.pop(0)
        if not is_option(word.text):
            positionals -= 1
            if positionals < 0 and word.known:
                yield Finding("stray-word", f"{word.text!r} does not belong to any option of {known.title}", word.place)
            continue
        name, joined, option, problem = _read(word, known)
        yield from problem
        if option is None:
            if rest and joined is None and not is_option(rest[0].text) and rest[0].known:
                rest.pop(0)  # most likely its value
            continue
        inner = name not in option.names and "." in name  # a key inside the value of an option
        yield from _use(option, name, word, known, seen, name if inner else option.name)
        if option.kind == "switch":
            joined = joined or (rest.pop(0) if rest and rest[0].text.lower() in _TRUTHS else None)
            if joined is not None:
                yield Finding("no-value", f"{name} takes no value", joined.place)
            continue
        for value in _values(option, joined, rest):
            what = wrong_text(option, value.text) if value.known and not inner else None
            if what and not (what[0] == "wrong-choice" and option.name in plugged):
                yield Finding(what[0], f"{name} of {known.title} takes {what[1]}", value.place)
            if new := old_word(option, value.text):
                yield Finding("deprecated-word", f"{known.title} reads {name} {value.text} as {new}: write {new}", value.place, "warning", new)
        if joined is None and option.nargs not in ("?", "*") and words[len(words) - len(rest) - 1] is word:
            yield Finding("needs-value", f"{name} needs a value", word.place)
    yield from _companions(seen, known)


def _read(word: Text, known: Catalogue) -> tuple[str, Text | None, Option | None, list[Finding]]:
    """Name, joined value and option of a word, and the problems of its spelling."""
    name, equals, value = word.text.partition("=")
    joined = Text(value, word.place, word.known) if equals else None
    problems: list[Finding] = []
    if equals and not known.syntax.get("equals"):
        problems.append(Finding("equals-form", f"{known.engine} does not accept {name}=VALUE: write {name} VALUE", word.place))
    elif equals and name in (known.syntax.get("equals_ignored") or ()):
        problems.append(Finding("equals-form", f"{known.engine} accepts {name}=FILE but never reads it: write {name} FILE", word.place))
    option, spelling = find(name, known)
    if option is None and known.syntax.get("equals") and name[1:2] != "-" and len(name) > 2 and (short := known.taken.get(name[:2])):
        return name[:2], Text(word.text[2:], word.place, word.known), short, []
    if spelling is not None:
        problems.append(spelling._replace(place=word.place))
    return name, joined, option, problems


def find(name: str, known: Catalogue) -> tuple[Option | None, Finding | None]:
    """The option of a name at this version, and the problem of the name (the caller adds its place)."""
    if name in known.taken:
        return known.taken[name], None
    base = name.split(".", 1)[0]
    if known.syntax.get("dotted") and base != name:
        option, problem = find(base, known)
        if option is not None and option.kind not in ("json", "json_or_string"):
            return None, Finding("unknown-flag", f"{base} of {known.title} has no sub-keys: {name}")
        return option, problem
    dashed = _respelled(name, known)
    if dashed in known.taken:
        rule = known.syntax.get("underscores")
        severity = "warning" if rule in ("accepted", "same") else "error"
        return known.taken[dashed], Finding("misspelt-flag", f"{name}: {known.engine} spells it {dashed}", severity=severity, use=dashed)
    for spelled in (name, dashed):
        if spelled in known.gone:
            option = known.gone[spelled]
            return None, Finding("removed-flag", f"{name} was removed in {known.engine} {option.until}; {option.instead}", use=option.use)
        if spelled in known.later:
            return None, Finding("future-flag", f"{name} is new in {known.engine} {known.later[spelled].since}; this is {known.checked_as}")
    full = sorted(spelled for spelled in known.taken if dashed.startswith("--") and spelled.startswith(dashed))
    if full and len(name) > 3 and known.syntax.get("abbreviations"):
        what = "the full name" if len(full) == 1 else "one of them; as it is, the server refuses it"
        severity, option = ("warning", known.taken[full[0]]) if len(full) == 1 else ("error", None)
        return option, Finding("abbreviated-flag", f"{name} is short for {' or '.join(full[:4])}: write {what}", severity=severity, use=full[0])
    return None, Finding("unknown-flag", f"{known.title} has no {name}{did_you_mean(name, known.taken)}")


def _respelled(name: str, known: Catalogue) -> str:
    if known.syntax.get("underscores") == "required":
        return name[:2] + name[2:].replace("-", "_")
    return name.replace("_", "-")


def _use(option: Option, name: str, word: Text, known: Catalogue, seen: dict[str, Text], key: str) -> Iterator[Finding]:
    if option.deprecated:
        use = f": use {option.use}" if option.use else ""
        yield Finding("deprecated-flag", f"{name} is deprecated in {known.title}{use}", word.place, "warning", option.use)
    if key in seen and not option.repeatable:
        yield Finding("repeated-flag", f"{name} is given twice; the last one counts", word.place, "warning")
    seen[key] = seen[option.name] = word


def _values(option: Option, joined: Text | None, rest: list[Text]) -> list[Text]:
    """The values of an option, consumed from the words after it."""
    if joined is not None:
        return [joined]
    most = 1 if option.nargs in (None, "?") else option.nargs if isinstance(option.nargs, int) else len(rest)
    found: list[Text] = []
    while rest and len(found) < most and not is_option(rest[0].text):
        found.append(rest.pop(0))
    return found


def _companions(seen: dict[str, Text], known: Catalogue) -> Iterator[Finding]:
    if (known.syntax.get("config") or {}).get("flag") in seen:
        return  # it may be in the config file
    for name, word in seen.items():
        for needed in known.taken[name].needs if name in known.taken else ():
            if needed not in seen:
                yield Finding("missing-companion", f"{name} also needs {needed}", word.place)
