"""A generation of GPUs that the catalogue does not know, as a short overlay: like the nearest known one, with every engine."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from generator.cli.lint import lint
from generator.decide.context import numbers_of
from generator.decide.decision import Outcome, decide
from generator.facts.engine import kv_support_of, resolve_engine, support_of
from generator.readers.document import parse_yaml
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import from_document
from generator.throughput.shapes import hardware_shape

if TYPE_CHECKING:
    from generator.rulebook.sections import Gpu

RUBIN = {
    "ruleset.yaml": """\
ruleset: {name: rubin, title: Rubin before the catalogue has it, extends: default}
sources: {rubin-sheet: {title: Data sheet of the board, url: "https://example.com/rubin.pdf", read: 2026-11-30}}
""",
    "architectures.yaml": """\
architectures:
  rubin_110: {like: blackwell_100, title: NVIDIA Rubin, compute_capabilities: [11.0], source: rubin-sheet}
""",
    "gpus.yaml": """\
gpus:
  R200-288GB: {vendor: nvidia, architecture: rubin_110, memory_gb: 288, bandwidth_gb_per_s: 22000, fp16_tflops: 4000,
    fp8_tflops: 17500, fp4_tflops: 35000, interconnect: nvlink, interconnect_gb_per_s: 3600, source: rubin-sheet}
""",
}
ENGINES = ("vllm", "sglang", "tensorrt-llm", "llama.cpp", "ollama")


@pytest.fixture(scope="module")
def rubin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rubin")
    for name, text in RUBIN.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def book(rubin: Path) -> RuleBook:
    return load(str(rubin))


def plan(book: RuleBook, **spec: Any) -> Outcome:
    whole = {"model": "meta-llama/Llama-3.3-70B-Instruct", "hardware": {"gpu": "R200-288GB"}, **spec}
    found, problems = from_document(parse_yaml(yaml.safe_dump(whole), "spec.yaml"), Path("spec.yaml"))
    assert found is not None, problems
    return decide(found, book)


def test_it_is_at_most_twelve_lines_without_a_finding(rubin: Path) -> None:
    assert sum(len(text.splitlines()) for text in RUBIN.values()) <= 12
    assert lint(str(rubin), date(2026, 12, 1)) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_plans_as_on_the_nearest_generation(book: RuleBook, engine: str) -> None:
    choice = plan(book, pin={"engine": engine}).plan.choice
    nearest = plan(book, pin={"engine": engine}, hardware={"gpu": "B300-288GB"}).plan.choice
    assert choice is not None
    assert nearest is not None
    assert (choice.method, choice.tensor_parallel, choice.kv_cache_dtype) == (nearest.method, nearest.tensor_parallel, nearest.kv_cache_dtype)
    assert choice.bits > 4, "four-bit weights on a card that holds the model several times"
    assert choice.performance is not None
    assert choice.performance.speed is not None
    assert nearest.performance is not None
    assert nearest.performance.speed is not None
    ratio = choice.performance.speed.tpot_ms.value / nearest.performance.speed.tpot_ms.value
    assert ratio < 1.0, "it reads faster"


@pytest.mark.parametrize("goal", ["balanced", "quality", "throughput", "latency", "cost"])
def test_every_goal_chooses_as_on_the_nearest_generation(book: RuleBook, goal: str) -> None:
    choices = [plan(book, hardware={"gpu": gpu}, workload={"goal": goal}).plan.choice for gpu in ("R200-288GB", "B300-288GB")]
    assert len({(choice.engine, choice.method) for choice in choices if choice is not None}) == 1


def test_what_it_takes_over_and_what_not(book: RuleBook) -> None:
    entry, base = book.section("architectures")["rubin_110"], book.section("architectures")["blackwell_100"]
    assert {key: entry[key] for key in ("vendor", "computes", "back_end", "speed")} == {key: base[key] for key in ("vendor", "computes", "back_end", "speed")}
    assert base["measured"]
    assert "measured" not in entry, "nobody has measured it, so its bands are wider"
    engine = resolve_engine("vllm", None, book)
    for method in book.section("support")["vllm"]["support"]:
        assert support_of(book, engine, method, "rubin_110") == support_of(book, engine, method, "blackwell_100")
    context = plan(book).context
    assert context.gpu.compute_capability == 11.0
    assert "fp8" in context.gpu.computes


def test_a_column_and_a_fact_of_its_own_come_first(rubin: Path, tmp_path: Path) -> None:
    for file in rubin.glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "architectures.yaml").write_text(
        RUBIN["architectures.yaml"].replace("source:", "computes: [fp16, bf16, fp8, nvfp4], source:")
        + "  rubin_ultra: {like: rubin_110, title: NVIDIA Rubin Ultra, source: rubin-sheet}\n"
    )
    (tmp_path / "support.yaml").write_text("engine: vllm\nsupport: {int8: {rubin_110: 'no', source: rubin-sheet}}\n")
    book = load(str(tmp_path))
    assert book.section("architectures")["rubin_ultra"]["computes"] == ["fp16", "bf16", "fp8", "nvfp4"]
    engine = resolve_engine("vllm", None, book)
    for name in ("rubin_110", "rubin_ultra"):
        assert support_of(book, engine, "int8", name)[0] == "no"
        assert kv_support_of(book, engine, "fp8", name)[0] == "yes"


@pytest.mark.parametrize(("method", "generation", "kind"), [
    ("fp8", "hopper_90", "fp8"), ("fp8", "ampere_80", "weight-only"), ("nvfp4", "rubin_110", "fp4"), ("nvfp4", "hopper_90", "weight-only"),
    ("bf16", "turing_75", "bf16"),
])  # fmt: skip
def test_arithmetic_is_as_fast_as_16_bits_where_nobody_says_how_fast(book: RuleBook, method: str, generation: str, kind: str) -> None:
    entry: Gpu = {"bandwidth_gb_per_s": 1000.0, "fp16_tflops": 300.0, "interconnect": "pcie"}
    found = hardware_shape(entry, book.section("architectures")[generation], book.section("methods")[method], numbers_of(book, "0"))
    assert (found.kind, found.low_flops) == (kind, found.full_flops)
