"""What one release of SGLang says of itself, read in its source.

Up to 0.5.5 or so every option is a call of `add_argument`; later ones are annotated fields (`A[T, Arg(…)]`), which `add_cli_args_from_dataclass`
turns into arguments by the rules that are followed here. Both are read, so that a release in between loses nothing."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from harvesting.common import declared, environment, metrics, min_capabilities
from harvesting.static import UNKNOWN, Found, Source

PACKAGE, FOLDERS = "sglang", ("sglang",)
SERVER = "sglang/srt/server_args.py"
TABLES = {
    "tool_parsers": ("ToolCallParserEnum", "sglang/srt/function_call/function_call_parser.py"),
    "reasoning_parsers": ("DetectorMap", "sglang/srt/parser/reasoning_parser.py", "sglang/srt/reasoning_parser.py"),
}


def harvest(source: Source) -> dict[str, Any]:
    """All that is read of a release."""
    parsers = {kind: table(source, *words) for kind, words in TABLES.items()}
    return {
        "options": options(source, parsers),
        "env": environment(source, "sglang", "SGLANG_", "SGL_"),
        "declared": sorted(
            {
                *declared(source, r"^    (SGL(?:ANG)?_[A-Z0-9_]+) = Env", "sglang/srt/environ.py"),
                *declared(source, r'(?:environ\.get|getenv|get_\w*env\w*)\(\s*"(SGL(?:ANG)?_[A-Z0-9_]+)"', "sglang"),
            }
        ),
        "quantization": quantisation(source),
        "min_capability": min_capabilities(source, "sglang/srt/layers/quantization"),
        **parsers,
        "metrics": metrics(source, "sglang:", "sglang/srt/metrics", "sglang/srt/observability"),
        "defaults": defaults(source),
    }


def options(source: Source, parsers: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    """The options of the server by their first spelling."""
    file = source.file(SERVER)
    classes = [node for node in source.tree(file).body if isinstance(node, ast.ClassDef) and node.name == "ServerArgs"] if file else []
    if file is None or not classes:
        raise LookupError(f"SGLang's options have moved from {SERVER}")
    found = Found(file, classes[0])
    out: dict[str, dict[str, Any]] = {"--help": {"names": ["-h"], "type": "switch"}}
    for path in [file, *source.files("sglang/srt/arg_groups/fields")]:
        for node in source.tree(path).body:
            if isinstance(node, ast.ClassDef) and (path != file or node.name == "ServerArgs"):
                for part in ast.walk(node):
                    if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and (entry := _annotated(source, path, part)):
                        out[entry[0]] = entry[1]
    for method in source.methods(found, "add_cli_args"):
        local: dict[str, ast.AST] = {}
        for node in sorted((n for n in ast.walk(method.node) if hasattr(n, "lineno")), key=lambda n: (n.lineno, n.col_offset)):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                local[node.targets[0].id] = node.value
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
                names = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                if names and str(names[0]).startswith("-"):
                    words = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
                    first, entry = _entry(source, method.file, [str(name) for name in names], words, local, parsers)
                    out[first] = entry
    return out


def _entry(
    source: Source, file: Path, names: list[str], words: dict[str, ast.AST], local: dict[str, ast.AST], parsers: dict[str, list[str]]
) -> tuple[str, dict[str, Any]]:
    first = next(name for name in names if name.startswith("--"))
    entry: dict[str, Any] = {"names": rest} if (rest := [name for name in names if name != first]) else {}
    action = ast.unparse(words["action"]).strip("'\"") if "action" in words else ""
    if "Deprecated" in action:
        entry["deprecated"] = True
    if "BooleanOptional" in action:
        entry |= {"type": "switch", "off": [f"--no-{name[2:]}" for name in names if name.startswith("--")]}
    elif (
        action.startswith("store_") or "StoreTrue" in action or ("Deprecated" in action and not words.keys() & {"nargs", "type", "choices"})
    ):
        entry["type"] = "switch"
    else:
        entry["type"] = _kind(ast.unparse(words["type"]) if "type" in words else "str")
        if action == "append":
            entry["repeatable"] = True
        if (nargs := source.constant(file, words.get("nargs"))) not in (None, UNKNOWN):
            entry["nargs"] = nargs
        if "choices" in words:
            value = _choices(source, file, words["choices"], local, parsers)
            entry |= {"unsure": "choices"} if value is None else {"choices": value}
    value = source.constant(file, words.get("default"))
    if isinstance(value, str | int | float | bool):
        entry["default"] = value
    return first, entry


def _choices(source: Source, file: Path, node: ast.AST, local: dict[str, ast.AST], parsers: dict[str, list[str]]) -> list[str] | None:
    text = ast.unparse(node)
    for name, value in local.items():
        if isinstance(node, ast.Name) and node.id == name:
            return _choices(source, file, value, {k: v for k, v in local.items() if k != name}, parsers)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = (_choices(source, file, part, local, parsers) for part in (node.left, node.right))
        return None if left is None or right is None else left + right
    for kind, words in (
        ("tool_parsers", ("ToolCallParserEnum", "_tool_call_parser_choices")),
        ("reasoning_parsers", ("DetectorMap", "_reasoning_parser_choices")),
    ):
        if any(word in text for word in words):
            return parsers[kind]
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("set", "list") and node.args:
        return _choices(source, file, node.args[0], local, parsers)
    value = source.constant(file, node)
    return ["None" if word is None else str(word) for word in value] if isinstance(value, list) else None


def _annotated(source: Source, file: Path, field: ast.AnnAssign) -> tuple[str, dict[str, Any]] | None:
    """The option of a field `name: A[T, "help"]` or `A[T, Arg(…)]`."""
    note = field.annotation
    if not (isinstance(note, ast.Subscript) and getattr(note.value, "id", "") in ("A", "Annotated") and isinstance(note.slice, ast.Tuple)):
        return None
    words: dict[str, ast.AST] = {}
    for part in note.slice.elts[1:]:
        if isinstance(part, ast.Call) and getattr(part.func, "id", "") == "Arg":
            words = {keyword.arg: keyword.value for keyword in part.keywords if keyword.arg}
            break
        if isinstance(part, ast.Constant | ast.JoinedStr | ast.BinOp):
            break
    else:
        return None
    if source.constant(file, words.get("no_cli")) is True:
        return None
    name = source.constant(file, words.get("cli_name"))
    first = name if isinstance(name, str) else f"--{getattr(field.target, 'id', '').replace('_', '-')}"
    aliases = source.constant(file, words.get("aliases"))
    names = [first, *(aliases if isinstance(aliases, list) else [])]
    hints = source.hints(file, note.slice.elts[0])
    kinds = [hint.kind for hint in hints if hint.kind != "None"]
    given: dict[str, ast.AST] = {key: words[key] for key in ("action", "nargs", "choices") if key in words}
    if (extra := words.get("action_kwargs")) and isinstance(extra, ast.Dict):
        given |= {str(key.value): value for key, value in zip(extra.keys, extra.values, strict=True) if isinstance(key, ast.Constant)}
    if "type_parser" in words:
        given["type"] = words["type_parser"]
    if "action" not in given and "type" not in given:
        literal = next((hint for hint in hints if hint.kind == "Literal"), None)
        if literal is not None and "choices" not in given:
            given["choices"] = ast.List([ast.Constant(word) for word in literal.words or ()], ast.Load())
        if "list" in kinds:
            inner = next(hint for hint in hints if hint.kind == "list")
            member = (inner.parts or [[]])[0]
            given.setdefault("nargs", ast.Constant("+"))
            given["type"] = ast.Name(member[0].kind if member and member[0].kind in ("int", "float") else "str")
        elif (kinds == ["bool"] and not any(hint.kind == "None" for hint in hints)) or kinds == ["bool"]:
            given["action"] = ast.Constant("store_true")
        else:
            whole = literal is not None and literal.words and all(isinstance(word, int) for word in literal.words)
            given["type"] = ast.Name("int" if whole else kinds[0] if len(kinds) == 1 and kinds[0] in ("int", "float") else "str")
    if field.value is not None:
        given["default"] = field.value
    return _entry(source, file, names, given, {}, {"tool_parsers": [], "reasoning_parsers": []})


def _kind(type_: str) -> str:
    for word, kind in (("human_readable_int", "size"), ("json.loads", "json"), ("json_list_type", "json")):
        if word in type_:
            return kind
    return type_ if type_ in ("int", "float") else "string"


def table(source: Source, name: str, *files: str) -> list[str]:
    """The keys of a table in a class."""
    file = source.file(*files)
    for node in ast.walk(source.tree(file)) if file else ():
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        if getattr(target, "id", "") == name and isinstance(node.value, ast.Dict):  # type: ignore[attr-defined]
            return [str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)]  # type: ignore[attr-defined]
    return []


def quantisation(source: Source) -> list[str]:
    """The words of `--quantization`."""
    for name in ("sglang/srt/arg_groups/choices.py", SERVER):
        file = source.file(name)
        if file and isinstance(found := source.constant(file, ast.Name("QUANTIZATION_CHOICES")), list):
            return [str(word) for word in found]
    return []


def defaults(source: Source) -> dict[str, Any]:
    """Defaults that the memory law depends on: the lines that choose the step, the graphs and what the share leaves, by size of the card."""
    out: dict[str, Any] = {}
    for name in ("sglang/srt/arg_groups/memory_hook.py", SERVER):
        file = source.file(name)
        if file is None:
            continue
        rows = [
            ast.unparse(node).splitlines()[0]
            for node in ast.walk(source.tree(file))
            if isinstance(node, ast.Assign | ast.AugAssign)
            and any(word in ast.unparse(node)[:60] for word in ("chunked_prefill_size", "cuda_graph_max_bs", "reserved_mem"))
        ]
        if rows:
            out["memory"] = rows
            break
    return out
