"""What one release of vLLM says of itself, read in its source: options, variables, models, quantisation, parsers, metrics, defaults.

Its options are fields of dataclasses, turned into arguments by `get_kwargs`; the rules of that function are followed here."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from harvesting.common import declared, environment, lazy_names, metrics, min_capabilities
from harvesting.static import UNKNOWN, Found, Hint, Source

PACKAGE, FOLDERS = "vllm", ("vllm",)
BIG = {"max_num_batched_tokens"}


def harvest(source: Source) -> dict[str, Any]:
    """All that is read of a release."""
    words = quantisation(source)
    tools, thoughts = parsers(source)
    return {
        "options": options(source, {"tool_call_parser": tools, "reasoning_parser": thoughts}),
        "env": environment(source, "vllm", "VLLM_"),
        "declared": declared(source, r'^    "(VLLM_[A-Z0-9_]+)":', "vllm/envs.py"),
        "quantization": words,
        "min_capability": min_capabilities(source, "vllm/model_executor/layers/quantization"),
        "tool_parsers": tools,
        "reasoning_parsers": thoughts,
        "metrics": metrics(source, "vllm:", "vllm/v1/metrics", "vllm/engine"),
        "defaults": defaults(source),
    }


def options(source: Source, parsers: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    """The options of `vllm serve` by their first spelling."""
    walker = _Walker(source, parsers)
    frontend = next((path for path in source.files("vllm/entrypoints") if "\nclass FrontendArgs" in path.read_text(encoding="utf-8")), None)
    engine = source.file("vllm/engine/arg_utils.py")
    if frontend is None or engine is None:
        raise LookupError("the files of vLLM's options have moved: FrontendArgs in vllm/entrypoints, vllm/engine/arg_utils.py")
    for file, name in ((frontend, "make_arg_parser"), (engine, "EngineArgs"), (engine, "AsyncEngineArgs"), (frontend, "FrontendArgs")):
        found = source.resolve(file, name)
        if found is None:
            raise LookupError(f"vLLM has no {name} in {file.name}")
        if isinstance(found.node, ast.FunctionDef):
            walker.walk(found.file, found.node)
        elif name == "FrontendArgs":
            walker.frontend(found)
        else:
            own = next(part for part in found.node.body if isinstance(part, ast.FunctionDef) and part.name == "add_cli_args")  # type: ignore[attr-defined]
            walker.walk(found.file, own)
    serve = source.file("vllm/entrypoints/cli/serve.py")
    found = source.resolve(serve, "ServeSubcommand") if serve else None
    for method in source.methods(found, "subparser_init") if found else ():
        walker.walk(method.file, method.node)
    return walker.options


class _Walker:
    """Follows functions that call `add_argument`."""

    def __init__(self, source: Source, parsers: dict[str, list[str]]) -> None:
        self.source, self.parsers = source, parsers
        self.options: dict[str, dict[str, Any]] = {"--help": {"names": ["-h"], "type": "switch"}}
        file = source.file("vllm/utils/argparse_utils.py", "vllm/utils/__init__.py")
        self.paired = bool(file and "EnableDisableAction" in source.names(file))
        text = source.file("vllm/engine/arg_utils.py").read_text(encoding="utf-8")  # type: ignore[union-attr]
        self.big = BIG | set(re.findall(r'"(\w+)"', next(iter(re.findall(r"human_readable_int_args = \{(.*?)\}", text, re.DOTALL)), "")))
        self.big |= set(
            re.findall(
                r'"(\w+)"',
                next(iter(re.findall(r"if name in \{(.*?)\}:\s+kwargs\[name\]\[.type.\] = human_readable_int", text, re.DOTALL)), ""),
            )
        )
        self.auto_length = "human_readable_int_or_auto" in text

    def frontend(self, found: Found) -> None:
        kwargs = self.kwargs(found)
        for name in ("add_cli_args", "_customize_cli_kwargs"):
            for method in self.source.methods(found, name):
                self._edits(method, {"frontend_kwargs": kwargs})
        for name, held in kwargs.items():
            self.add([f"--{name.replace('_', '-')}"], held)

    def walk(self, file: Path, function: ast.AST) -> None:
        known: dict[str, Any] = {}
        for node in _in_order(function):
            if isinstance(node, ast.Assign):
                target = node.targets[0]
                if isinstance(target, ast.Name) and isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "get_kwargs":
                    found = self.source.resolve(file, ast.unparse(node.value.args[0]))
                    known[target.id] = self.kwargs(found) if found else {}
                elif isinstance(target, ast.Name) and (held := self._held(file, node.value, known)) is not None:
                    known[target.id] = held
                else:
                    self._edit(file, node, known)
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("remove", "append"):
                name = _field(node.func.value)  # type: ignore[attr-defined]
                words = known.get(name[0], {}).get(name[1], {}).get(name[2]) if name else None
                if isinstance(words, list) and (word := self.source.constant(file, node.args[0])) is not UNKNOWN:
                    getattr(words, node.func.attr)(word)  # type: ignore[attr-defined]  # kwargs["field"]["choices"].remove("word")
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
                names = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
                if names and names[0].startswith("-"):
                    self.add(names, self._arguments(file, node, known))

    def _held(self, file: Path, node: ast.AST, known: dict[str, Any]) -> dict[str, Any] | None:
        """What `kwargs["field"]`, a name for it, or `{**kwargs["field"], "key": …}` holds."""
        if isinstance(node, ast.Name):
            return known.get(node.id)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "get_kwargs":
            found = self.source.resolve(file, ast.unparse(node.value.args[0]))
            return self.kwargs(found).get(ast.literal_eval(node.slice)) if found else None
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant):
            return known.get(node.value.id, {}).get(str(node.slice.value))  # type: ignore[no-any-return]
        if isinstance(node, ast.Dict) and None in node.keys:
            out: dict[str, Any] = {}
            for key, value in zip(node.keys, node.values, strict=True):
                if key is None:
                    out |= self._held(file, value, known) or {}
                elif isinstance(key, ast.Constant) and key.value != "help":
                    out.pop(str(key.value), None)
            return out
        return None

    def _arguments(self, file: Path, node: ast.Call, known: dict[str, Any]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                out |= self._held(file, keyword.value, known) or {}
            elif keyword.arg == "action":
                out["action"] = ast.unparse(keyword.value).strip("'\"")
            elif keyword.arg == "type":
                out["type"] = ast.unparse(keyword.value)
            elif keyword.arg in ("nargs", "choices", "default", "deprecated"):
                out[keyword.arg] = self.source.constant(file, keyword.value)
        return out

    def _edits(self, method: Found, known: dict[str, Any]) -> None:
        for node in _in_order(method.node):
            if isinstance(node, ast.Assign):
                self._edit(method.file, node, known)
            elif isinstance(node, ast.Delete):
                for target in node.targets:
                    if name := _field(target):
                        known.get(name[0], {}).get(name[1], {}).pop(name[2], None)

    def _edit(self, file: Path, node: ast.Assign, known: dict[str, Any]) -> None:
        """`kwargs["field"]["type"] = …`, the corrections that come after `get_kwargs`."""
        target = node.targets[0]
        if name := _field(target):
            held, key, of = known.get(name[0], {}).get(name[1]), name[2], name[1]
        elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant) and isinstance(target.value, ast.Name):
            held, key, of = known.get(target.value.id), str(target.slice.value), ""
        else:
            return
        if held is not None and key == "choices":
            value = self.source.constant(file, node.value)
            held["choices"] = value if isinstance(value, list) and value else self.parsers.get(of, UNKNOWN)
        elif held is not None and key in ("type", "action"):
            held[key] = node.value.value if isinstance(node.value, ast.Constant) else ast.unparse(node.value)

    def kwargs(self, found: Found) -> dict[str, dict[str, Any]]:
        """What `get_kwargs` makes of a class's fields."""
        out = {}
        for name, (file, field) in self.source.fields(found).items():
            held = self._of_hints(name, self.source.hints(file, field.annotation))
            value = self.source.constant(file, field.value)
            if value is not UNKNOWN and isinstance(value, str | int | float | bool):
                held["default"] = value
            out[name] = held
        return out

    def _of_hints(self, name: str, hints: list[Hint]) -> dict[str, Any]:  # the order of get_kwargs
        kinds = {hint.kind for hint in hints}

        def one(kind: str) -> Hint:
            return next(hint for hint in hints if hint.kind == kind)

        if "dataclass" in kinds:
            return {"type": "json"}
        if kinds == {"bool", "str", "None"}:
            return {"type": "str", "nargs": "?"}
        if "bool" in kinds:
            return {"action": "BooleanOptionalAction"}
        if "Literal" in kinds:
            words = one("Literal").words
            listed: Any = (
                UNKNOWN if words is None else [*sorted(words, key=str), *([None] if "None" in kinds and "str" not in kinds else [])]
            )
            kind = "int" if words and all(isinstance(word, int) for word in words) else "str"
            return {"type": kind, ("words" if "str" in kinds else "choices"): listed}
        for kind in ("tuple", "list", "set"):
            if kind in kinds:
                hint = one(kind)
                members = {part.kind for part in (hint.parts or [[]])[0]}
                words = next((part.words for part in (hint.parts or [[]])[0] if part.kind == "Literal"), None)
                inner = "str" if len(members - {"None"}) != 1 else next(iter(members - {"None"}))
                several = (
                    kind != "tuple"
                    or hint.count != 2
                    or len(hint.parts or ()) < 2
                    or any(part.kind == "?" for part in (hint.parts or [[], []])[1])
                )
                nargs: Any = "+" if kind != "tuple" or several or hint.count < 2 else hint.count
                return {
                    "type": "str" if inner == "Literal" else inner,
                    "nargs": nargs,
                    **({"choices": [*words, *([None] if "None" in kinds else [])]} if words and inner == "Literal" else {}),
                }
        if "int" in kinds:
            if name == "max_model_len":
                return {"type": "size_or_auto" if self.auto_length else "size"}
            return {"type": "size" if name in self.big else "int"}
        if "float" in kinds:
            return {"type": "float"}
        if "dict" in kinds or "Dict" in kinds or "Mapping" in kinds:
            others = kinds - {"dict", "Dict", "Mapping", "None"}
            return {"type": "json_or_string" if others else "json"}
        return {"type": "str"}

    def add(self, names: list[str], held: dict[str, Any]) -> None:
        if names == ["--optimization-level"]:
            names = [*names, "-O"]  # FlexibleArgumentParser.parse_args rewrites -O3, -O 3 and -O=3
        long = [name for name in names if name.startswith("--")]
        first = long[0] if long else names[0]
        entry: dict[str, Any] = {}
        if others := [name for name in names if name != first]:
            entry["names"] = others
        action = str(held.get("action", ""))
        if "BooleanOptional" in action or "EnableDisable" in action:
            off = [f"--no-{name[2:]}" for name in names if name.startswith("--")]
            if self.paired:
                turned = {"--enable-": "--disable-", "--disable-": "--enable-"}
                off += [other + name.removeprefix(one) for name in names for one, other in turned.items() if name.startswith(one)]
            entry |= {"off": sorted(off), "type": "switch"}
        elif action.startswith("store_"):
            entry["type"] = "switch"
        else:
            entry["type"] = _kind(str(held.get("type", "str")))
            if held.get("nargs") not in (None, UNKNOWN):
                entry["nargs"] = held["nargs"]
            for key in ("choices", "words"):
                if held.get(key) and isinstance(held[key], list):
                    entry[key] = list(dict.fromkeys("None" if word is None else str(word) for word in held[key]))
                elif key in held:
                    entry["unsure"] = key
        if "default" in held and isinstance(held["default"], str | int | float | bool):
            entry["default"] = held["default"]
        self.options[first] = entry


