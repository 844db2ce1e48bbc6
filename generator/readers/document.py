"""Readers of untrusted YAML and JSON files, with positions and budgets.

Floor 0. YAML is read as version 1.2's core schema (so `7.6e9` is a number and `yes` a word), from
libyaml's events, without recursion; duplicate keys, tags, several documents, invalid UTF-8 and
anything over a budget are errors with a position. Aliases work; their expansion counts towards the budget."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import yaml

from generator.errors import InputError, Place, fail
from generator.readers.binary import open_regular, read_piece
from generator.readers.json_text import MAX_DEPTH, parse_object

if TYPE_CHECKING:

    class Event(Protocol):
        """An event of libyaml; most kinds have only some of these."""

        start_mark: yaml.Mark
        anchor: str | None
        tag: str | None
        implicit: tuple[bool, bool]
        value: str


MAX_SPEC_BYTES = 1 << 20
MAX_CONFIG_BYTES = 16 << 20
MAX_NODES = 200_000

_INT = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")
_BREAKS = re.compile("[\x85\u2028\u2029]")
"""Line breaks of YAML 1.1 that editors do not show."""
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_CORE_TAGS = {"tag:yaml.org,2002:str", "!"}

KeyPath = tuple[str | int, ...]


class Document(NamedTuple):
    """A file's data with the position of each part.

    `marks` maps a path such as `("hardware", "gpu")` to the (line, column) of its value;
    `key_marks` to that of its key. `plain` are the unquoted words, including keys, with their parsed values."""

    name: str
    data: Any
    marks: dict[KeyPath, tuple[int, int]]
    key_marks: dict[KeyPath, tuple[int, int]]
    plain: frozenset[tuple[str, object]] = frozenset()

    def place(self, path: KeyPath = (), key: bool = False) -> Place:
        """The place of `path`, or of its nearest parent with a position."""
        marks = self.key_marks if key else self.marks
        while path and path not in marks:
            path, marks = path[:-1], self.marks
        line, column = marks.get(path, (1, 1))
        return Place(self.name, line, column)


def read_bytes(path: Path, limit: int, name: str | None = None) -> bytes:
    """The bytes of a regular file of at most `limit` bytes.

    Raises `InputError` for a file that is missing, unreadable, not regular (a FIFO would block), or too large."""
    name = name or str(path)
    file, size = open_regular(path, name)
    with file:
        raw = b"" if size > limit else read_piece(file, size + 1, name)
        if len(raw) > size:  # kernel files report size 0
            raw += read_piece(file, limit + 1 - len(raw), name)
        if max(size, len(raw)) > limit:
            raise fail("too-large", f"{max(size, len(raw))} bytes; at most {limit} are read", Place(name))
        return raw


def decode(raw: bytes, name: str) -> str:
    """Strict UTF-8 (a byte-order mark is dropped); raises `InputError` with the position of the bad byte."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        raise fail("not-utf8", f"byte 0x{raw[error.start]:02x} is not UTF-8", Place(name, line, column)) from None


def read_yaml(path: Path, name: str | None = None, limit: int = MAX_SPEC_BYTES) -> Document:
    """Read one YAML document from a file; see `parse_yaml`."""
    name = name or str(path)
    return parse_yaml(decode(read_bytes(path, limit, name), name), name)


def parse_yaml(text: str, name: str) -> Document:
    """Parse one YAML document into plain data with positions.

    Raises `InputError` with a position for syntax errors, duplicate or non-string keys, tags, several documents,
    and anything deeper than `MAX_DEPTH` or larger than `MAX_NODES` after expanding aliases."""
    if found := _BREAKS.search(text):
        message = f"the character U+{ord(found[0]):04X} is an invisible line break, which YAML turns into a blank: remove it"
        raise fail("bad-character", message, _place(text, found.start(), name))
    try:
        return _Builder(name).build(text)
    except yaml.reader.ReaderError as error:
        place = _place(text, text.find(chr(error.character)), name)  # libyaml counts bytes, the Python version counts characters
        raise fail("bad-character", f"the character U+{error.character:04X} is not allowed in YAML", place) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name)
        raise fail("yaml-syntax", error.problem or "not YAML", place) from None
    except yaml.YAMLError as error:
        raise fail("yaml-syntax", " ".join(str(error).split()), Place(name)) from None


