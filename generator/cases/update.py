"""Update of expectations: only failed values are rewritten; comments and layout stay. Floor 7, pure: text in, text out."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

import yaml

from generator.cases.compare import Difference, Result


def updated(text: str, results: Iterable[Result]) -> str:
    """A case file's text with expectations updated to these results (all of this file)."""
    root = yaml.compose(text, yaml.SafeLoader)
    changes: list[tuple[int, int, str]] = []
    for result in results:
        for one in _each_once(result.differences):
            node = _at(root, (result.case.index, "expect", *one.path))
            if node is not None:
                start, end = node.start_mark.index, _end(node)
                kept = text[start:end].rstrip()
                changes.append((start, start + len(kept), flow(one.got)))
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def mendable(result: Result) -> list[Difference]:
    """The differences that an updated expectation would resolve."""
    return [one for one in _each_once(result.differences) if one.path]


def _each_once(found: Iterable[Difference]) -> list[Difference]:
    by_path: dict[tuple[str | int, ...], Difference] = {}
    for one in found:
        if one.mendable:
            by_path.setdefault(one.path, one)
    return list(by_path.values())


def _at(node: yaml.Node | None, path: tuple[str | int, ...]) -> yaml.Node | None:
    for step in path:
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step] if step < len(node.value) else None
        else:
            return None
    return node


def _end(node: yaml.Node) -> int:
    """The end of a value: a block's own end mark is after the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    end: int = node.end_mark.index
    return end


def flow(value: object) -> str:
    """A value on one line, as the cases write it."""
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=inf).strip().removesuffix("\n...")