KINDS = {
    "human_readable_int_or_auto": "size_or_auto", "human_readable_int": "size", "json.loads": "json", "union_dict_and_str": "json_or_string", "float": "float",
}  # fmt: skip
"""Our word for a function that turns an argument into a value, the longest name first."""


def _kind(type_: str) -> str:
    if type_ in ("size_or_auto", "size", "json_or_string", "json"):
        return type_
    if found := next((kind for word, kind in KINDS.items() if word in type_), None):
        return found
    return "int" if re.search(r"\bint\b", type_) and "lambda" not in type_ else "string"


def _field(node: ast.AST) -> tuple[str, str, str] | None:
    """Of `a["b"]["c"]`: a, b, c."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.value, ast.Subscript):
        inner = node.value
        if isinstance(inner.value, ast.Name) and isinstance(inner.slice, ast.Constant):
            return inner.value.id, str(inner.slice.value), str(node.slice.value)
    return None


def _in_order(function: ast.AST) -> list[ast.AST]:
    return sorted((node for node in ast.walk(function) if hasattr(node, "lineno")), key=lambda node: (node.lineno, node.col_offset))  # type: ignore[attr-defined]


def quantisation(source: Source) -> list[str]:
    """The words of `--quantization` that a release knows."""
    file = source.file("vllm/model_executor/layers/quantization/__init__.py")
    found = source.literal(file, ast.Name("QuantizationMethods")) if file else UNKNOWN
    return list(found) if found is not UNKNOWN else []


def parsers(source: Source) -> tuple[list[str], list[str]]:
    """The names of tool-call parsers and of reasoning parsers."""
    tools = lazy_names(source, "_TOOL_PARSERS_TO_REGISTER", "vllm/tool_parsers", "vllm/entrypoints/openai/tool_parsers")
    thoughts = lazy_names(source, "_REASONING_PARSERS_TO_REGISTER", "vllm/reasoning")
    return tools, thoughts


def defaults(source: Source) -> dict[str, Any]:
    """Defaults that the memory law depends on: tokens of a step and sequences by size of the card, sizes of the CUDA graphs, the runner."""
    out: dict[str, Any] = {}
    file = source.file("vllm/engine/arg_utils.py")
    if file is None:
        return out
    for node in ast.walk(source.tree(file)):
        if isinstance(node, ast.FunctionDef) and node.name in (
            "get_batch_defaults",
            "_set_default_args",
            "_set_default_args_v1",
            "_set_default_max_num_seqs_and_batched_tokens_args",
        ):
            rows: list[str] = []
            for part in ast.walk(node):
                if isinstance(part, ast.If):
                    rows += [f"if {ast.unparse(part.test)}"] if "device_memory" in ast.unparse(part.test) else []
                if isinstance(part, ast.Assign) and isinstance(part.value, ast.Dict) and "default_max" in ast.unparse(part.targets[0]):
                    rows.append(f"{ast.unparse(part.targets[0])} = {ast.unparse(part.value)}")
            if rows:
                out["batch"] = rows
    for name in ("vllm/config/vllm.py", "vllm/config/compilation.py", "vllm/config/__init__.py"):
        if (path := source.file(name)) and (
            sizes := re.findall(
                r"cudagraph_capture_sizes = (\[.*?\])\n|(max_graph_size|max_cudagraph_capture_size) = (min\(.*?\)|\d+)\n",
                path.read_text(encoding="utf-8"),
            )
        ):
            out.setdefault("graph_sizes", sorted({" ".join(filter(None, size)) for size in sizes}))
    if (path := source.file("vllm/envs.py")) and (found := re.search(r"VLLM_USE_V2_MODEL_RUNNER: (.*)", path.read_text(encoding="utf-8"))):
        out["v2_runner"] = found[1].strip()
    return out
