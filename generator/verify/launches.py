"""The servers in a launch file: engine, version, arguments and environment.

Floor 6, pure. Words are only parsed; nothing is looked up or run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from posixpath import basename

from generator.errors import Place
from generator.readers.document import Document, KeyPath
from generator.rulebook.book import RuleBook
from generator.verify.finding import Text
from generator.verify.modelfile import read_with_lines
from generator.verify.room import Room
from generator.verify.shell_words import SHELLS, read_script

_VERSION = re.compile(r"(?:^|[-v])(b\d{3,}|\d+\.\d+(?:\.\d+)?(?:\.?(?:post|rc)\d+|-rc\d+)?)(?=$|[^0-9.])")
_TALK = {"echo", "printf", "which", "pip", "pip3", "apt", "apt-get", "type", "hash", "alias"}
PYTHON = "python3"
_IMAGE = re.compile(r"([^@]*?)(?::([^/:@]*))?(?:@(?s:.*))?")
_SCRIPT = re.compile(r"-[a-z]*c\Z")


@dataclass
class Launch:
    """A server started by a file. `version` is the one named in the file, None if there is none.

    `model` and `parameters` are those of a Modelfile; `around` are the words of a
    `docker run` before those of the server, and `room` is what a platform gives it."""

    engine: str
    version: str | None
    words: list[Text]
    positionals: int
    env: Mapping[str, Text] = field(default_factory=dict)
    place: Text | None = None
    model: Text | None = None
    parameters: Mapping[str, list[Text]] = field(default_factory=dict)
    around: Sequence[Text] = ()
    room: Room | None = None


def in_script(text: str, name: str, book: RuleBook, start: Place | None = None) -> Iterator[Launch]:
    """The servers started by a shell text, including `docker run`."""
    script = read_script(text, name, start)
    for command in script.commands:
        for found in in_words(command.words, book):
            found.env = {**script.exports, **command.env, **found.env}
            yield found


def in_words(words: Sequence[Text], book: RuleBook) -> list[Launch]:
    """The servers started by a command line, behind wrappers (exec, env, nohup, docker run, sh -c)."""
    if not words or words[0].text in _TALK or (words[0].text == "command" and words[1:2] and words[1].text.startswith("-")):
        return []
    env: dict[str, Text] = {}
    for at, word in enumerate(words):
        image = image_of(word.text, book)
        if image is not None and at > 0:
            env |= _container_env(words[:at])
            entry = _option(words[:at], "--entrypoint")  # empty where it clears the image's own; None where that runs
            rest = [*([entry] if entry and entry.text else []), *words[at + 1 :]]
            found = commands_at(rest, book)
            if not found and entry is None:
                prefix = [str(one) for one in book.section("engines")[image[0]]["container"]["prefix"]]
                rest = rest[len(prefix) :] if [w.text for w in rest[: len(prefix)]] == prefix else rest
                found = [Launch(image[0], image[1], rest, default_positionals(image[0], book), {}, word)]
            return [replace(one, version=one.version or image[1], env={**env, **one.env}, around=words[:at]) for one in found]
        if found := commands_at(words[at:], book):
            return [replace(one, env={**env, **one.env}) for one in found]
        name, equals, value = word.text.partition("=")
        if equals and name.isidentifier():
            env[name] = Text(value, word.place, word.known)
    return []


def _option(words: Sequence[Text], name: str) -> Text | None:
    """The value of `NAME VALUE` or `NAME=VALUE`, None without one."""
    joined = (word._replace(text=word.text.partition("=")[2]) for word in words if word.text.startswith(f"{name}="))
    return next((after for word, after in pairwise(words) if word.text == name), next(joined, None))


def commands_at(words: Sequence[Text], book: RuleBook) -> list[Launch]:
    """The server if the words begin with its command; those in the script of `sh -c SCRIPT`."""
    program = basename(words[0].text) if words else ""
    script = next((w for flag, w in pairwise(words) if _SCRIPT.match(flag.text)), None) if program in SHELLS else None
    if program == "sbatch":
        script = _option(words, "--wrap")
    if script is not None:
        return list(in_script(script.text, script.place.path, book, script.place))
    for engine, facts in book.section("flags").items():
        for command in facts["commands"]:
            pattern = command["words"]
            if len(words) >= len(pattern) and all(_same(p, w.text) for p, w in zip(pattern, words, strict=False)):
                return [Launch(engine, None, list(words[len(pattern) :]), command["positionals"], {}, words[0])]
    return []


def of_config(document: Document, engine: str) -> Launch:
    """The server that an engine's own YAML file configures: its keys as options."""
    words = []
    for path, value in _leaves(document.data, ()):
        place, name = document.place(path), "--" + ".".join(map(str, path))
        texts = [str(one) for one in value] if isinstance(value, list) else [] if value is True else [str(value)]
        words += [Text(name, place), *(Text(text, place) for text in texts)] if value is not False else []
    return Launch(engine, None, words, 0, {}, Text("", document.place()))


def _leaves(data: object, path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path, data


def of_modelfile(text: str, name: str, engine: str) -> Launch:
    """The model that a Modelfile describes; raises `ModelfileError`."""
    model, parameters = None, dict[str, list[Text]]()
    for line, command in read_with_lines(text):
        value = Text(command.value, Place(name, line))
        if command.word == "PARAMETER":
            parameters.setdefault(command.name, []).append(value)
        elif command.word == "FROM":
            model = model or value
    return Launch(engine, None, [], 0, {}, model, model, parameters)


def names_a_server(text: str, book: RuleBook) -> bool:
    """Whether an image or all words of a command stand somewhere in a text: without them nothing in it starts a server."""
    return any(
        any(image in text for image in facts["images"])
        or any(all(word in text for word in command["words"] if word != PYTHON) for command in facts["commands"])
        for facts in book.section("flags").values()
    )


def _same(pattern: str, word: str) -> bool:
    program = basename(word)
    return re.fullmatch(r"python(3(\.\d+)?)?", program) is not None if pattern == PYTHON else pattern in (word, program)


def default_positionals(engine: str, book: RuleBook) -> int:
    """The number of positional arguments of an engine's command."""
    return int(book.section("flags")[engine]["commands"][0]["positionals"])


def image_of(text: str, book: RuleBook) -> tuple[str, str | None] | None:
    """Engine and version of a container image, None for other images."""
    named = _IMAGE.fullmatch(text)
    if named is None or not {"/", ":"} & {*text}:
        return None
    repository, tag = named.groups("")
    for engine, facts in book.section("flags").items():
        for known in facts["images"]:
            if repository == known or repository.endswith(f"/{known}"):
                version = _VERSION.search(tag)
                return engine, version.group(1) if version else None
    return None


def _container_env(words: Sequence[Text]) -> dict[str, Text]:
    """Variables of `docker run -e NAME=VALUE` and `--env=NAME=VALUE`."""
    env: dict[str, Text] = {}
    for flag, word in pairwise(words):
        text = word.text if flag.text in ("-e", "--env") else ""
        name, equals, value = text.partition("=")
        if equals:
            env[name] = Text(value, word.place, word.known)
    return env
