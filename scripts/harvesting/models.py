"""Which models a release loads, by its own registry, and which `config.json` it reads without the repository's code."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from generator.quantity import version_key
from harvesting.spans import holds, load, ordered
from harvesting.static import Source

NOT_SERVED = ("_VLLM_MODELS", "_SPECULATIVE_DECODING_MODELS", "_PREVIOUSLY_SUPPORTED_MODELS", "_OOT_SUPPORTED_MODELS")
"""Tables of vLLM's registry that are sums of others, drafts, or what the stock package does not load."""


def tables(source: Source, name: str, pattern: str) -> dict[str, list[tuple[str, object]]]:
    """The string keys, with their constant values, of the module's tables whose name fits; {} where there is no such file."""
    path = source.file(name)
    found: dict[str, list[tuple[str, object]]] = {}
    for node in source.tree(path).body if path else ():
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and re.fullmatch(pattern, target.id) and node.value is not None:  # type: ignore[attr-defined]
            found.setdefault(target.id, []).extend(_pairs(node.value))  # type: ignore[attr-defined]
    return found


def _pairs(node: ast.AST) -> Iterator[tuple[str, object]]:
    for part in ast.walk(node):
        if isinstance(part, ast.Dict):
            yield from (
                (k.value, getattr(v, "value", None)) for k, v in zip(part.keys, part.values, strict=True) if isinstance(k, ast.Constant)
            )
        elif isinstance(part, ast.Call):
            yield from ((keyword.arg, None) for keyword in part.keywords if keyword.arg)
        elif isinstance(part, ast.Tuple) and len(part.elts) == 2 and isinstance(part.elts[0], ast.Constant):
            yield str(part.elts[0].value), None


def vllm(source: Source) -> tuple[list[str], list[str]]:
    """The architectures that a release of vLLM loads, and those that it says it no longer loads."""
    found = tables(source, "vllm/model_executor/models/registry.py", r"_[A-Z_]*MODELS")
    gone = {arch for arch, _ in found.get("_PREVIOUSLY_SUPPORTED_MODELS", ())}
    return sorted({arch for name, pairs in found.items() if name not in NOT_SERVED for arch, _ in pairs if arch[0].isupper()}), sorted(gone)


def entry_classes(source: Source, folder: str) -> list[str]:
    """The entry classes of SGLang's model files."""
    found = set()
    for path in source.files(folder):
        if "EntryClass" in path.read_text(encoding="utf-8-sig"):
            for node in source.tree(path).body:
                if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "EntryClass":
                    found |= {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name)}
    return sorted(found)


def registered(source: Source, *folders: str) -> list[str]:
    """The architectures that TensorRT-LLM's model files register (`@register_auto_model("…")`)."""
    found = set()
    for path in source.files(*folders):
        found |= set(re.findall(r'register_auto_model\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
    return sorted(found)


def transformers_types(source: Source) -> set[str]:
    """The families whose config.json a release of Transformers reads."""
    folder = "transformers/models/auto"
    both = [tables(source, f"{folder}/{name}.py", "CONFIG_MAPPING_NAMES") for name in ("configuration_auto", "auto_mappings")]
    return {name for found in both for pairs in found.values() for name, _ in pairs}


def least_transformers(source: Source) -> str | None:
    """The oldest Transformers that a package takes."""
    for path in source.root.glob("*.dist-info/METADATA"):
        text = path.read_text(encoding="utf-8")
        line = next((line for line in text.splitlines() if line.startswith("Requires-Dist: transformers")), "")
        least = re.search(r"[>=]=([0-9.]+)(,|$|;| )", line)
        return least[1] if least else None
    return None


def families(root: Path) -> set[str]:
    """The families that the facts know."""
    return {name for path in (root / "rules/facts/families").glob("*.yaml") for name in load(path.read_text(encoding="utf-8"))["families"]}


def own_configs(source: Source) -> list[str]:
    """The families whose config.json vLLM reads itself."""
    return sorted(name for name, _ in tables(source, "vllm/transformers_utils/config.py", "_CONFIG_REGISTRY").get("_CONFIG_REGISTRY", []))


def update(root: Path, path: Path, engine: str, versions: list[str], read: Mapping[str, Mapping[str, Any]]) -> bool:
    """Sets what some versions load in a file of `rules/facts/registry`; true if it changed."""
    text = path.read_text(encoding="utf-8")
    entry = load(text)["registry"][engine]
    known = families(root)
    dropped = {name for one in read.values() for name in one.get("dropped", ())}
    for part, ends in (("architectures", dropped), ("configs", None)):
        if part in entry and (found := {v: set(one[part]) for v, one in read.items() if one.get(part)}):
            if part == "configs":
                found = {version: names & known for version, names in found.items()}
            entry[part] = _spans(entry[part], versions, found, ends)
    new = "".join(line + "\n" for line in text.splitlines() if line.startswith("#")) + _written(engine, entry)
    if new != text:
        path.write_text(new, encoding="utf-8")
    return new != text


def _spans(rows: list[dict[str, Any]], versions: list[str], read: Mapping[str, set[str]], ends: set[str] | None) -> list[dict[str, Any]]:
    """Names by the span of versions that have them; a name ends only where it did, or is in `ends` (None: wherever it is missing)."""
    every = ordered(["0", *versions, *(row[key] for row in rows for key in ("since", "until") if key in row), *read])
    had: dict[str, set[str]] = {}
    ended: set[str] = set(ends or ())
    for row in rows:
        for name in row["names"]:
            had.setdefault(name, set()).update(v for v in every if holds(row, v))
            ended |= {name} if "until" in row else set()
    gone: dict[str, str] = {}
    for version, names in read.items():
        for name in names | set(had):
            held = had.setdefault(name, set())
            if name in names:
                held.add(version)
            else:
                held.discard(version)
    grouped: dict[tuple[str, str], list[str]] = {}
    for name, held in had.items():
        having = [at for at, version in enumerate(every) if version in held]
        if not having:
            before = next(row for row in rows if name in row["names"])
            grouped.setdefault((str(before.get("since", "")), str(before.get("until", ""))), []).append(name)
            continue
        first, last = having[0], having[-1]
        over = last + 1 < len(every) and (ends is None or name in ended)
        key = (every[first] if first else "", every[last + 1] if over else gone.get(name, ""))
        grouped.setdefault(key, []).append(name)
    order = sorted(grouped, key=lambda key: (version_key(key[0] or "0"), version_key(key[1] or "999999")))
    return [{**({"since": s} if s else {}), **({"until": u} if u else {}), "names": sorted(grouped[s, u])} for s, u in order]


def _written(engine: str, entry: Mapping[str, Any]) -> str:
    source = entry["source"] if isinstance(entry["source"], str) else f"[{', '.join(entry['source'])}]"
    lines = ["registry:", f"  {engine}:", f"    source: {source}", *(["    complete: true"] if entry.get("complete") else [])]
    for part in ("architectures", "configs"):
        if part not in entry:
            continue
        lines.append(f"    {part}:")
        for span in entry[part]:
            head = "".join(f'{key}: "{span[key]}", ' for key in ("since", "until") if key in span)
            row = f"- {{{head}names: [{', '.join(span['names'])}]}}"
            lines += textwrap.wrap(
                row, 138, initial_indent="      ", subsequent_indent="        ", break_long_words=False, break_on_hyphens=False
            )
    return "\n".join(lines) + "\n"
