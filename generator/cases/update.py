"""Update of expectations: only failed values are rewritten; comments and layout stay. Floor 7, pure: text in, text out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import yaml

from generator.cases.compare import Difference, Result

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*\Z")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


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
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(part) for part in value) + "]"
    if isinstance(value, str) and _PLAIN.match(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
