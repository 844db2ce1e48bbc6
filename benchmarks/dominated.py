"""Choices that one of their own alternatives beats in everything that counts, over a grid of models, machines and goals.

    python benchmarks/dominated.py [--tenth] [--show N] [--slack] [--rules NAME-OR-DIR]

An alternative is a candidate that works and that the rules put level with the choice: another layout of its engine and method, another
method of its loss class, another of the batching servers, another of the local engines. It dominates where it is better, beyond the
uncertainty of the comparison (`speed.compare.*`), in the output rate at the asked load or the time to the first token, or at all in the
loss, the GPUs or the context, and not worse in any of them. With `--slack` a figure within that uncertainty does not count as worse
either. What rules of policy tell apart (weights to be made, support in words, layers in the host's memory, objectives) is not level.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from generator.decide.decision import Outcome, decide
from generator.decide.performance import Speeds
from generator.decide.prefer import Ranked
from generator.errors import GenDeployError
from generator.plan import Candidate
from generator.readers.document import Document
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import from_document

MODELS = (
    "Qwen/Qwen3-0.6B", "Qwen/Qwen2.5-1.5B-Instruct", "meta-llama/Llama-3.2-3B-Instruct", "google/gemma-3-4b-it", "Qwen/Qwen2.5-7B-Instruct",
    "meta-llama/Llama-3.1-8B-Instruct", "google/gemma-2-9b-it", "mistralai/Mistral-Nemo-Instruct-2407", "Qwen/Qwen3-14B", "microsoft/phi-4",
    "openai/gpt-oss-20b", "mistralai/Mistral-Small-3.2-24B-Instruct-2506", "Qwen/Qwen3-30B-A3B", "Qwen/Qwen3-32B", "google/gemma-3-27b-it",
    "mistralai/Mixtral-8x7B-Instruct-v0.1", "meta-llama/Llama-3.1-70B", "Qwen/Qwen2.5-72B-Instruct", "Qwen/Qwen3-Next-80B-A3B-Instruct",
    "zai-org/GLM-4.5-Air", "openai/gpt-oss-120b", "MiniMaxAI/MiniMax-M2.5", "Qwen/Qwen3-235B-A22B", "meta-llama/Llama-3.1-405B-Instruct",
    "deepseek-ai/DeepSeek-V3.1",
)  # fmt: skip
MACHINES: tuple[tuple[str, int], ...] = (
    ("T4-16GB", 1), ("T4-16GB", 4), ("V100-32GB", 1), ("V100-32GB", 8), ("RTX3060-12GB", 1), ("RTX3090-24GB", 1), ("RTX3090-24GB", 2),
    ("RTX4060Ti-16GB", 1), ("RTX4090-24GB", 1), ("RTX4090-24GB", 2), ("RTX4090-24GB", 4), ("RTX5090-32GB", 1), ("RTX5090-32GB", 2), ("A10G-24GB", 1),
    ("A10G-24GB", 4), ("L4-24GB", 1), ("L4-24GB", 8), ("A6000-48GB", 2), ("L40S-48GB", 1), ("L40S-48GB", 4), ("L40S-48GB", 8), ("A100-40GB", 8),
    ("A100-80GB", 1), ("A100-80GB", 2), ("A100-80GB", 8), ("H100-80GB", 1), ("H100-80GB", 2), ("H100-80GB", 4), ("H100-80GB", 8), ("H200-141GB", 1),
    ("H200-141GB", 8), ("B200-180GB", 1), ("B200-180GB", 8), ("RTX-PRO-6000-96GB", 1), ("RTX-PRO-6000-96GB", 8), ("GB10-128GB", 1),
    ("MI300X-192GB", 1), ("MI300X-192GB", 8), ("M3-Max-128GB", 1), ("cpu", 1),
)  # fmt: skip
GOALS = ("balanced", "quality", "throughput", "latency", "cost")
PROFILES = ("chat", "batch", "rag", "agent", "code", "dev")

CLASSES = (("vllm", "sglang", "tensorrt-llm"), ("llama.cpp", "ollama"))
"""Engines that are level with each other."""

SAME_LOSS = 0.5
"""A method is of a loss class with another, or of a better one, where its published loss is higher by no more (percent). Under the goal
quality the rules put methods in order, so no two are level."""

LEVEL = ("weights.origin", "support", "kv_cache.support", "layers.spilled", "objective.missed", "pipeline_parallel")
"""Names by which rules of policy put candidates apart: only where all are equal is an alternative level with the choice. Pipelines within
a node are for where nothing else works."""

MADE = "made"


class Dominated(NamedTuple):
    """A choice and the alternative that beats it; `kind` is what they differ in, `by` what the alternative is better in."""

    spec: dict[str, Any]
    kind: str
    choice: Candidate
    better: Candidate
    by: tuple[str, ...]


def specs(tenth: bool = False) -> Iterator[dict[str, Any]]:
    """The grid; each model on a machine asks for one profile, another one on the next machine."""
    for m, model in enumerate(MODELS):
        for h, (gpu, count) in enumerate(MACHINES):
            for g, goal in enumerate(GOALS):
                if tenth and (m * 7 + h * 3 + g) % 10:
                    continue
                hardware: dict[str, Any] = {"gpu": gpu, "gpus_per_node": count}
                if gpu == "cpu":
                    hardware["memory_gib"] = 128
                workload = {"profile": PROFILES[(m + h) % len(PROFILES)], "goal": goal}
                yield {"model": model, "hardware": hardware, "workload": workload, "deploy": {"trust_remote_code": True}}


def decided(spec: dict[str, Any], book: RuleBook) -> Outcome | None:
    """The decision of a spec; None where it is refused outright."""
    found, problems = from_document(Document("grid.yaml", spec, {}, {}), Path("grid.yaml"))
    if found is None:
        raise ValueError(f"{spec}: {problems}")
    try:
        return decide(found, book)
    except GenDeployError:
        return None


def dominated(spec: dict[str, Any], outcome: Outcome, book: RuleBook, slack: bool = False) -> Iterator[Dominated]:
    """Each kind of alternative that beats the choice, with the one that is fastest."""
    if not outcome.ranked:
        return
    speeds, first = Speeds(outcome.context), outcome.ranked[0]
    choice = _Figures(speeds.estimated(first.candidate))
    best: dict[str, tuple[float, Dominated]] = {}
    for one in outcome.ranked[1:]:
        kind = kind_of(first, one, ordered=spec["workload"]["goal"] == "quality")
        if kind is None:
            continue
        other = _Figures(speeds.estimated(one.candidate))
        by = better_in(choice, other, kind, book, slack)
        if by and (kind not in best or other.output > best[kind][0]):
            best[kind] = (other.output, Dominated(spec, kind, choice.candidate, other.candidate, by))
    yield from (found for _, found in best.values())


def kind_of(first: Ranked, other: Ranked, ordered: bool = False) -> str | None:
    """In what an alternative that the rules put level with the choice differs: layout, method or engine; None where it is not level.

    `ordered`: the rules put every method in its place, so that another one is never level.
    """
    one, two = first.candidate, other.candidate
    if any(_said(first, name) != _said(other, name) for name in LEVEL):
        return None
    if one.engine != two.engine and not any(one.engine in names and two.engine in names for names in CLASSES):
        return None
    if one.method != two.method and (ordered or not _loses_no_more(two, one)):
        return None
    return "engine" if one.engine != two.engine else "method" if one.method != two.method else "layout"


def _said(one: Ranked, name: str) -> object:
    value = one.facts.get(name)
    return value == MADE if name == "weights.origin" else value


def _loses_no_more(one: Candidate, two: Candidate) -> bool:
    mine, its = one.quality.value, two.quality.value
    return mine is not None and its is not None and mine <= max(0.0, its) + SAME_LOSS


class _Figures:
    """What counts of a candidate."""

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        speed = candidate.performance.speed if candidate.performance else None
        self.known = speed is not None
        self.output = speed.output_tokens_per_second.value if speed else 0.0
        self.ttft = speed.ttft_ms.value if speed and speed.ttft_ms else None


def better_in(choice: _Figures, other: _Figures, kind: str, book: RuleBook, slack: bool) -> tuple[str, ...]:
    """What an alternative is better in where it dominates the choice; nothing where it does not."""
    if not choice.known or not other.known:
        return ()
    found = []
    ratios = {"output": other.output / choice.output if choice.output else 1.0}
    if choice.ttft and other.ttft:
        ratios["ttft"] = choice.ttft / other.ttft
    for name, ratio in ratios.items():
        far = 1.0 + book.number(f"speed.compare.{kind}s{'_ttft' if name == 'ttft' else ''}")
        if ratio < (1.0 / far if slack else 1.0 - 1e-9):
            return ()
        if ratio > far:
            found.append(name)
    one, two = choice.candidate, other.candidate
    if one.quality.value is not None and two.quality.value is not None and one.quality.value - two.quality.value > SAME_LOSS:
        found.append("loss")
    for name, more in (("gpus", one.gpus - two.gpus), ("context", two.max_model_len - one.max_model_len)):
        if more < 0:
            return ()
        if more > 0:
            found.append(name)
    return tuple(found)


def shown(one: Dominated) -> str:
    """A finding in one line."""

    def said(candidate: Candidate) -> str:
        speed = candidate.performance.speed if candidate.performance else None
        rate = f"{speed.output_tokens_per_second.value:.0f} tokens/s" if speed else "?"
        ttft = f"{speed.ttft_ms.value:.0f} ms" if speed and speed.ttft_ms else "? ms"
        return f"{candidate.id} ({rate}, {ttft}, {candidate.max_model_len} × {candidate.max_num_seqs})"

    hardware, workload = one.spec["hardware"], one.spec["workload"]
    where = f"{one.spec['model']} on {hardware['gpus_per_node']} × {hardware['gpu']}, {workload['profile']}, {workload['goal']}"
    return f"{one.kind}: {where}: {said(one.choice)} < {said(one.better)} in {', '.join(one.by)}"


def main() -> int:
    """Count, and show some; 3 where a choice is dominated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenth", action="store_true", help="every tenth spec")
    parser.add_argument("--slack", action="store_true", help="figures within the uncertainty do not count as worse")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="show N of each kind")
    parser.add_argument("--rules", default="default")
    options = parser.parse_args()
    book = load(options.rules)
    count, chosen, by_kind, by_goal = 0, 0, Counter[str](), Counter[str]()
    any_kind = 0
    lines: dict[str, list[str]] = {}
    for spec in specs(options.tenth):
        count += 1
        outcome = decided(spec, book)
        if outcome is None or outcome.plan.choice is None:
            continue
        chosen += 1
        found = list(dominated(spec, outcome, book, options.slack))
        any_kind += bool(found)
        for one in found:
            by_kind[one.kind] += 1
            by_goal[f"{one.kind}, {spec['workload']['goal']}"] += 1
            lines.setdefault(one.kind, []).append(shown(one))
    print(f"{count} specs, {chosen} decided, {any_kind} choices dominated: " + (", ".join(f"{n} by {kind}" for kind, n in by_kind.most_common()) or "none"))
    for word, n in sorted(by_goal.items()):
        print(f"  {word}: {n}")
    for kind in lines:
        step = max(1, len(lines[kind]) // options.show) if options.show else 1
        for text in lines[kind][::step][: options.show]:
            print(text)
    return 3 if any_kind else 0


if __name__ == "__main__":
    sys.exit(main())
