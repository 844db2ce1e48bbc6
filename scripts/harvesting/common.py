"""What is read in the same way in several engines."""

from __future__ import annotations

import ast
import re

from harvesting.static import UNKNOWN, Source

WORD = re.compile(r"[A-Z][A-Z0-9_]{3,}")


def environment(source: Source, folder: str, prefix: str, *more: str) -> list[str]:
    """Variables of the engine's own prefix that its package names anywhere as a whole word."""
    pattern, found = re.compile(rf"\b(?:{'|'.join((prefix, *more))})[A-Z0-9_]*[A-Z0-9]\b"), set[str]()
    for path in source.files(folder):
        found |= set(pattern.findall(path.read_text(encoding="utf-8", errors="replace")))
    return sorted(found)


def declared(source: Source, pattern: str, *places: str) -> list[str]:
    """Variables that a package declares or asks the environment for, by a pattern with the name as its group."""
    found: set[str] = set()
    for place in places:
        path = source.root / place
        for file in [path] if path.suffix else source.files(place):
            if file.exists():
                found |= set(re.findall(pattern, file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE))
    return sorted(found)


def lazy_names(source: Source, table: str, *folders: str) -> list[str]:
    """Names that parsers are registered under: keys of a table, else the first words of `register_module` in a package."""
    for folder in folders:
        file = source.file(f"{folder}/__init__.py")
        if file is None:
            continue
        known = source.names(file).get(table)
        if isinstance(known, ast.Dict):
            return sorted(str(key.value) for key in known.keys if isinstance(key, ast.Constant))
        found = set()
        for path in source.files(folder):
            for node in ast.walk(source.tree(path)):
                if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("register_module", "register_lazy_module"):
                    words = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "name")]
                    for word in words:
                        value = source.constant(path, word)
                        found |= {value} if isinstance(value, str) else set(value) if isinstance(value, list) else set()
        return sorted(found)
    return []


def min_capabilities(source: Source, folder: str) -> dict[str, int]:
    """The least compute capability (×10) of each quantisation that says one number, by `get_name`."""
    out: dict[str, int] = {}
    for path in source.files(folder):
        for node in source.tree(path).body:
            if isinstance(node, ast.ClassDef):
                said = {part.name: _returned(source, path, part) for part in node.body if isinstance(part, ast.FunctionDef)}
                name, least = said.get("get_name"), said.get("get_min_capability")
                if isinstance(name, str) and isinstance(least, int):
                    out[name] = least
    return dict(sorted(out.items()))


def _returned(source: Source, path: object, function: ast.FunctionDef) -> object:
    ends = [node for node in ast.walk(function) if isinstance(node, ast.Return)]
    return source.constant(path, ends[0].value) if len(ends) == 1 else UNKNOWN  # type: ignore[arg-type]


def metrics(source: Source, prefix: str, *folders: str) -> list[str]:
    """Names of metrics that are written out in these folders."""
    found: set[str] = set()
    for path in source.files(*folders):
        found |= set(re.findall(rf'"({re.escape(prefix)}[a-z0-9_:]+)"', path.read_text(encoding="utf-8", errors="replace")))
    return sorted(found)
