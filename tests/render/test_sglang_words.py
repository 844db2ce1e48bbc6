"""Options that SGLang's own file refuses stand on its command line."""

from __future__ import annotations

from generator.rulebook.book import load


def test_what_the_file_refuses_is_spelled_on_the_command_line() -> None:
    book = load("default")
    refused = set(book.section("flags")["sglang"]["syntax"]["config"]["refuses"]["options"])
    entries = [entry for several in book.section("engines")["sglang"]["flags"].values() for entry in several if entry.get("flag") in refused]
    assert {entry["flag"] for entry in entries} >= {"--lora-paths", "--enable-dp-attention"}
    wrong = [entry["flag"] for entry in entries if entry.get("where") != "command" and entry.get("until") is None]
    assert wrong == []
