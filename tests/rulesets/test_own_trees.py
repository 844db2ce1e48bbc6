"""A whole rules tree of one's own: whatever is wrong in it is an error at its place, from every command, and never a traceback."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generator.cli.main import main
from generator.decide.decision import decide
from generator.errors import InputError, Problem
from generator.readers.document import Document, parse_yaml, read_yaml
from generator.render.files import artifacts
from generator.rulebook import rulesets
from generator.rulebook.book import RuleBook, compile_to, sections_of
from generator.rulebook.rulesets import gather, layers
from generator.spec.deployment import DeploymentSpec, from_document

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 4 << 20
SEED = 20261130
MUTANTS = 120
"""Of one run; the slow one takes ten times as many."""
ENGINES = ("vllm", "sglang", "tgi", "tensorrt-llm", "llama.cpp", "ollama")
SPECS = [
    "model: meta-llama/Llama-3.1-70B-Instruct\nhardware: {gpu: H100-80GB, gpus_per_node: 4}\nworkload: {profile: chat}\n",
    "model: Qwen/Qwen3-14B\nhardware: {gpu: L4-24GB}\npin: {engine: vllm, quantization: awq}\nquantize: {keep: [attention], first_layers: 2}\n",
]
SPEC_OF = {
    "gpus": "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {{gpu: {}}}\n",
    "models": "model: {}\nhardware: {{gpu: H100-80GB}}\n",
    "methods": "model: Qwen/Qwen3-8B\nhardware: {{gpu: L4-24GB}}\npin: {{quantization: {}}}\n",
    "engine": "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {{gpu: L40S-48GB}}\npin: {{engine: {}}}\n",
}
"""Specs that need the entry which was made wrong."""
VERSION = re.compile(r"v?\d+(\.\d+)+([a-z0-9.-]+)?")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The shipped rules as a tree of one's own."""
    shutil.copytree(ROOT / "rules", tmp_path / "rules", ignore=shutil.ignore_patterns("schemas"))
    return tmp_path / "rules"


def parts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value below this one."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*path, key)
        yield from parts(inner, (*path, key))


def mutated(data: Any, at: random.Random) -> tuple[Any, str, str]:
    """The data with one thing in it wrong, what that is, and a spec that needs it."""
    data = json.loads(json.dumps(data))
    path = at.choice(list(parts(data)))
    holder = data
    for step in path[:-1]:
        holder = holder[step]
    key, old = path[-1], holder[path[-1]]
    kinds: dict[str, Any] = {
        "null": None, "a list": [old], "an empty list": [], "a mapping": {"x": old}, "an empty mapping": {}, "a number": 5, "a text": "nonsense",
        "a flag": True, "negative": -abs(old) - 1 if isinstance(old, int | float) else -1, "zero": 0,
        "huge": 10**30, "an empty text": "", "a list of mappings": [{"x": 1}],
    }  # fmt: skip
    if isinstance(old, str) and VERSION.fullmatch(old):
        kinds |= {f"unquoted {i}": float(".".join(re.findall(r"\d+", old)[:2])) for i in range(6)}
    if isinstance(holder, dict):
        kinds |= {"misspelt": ..., "gone": ..., "misspelt again": ...}
    kind = at.choice(list(kinds))
    if kind.startswith("misspelt"):
        holder[f"{key}"[:-1] + "q"] = holder.pop(key)
    elif kind == "gone":
        holder.pop(key)
    else:
        holder[key] = kinds[kind]
    spec = SPEC_OF[path[0]].format(path[1]) if path[0] in SPEC_OF and len(path) > 1 else SPEC_OF["engine"].format(data.get("engine") or at.choice(ENGINES))
    return data, f"{'.'.join(map(str, path))}: {kind}", spec


def specs(more: str) -> list[DeploymentSpec]:
    found = []
    for text in [*SPECS, more]:
        spec, _ = from_document(parse_yaml(text, "spec.yaml"), ROOT / "spec.yaml")
        if spec is not None:
            found.append(spec)
    return found


def tried(path: Path, more: str) -> str:
    """What a set is good for: `refused` with every problem at its place, or `planned`. Anything else raises."""
    gathered = gather(path)
    if gathered.problems:
        assert all(p.place is not None and p.place.path.endswith(".yaml") for p in gathered.problems), gathered.problems
        return "refused"
    book = RuleBook(sections_of(gathered.merged))
    for spec in specs(more):
        try:
            outcome = decide(spec, book)
            if outcome.plan.choice is not None and book.sizing == "detailed":
                artifacts(outcome.plan, [outcome.plan.choice], book, spec_file="spec.yaml", back="..")
        except InputError:
            continue
    return "planned"


def mutants(tree: Path, count: int, seed: int) -> Iterator[tuple[str, Path, str]]:
    """Trees with one thing wrong, every file in its turn, and a spec that needs that thing; each is mended before the next."""
    at = random.Random(seed)
    files = list(dict.fromkeys(file for name in ("default", "handbook") for layer in layers(tree / name) for file in layer))
    for i in range(count):
        file = files[i % len(files)]
        text = file.read_text(encoding="utf-8")
        data, what, spec = mutated(read_yaml(file, file.name, LIMIT).data, at)
        file.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        yield f"{file.relative_to(tree)}: {what}", tree / ("handbook" if "handbook" in file.parts else "default"), spec
        file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("count", "seed"), [(MUTANTS, SEED), pytest.param(10 * MUTANTS, SEED + 1, marks=pytest.mark.slow)])
