"""Python source read without running it: names followed through imports, constants worked out, annotations taken apart.

What cannot be worked out is `UNKNOWN`, never a guess."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

UNKNOWN = type("Unknown", (), {"__repr__": lambda self: "UNKNOWN", "__bool__": lambda self: False})()


class Found(NamedTuple):
    """A definition and the file that it stands in."""

    file: Path
    node: ast.AST


class Source:
    """The files of one release below `root`, which holds the package's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree = functools.cache(self._tree)
        self.names = functools.cache(self._names)

    def file(self, *names: str) -> Path | None:
        """The first of these paths that exists."""
        return next((path for name in names if (path := self.root / name).exists()), None)

    def files(self, *folders: str) -> Iterator[Path]:
        """All modules below folders, in order of their paths."""
        for folder in folders:
            yield from sorted((self.root / folder).rglob("*.py"))

    def _tree(self, path: Path) -> ast.Module:
        return ast.parse(path.read_text(encoding="utf-8-sig"))

    def _names(self, path: Path) -> dict[str, ast.AST]:
        """What a module defines or imports at its top level, in branches as well; the last wins, an import never over a definition."""
        found: dict[str, ast.AST] = {}
        imported: dict[str, ast.AST] = {}
        for node in _top(self.tree(path).body):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        found[target.id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                found[node.target.id] = node.value
            elif isinstance(node, ast.ClassDef | ast.FunctionDef):
                found[node.name] = node
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    imported[alias.asname or alias.name] = node
        return {**imported, **found}

    def resolve(self, file: Path, name: str, depth: int = 0) -> Found | None:
        """The definition that a name of a module stands for, through imports."""
        node = self.names(file).get(name)
        if node is None and depth < 12:
            for other in _top(self.tree(file).body):
                if isinstance(other, ast.ImportFrom) and other.names[0].name == "*":
                    for path in self._modules(file, other, name)[:1]:
                        if found := self.resolve(path, name, depth + 1):
                            return found
            return None
        if isinstance(node, ast.ImportFrom):
            original = next(alias.name for alias in node.names if name == (alias.asname or alias.name))
            for path in self._modules(file, node, original):
                if path != file and depth < 12 and (found := self.resolve(path, original, depth + 1)):
                    return found
            return None
        return None if node is None else Found(file, node)

    def _modules(self, file: Path, node: ast.ImportFrom, name: str) -> list[Path]:
        if node.level:
            folder = file.parent
            for _ in range(node.level - 1):
                folder = folder.parent
        else:
            folder = self.root
        stem = folder.joinpath(*(node.module or "").split(".")) if node.module else folder
        return [path for path in (stem.with_suffix(".py"), stem / "__init__.py", stem / f"{name}.py") if path.exists()]

    def constant(self, file: Path, node: ast.AST | None, depth: int = 0) -> Any:  # one case a kind of node
        """The value of an expression of constants, else UNKNOWN."""
        if depth > 12 or node is None:
            return UNKNOWN
        again = functools.partial(self.constant, file, depth=depth + 1)
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            out: list[Any] = []
            for part in node.elts:
                value = again(part.value if isinstance(part, ast.Starred) else part)
                if value is UNKNOWN:
                    return UNKNOWN
                out += list(value) if isinstance(part, ast.Starred) else [value]
            return out
        if isinstance(node, ast.Dict):
            pairs = {}
            for key, held in zip(node.keys, node.values, strict=True):
                if key is None:
                    inner = again(held)
                    if isinstance(inner, dict):
                        pairs |= inner
                    continue
                if (k := again(key)) is UNKNOWN or isinstance(k, list | dict):
                    return UNKNOWN
                pairs[k] = again(held)
            return pairs
        if isinstance(node, ast.Name):
            found = self.resolve(file, node.id)
            return UNKNOWN if found is None else self.constant(found.file, found.node, depth + 1)
        if isinstance(node, ast.Attribute):
            return self._attribute(file, node, depth)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(value := again(node.operand), int | float):
            return -value
        if isinstance(node, ast.BinOp):
            return _arithmetic(node.op, again(node.left), again(node.right))
        if isinstance(node, ast.Subscript) and getattr(node.value, "id", getattr(node.value, "attr", "")) == "Literal":
            return self.literal(file, node)
        if isinstance(node, ast.Call):
            return self._call(file, node, again)
        if isinstance(node, ast.ListComp) and isinstance(node.generators[0].iter, ast.Name):
            return self._members(file, node)
        return UNKNOWN

    def _members(self, file: Path, node: ast.ListComp) -> Any:
        """`[x.value for x in AnEnum]`, or its names."""
        found = self.resolve(file, getattr(node.generators[0].iter, "id", ""))
        if found is None or not isinstance(found.node, ast.ClassDef) or node.generators[0].ifs:
            return UNKNOWN
        members = [part for part in found.node.body if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name)]
        said = ast.unparse(node.elt).removeprefix(f"{ast.unparse(node.generators[0].target)}.")
        if said in ("name", "name.lower()"):
            names = [str(part.targets[0].id) for part in members]  # type: ignore[attr-defined]
            return [name.lower() for name in names] if said != "name" else names
        return [self.constant(found.file, part.value) for part in members] if said == "value" else UNKNOWN

    def _attribute(self, file: Path, node: ast.Attribute, depth: int) -> Any:
        """A field's default of a class (`ServerArgs.host`)."""
        if isinstance(node.value, ast.Name) and (owner := self.resolve(file, node.value.id)) and isinstance(owner.node, ast.ClassDef):
            for part in owner.node.body:
                if isinstance(part, ast.AnnAssign) and getattr(part.target, "id", "") == node.attr:
                    return self.constant(owner.file, part.value, depth + 1)
                if isinstance(part, ast.Assign) and getattr(part.targets[0], "id", "") == node.attr:
                    return self.constant(owner.file, part.value, depth + 1)
        return UNKNOWN

    def _call(self, file: Path, node: ast.Call, again: Any) -> Any:
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if called == "get_args" and node.args:
            return self.literal(file, node.args[0])
        if called in ("list", "tuple", "sorted", "set", "keys") and (
            inner := node.args[0] if node.args else getattr(node.func, "value", None)
        ):
            value = again(inner)
            return UNKNOWN if value is UNKNOWN else sorted(value) if called == "sorted" else list(value)
        if called in ("Field", "field"):
            words = {keyword.arg: keyword.value for keyword in node.keywords}
            return again(words["default"]) if "default" in words else again(node.args[0]) if node.args else UNKNOWN
        if called == "int" and node.args and isinstance(value := again(node.args[0]), int):
            return value
        return UNKNOWN

    def literal(self, file: Path, node: ast.AST, depth: int = 0) -> Any:
        """The words of a `Literal`, through names, unions and `Optional`; UNKNOWN where it is none."""
        if depth > 12:
            return UNKNOWN
        if isinstance(node, ast.Name):
            found = self.resolve(file, node.id)
            return UNKNOWN if found is None else self.literal(found.file, found.node, depth + 1)
        if not isinstance(node, ast.Subscript) or getattr(node.value, "id", getattr(node.value, "attr", "")) != "Literal":
            return UNKNOWN
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        out: list[Any] = []
        for part in parts:
            inner = self.literal(file, part, depth + 1) if isinstance(part, ast.Name | ast.Subscript) else self.constant(file, part)
            if inner is UNKNOWN:
                return UNKNOWN
            out += inner if isinstance(inner, list) else [inner]
        return out

    def hints(self, file: Path, node: ast.AST | None, depth: int = 0) -> list[Hint]:
        """The members of an annotation, unions flattened, names followed."""
        if node is None or depth > 12:
            return []
        again = functools.partial(self.hints, file, depth=depth + 1)
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                return again(ast.parse(node.value, mode="eval").body)
            return [Hint("None")]
        if isinstance(node, ast.BinOp):
            return again(node.left) + again(node.right)
        if isinstance(node, ast.Subscript):
            name = getattr(node.value, "id", getattr(node.value, "attr", ""))
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            if name == "Optional":
                return [*again(parts[0]), Hint("None")]
            if name == "Union":
                return [hint for part in parts for hint in again(part)]
            if name in ("Annotated", "SkipValidation", "ClassVar", "Final"):
                return again(parts[0])
            if name == "Literal":
                words = self.literal(file, node)
                return [Hint("Literal", words if isinstance(words, list) else None)]
            return [
                Hint(
                    name.lower() if name in ("List", "Tuple", "Dict", "Set", "Type") else name,
                    None,
                    [again(part) for part in parts],
                    len(parts),
                )
            ]
        if isinstance(node, ast.Name):
            return self._named(file, node.id, depth)
        if isinstance(node, ast.Attribute):
            return [Hint(node.attr)]
        return [Hint("?")]

    def _named(self, file: Path, name: str, depth: int) -> list[Hint]:
        if name in ("str", "int", "float", "bool", "dict", "list", "tuple", "set", "Any", "bytes"):
            return [Hint(name)]
        found = self.resolve(file, name)
        if found is None:
            return [Hint(name)]
        if isinstance(found.node, ast.ClassDef):
            marks = {getattr(mark.func if isinstance(mark, ast.Call) else mark, "id", "") for mark in found.node.decorator_list}
            parents = [base.value if isinstance(base, ast.Subscript) else base for base in found.node.bases]
            bases = {getattr(base, "id", getattr(base, "attr", "")) for base in parents}
            kind = "dataclass" if marks & {"dataclass", "config"} else "dict" if bases & {"dict", "TypedDict", "UserDict"} else name
            return [Hint(kind)]
        return self.hints(found.file, found.node, depth + 1)

    def fields(self, found: Found) -> dict[str, tuple[Path, ast.AnnAssign]]:
        """The annotated fields of a class with those that it inherits, in the order in which a dataclass has them."""
        out: dict[str, tuple[Path, ast.AnnAssign]] = {}
        if not isinstance(found.node, ast.ClassDef):
            return out
        for base in reversed(found.node.bases):
            if isinstance(base, ast.Name) and (parent := self.resolve(found.file, base.id)):
                out |= self.fields(parent)
        for part in found.node.body:
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and "ClassVar" not in ast.dump(part.annotation):
                out[part.target.id] = (found.file, part)
        return out

    def methods(self, found: Found, name: str) -> list[Found]:
        """The methods of that name of a class and its bases, the base's first."""
        out: list[Found] = []
        if isinstance(found.node, ast.ClassDef):
            for base in found.node.bases:
                if isinstance(base, ast.Name) and (parent := self.resolve(found.file, base.id)):
                    out += self.methods(parent, name)
            out += [Found(found.file, part) for part in found.node.body if isinstance(part, ast.FunctionDef) and part.name == name]
        return out


class Hint(NamedTuple):
    """One member of an annotation: its kind, the words of a Literal, the members of what it holds, and how many parts it names."""

    kind: str
    words: list[Any] | None = None
    parts: list[list[Any]] | None = None
    count: int = 0


def _top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _top(node.body)
            yield from _top(node.orelse)
            for handler in getattr(node, "handlers", ()):
                yield from _top(handler.body)


def _arithmetic(operator: ast.operator, left: Any, right: Any) -> Any:
    if UNKNOWN in (left, right):
        return UNKNOWN
    try:
        if isinstance(operator, ast.Add):
            return left + right
        if isinstance(operator, ast.Mult):
            return left * right
        if isinstance(operator, ast.Div):
            return left / right
        if isinstance(operator, ast.Sub):
            return left - right
        if isinstance(operator, ast.Pow) and abs(right) < 64:
            return left**right
        if isinstance(operator, ast.LShift) and right < 64:
            return left << right
    except (TypeError, ZeroDivisionError):
        return UNKNOWN
    return UNKNOWN
