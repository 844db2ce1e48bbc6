#!/usr/bin/env python3
"""How many flags of the vLLM project's recipes on 8×H200 come out of gen-deploy with the same value.

    python scripts/recipes.py                  measure tests/data/recipes.yaml: one line a kind of flag, then the bar
    python scripts/recipes.py --misses         each flag that does not come out, and what came out in its place
    python scripts/recipes.py --extract DIR    read the recipes again from a checkout of github.com/vllm-project/recipes

A recipe's flags are what the recipes' own page prints for 8×H200 (`src/lib/command-synthesis.js`: base_args, the default variant, the
default single-node strategy, the overrides of the strategy and of Hopper, the features that are on by default; the last value of a flag
counts). Features that are off by default are kept apart, each with the key of the spec that asks for it. Recipes of models that are not
in the catalogue, of images, speech and video (vllm-omni), and of models that no plan on this machine fits are left out and counted as such.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from generator.decide.decision import decide  # noqa: E402
from generator.errors import InputError  # noqa: E402
from generator.readers.document import Document  # noqa: E402
from generator.render.launch import launch_of  # noqa: E402
from generator.render.spelling import text_of  # noqa: E402
from generator.rulebook.book import RuleBook, load  # noqa: E402
from generator.spec.deployment import from_document  # noqa: E402

DATA = ROOT / "tests" / "data" / "recipes.yaml"
WIDTH = 1000
"""What the spec says for a feature that is off by default."""
ASKED = {"spec_decoding": {}, "text_only": {"images": 0}, "encoder_parallel": {}}
KINDS = {
    "parsers": ("enable-auto-tool-choice", "tool-call-parser", "tool-call-parser-plugin", "reasoning-parser", "reasoning-parser-plugin"),
    "remote code": ("trust-remote-code",),
    "layout": ("tensor-parallel-size", "data-parallel-size", "pipeline-parallel-size"),
    "names": ("served-model-name", "host", "port"),
}


def kind_of(flag: str) -> str:
    """The kind of a flag: one of `KINDS`, else settings."""
    return next((kind for kind, flags in KINDS.items() if flag in flags), "settings")


# ---- the recipes, from a checkout


def last(layers: dict[str, Any] | None, key: str) -> list[str]:
    """The arguments of a layer of a recipe: of Hopper, else of NVIDIA."""
    layers = layers or {}
    block = layers.get("hopper") or layers.get("nvidia") or {}
    return list(block.get(key) or [])


def feature_args(feature: dict[str, Any]) -> list[str]:
    """The arguments of a feature on Hopper: of its default mode, where it has modes."""
    if feature.get("modes"):
        modes = {name: mode for name, mode in feature["modes"].items()
                 if "unsupported" not in ((mode.get("hardware") or {}).get("hopper"), (mode.get("hardware") or {}).get("h200"))
                 and "default" in (mode.get("variants") or ["default"])}
        feature = modes.get(feature.get("default_mode")) or next(iter(modes.values()), {})
    return last(feature.get("hardware_overrides"), "args") or list(feature.get("args") or [])


def flags_of(args: list[Any]) -> dict[str, Any]:
    """Arguments as flag to value; `--a.b v` is the mapping `{b: v}` of `--a`; the last one of a flag counts."""
    found: dict[str, Any] = {}
    words = [str(word) for word in args]
    for index, word in enumerate(words):
        if not word.startswith("-") or word.lstrip("-")[:1].isdigit():
            continue
        name, given, value = word.partition("=")
        after = words[index + 1] if index + 1 < len(words) and not words[index + 1].startswith("-") else None
        read = value_of(value if given else after)
        flag, _, rest = name.lstrip("-").partition(".")
        flag = flag.replace("_", "-")
        for part in reversed(rest.split(".") if rest else []):
            read = {part: read}
        found[flag] = {**found[flag], **read} if rest and isinstance(found.get(flag), dict) else read
    for flag in [flag for flag in found if flag.startswith("no-")]:
        found[flag.removeprefix("no-")] = False
        del found[flag]
    if "enable-flashinfer-autotune" in found:  # another spelling of this key
        found["kernel-config"] = {"enable_flashinfer_autotune": found.pop("enable-flashinfer-autotune")}
    return found


def value_of(word: str | None) -> Any:
    """A word of a command in its type: a flag without one is true."""
    if word is None:
        return True
    try:
        return json.loads(word)
    except ValueError:
        return {"True": True, "False": False}.get(word, word)


def extract(checkout: Path) -> None:
    """Read the recipes of a checkout into `DATA`."""
    commit = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    strategies = {path.stem: yaml.safe_load(path.read_text()) for path in checkout.glob("strategies/*.yaml")}
    recipes: dict[str, Any] = {}
    for path in sorted(checkout.glob("models/*/*.yaml")):
        recipe = yaml.safe_load(path.read_text())
        model, variant = recipe["model"], (recipe.get("variants") or {}).get("default") or {}
        tasks = recipe["meta"].get("tasks") or []
        if "omni" in tasks or recipe["meta"].get("hardware", {}).get("h200") == "unsupported":
            continue
        offered = recipe.get("compatible_strategies") or ["single_node_tp"]
        name = next((item for item in (recipe.get("default_strategy"), "single_node_tp", *offered)
                     if item in offered and str(item).startswith("single_node")), "single_node_tp")
        own = (recipe.get("strategy_overrides") or {}).get(name) or {}
        tp = variant.get("tp") or own.get("tp")
        fits = (variant.get("vram_minimum_gb") or WIDTH) <= 141
        size = tp if isinstance(tp, int) and name == "single_node_tp" else 1 if fits and name == "single_node_tp" else 8
        strategy = strategies[name]
        args = [*(model.get("base_args") or []), *(variant.get("extra_args") or []), *(strategy.get("vllm_args") or []),
                strategy["parallel_flag"], str(size), *(own.get("extra_args") or []), *(own.get("vllm_args") or [])]
        args += (last(own.get("hardware_overrides"), "extra_args") or
                 last(recipe.get("hardware_overrides"), "extra_args") + last(variant.get("hardware_overrides"), "extra_args"))
        opt_in, features = recipe.get("opt_in_features") or [], recipe.get("features") or {}
        for feature, about in features.items():
            args += feature_args(about) if feature not in opt_in else []
        env = {**(model.get("base_env") or {})}
        for layers in (recipe.get("hardware_overrides"), variant.get("hardware_overrides")):
            block = (layers or {}).get("hopper") or (layers or {}).get("nvidia") or {}
            env |= block.get("extra_env") or {}
        entry = {"since": str(model.get("min_vllm_version")), "tasks": tasks, "flags": flags_of(args)}
        entry |= {"env": env} if env else {}
        asked = {feature: flags_of(feature_args(features[feature])) for feature in opt_in if feature in features and feature in ASKED}
        entry |= {"asked": asked} if any(asked.values()) else {}
        recipes[model["model_id"]] = entry
    head = (f"# Flags of the vLLM project's recipes on 8×H200, by scripts/recipes.py --extract.\n"
            f"# Source: https://github.com/vllm-project/recipes/tree/{commit} (Apache-2.0)\n")
    lines = [f"{name}: {json.dumps(entry, ensure_ascii=False)}\n" for name, entry in recipes.items()]
    DATA.write_text(head + "".join(lines), encoding="utf-8")
    print(f"{len(recipes)} recipes of {commit[:8]}")


# ---- what gen-deploy writes


def asked_for(feature: str, flags: dict[str, Any]) -> dict[str, Any]:
    """What a spec says to ask for a feature: of drafts the method that the recipe has."""
    if feature != "spec_decoding":
        return ASKED[feature]
    method = (flags.get("speculative-config") or {}).get("method", "mtp")
    return {"speculative": "mtp" if method.endswith("mtp") else "eagle3" if method == "eagle3" else "auto"}


def written(model: str, serve: dict[str, Any], code: bool, book: RuleBook) -> tuple[dict[str, Any], dict[str, str]] | None:
    """The flags and the environment that gen-deploy writes for a model on 8×H200; None where it has no plan."""
    spec = {"name": "recipe", "model": model, "hardware": {"gpu": "H200-141GB", "gpus_per_node": 8},
            "workload": {"profile": "agent"}, "pin": {"engine": "vllm"}, "deploy": {"trust_remote_code": code},
            **({"serve": serve} if serve else {})}  # fmt: skip
    read, problems = from_document(Document("spec.yaml", spec, {}, {}), Path("spec.yaml"))
    assert read is not None, problems
    try:
        plan = decide(read, book).plan
    except InputError:
        return None
    if plan.choice is None:
        return None
    launch = launch_of(plan, plan.choice, book, "../../..")
    flags = flags_of([str(word) for word in launch.words()])
    config = [(f"--{key}", text_of(value)) for key, value in launch.spelled.config.items() if value is not False]
    flags |= flags_of([word for key, text in config for word in ((key,) if text == "true" else (key, text))])
    return flags, {name: str(value) for name, value in launch.env().items()}


def same(wanted: Any, got: Any) -> bool:
    """Whether a flag came out: JSON compared as data. In vLLM fp8 and fp8_e4m3 are one type of the cache, the older names of MTP are mtp, and
    a draft whose method is left out is asked for its method."""
    alike = {"fp8_e4m3": "fp8", "qwen3_next_mtp": "mtp"}
    if isinstance(wanted, dict) and isinstance(got, dict):
        wanted = {"method": got["method"], **wanted} if "method" in got else wanted
        return wanted.keys() == got.keys() and all(same(value, got[key]) for key, value in wanted.items())
    if isinstance(wanted, str) and isinstance(got, str):
        return alike.get(wanted, wanted) == alike.get(got, got)
    return bool(wanted == got)


def compared(recipes: dict[str, Any], book: RuleBook) -> Iterator[tuple[str, str, str, Any, Any]]:
    """Each flag of each recipe that has a plan: model, where (default or the feature), flag, wanted, got."""
    known = book.section("models")
    for model, entry in recipes.items():
        if model not in known:
            yield model, "left out", "not in the catalogue", None, None
            continue
        drafts = {"spec_decoding": entry["flags"]} if "speculative-config" in entry["flags"] else {}  # on unasked: a spec says so
        runs = [("default", asked_for("spec_decoding", entry["flags"]) if drafts else {}, entry["flags"])]
        runs += [(name, asked_for(name, flags), flags) for name, flags in entry.get("asked", {}).items() if flags]
        for where, serve, flags in runs:
            got = written(model, serve, bool(entry["flags"].get("trust-remote-code")), book)
            if got is None:
                yield model, "left out", f"no plan ({where})", None, None
                continue
            yield from ((model, where, flag, wanted, got[0].get(flag)) for flag, wanted in flags.items())
            if where == "default":
                yield from ((model, "environment", flag, wanted, got[1].get(flag)) for flag, wanted in entry.get("env", {}).items())


def measure(misses: bool) -> float:
    """Print the shares; the share of settings in percent."""
    rows = list(compared(yaml.safe_load(DATA.read_text(encoding="utf-8")), load("default")))
    counts: Counter[tuple[str, str, bool]] = Counter()
    for model, where, flag, wanted, got in rows:
        if where == "left out":
            counts[where, flag, False] += 1
            if misses and flag != "not in the catalogue":
                print(f"{model}\t{flag}")
            continue
        right = same(wanted, got)
        counts[where if where in ("default", "environment") else "asked for", kind_of(flag), right] += 1
        if misses and not right and kind_of(flag) not in ("names",):
            print(f"{model}\t{where}\t--{flag}\t{json.dumps(wanted)}\t{json.dumps(got)}")
    for where, kind in sorted({(where, kind) for where, kind, _ in counts}):
        right, all_of = counts[where, kind, True], counts[where, kind, True] + counts[where, kind, False]
        print(f"{where:>10} {kind:<22} {all_of}" if where == "left out" else f"{where:>10} {kind:<22} {right} of {all_of}")
    right = sum(counts[where, "settings", True] for where in ("default", "asked for"))
    total = right + sum(counts[where, "settings", False] for where in ("default", "asked for"))
    share = 100 * right / total
    print(f"settings, all but parsers, remote code, layout and names: {right} of {total}, {share:.1f} %")
    return share


def main() -> None:
    """Measure, or extract."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extract", type=Path, metavar="DIR")
    parser.add_argument("--misses", action="store_true")
    options = parser.parse_args()
    if options.extract:
        extract(options.extract)
    else:
        measure(options.misses)


if __name__ == "__main__":
    sys.exit(main())
