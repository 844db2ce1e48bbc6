"""The model that a server starts, where its shape is known: a config.json beside the launch file, else the catalogue.

Floor 6. Reads `config.json` of a folder below the launch file's, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from generator.architecture.shape import ModelArchitecture
from generator.errors import InputError, fold
from generator.facts.model import shape_of
from generator.rulebook.book import RuleBook
from generator.verify.catalogue import Catalogue
from generator.verify.finding import is_option
from generator.verify.launches import Launch
from generator.verify.semantics import Given


def served_model(launch: Launch, given: Given, known: Catalogue, folder: Path, book: RuleBook) -> Mapping[str, int]:
    """The numbers of the model that rules of `together` can ask for; empty where the model is not known."""
    first = launch.words[0] if launch.positionals and launch.words and not is_option(launch.words[0].text) else None
    options = [f"--{entry.get('key')}" for entry in book.section("engines")[known.engine]["flags"]["model"]]
    model = first or next((given[option][0] for option in options if option in given), None)
    if model is None or not model.known or not model.text:
        return {}
    try:
        config = folder / model.text / "config.json"
        if not Path(model.text).is_absolute() and config.resolve().is_relative_to(folder.resolve()) and config.is_file():
            from generator.architecture.config import from_config  # rarely needed
            from generator.facts.config_file import read_config

            shape: ModelArchitecture | None = from_config(read_config(config), book.section("families"))
        else:
            listed = book.index("models").get(fold(model.text))
            shape = shape_of(listed, book) if listed else None
    except (InputError, OSError, ValueError):
        return {}
    return {"attention_heads": shape.attention_heads, "max_context": max(shape.max_context, shape.yarn_context)} if shape else {}
