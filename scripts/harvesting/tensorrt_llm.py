"""What one release of TensorRT-LLM says of itself: options of trtllm-serve (click), keys of its YAML file, models, quantisation, parsers.

The package in the index only fetches a wheel from elsewhere, so `--from` takes a checkout or the wheel."""

from __future__ import annotations

import ast
import re
from typing import Any

from harvesting import models
from harvesting.common import environment, metrics
from harvesting.static import UNKNOWN, Source

PACKAGE, FOLDERS = "tensorrt-llm", ("tensorrt_llm",)


def harvest(source: Source) -> dict[str, Any]:
    """All that is read of a release."""
    return {
        "options": options(source),
        "env": environment(source, "tensorrt_llm", "TRTLLM_", "TLLM_"),
        "quantization": members(source, "tensorrt_llm/quantization/mode.py", "QuantAlgo"),
        "tool_parsers": keys(source, "tensorrt_llm/serve/tool_parser/tool_parser_factory.py", "parsers"),
        "reasoning_parsers": sorted(
            set(re.findall(r'register_reasoning_parser\(\s*"([\w-]+)"', _text(source, "tensorrt_llm/llmapi/reasoning_parser.py")))
        ),
        "metrics": metrics(source, "trtllm_", "tensorrt_llm/metrics"),
        "architectures": models.registered(source, "tensorrt_llm/_torch/models"),
        "keys": fields(source),
        "defaults": {},
    }


def options(source: Source) -> dict[str, dict[str, Any]]:
    """The options of `trtllm-serve serve` by their first spelling, as its decorators say them."""
    file = source.file("tensorrt_llm/commands/serve.py")
    out: dict[str, dict[str, Any]] = {}
    for node in source.tree(file).body if file else ():
        if not isinstance(node, ast.FunctionDef) or node.name != "serve":
            continue
        for mark in reversed(node.decorator_list):
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "click.option":
                names = [arg.value for arg in mark.args if isinstance(arg, ast.Constant) and str(arg.value).startswith("-")]
                words = {keyword.arg: keyword.value for keyword in mark.keywords if keyword.arg}
                first = str(names[0])
                entry: dict[str, Any] = {"names": names[1:]} if names[1:] else {}
                if source.constant(file, words.get("is_flag")) is True:  # type: ignore[arg-type]
                    entry["type"] = "switch"
                else:
                    said = ast.unparse(words["type"]) if "type" in words else "str"
                    entry["type"] = said if said in ("int", "float", "bool") else "string"
                    if "Choice" in said and isinstance(words["type"], ast.Call):
                        listed = source.constant(file, words["type"].args[0]) if words["type"].args else UNKNOWN  # type: ignore[arg-type]
                        entry |= {"choices": list(map(str, listed))} if isinstance(listed, list) else {"unsure": "choices"}
                out[first] = entry
    if not out:
        raise LookupError("no options in tensorrt_llm/commands/serve.py")
    return dict(sorted(out.items()))


def members(source: Source, name: str, of: str) -> list[str]:
    """The names of an enumeration."""
    file = source.file(name)
    found = source.resolve(file, of) if file else None
    return (
        [str(part.targets[0].id) for part in found.node.body if isinstance(part, ast.Assign)]
        if found and isinstance(found.node, ast.ClassDef)
        else []
    )  # type: ignore[attr-defined]


def keys(source: Source, name: str, of: str) -> list[str]:
    """The keys of a table in a class."""
    file = source.file(name)
    for node in ast.walk(source.tree(file)) if file else ():
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        if getattr(target, "id", "") == of and isinstance(node.value, ast.Dict):  # type: ignore[attr-defined]
            return sorted(str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))  # type: ignore[attr-defined]
    return []


def fields(source: Source) -> list[str]:
    """The keys of the YAML file: fields of `TorchLlmArgs` and what it inherits."""
    file = source.file("tensorrt_llm/llmapi/llm_args.py")
    found = source.resolve(file, "TorchLlmArgs") if file else None
    return sorted(source.fields(found)) if found else []


def _text(source: Source, name: str) -> str:
    file = source.file(name)
    return file.read_text(encoding="utf-8") if file else ""
