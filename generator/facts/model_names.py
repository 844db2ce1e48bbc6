"""The model that a name means, where it is not the catalogue's own: a name without its maker, or a prepared checkpoint.

Floor 3, pure. Only names that the catalogue does not have are looked for, so the usual start does not pay for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from posixpath import basename, normpath

from generator.errors import InputError, Problem, did_you_mean, fold
from generator.facts.hubs import names_on
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered
from generator.spec.deployment import DeploymentSpec

GGUF = "gguf"
"""The pin that means any GGUF type that is to be had."""
HOSTS = ("hf.co/", "huggingface.co/", "modelscope.cn/")
Meant = tuple[str, str | None]
"""A model of the catalogue, and the repository of its checkpoint that is meant (None: the model's own)."""


def pin_accepts(pin: str, method: str) -> bool:
    """Whether a pinned word means this method: `fp8` accepts any FP8 checkpoint, `gguf` any GGUF type."""
    return method == pin or (pin == "fp8" and method == "fp8-block") or (pin == GGUF and method.startswith("gguf-"))


def understood(spec: DeploymentSpec, book: RuleBook) -> DeploymentSpec:
    """The spec with the catalogue's name of its model; a checkpoint's name becomes that model, the checkpoint named and its method pinned.

    A name that means nothing known, or several models, is left as it is. Raises `InputError` where the spec pins another method.
    """
    request = spec.model
    gguf = (request.path or "").lower().endswith(".gguf")
    if request.gguf or request.form or (not gguf and (request.config or request.parameters)):
        return spec
    name, _, tag = _bare(request.id).partition(":")
    name = {fold(there): here for here, there in names_on(book, request).items()}.get(fold(name), name)
    exact = book.index("models").get(fold(f"{name}:{tag}" if tag else name))
    meant = {(exact, None)} if exact is not None else _meant(book).get(fold(name), set())
    if gguf and (len(meant) != 1 or request.config or request.parameters):
        message = f"{request.path!r} is a GGUF file; of a model that the catalogue does not know, the plan needs its header: `model: {{id: …, gguf: …}}`"
        raise InputError(spec.problem(("model", "path"), "unknown-model", message))
    if len(meant) != 1:
        return spec
    model, repository = next(iter(meant))
    if repository is None and (tag or not gguf):
        return spec if tag else replace(spec, model=replace(request, id=model))
    return _as_checkpoint(spec, model, repository, tag, book)


def _as_checkpoint(spec: DeploymentSpec, model: str, repository: str | None, tag: str, book: RuleBook) -> DeploymentSpec:
    """The spec with a checkpoint of a model: of the methods that its repository has, the one that tag, file or pin say."""
    request, pinned, path = spec.model, spec.pin.get("quantization"), spec.model.path
    known = book.section("methods")
    methods = [method for method, repo in _repositories(book)[model] if repo == repository]
    if repository is None or path:
        methods = methods or [method for method in known if method.startswith("gguf-")]
        file = fold(basename(path or ""))
        methods = sorted((m for m in methods if fold(m.removeprefix("gguf-")) in file), key=len)[-1:] or methods
    if tag:
        methods = [f"gguf-{tag.lower()}"]
        if methods[0] not in known:
            near = did_you_mean(methods[0], known).replace("gguf-", "")
            raise InputError(_problem(spec, "unknown-method", f"{tag!r} is no GGUF type that is known here{near} (`gen-deploy list methods` lists them)"))
    fitting = [method for method in methods if pinned is None or pin_accepts(pinned, method)]
    if not fitting:
        says = f"{request.path or request.id!r} is {model} in {' or '.join(methods[:3])}, but pin.quantization says {pinned!r}"
        raise InputError(spec.problem(("pin", "quantization"), "contradiction", f"{says}: leave the pin out, or write `model: {model}`"))
    if path and (len(fitting) > 1 or (fitting[0].startswith("gguf-") and not path.lower().endswith(".gguf"))):
        message = f"{path!r} does not say which GGUF file it means: write the path of the file, and pin.quantization where its name does not say the type"
        raise InputError(_problem(spec, "missing-key", message))
    one = fitting[0] if len(fitting) == 1 else GGUF
    target = path or names_on(book, request).get(repository or "", repository)
    checkpoints = {**request.checkpoints, **dict.fromkeys(fitting, target or request.id)}
    return replace(spec, model=replace(request, id=model, checkpoints=checkpoints, form=one), pin={**spec.pin, "quantization": one})


def unknown_model(spec: DeploymentSpec, book: RuleBook) -> Problem:
    """The error for a name that is not in the catalogue, with the right one where it can be told."""
    wanted = spec.model.id
    name = _bare(wanted).partition(":")[0]
    tail = basename(normpath(name))
    meant = sorted(repository or model for model, repository in _meant(book).get(fold(name)) or _meant(book).get(fold(tail), ()))
    ways = "its config.json, a GGUF file, or its number of parameters would do too: `model: {id: …, config: …}`"
    if len(meant) > 1:
        return _problem(spec, "unknown-model", f"{wanted!r} may mean {' or '.join(map(repr, meant))}: write one of them")
    if meant and wanted.startswith(("/", "./", "../", "~")):
        ways = f"where the folder holds {meant[0]}, write `model: {{id: {meant[0]}, path: {wanted}}}`; {ways}"
        return _problem(spec, "unknown-model", f"{wanted!r} is not in the catalogue ({ways})")
    models = book.section("models")
    known = [*models, *(alias for entry in models.values() for alias in entry.get("aliases") or ())]
    short = {} if "/" in name else {model.rpartition("/")[2]: model for model in models}
    near = f"; did you mean {meant[0]!r}?" if meant else did_you_mean(wanted, short)
    near = next((near.replace(word, model) for word, model in short.items() if repr(word) in near), near) or did_you_mean(wanted, known)
    return _problem(spec, "unknown-model", f"{wanted!r} is not in the catalogue ({ways}){near}")


def _problem(spec: DeploymentSpec, code: str, message: str) -> Problem:
    return spec.problem(("model", "id") if isinstance(spec.document.data["model"], dict) else ("model",), code, message)


def _bare(name: str) -> str:
    """A name without the address of its hub."""
    return next((name.removeprefix(host) for host in HOSTS if name.startswith(host)), name)


@remembered
def _repositories(book: RuleBook) -> Mapping[str, list[tuple[str, str]]]:
    """Of each model the methods with their repositories, best first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for model, entry in book.section("models").items():
        found[model] = []
        for method, listed in (entry.get("checkpoints") or {}).items():
            for one in listed if isinstance(listed, list) else [listed]:
                found[model] += [(f"gguf-{word}" if word else method, one["id"]) for word in one.get("types") or (None,)]
    return found


@remembered
def _meant(book: RuleBook) -> Mapping[str, set[Meant]]:
    """What each name may mean that is not the catalogue's own: models without their maker, then repositories, with theirs and without."""
    models = book.section("models")
    found: dict[str, set[Meant]] = {}
    for model in models:
        if "/" in model:
            found.setdefault(fold(model.rpartition("/")[2]), set()).add((model, None))
    short: dict[str, set[Meant]] = {}
    for model, pairs in _repositories(book).items():
        for _, repository in pairs:
            found.setdefault(fold(repository), set()).add((model, repository))
            short.setdefault(fold(repository.rpartition("/")[2]), set()).add((model, repository))
    return {**short, **found}
