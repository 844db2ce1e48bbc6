"""Specs from plain data: a model and cards named on the command line, and the built-in grid of deployments for comparing rules, each model on
each machine with each workload of `rules/grid.yaml`. Floor 2; reads that file, and the lock of this folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from posixpath import basename

from generator.errors import InputError, Problem
from generator.readers.document import Document, read_yaml
from generator.readers.resources import folder, shown
from generator.rulebook.book import RuleBook
from generator.rulebook.table import LABELS
from generator.spec.deployment import DeploymentSpec, from_document, label, with_lock

_COUNTED = re.compile(r"\s*(\d{1,4})\s*[x×*]\s*(?=\D)", re.IGNORECASE)


def machine(gpu: str, gpus: str | None = None) -> dict[str, object]:
    """The hardware section for a card such as `RTX 3090` or `2x RTX 3090`, and how many: a number, or `auto`.

    Raises `InputError` for a number that is none, or that is said twice."""
    counted = _COUNTED.match(gpu)
    if counted and gpus is not None:
        raise InputError(Problem("contradiction", f"--gpus {gpus} and {gpu!r} both say how many GPUs there are: write one of them"))
    count = counted.group(1) if counted else gpus
    if count not in (None, "auto") and not (count.isdigit() and int(count) > 0):
        raise InputError(Problem("wrong-type", f"--gpus: a number of GPUs or `auto`, not {count!r}"))
    name = gpu[counted.end() :].strip() if counted else gpu
    return {"gpu": name} if count is None else {"gpu": name, "gpus_per_node": int(count) if count.isdigit() else count}


def spec_of(data: Mapping[str, object], folder: Path | None = None) -> DeploymentSpec:
    """A spec of this data, with the lock of a folder (default: the current one). Its problems have no place in a file.

    Raises `InputError` with all its problems."""
    folder = folder or Path()
    model = data.get("model")
    name = str(model.get("id", "") if isinstance(model, Mapping) else model)
    spec, problems = from_document(Document("", dict(data), {}, {}), folder / f"{label(basename(name)) or 'spec'}.yaml")
    if spec is None:
        raise InputError([problem._replace(place=None) for problem in problems])
    return with_lock(spec)


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
