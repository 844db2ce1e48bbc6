"""Generate the tables of the documents from the rules and the examples."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from blocks import ROOT, put, table

from generator.cli.files import candidates
from generator.decide.decision import decide
from generator.plan import Candidate
from generator.quantity import gib
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import read_spec

PROFILES = ("chat", "batch", "rag", "agent", "code", "dev")
LENGTHS = ("concurrency", "input_tokens", "output_tokens", "max_context")
HOW = ("parser", "source", "docs", "inferred")
STAGES = {"spec": "for the spec", "pair": "per engine and method", "layout": "per parallelism", "sized": "once sized"}


def main() -> int:
    """Write what has changed."""
    book = load()
    return put(
        {
            **{page: {"profiles": profiles(book)} for page in ("docs/spec.md", "docs/zh/spec.md")},
            "docs/decisions.md": {"worked": worked(book)},
            "docs/engines.md": {"engines": engines(book), "evidence": evidence(book), "settings": settings(book)},
            **{page: {"verify-answer": verify_answer(), "sample": sample()} for page in ("README.md", "README.zh-CN.md")},
            "docs/quantize.md": {"quantizers": quantizers(book)},
            "docs/verify.md": {"verify-answer": verify_answer(), "restated": restated()},
            "examples/README.md": {"examples": examples(book)},
        }
    )


def profiles(book: RuleBook) -> str:
    """What a profile means where the spec gives no lengths."""
    rows = ((f"`{p}`", *(f"{book.number(f'{p}.{name}'):,.0f}" for name in LENGTHS)) for p in PROFILES)
    return table(("profile", *(f"`{name}`:" for name in LENGTHS)), rows)


def tables(book: RuleBook) -> str:
    """The decision tables of the default rule set."""
    data: Mapping[str, Any] = book.section("policy")["tables"]
    rows = ((f"`{name}`", entry["asks"], entry["hit"], len(entry["rows"])) for name, entry in data.items())
    return table(("table", "asks", "hit", "rows:"), sorted(rows, key=lambda row: order(str(row[0]))))


def order(name: str) -> int:
    """Tables in the order in which they are read."""
    return ("`workload`", "`reject`", "`fit`", "`prefer`", "`settings`", "`quantize`", "`warn`", "`fits`").index(name)


WORKED = ("chat-8xa100", "code-rtx4090", "t4-chat")


def worked(book: RuleBook) -> str:
    """Three decisions: the spec, the criteria that told candidates apart, and what else would work."""
    parts = []
    for name in WORKED:
        path = ROOT / "examples" / f"{name}.yaml"
        outcome = decide(read_spec(path), book)
        assert outcome.plan.choice is not None
        parts += [f"### {story(path)}", fenced("yaml", "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#")))]
        steps = [entry for entry in outcome.plan.trace if entry.step == "prefer"]
        rows = ((entry.did["among"], f"`{entry.row}`", entry.did["kept"], entry.did["dropped"], entry.did.get("costs", "")) for entry in steps)
        parts.append(table(("among the", "row", "kept:", "dropped:", "at a price of"), rows))
        shown = [outcome.plan.choice, *outcome.plan.alternatives]
        parts.append(table(("candidate", "tokens/s:", "ms per token:", "first token, ms:", "loss, %:"), map(figures, shown[:MOST])))
    return "\n\n".join(parts)


MOST = 8


def figures(candidate: Candidate) -> tuple[object, ...]:
    """A candidate's speed and loss, as a row."""
    speed, loss = candidate.performance.speed if candidate.performance else None, candidate.quality.value
    shown = (None, None, None) if speed is None else (speed.output_tokens_per_second.value, speed.tpot_ms.value, speed.ttft_ms and speed.ttft_ms.value)
    words = ("-" if value is None else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}" for value in shown)
    return (f"`{candidate.id}`", *words, "-" if loss is None else f"{loss:g}")


