"""Writes `rules/facts/registry/`: which models each version of an engine loads, read in the engine's own source.

    scripts/model_registry.py vllm WHEELS --transformers WHEELS

WHEELS is a folder with one wheel a version, or one folder a version (`0.33.0/vllm/…`); nothing is imported or run. vLLM's registry is a table
of architectures, with those that it no longer loads; SGLang's are the entry classes of its model files. `configs` are the families of
`rules/facts/families` whose config.json is read without the repository's code: by the engine, or by the oldest Transformers that its package
takes. What TGI and TensorRT-LLM have is written by hand from their sources, as no package has them.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from generator.quantity import version_key  # noqa: E402

SOURCES = {"vllm": "vllm-model-registry", "sglang": "sglang-entry-classes"}
NOT_SERVED = ("_VLLM_MODELS", "_SPECULATIVE_DECODING_MODELS", "_PREVIOUSLY_SUPPORTED_MODELS", "_OOT_SUPPORTED_MODELS")
"""Tables of vLLM's registry that are sums of others, drafts, or what the stock package does not load."""


def packages(folder: Path) -> dict[str, Any]:
    """The root of each version's files, oldest first."""
    found: dict[str, Any] = {}
    for path in folder.iterdir():
        if path.suffix == ".whl":
            found[path.name.split("-")[1]] = zipfile.Path(path)
        elif path.is_dir():
            found[path.name] = path
    return dict(sorted(found.items(), key=lambda item: version_key(item[0])))


def tables(root: Any, name: str, pattern: str) -> dict[str, list[tuple[str, object]]]:
    """The string keys, with their constant values, of the module's tables whose name fits; {} where there is no such file."""
    path = root / name
    if not path.exists():
        return {}
    found: dict[str, list[tuple[str, object]]] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and re.fullmatch(pattern, target.id) and node.value is not None:  # type: ignore[union-attr]
            found.setdefault(target.id, []).extend(_pairs(node.value))  # type: ignore[union-attr]
    return found


def _pairs(node: ast.AST) -> Iterator[tuple[str, object]]:
    for part in ast.walk(node):
        if isinstance(part, ast.Dict):
            yield from ((k.value, getattr(v, "value", None)) for k, v in zip(part.keys, part.values, strict=True) if isinstance(k, ast.Constant))
        elif isinstance(part, ast.Call):
            yield from ((keyword.arg, None) for keyword in part.keywords if keyword.arg)
        elif isinstance(part, ast.Tuple) and len(part.elts) == 2 and isinstance(part.elts[0], ast.Constant):
            yield str(part.elts[0].value), None


def vllm_models(root: Any) -> tuple[set[str], set[str]]:
    """The architectures that a version loads, and those that it says it no longer loads."""
    found = tables(root, "vllm/model_executor/models/registry.py", r"_[A-Z_]*MODELS")
    gone = {arch for arch, _ in found.get("_PREVIOUSLY_SUPPORTED_MODELS", ())}
    return {arch for name, pairs in found.items() if name not in NOT_SERVED for arch, _ in pairs if arch[0].isupper()}, gone


def sglang_models(root: Any) -> tuple[set[str], set[str]]:
    """The entry classes of SGLang's model files."""
    found = set()
    for path in (root / "sglang/srt/models").iterdir():
        if path.name.endswith(".py") and "EntryClass" in (text := path.read_text(encoding="utf-8-sig")):
            for node in ast.parse(text).body:
                if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "EntryClass":
                    found |= {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name)}
    return found, set()


def transformers_types(root: Any) -> set[str]:
    """The families whose config.json a version of Transformers reads."""
    folder = "transformers/models/auto"
    both = [tables(root, f"{folder}/{name}.py", "CONFIG_MAPPING_NAMES") for name in ("configuration_auto", "auto_mappings")]
    return {name for found in both for pairs in found.values() for name, _ in pairs}


def least_transformers(root: Any) -> str | None:
    """The oldest Transformers that a package takes."""
    for path in root.iterdir():
        if path.name.endswith(".dist-info") and (path / "METADATA").exists():
            text = (path / "METADATA").read_text(encoding="utf-8")
            line = next((line for line in text.splitlines() if line.startswith("Requires-Dist: transformers")), "")
            least = re.search(r"[>=]=([0-9.]+)(,|$|;| )", line)
            return least[1] if least else None
    return None


def spans(by_version: dict[str, set[str]], ends: set[str] | None = None) -> list[dict[str, object]]:
    """Names by the span of versions that have them; a name ends only if it is in `ends` (None: wherever it is missing)."""
    versions = list(by_version)
    grouped: dict[tuple[str, str], list[str]] = {}
    for name in sorted(set().union(*by_version.values())):
        having = [i for i, version in enumerate(versions) if name in by_version[version]]
        first, last = having[0], having[-1]
        gone = last + 1 < len(versions) and (ends is None or name in ends)
        key = (versions[first] if first else "", versions[last + 1] if gone else "")
        grouped.setdefault(key, []).append(name)
    ordered = sorted(grouped, key=lambda key: (version_key(key[0] or "0"), version_key(key[1] or "999")))
    return [{**({"since": s} if s else {}), **({"until": u} if u else {}), "names": grouped[s, u]} for s, u in ordered]


def written(engine: str, entry: dict[str, Any]) -> str:
    """The file of an engine."""
    lines = [
        "# yaml-language-server: $schema=../../schemas/registry.json",
        f"# Written by scripts/model_registry.py: the models that each version of {engine} loads. The schema says what each key means.",
        "registry:", f"  {engine}:", f"    source: {entry['source']}",
    ]  # fmt: skip
    for part in ("architectures", "configs"):
        lines.append(f"    {part}:")
        for span in entry[part]:
            head = "".join(f'{key}: "{span[key]}", ' for key in ("since", "until") if key in span)
            text = f"- {{{head}names: [{', '.join(span['names'])}]}}"
            lines += textwrap.wrap(text, 138, initial_indent="      ", subsequent_indent="        ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("engine", choices=sorted(SOURCES))
    parser.add_argument("wheels", type=Path)
    parser.add_argument("--transformers", type=Path, required=True)
    args = parser.parse_args(argv)
    families = {name for path in (ROOT / "rules/facts/families").glob("*.yaml") for name in yaml.safe_load(path.read_text())["families"]}
    library = {version: transformers_types(root) for version, root in packages(args.transformers).items()}
    models: dict[str, set[str]] = {}
    configs: dict[str, set[str]] = {}
    dropped: set[str] = set()
    for version, root in packages(args.wheels).items():
        models[version], gone = vllm_models(root) if args.engine == "vllm" else sglang_models(root)
        dropped |= gone
        least = least_transformers(root)
        if least is not None:
            own = tables(root, "vllm/transformers_utils/config.py", "_CONFIG_REGISTRY").get("_CONFIG_REGISTRY", [])
            configs[version] = ({name for name, _ in own} | library[least]) & families
    entry = {
        "source": SOURCES[args.engine],
        "architectures": spans(models, dropped),
        "configs": spans(configs),
    }
    target = ROOT / "rules/facts/registry" / f"{args.engine}.yaml"
    target.parent.mkdir(exist_ok=True)
    target.write_text(written(args.engine, entry), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
