"""Generate docs/engines/*.md from the rules: the settings that are written, how each version spells them, and why."""

from __future__ import annotations

import sys

from blocks import put

from generator.report.engine_page import engine_page
from generator.rulebook.book import load

if __name__ == "__main__":
    book = load()
    sys.exit(put({f"docs/engines/{engine}.md": {"": engine_page(book, engine)} for engine in book.section("engines")}))
