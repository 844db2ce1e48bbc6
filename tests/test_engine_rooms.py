"""An engine's name stands in its room, in the rules and in templates, and nowhere else; what rooms name exists."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import generator
from generator.engines import ENGINES, benchmarks, log_parsers
from generator.engines.room import BenchLoad
from generator.readers.resources import shipped
from generator.rulebook.book import RuleBook, load

ROOT = Path(generator.__file__).resolve().parent
EXCEPT = {"decide/job_weights.py", "decide/weight_jobs.py", "render/quantize_gguf.py", "decide/offload.py"}
"""Three modules name the tools that make GGUF files, which are called like the engines; the fourth reads thresholds of the only law
under which layers stay on the host."""


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return load("default")


def words(path: Path) -> Iterator[str]:
    """Every string in a module but its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def test_no_engine_is_named_outside_its_room() -> None:
    names = "|".join(re.escape(name) for name in (*ENGINES, *(name.replace("-", "_").replace(".", "_") for name in ENGINES)))
    pattern = re.compile(f"(?<![a-z])({names})(?![a-z])", re.IGNORECASE)
    found = {
        (path.relative_to(ROOT).as_posix(), word)
        for path in ROOT.rglob("*.py")
        if path.relative_to(ROOT).parts[0] not in ("engines", "rules", "templates", "compiled")
        for word in words(path)
        if " " not in word and pattern.search(word)
    }
    assert {one for one in found if one[0] not in EXCEPT} == set()
    assert {module for module, _ in found} == EXCEPT


def test_what_rooms_read_has_the_form_that_the_schema_says() -> None:
    Draft202012Validator(shipped("schemas/engines.json")).validate(shipped("engines.json"))
    load_words = {f"{{{name}}}" for name in (*BenchLoad._fields, "model")}
    words = {word for own in benchmarks().values() for word in own.words if word.startswith("{")}
    assert words and words <= load_words


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_room_names_is_a_threshold_or_a_source(engine: str, book: RuleBook) -> None:
    room = ENGINES[engine]
    adjusted = {name for names in room.adjustable.values() for name in names}
    assert adjusted | set(room.pools.values()) <= book.thresholds.keys()
    assert set(room.sources.values()) <= book.section("sources").keys()
    kinds = ("cuda", "metal", "cpu", "other") if room.speed.local else ("dense", "moe")
    assert all(f"speed.band.{room.speed.band}.{kind}.tpot.low" in book.thresholds for kind in kinds)
    assert room.speed.local or f"speed.engine.{engine}" in book.thresholds


def test_every_engine_has_a_room_and_facts(book: RuleBook) -> None:
    assert set(ENGINES) == set(book.section("engines"))
    assert set(benchmarks()) <= set(ENGINES)
    local = {engine for engine, room in ENGINES.items() if room.speed.local}
    assert local == {engine for engine, facts in book.section("engines").items() if "gguf" in facts["formats"]}


def test_every_parser_of_logs_knows_words_of_its_own() -> None:
    assert [parser.LOG.mentions([]) for parser in log_parsers()] == [0, 0, 0, 0]
    assert all(parser.LOG.words for parser in log_parsers())


def test_a_plan_and_its_files_need_no_log(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: RTX4090-24GB}\n", encoding="utf-8")
    program = (
        "import sys; from generator.cli.main import main; assert main(['spec.yaml', '-o', 'out', '-q']) == 0; "
        "print([m for m in sys.modules if m.startswith('generator.') and (m.endswith('log') or 'calibrate' in m)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT.parent)})
    assert done.stdout.strip() == "[]"