def test_whatever_is_wrong_is_said_or_planned_with(count: int, seed: int, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's form is asked for once: only one of them changes."""
    form, known = rulesets._form, dict[int, tuple[Document, list[Problem]]]()

    def once(document: Document) -> list[Problem]:
        if id(document) not in known:
            known[id(document)] = document, list(form(document))
        return known[id(document)][1]

    monkeypatch.setattr(rulesets, "_form", once)
    seen = Counter[str]()
    for what, path, spec in mutants(tree, count, seed):
        try:
            seen[tried(path, spec)] += 1
        except Exception as error:
            raise AssertionError(what) from error
    assert seen["refused"] > count / 2
    assert seen["planned"] > count / 20


NVIDIA = "facts/gpus/nvidia-datacenter.yaml"
WRONG = {
    "an unquoted version": ("facts/engines/vllm.yaml", r'(?m)^default_version: "([0-9]+\.[0-9]+)\.[0-9]+"', r"default_version: \1", "wrong-type"),
    "an unquoted version of an option": ("facts/flags/sglang.yaml", r'since: "([0-9]+\.[0-9]+)[0-9.]*"', r"since: \1", "wrong-type"),
    "a negative bandwidth": (NVIDIA, r"bandwidth_gb_per_s: ", "bandwidth_gb_per_s: -", "out-of-range"),
    "no memory": (NVIDIA, r"memory_gb: [0-9]+", "memory_gb: 0", "out-of-range"),
    "a misspelt capacity": (NVIDIA, " capacity_gib: [0-9]", " capacity_gb: 1", "unknown-key"),
    "an image that is a number": ("facts/engines/vllm.yaml", r"(?m)^    image: .*", "    image: 5", "wrong-type"),
    "an architecture that there is not": (NVIDIA, "architecture: hopper_90", "architecture: hopper_91", "unknown-architecture"),
    "a cell of an architecture that there is not": ("facts/support/vllm.yaml", "hopper_90:", "hopper_91:", "unknown-architecture"),
    "a type that GGML has not": ("facts/methods.yaml", "base: q4_K", "base: q4_L", "unknown-ggml-type"),
    "an empty rule set": ("default/ruleset.yaml", r"(?s).+", "", "rules-form"),
    "a rule set that is only a comment": ("default/ruleset.yaml", r"(?s).+", "# nothing", "rules-form"),
    "a rule set without a name": ("default/ruleset.yaml", r"(?s).+", "title: x", "unknown-key"),
    "an empty vocabulary": ("vocabulary.yaml", r"(?s).+", "", "rules-form"),
    "a vocabulary that is a list": ("vocabulary.yaml", r"(?s).+", "- names", "rules-form"),
    "a name that is known later": ("vocabulary.yaml", r"(memory\.headroom:.*?stage: )sized", r"\1spec", "too-early"),
    "a name of another type": ("vocabulary.yaml", r"(memory\.headroom:.*?type: )number", r"\1word", "wrong-type"),
    "a name that no code knows": ("default/reject.yaml", r"memory\.headroom", "memory.headrooms", "unknown-name"),
    "an empty file of GPUs": (NVIDIA, r"(?s).+", "", "rules-form"),
    "GPUs that are null": (NVIDIA, r"(?s).+", "gpus:", "wrong-type"),
    "no types of the KV cache": ("facts/kv_cache.yaml", r"(?s).+", "kv_cache: {}", "missing-key"),
    "a type of the KV cache that there is not": ("facts/kv_cache.yaml", "  auto:", "  automatic:", "unknown-dtype"),
    "a GPU without memory": ("facts/gpus/apple.yaml", "(?m)^    memory_gb: .*", "", "missing-key"),
    "a source that is a number": ("sources/gpus.yaml", "title: .*", "title: 5", "wrong-type"),
}


@pytest.mark.parametrize("what", WRONG)
def test_each_command_says_what_is_wrong_with_a_tree(what: str, tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    name, old, new, code = WRONG[what]
    text, count = re.subn(old, new, (tree / name).read_text(encoding="utf-8"), count=1)
    assert count == 1
    (tree / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tree.parent)
    Path("spec.yaml").write_text(SPECS[0], encoding="utf-8")
    for words in (("plan", "spec.yaml", "--rules", "rules/default"), ("lint", "--rules", "rules/default", "--no-cases")):
        assert main([*words]) == 1
        out, err = capsys.readouterr()
        assert re.search(rf"(?m)^rules/\S+\.yaml:\d+:\d+: error\[{code}\]: ", out + err), out + err


def test_a_name_that_no_code_knows_and_a_row_reads(tree: Path) -> None:
    vocabulary, reject = tree / "vocabulary.yaml", tree / "default/reject.yaml"
    for path in (vocabulary, reject):
        path.write_text(path.read_text(encoding="utf-8").replace("memory.headroom", "memory.headrooms"), encoding="utf-8")
    for path in (tree / "default").glob("*.yaml"):
        path.write_text(path.read_text(encoding="utf-8").replace("memory.headroom:", "memory.headrooms:"), encoding="utf-8")
    assert "new-name" in {problem.code for problem in gather(tree / "default").problems}


def test_the_shipped_rules_are_checked_when_a_wheel_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[str] = []

    def form(document: Document) -> list[Problem]:
        seen.append(document.name)
        return [Problem("wrong-type", "x", document.place())] if document.name == "rules/facts/methods.yaml" else []

    monkeypatch.setattr(rulesets, "_form", form)
    monkeypatch.setattr(rulesets, "_well_formed", lambda raw: False)  # nothing is known from before
    load_shipped = gather(ROOT / "rules/default")
    assert (seen, load_shipped.problems) == ([], [])
    with pytest.raises(InputError):
        compile_to(tmp_path / "compiled", "default")
    assert len(seen) == len({str(file) for layer in layers(ROOT / "rules/default") for file in layer})