def quantizers(book: RuleBook) -> str:
    """The tools that make weights, with what they make and for which engines the rules take them."""
    engines: dict[str, dict[str, None]] = {}
    for row in book.tables["quantize"].rows:
        tool, cell = row.set.get("quantize_tool"), row.when.get("engine")
        if isinstance(tool, str) and cell is not None:
            engines.setdefault(tool, {}).update(dict.fromkeys(cell if isinstance(cell, list) else [str(cell)]))
    rows = []
    for name, tool in book.section("quantizers").items():
        makes = [f"{method} ({maker['scheme']})" for method, maker in (tool.get("makes") or {}).items()]
        made = ", ".join(makes or tool.get("types") or ["every GGUF type"])
        rows.append((f"{tool['title']} {tool['version']}", made, tool["layout"], ", ".join(engines.get(name, ()))))
    return table(("tool", "makes", "layout", "taken for"), rows)


def thresholds(book: RuleBook) -> str:
    """The policy's thresholds, at the newest engine version; those of profiles and of physics stand elsewhere."""
    every: Mapping[str, Mapping[str, Any]] = dict(book.thresholds)
    kept = {name: {**entry, **entry.get("by_version", [{}])[-1]} for name, entry in every.items() if "/default/" in entry["at"]}
    found = sorted((n, e) for n, e in kept.items() if n.split(".")[0] not in PROFILES or n == "agent.least_context")
    return table(
        ("threshold", "value:", "unit", "meaning", "source"),
        ((f"`{name}`", f"{entry['value']:g}", entry["unit"], entry["meaning"], f"`{entry['source']}`") for name, entry in found),
    )


def names(book: RuleBook) -> str:
    """The vocabulary, by when a name gets its value."""
    rows = (
        (f"`{name}`", STAGES[entry["stage"]], kind(entry), entry.get("meaning", ""))
        for stage in STAGES
        for name, entry in book.names.items()
        if entry["stage"] == stage
    )
    return table(("name", "known", "type", "meaning"), rows)


def kind(entry: Mapping[str, Any]) -> str:
    """The type of a name, with its unit or its words."""
    if entry.get("unit"):
        return f"{entry['type']} ({entry['unit']})"
    if entry.get("values") and len(entry["values"]) <= 6:
        return f"{entry['type']}: {', '.join(map(str, entry['values']))}"
    return f"{entry['type']} of `{entry['from']}`" if entry.get("from") else str(entry["type"])


def engines(book: RuleBook) -> str:
    """The engines, with versions, images and ports."""

    def rows() -> Iterator[tuple[object, ...]]:
        for name, entry in book.section("engines").items():
            versions = ", ".join(f"**{v}**" if v == entry["default_version"] else str(v) for v in entry["versions"])
            file = entry.get("config_file")
            yield (
                f"`{name}`", entry["status"], versions, entry["formats"], entry["vendors"], entry["port"],
                f"`{file['name']}`" if file else "none", f"`{' '.join(entry['command'][:3])}`", entry.get("safe_from") or "none",
            )  # fmt: skip

    head = ("engine", "status", "versions (default bold)", "reads", "runs on", "port:", "own file", "started by", "no advisory known from")
    return table(head, rows())


def evidence(book: RuleBook) -> str:
    """How each engine's words were verified, and how many logged starts its memory is tested with."""

    def rows() -> Iterator[tuple[object, ...]]:
        for name, entry in book.section("engines").items():
            found = Counter(spelling.get("verified", "unknown") for entries in entry["flags"].values() for spelling in entries)
            logged = yaml.safe_load((ROOT / f"tests/data/memory/{'llama.cpp' if name == 'ollama' else name}.yaml").read_text())["rows"]
            yield (f"`{name}`", *(found[word] or "–" for word in HOW), len(logged) if name != "ollama" else "as llama.cpp")

    return table(("engine", *(f"{word}:" for word in HOW), "logged starts in the tests:"), rows())


def settings(book: RuleBook) -> str:
    """How each neutral setting is spelled by the default version of each engine."""
    found = book.section("engines")
    wanted = {key for row in book.section("policy")["tables"]["settings"]["rows"] for key in row.get("set") or {}}
    rows = []
    for name in sorted(wanted):
        cells = [spelled(entry, name) for entry in found.values()]
        rows.append((f"`{name}`", *cells))
    return table(("setting", *(f"`{name}`" for name in found)), rows)


def spelled(engine: Mapping[str, Any], name: str) -> str | None:
    """The word of an engine for a setting: its flag, its variable, the parameter of a Modelfile, or its key."""
    entries = engine["flags"].get(name) or ()
    for entry in reversed(entries):
        if "until" not in entry:
            where = entry.get("where", "argv")
            word = {"env": entry.get("env"), "modelfile": f"PARAMETER {entry.get('parameter')}", "config": entry.get("key")}.get(where)
            return f"`{word or entry.get('flag') or 'MODEL'}`"
    return None


