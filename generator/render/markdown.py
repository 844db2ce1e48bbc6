"""Literal text inside Markdown: in running text, in code spans and in table cells. Floor 6, pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from generator.render.words import comment

MOST_WORD = 60
"""Characters of a value in short form."""

_SPECIAL = re.compile(r"([\\`*{}\[\]<>#|~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")

_TAKEN = re.compile(r"@|://|mailto:|xmpp:|www\.|#\d|GH-\d|:[a-z0-9_+-]+:|^ |  | $", re.IGNORECASE)


def md(text: object) -> str:
    """Running text, with Markdown and HTML escaped."""
    return _escaped(comment(text))


@lru_cache(4096)  # texts of rules and sources repeat in every plan
def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def code(text: object) -> str:
    """A code span outside tables."""
    return _span(comment(text))


def cell(text: object) -> str:
    """A code span in a table cell, with bars escaped."""
    return _span(comment(text)).replace("|", "\\|")


def quiet(text: object) -> str:
    """A cell's text with user values: a code span if GitHub would create a link or a mention, or drop blanks, despite escaping."""
    return cell(text) if _TAKEN.search(str(text)) else md(text)


@lru_cache(4096)
def _span(body: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if ((body[:1] in ("`", " ") or body[-1:] in ("`", " ")) and body.strip(" ")) or not body else ""  # text of blanks only is kept
    return f"{fence}{pad}{body}{pad}{fence}"


def did(entry: Mapping[str, object]) -> str:
    """What a step of the trace did, in a line: `set a = 1, b = 2; kept 3`."""
    return "; ".join(f"{name} {said(value)}" for name, value in entry.items() if name not in ("step", "row", "id", "read", "because", "source", "at"))


def said(value: object) -> str:
    """A value that a row read or set, in words."""
    match value:
        case None:
            return "unknown"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case dict():
            return ", ".join(f"{name} = {said(item)}" for name, item in value.items())
        case list() | tuple() | set() | frozenset():
            items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
            return ", ".join(map(said, items)) or "nothing"
        case _:
            return str(value)


def inputs(found: Mapping[str, Mapping[str, float]]) -> str:
    """The inputs of a formula in a line, in full."""
    return "; ".join(f"{name} {one['value']:,.12g}" for name, one in found.items())


def number(value: object) -> str:
    """A number for readers: thousands separators, at most two decimals."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def short(thing: object) -> str:
    """A value in short form: at most `MOST_WORD` characters on one line."""
    match thing:
        case None:
            return "nothing"
        case bool():
            return "yes" if thing else "no"
        case float():
            return f"{thing:.4g}"
        case dict():
            text = "{" + ", ".join(f"{k}: {short(v)}" for k, v in thing.items()) + "}"
        case list() | tuple():
            text = "[" + ", ".join(map(short, thing)) + "]"
        case _:
            text = " ".join(str(thing).split())
    return text if len(text) <= MOST_WORD else text[: MOST_WORD - 1] + "…"