def _place(text: str, index: int, name: str) -> Place:
    """The place of a character in a text."""
    return Place(name, text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


class _Open:
    """An open mapping or sequence."""

    __slots__ = ("anchor", "count", "items", "key", "path", "start")

    def __init__(self, items: dict[str, object] | list[object], path: KeyPath, anchor: str | None, start: int) -> None:
        self.items, self.path, self.anchor, self.start = items, path, anchor, start
        self.key: str | None = None
        self.count = 0


class _Builder:
    def __init__(self, name: str) -> None:
        self.name = name
        self.marks: dict[KeyPath, tuple[int, int]] = {}
        self.key_marks: dict[KeyPath, tuple[int, int]] = {}
        self.anchors: dict[str, tuple[object, int]] = {}
        self.stack: list[_Open] = []
        self.plain: set[tuple[str, object]] = set()
        self.nodes = 0
        self.root: object = None

    def build(self, text: str) -> Document:
        loader = yaml.CSafeLoader(text) if yaml.__with_libyaml__ else yaml.SafeLoader(text)
        documents = 0
        event: Any  # its type is known by `kind`
        while (kind := type(event := loader.get_event())) is not yaml.StreamEndEvent:
            if kind is yaml.ScalarEvent:
                self._add(self._scalar(event), event, event.anchor, 1)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._open(event, {} if kind is yaml.MappingStartEvent else [])
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._close()
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    raise self._fail(event, "several-documents", "only one YAML document is read, but another one begins here")
        return Document(self.name, self.root, self.marks, self.key_marks, frozenset(self.plain))

    def _fail(self, event: Event, code: str, message: str) -> InputError:
        mark = event.start_mark
        return fail(code, message, Place(self.name, mark.line + 1, mark.column + 1))

    def _path(self) -> KeyPath:
        if not self.stack:
            return ()
        top = self.stack[-1]
        return (*top.path, top.key if top.key is not None else len(top.items))

    def _open(self, event: Event, items: dict[str, object] | list[object]) -> None:
        self._check_tag(event)
        if len(self.stack) >= MAX_DEPTH:
            raise self._fail(event, "too-deep", f"nested deeper than {MAX_DEPTH} levels")
        if self.stack and isinstance(self.stack[-1].items, dict) and self.stack[-1].key is None:
            raise self._fail(event, "bad-key", "a key must be a word, not a list or a mapping")
        path = self._path()
        self.marks[path] = (event.start_mark.line + 1, event.start_mark.column + 1)
        self.stack.append(_Open(items, path, event.anchor, self.nodes))

    def _close(self) -> None:
        done = self.stack.pop()
        self._put(done.items, 1)
        if done.anchor:
            self.anchors[done.anchor] = (done.items, self.nodes - done.start)

    def _alias(self, event: Event) -> None:
        if event.anchor not in self.anchors:
            raise self._fail(event, "yaml-alias", f"'*{event.anchor}' refers to no anchor above it")
        value, size = self.anchors[event.anchor]
        self._add(value, event, None, size)

    def _add(self, value: object, event: Event, anchor: str | None, size: int) -> None:
        top = self.stack[-1] if self.stack else None
        mark = (event.start_mark.line + 1, event.start_mark.column + 1)
        if top is not None and isinstance(top.items, dict) and top.key is None:
            self._key(event, top, mark)
            return
        self.nodes += size
        if self.nodes > MAX_NODES:
            raise self._fail(event, "too-many-nodes", f"more than {MAX_NODES} values after expanding aliases")
        self.marks[self._path()] = mark
        if anchor:
            self.anchors[anchor] = (value, size)
        self._put(value, 0)

    def _key(self, event: Event, top: _Open, mark: tuple[int, int]) -> None:
        key: str | None = getattr(event, "value", None)
        if key is None:  # an alias
            raise self._fail(event, "bad-key", "a key must be a plain word")
        if key in top.items:
            raise self._fail(event, "duplicate-key", f"{key!r} appears twice")
        if event.implicit[0]:
            self.plain.add((key, key))
        top.key = key
        self.key_marks[(*top.path, key)] = mark

    def _put(self, value: object, size: int) -> None:
        self.nodes += size
        if not self.stack:
            self.root = value
            return
        top = self.stack[-1]
        if isinstance(top.items, list):
            top.items.append(value)
        elif top.key is not None:
            top.items[top.key] = value
            top.key = None

    def _check_tag(self, event: Event) -> None:
        if event.tag is not None and event.tag not in _CORE_TAGS:
            raise self._fail(event, "yaml-tag", f"tags such as {event.tag!r} are not supported")

    def _scalar(self, event: Event) -> object:
        self._check_tag(event)
        value = event.value
        if not event.implicit[0]:
            return self._text(event, value)
        meaning = self._plain(event, value)
        self.plain.add((value, meaning))
        return meaning

    def _plain(self, event: Event, value: str) -> object:
        if value in _WORDS:
            return _WORDS[value]
        if len(value) <= 64 and value[0] in "+-.0123456789":
            if _INT.match(value):
                return int(value)
            if _FLOAT.match(value):
                return self._finite(event, float(value))
            if _OCTAL.match(value):
                return int(value[2:], 8)
            if _HEX.match(value):
                return int(value[2:], 16)
        return self._text(event, value)

    def _finite(self, event: Event, value: float) -> float:
        if value in (float("inf"), float("-inf")):
            raise self._fail(event, "bad-number", f"the number {event.value} is too large")
        return value

    def _text(self, event: Event, value: str) -> str:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self._fail(event, "not-utf8", "the text contains half of a surrogate pair") from None
        return str(value)


def read_json(path: Path, name: str | None = None, limit: int = MAX_CONFIG_BYTES, constants: bool = False) -> dict[str, object]:
    """Read a JSON object from a file (a safetensors index; a model's `config.json`, where Python's `constants` are allowed).

    Raises `InputError` with a position for invalid JSON, duplicate keys, or excessive nesting."""
    name = name or str(path)
    return parse_object(decode(read_bytes(path, limit, name), name), name, constants=constants)
