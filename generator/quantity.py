"""Units: GiB is 2**30 bytes (what drivers and engines print), GB is 10**9 (what is on the box). Floor 0: imports nothing of the project."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

MIB = 1 << 20
GIB = 1 << 30
GB = 10**9
Thing = TypeVar("Thing")
Words = ParamSpec("Words")


def gib(size: float) -> float:
    """Bytes as GiB."""
    return size / GIB


def floor_to(value: int, multiple: int) -> int:
    """The largest multiple of `multiple` that is not above `value`."""
    return value // multiple * multiple


def ceil_to(value: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple


def ceil_div(value: int, divisor: int) -> int:
    """Integer division, rounded up."""
    return -(-value // divisor)


@lru_cache(4096)
def version_key(version: str) -> tuple[int, ...]:
    """A version or build number as comparable numbers: `0.10.1` > `0.9`, `b11434` > `b999`. A release candidate sorts before its release
    (`0.33.0-rc2` < `0.33.0`)."""
    main, _, suffix = version.lower().removeprefix("v").partition("-")
    if not suffix and "rc" in main:
        main, _, suffix = main.partition("rc")
        suffix = "rc" + suffix
    numbers = [int("".join(c for c in part if c.isdigit()) or 0) for part in main.split(".")]
    numbers += [0] * (4 - len(numbers))
    return (*numbers, 0 if suffix else 1, int("".join(c for c in suffix if c.isdigit()) or 0))


def in_span(span: Mapping[str, Any], key: tuple[int, ...]) -> bool:
    """Whether a version (its key) lies in a span: from `since` on, and before `until`; both are optional."""
    since, until = span.get("since"), span.get("until")
    return (since is None or version_key(since) <= key) and (until is None or key < version_key(until))


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """The first and the last of each run of consecutive numbers, in their order."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def ranges(numbers: Iterable[int]) -> str:
    """Numbers as `0-3,8`."""
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in runs(numbers))


def grouped(things: Iterable[Thing], key: Callable[[Thing], Hashable]) -> list[list[Thing]]:
    """Things that share a key, in their order."""
    groups: dict[Hashable, list[Thing]] = {}
    for one in things:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())


def by_identity(objects: int, most: int) -> Callable[[Callable[Words, Thing]], Callable[Words, Thing]]:
    """A function with its last results kept, `most` of them: by the first `objects` arguments themselves, which must not change and are slow
    to compare, and by the values of the others."""

    def keep(work: Callable[Words, Thing]) -> Callable[Words, Thing]:
        known: dict[object, tuple[object, Thing]] = {}

        @wraps(work)
        def found(*args: Words.args, **named: Words.kwargs) -> Thing:
            key = (*map(id, args[:objects]), *args[objects:], *named.items())
            one = known.get(key)
            if one is None:
                if len(known) >= most:
                    known.pop(next(iter(known)))
                one = known[key] = (args, work(*args, **named))  # the objects stay alive, so that no other gets their ids
            return one[1]

        return found

    return keep
