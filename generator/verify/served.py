"""The model that a server starts, where its shape is known: a config.json beside the launch file, else the catalogue.

Floor 6. Reads `config.json` of a folder below the launch file's, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from generator.architecture.shape import ModelArchitecture
from generator.errors import InputError, fold
from generator.facts.model import shape_of
from generator.facts.model_names import repositories
from generator.rulebook.book import RuleBook
from generator.verify.catalogue import Catalogue
from generator.verify.finding import is_option
from generator.verify.launches import Launch
from generator.verify.semantics import Given


def served_model(launch: Launch, given: Given, known: Catalogue, folder: Path, book: RuleBook, named: str | None = None) -> Mapping[str, str | int]:
    """What rules of `together` can ask of the model, `named` by the user or else by the server; empty where it is not known, or no rule asks."""
    if not any("model." in f"{rule}" and rule["option"] in given for rule in known.facts.get("together") or ()):
        return {}
    first = launch.words[0] if launch.positionals and launch.words and not is_option(launch.words[0].text) else None
    options = [f"--{entry.get('key')}" for entry in book.section("engines")[known.engine]["flags"]["model"]]
    word = first or next((given[option][0] for option in options if option in given), None)
    model = named or (word.text if word is not None and word.known else "")
    layout = ""
    try:
        config = folder / model / "config.json"
        if model and not Path(model).is_absolute() and config.resolve().is_relative_to(folder.resolve()) and config.is_file():
            from generator.architecture.config import from_config  # rarely needed
            from generator.facts.model import read_config

            shape: ModelArchitecture | None = from_config(read_config(config), book.section("families"))
        else:
            listed = book.index("models").get(fold(model))
            if listed is None and (prepared := repositories(book).get(fold(model))):
                repository, listed, methods = prepared
                made = book.section("models")[listed]["checkpoints"].get(methods[0]) or []
                files = made if isinstance(made, list) else [made]
                layout = next((str(one.get("layout", "")) for one in files if one["id"] == repository), "")
            shape = shape_of(listed, book) if listed else None
    except (InputError, OSError, ValueError):
        return {}
    if shape is None:
        return {}
    layout = layout or (shape.quantization.layout if shape.quantization else "")
    context = max(shape.max_context, shape.yarn_context)
    facts: dict[str, str | int] = {"attention_heads": shape.attention_heads, "max_context": context, "layers": shape.layers, "model_type": shape.model_type}
    return {**facts, **({"layout": layout} if layout else {}), **({"multimodal": "yes"} if shape.multimodal else {})}
