"""How fuzzing changes a file: part by part where it is data, byte by byte where it is not."""

from __future__ import annotations

import contextlib
import random
from typing import Any

from fuzz_targets import dumped, parsed

SCALARS: list[Any] = [
    None, True, False, 0, 1, -1, 2, 7, 63, 64, 65, 255, 2**31, 2**32, 2**63, 2**64, -(2**63), 10**18, 10**40, 0.0, -0.0, 0.5, 1e-300, 1e+300,
    float("inf"), float("-inf"), float("nan"), "", " ", "0", "-1", "1e999", "nan", "inf", "true", "null", "~", ".", "..", "/", "../../x", "a\nb",
    "\x00", "\x1b[31m", "\u202e", "\ud800", "é", "🦙", "x" * 3000, "$(x)", "{{x}}", "*", "**", "[", "(a+)+$", [], {}, [[]], {'': None}, [0] * 300,
    {'a': {'b': {'c': {}}}}, {str(i): i for i in range(200)},
]  # fmt: skip
"""What a part of the data is replaced by."""

WORDS: list[bytes] = [
    b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\n", b"\r\n", b"\t", b"'", b'"', b"\\", b"`", b"$(", b"${", b"{{", b"}}", b"{%", b"<<EOF",
    b"&a ", b"*a", b"!!python/object:x ", b"!!binary ", b"? ", b"---\n", b"...\n", b"%YAML 9.9\n", b"- ", b": ", b"|+9\n", b">-\n", b"[", b"]", b"{",
    b"}", b",", b"#", b"--", b"=", b"0x", b"1e999", b"-1", b"18446744073709551615", b"NaN", b"Infinity", b"null", b"\xc2\x85", b"\xe2\x80\xa8",
    b"\xed\xa0\x80", b"\xf0\x9f\xa6\x99", b"a" * 5000, b"[" * 2000, b'{"a":' * 500, b"\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\x00\x00\x00\x00\x00\x00\x00\x00",
]  # fmt: skip
"""What is put in between bytes."""


def nodes(data: Any) -> list[tuple[Any, Any]]:
    """Every part of nested data, as the thing that holds it and its key there."""
    found: list[tuple[Any, Any]] = []
    waiting = [data]
    while waiting and len(found) < 20_000:
        one = waiting.pop()
        for key in one if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ():
            found.append((one, key))
            waiting.append(one[key])
    return found


def change_data(data: Any, other: Any, chance: random.Random) -> Any:
    """One part of the data replaced, taken away, doubled, renamed, nested, or exchanged with one of another seed."""
    places = nodes(data)
    if not places:
        return chance.choice(SCALARS)
    holder, key = chance.choice(places)
    match chance.randrange(8):
        case 0 | 1 | 2:
            holder[key] = chance.choice(SCALARS)
        case 3:
            del holder[key]
        case 4:
            theirs = nodes(other)
            if theirs:
                there, name = chance.choice(theirs)
                holder[key] = there[name]
        case 5 if isinstance(holder, dict):
            names = [name for where, name in places if isinstance(where, dict)]
            holder[chance.choice([*names, *(s for s in SCALARS if isinstance(s, str))])] = holder[key]
        case 6:
            value = holder[key]
            holder[key] = chance.choice([[value], {"a": value}, [value] * chance.choice([2, 50]), str(value)])
        case _:
            value = holder[key]
            if isinstance(value, bool) or not isinstance(value, int | float):
                holder[key] = str(value) + chance.choice(["", " ", "x", "\n", "0", "é"])
            else:
                holder[key] = chance.choice([-value, value * 10**6, value + 1, value / 3, float(value), str(value)])
    return data


def change_bytes(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, put in, taken out, moved, or taken from another seed."""
    raw = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 8])):
        at = chance.randrange(len(raw) + 1)
        end = min(len(raw), at + chance.choice([1, 1, 2, 8, 64, 1000]))
        match chance.randrange(6):
            case 0 if raw and at < len(raw):
                raw[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, raw[at] ^ (1 << chance.randrange(8)), chance.randrange(256)])
            case 1:
                raw[at:at] = chance.choice(WORDS)
            case 2:
                del raw[at:end]
            case 3:
                raw[at:at] = raw[at:end] * chance.choice([1, 2, 50])
            case 4 if other:
                start = chance.randrange(len(other))
                raw[at:end] = other[start : start + chance.choice([4, 32, 500])]
            case _:
                raw[at:end] = chance.randbytes(end - at) if chance.random() < 0.3 else chance.choice(WORDS)
    return bytes(raw[:200_000])


def changed(form: str, data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """The data, changed by its form."""
    other = chance.choice(others)
    head = data.split(b"\n", 1)[0] + b"\n" if data.startswith(b"#@") else b""
    if form in ("yaml", "json") and chance.random() < 0.75:
        with contextlib.suppress(Exception):  # what is no data any more is changed as bytes
            value, more = parsed(form, data), parsed(form, other)
            for _ in range(chance.choice([1, 1, 1, 2, 3])):
                value = change_data(value, more, chance)
            return head + dumped(form, value)
    return change_bytes(data, other, chance)