FAILED = "vllm serve Qwen/Qwen3-32B-AWQ --max-model-len 131072"
"""A command that people meet the tool with: two 3090 hold the weights, not this context."""


def verify_answer() -> str:
    """A command that failed, and what `verify` says of it. Without the answer where `verify` does not take standard input yet."""
    done = gen_deploy("verify", "-", "--gpu", "2x RTX 3090", pasted=FAILED + "\n")
    said = done.stdout + done.stderr if done.returncode != 2 else ""
    return fenced("console", f'# {FAILED}\n$ pbpaste | gen-deploy verify - --gpu "2x RTX 3090"\n{said}')


def restated() -> str:
    """A command as a spec, and what of it a spec cannot say."""
    command = "vllm serve Qwen/Qwen3-8B-AWQ -tp 2 --max-model-len 16k --enable-prefix-caching --hf-token $HF_TOKEN"
    with TemporaryDirectory() as folder:
        Path(folder, "serve.sh").write_text(f"{command}\n", encoding="utf-8")
        done = gen_deploy("init", "chat.yaml", "--from", "serve.sh", "--gpu", "2x RTX 4090", folder=folder)
        assert done.returncode == 0, done.stderr
        spec = Path(folder, "chat.yaml").read_text(encoding="utf-8")
    told = f'$ gen-deploy init chat.yaml --from serve.sh --gpu "2x RTX 4090"\n{done.stdout}{done.stderr}'
    return "\n\n".join([fenced("sh", f"# file: serve.sh\n{command}\n"), fenced("console", told), fenced("yaml", spec)])


def sample() -> str:
    """A spec of the examples and what the main job prints for it, warnings included."""
    path = "examples/t4-chat.yaml"
    with TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "examples", f"{folder}/examples", ignore=shutil.ignore_patterns("out"))
        done = gen_deploy(path, "-o", "out", folder=folder)
        assert done.returncode == 0, done.stderr
        said = done.stdout + done.stderr
    return "\n\n".join([fenced("yaml", (ROOT / path).read_text()), fenced("console", f"$ gen-deploy {path} -o out\n{said}")])


def gen_deploy(*words: str, folder: str | Path = ROOT, pasted: str | None = None) -> subprocess.CompletedProcess[str]:
    """A run of the command in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    run = [sys.executable, "-m", "generator", *words]
    return subprocess.run(run, cwd=folder, env=environment, input=pasted, capture_output=True, text=True, check=False)


def fenced(language: str, text: str) -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def examples(book: RuleBook) -> str:
    """The examples: story and choice."""
    rows = []
    for path in [*sorted((ROOT / "examples").glob("*.yaml")), *sorted((ROOT / "examples/all-engines").glob("*.yaml"))]:
        everything = path.parent.name == "all-engines"
        spec = read_spec(path)
        outcome = decide(spec, book)
        found = candidates(outcome, everything)
        link = path.relative_to(ROOT / "examples").as_posix()
        out = f"{'all-engines/' if everything else ''}out/{spec.name}/PLAN.md"
        shown = f"[plan]({out})" if (ROOT / "examples" / out).exists() else ""
        rows.append((f"[{link.removesuffix('.yaml')}]({link})", story(path), "; ".join(map(chosen, found)), shown))
    return table(("spec", "story", "choice", ""), rows)


def story(path: Path) -> str:
    """The comment at the top of a spec."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)


def chosen(candidate: Candidate) -> str:
    """A choice in a few words."""
    shape = f"tp {candidate.tensor_parallel}"
    shape += f" pp {candidate.pipeline_parallel}" if candidate.pipeline_parallel > 1 else ""
    shape += f" × {candidate.replicas} replicas" if candidate.replicas > 1 else ""
    memory = candidate.memory
    size = f", {gib(memory.total):.1f} of {gib(memory.capacity):.1f} GiB" if memory else ""
    return f"{candidate.engine} {candidate.method}, {shape}, {candidate.max_model_len:,} × {candidate.max_num_seqs}{size}"


if __name__ == "__main__":
    sys.exit(main())
