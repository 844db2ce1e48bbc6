"""The model that a server starts, where its shape is known: a config.json beside the launch file, else the catalogue.

Floor 6. Reads `config.json` of a folder below the launch file's, and nothing else.
"""

from __future__ import annotations

from pathlib import Path

from generator.errors import InputError, fold
from generator.facts.model import shape_of
from generator.readers.document import read_json
from generator.rulebook.book import RuleBook
from generator.verify.catalogue import Catalogue
from generator.verify.finding import is_option
from generator.verify.launches import Launch


def served_model(launch: Launch, known: Catalogue, folder: Path, book: RuleBook) -> dict[str, int]:
    """The numbers of the model that rules of `together` can ask for; empty where the model is not known."""
    name = _name(launch, known, book)
    if not name:
        return {}
    try:
        config = folder / name / "config.json"
        if not Path(name).is_absolute() and config.resolve().is_relative_to(folder.resolve()) and config.is_file():
            from generator.architecture.config import from_config

            shape = from_config(read_json(config), book.section("families"))
        elif listed := book.index("models").get(fold(name)):
            found = shape_of(listed, book)
            if found is None:
                return {}
            shape = found
        else:
            return {}
    except (InputError, OSError, ValueError):
        return {}
    return {key: count for key, count in (("attention_heads", shape.attention_heads), ("max_context", shape.max_context)) if count}


def _name(launch: Launch, known: Catalogue, book: RuleBook) -> str | None:
    """The model as the command names it: its first argument, or the value of its option."""
    words = launch.words
    if launch.positionals and words and not is_option(words[0].text):
        return words[0].text if words[0].known else None
    flags = {f"--{entry.get('key')}" for entry in book.section("engines")[known.engine]["flags"].get("model") or ()}
    for word, after in zip(words, [*words[1:], None], strict=True):
        name, equals, value = word.text.partition("=")
        option = known.taken.get(name)
        if option is not None and option.name in flags:
            return value if equals else after.text if after is not None and after.known else None
    return None
