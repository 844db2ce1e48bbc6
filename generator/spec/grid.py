"""The built-in grid of deployments for comparing rules: each model on each machine with each workload of `rules/grid.yaml`.

Floor 2; reads that file."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from generator.errors import InputError
from generator.readers.document import Document, read_yaml
from generator.readers.resources import folder, shown
from generator.rulebook.book import RuleBook
from generator.rulebook.table import LABELS
from generator.spec.deployment import DeploymentSpec, from_document, label

FILE = "grid.yaml"


def grid(book: RuleBook) -> dict[str, DeploymentSpec]:
    """The specs of the grid by name; labels that a rule set declares take each of their words in turn. Raises `InputError` if one is invalid."""
    path = folder("rules") / FILE
    data = read_yaml(path, shown(path)).data
    found: dict[str, DeploymentSpec] = {}
    axes = (list(enumerate(data[key])) for key in ("models", "machines", "workloads"))
    for (i, model), (j, machine), (k, workload) in product(*axes):
        name = label(f"{model.rpartition('/')[2]}-{machine.get('gpus_per_node', 1)}x{machine['gpu']}-{workload['profile']}")
        turns = {word.removeprefix(LABELS): book.names[word]["values"] for word in book.labels}
        labels = {word: values[(i + j + k) % len(values)] for word, values in turns.items()}
        spec = {"name": name, "model": model, "hardware": machine, "workload": workload, **({"labels": labels} if labels else {})}
        one, problems = from_document(Document(f"grid/{name}", spec, {}, {}), Path(name))
        if one is None:
            raise InputError(problems)
        found[one.document.name] = one
    return found
