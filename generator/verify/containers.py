"""The servers in a Compose file or a Kubernetes manifest. Floor 6, pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from generator.errors import Place
from generator.readers.document import Document, KeyPath
from generator.rulebook.book import RuleBook
from generator.verify.data import Container, containers_of
from generator.verify.finding import Text
from generator.verify.launches import Launch, commands_at, default_positionals, image_of
from generator.verify.room import of_pod, of_service
from generator.verify.shell_words import read_script

Expand = Callable[[str, Place], Text]
"""The text of a value after the expansion of its file."""

_DEFAULT = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*:?-([^${}]*)\}")
_EXPANDED = re.compile(r"\$[A-Za-z_{]")
_KUBE = re.compile(r"\$\([A-Za-z_][A-Za-z0-9_.-]*\)")


def in_containers(document: Document, book: RuleBook, engine: str | None) -> list[Launch] | None:
    """The servers of a Compose file, or of all containers of a Kubernetes manifest; None for another document."""
    data = document.data
    if not isinstance(data, Mapping):
        return None
    if isinstance(services := data.get("services"), Mapping):
        found: list[Container] = [(("services", name), _merged(one)) for name, one in services.items() if isinstance(one, Mapping)]
        keys, expand, room = ("entrypoint", "command", "environment"), _compose, of_service
    elif isinstance(data.get("kind"), str) and isinstance(data.get("apiVersion"), str):
        found, keys, expand, room = list(containers_of(data)), ("command", "args", "env"), _kubernetes, of_pod
    else:
        return None
    return [
        replace(one, room=room(document, path, container))
        for path, container in found for one in _container(document, path, container, keys, expand, book, engine)
    ]  # fmt: skip


def _merged(data: Mapping[str, object]) -> Mapping[str, object]:
    """A mapping with what its merge key (`<<`: a mapping, or a list of them) brings in."""
    bring = data.get("<<")
    found: dict[str, object] = {}
    for one in reversed(bring if isinstance(bring, list) else [bring]):
        found |= _merged(one) if isinstance(one, Mapping) else {}
    return found | {key: value for key, value in data.items() if key != "<<"}


def _container(
    document: Document, path: KeyPath, data: Mapping[str, object], keys: tuple[str, str, str], expand: Expand, book: RuleBook, engine: str | None
) -> Iterator[Launch]:
    entry, arguments, env_key = keys
    image = image_of(str(data.get("image") or ""), book)
    env = _env(document, (*path, env_key), data.get(env_key), expand)
    program = _words(document, (*path, entry), data.get(entry), expand)
    words = [*program, *_words(document, (*path, arguments), data.get(arguments), expand)]
    if found := commands_at(words, book):
        for server in found:
            yield replace(server, version=image[1] if image else None, env={**env, **server.env})
    elif (image is not None or (engine is not None and words)) and not program:
        name = image[0] if image is not None else str(engine)
        facts = book.section("engines")[name]
        prefix = [str(word) for word in facts["container"]["prefix"]]
        if [w.text for w in words[: len(prefix)]] == prefix:
            words = words[len(prefix) :]
        yield Launch(name, image[1] if image else None, words, default_positionals(name, book), env)


def _words(document: Document, path: KeyPath, value: object, expand: Expand) -> list[Text]:
    if isinstance(value, str):
        place = document.place(path)
        script = read_script(value.replace("$$", "\\$"), document.name, place)
        return [word for command in script.commands for word in command.words]
    if not isinstance(value, list):
        return []
    return [expand(str(_plain(item)), document.place((*path, i))) for i, item in enumerate(value)]


def _plain(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _env(document: Document, path: KeyPath, value: object, expand: Expand) -> dict[str, Text]:
    found: dict[str, Text] = {}
    if isinstance(value, Mapping):
        for name, item in _merged(value).items():
            if item is not None:
                found[name] = expand(str(_plain(item)), document.place((*path, name)))
    for i, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, Mapping) and isinstance(item.get("name"), str):
            place = document.place((*path, i))
            found[item["name"]] = expand(str(_plain(item["value"])), place) if "value" in item else Text("", place, False)
        elif isinstance(item, str) and "=" in item:
            name, _, text = item.partition("=")
            found[name] = expand(text, document.place((*path, i)))
    return found


def _compose(text: str, place: Place) -> Text:
    """A value after Compose interpolation: `$$` is a dollar, a default replaces its variable."""
    text = _DEFAULT.sub(lambda found: found.group(1), text)
    bare = text.replace("$$", "")
    return Text(text.replace("$$", "$"), place, not _EXPANDED.search(bare))


def _kubernetes(text: str, place: Place) -> Text:
    return Text(text, place, not _KUBE.search(text))
