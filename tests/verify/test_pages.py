"""The pages of the engines are what the rules say now."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.report.engine_page import engine_page
from generator.rulebook.book import load

FOLDER = Path(__file__).parents[2] / "docs" / "engines"


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tgi", "tensorrt-llm", "llama.cpp", "ollama"])
def test_a_page_is_current(engine: str) -> None:
    assert (FOLDER / f"{engine}.md").read_text(encoding="utf-8") == engine_page(load(), engine), "run python scripts/engine_pages.py"
