"""Results that are kept with what they were worked out from.

Floor 1. A rule book and the context of a decision have a `memo`: what is kept there goes when they go."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar


class Remembers(Protocol):
    """What results can be kept with."""

    @property
    def memo(self) -> dict[object, Any]:
        """Results by the function and the arguments that gave them."""


Holder = TypeVar("Holder", bound=Remembers)
Words = ParamSpec("Words")
Result = TypeVar("Result")


def remembered(work: Callable[Concatenate[Holder, Words], Result]) -> Callable[Concatenate[Holder, Words], Result]:
    """The function with its results kept in the `memo` of its first argument, by the other ones, which are hashable."""

    @wraps(work)
    def known(holder: Holder, /, *args: Words.args, **kwargs: Words.kwargs) -> Result:
        key = (work, args, *kwargs.items()) if kwargs else (work, args)
        try:
            return holder.memo[key]  # type: ignore[no-any-return]  # the memo holds results of every type
        except KeyError:
            found = holder.memo[key] = work(holder, *args, **kwargs)
            return found

    return known
