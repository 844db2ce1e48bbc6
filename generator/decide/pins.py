"""What the spec pins, labels and passes through: every word checked against the catalogue and the gates, all problems at once. Floor 5,
pure."""

from __future__ import annotations

from dataclasses import replace

from generator.errors import InputError, Problem, did_you_mean
from generator.facts.engine import back_ends_of
from generator.facts.gpu import Gpu
from generator.facts.model_names import GGUF
from generator.rulebook.book import RuleBook
from generator.rulebook.renamed import renamed
from generator.rulebook.table import LABELS
from generator.spec.deployment import DeploymentSpec


def with_todays_methods(spec: DeploymentSpec, book: RuleBook) -> DeploymentSpec:
    """The spec with today's names of the methods that it pins or names checkpoints of."""
    methods, pinned = book.section("methods"), spec.pin.get("quantization")
    words = {word: ("model", "checkpoints", word) for word in spec.model.checkpoints} | ({pinned: ("pin", "quantization")} if pinned else {})
    new = {word: renamed("methods", word, methods, spec.document.place(path, key=len(path) == 3)) for word, path in words.items() if word not in methods}
    if all(word == now for word, now in new.items()):
        return spec
    checkpoints = {new.get(method, method): target for method, target in spec.model.checkpoints.items()}
    pin = {**spec.pin, "quantization": new.get(pinned, pinned)} if pinned else spec.pin
    return replace(spec, pin=pin, model=replace(spec.model, checkpoints=checkpoints))


def check_pins(spec: DeploymentSpec, book: RuleBook) -> None:
    """Raise `InputError` for pins outside the catalogue, and for words that a label which the rule set declares may not have."""
    pin, problems = spec.pin, []
    engines, methods = book.section("engines"), book.section("methods")
    dtypes = book.section("kv_cache")["dtypes"]
    for key, known in (("engine", engines), ("quantization", (*methods, GGUF)), ("kv_cache_dtype", dtypes)):
        word = pin.get(key)
        if word is not None and word not in known:
            message = f"{word!r} is no {key.replace('_', ' ')}{did_you_mean(word, known)} (one of {', '.join(known)})"
            problems.append(spec.problem(("pin", key), f"unknown-{key.replace('_', '-')}", message))
    for name in book.labels:
        label, known = name.removeprefix(LABELS), book.names[name]["values"]
        word = spec.labels.get(label)
        if word is not None and word not in known:
            message = f"{word!r} is not a value of {name} in the rule set {book.name!r}{did_you_mean(word, known)} (one of {', '.join(known)})"
            problems.append(spec.problem(("labels", label), "unknown-label", message))
    if "engine_version" in pin and "engine" not in pin:
        problems.append(spec.problem(("pin", "engine_version"), "missing-key", "`engine_version` needs `engine`"))
    gpus = spec.hardware.gpus_per_node * spec.hardware.nodes
    wanted = pin.get("tensor_parallel", 1) * pin.get("pipeline_parallel", 1) * pin.get("data_parallel", 1)
    if wanted > gpus:
        key = "tensor_parallel" if "tensor_parallel" in pin else "pipeline_parallel"
        problems.append(spec.problem(("pin", key), "too-few-gpus", f"{wanted} GPUs are pinned, the spec has {gpus}"))
    copies = spec.deploy.get("replicas") or 1
    if wanted <= gpus < wanted * copies:
        each = f"{wanted} GPU{'s' if wanted > 1 else ''} each"
        problems.append(spec.problem(("deploy", "replicas"), "too-few-gpus", f"{copies} replicas of {each} are asked for, the spec has {gpus}"))
    for engine in spec.deploy.get("extra_args") or {}:
        if engine not in engines:
            place = spec.document.place(("deploy", "extra_args", engine), key=True)
            problems.append(Problem("unknown-engine", f"{engine!r} is no engine{did_you_mean(engine, engines)}", place))
    if spec.deploy.get("extra_args") or spec.deploy.get("env"):
        from generator.decide.gates import gate_problems  # few specs have either

        problems += gate_problems(spec, book)
    if problems:
        raise InputError(problems)


def check_back_end(spec: DeploymentSpec, book: RuleBook, gpu: Gpu) -> None:
    """Raise `InputError` for a pinned back end that this hardware, or the pinned engine, cannot use."""
    wanted, engine, engines = spec.pin.get("back_end"), spec.pin.get("engine"), book.section("engines")
    architecture = book.section("architectures")[gpu.architecture]
    known = list(dict.fromkeys(end for name in engines if engine in (None, name) for end in back_ends_of(engines[name], architecture)))
    if wanted is not None and wanted not in known:
        what = f"{wanted!r} is no back end of {engine or 'any engine'} on {architecture['title']}{did_you_mean(wanted, known)}"
        message = f"{what} ({'one of ' + ', '.join(known) if known else 'it has no choice of them'})"
        raise InputError(spec.problem(("pin", "back_end"), "unknown-back-end", message))
