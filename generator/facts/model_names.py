"""Names of prepared checkpoints, which mean a model in a method; and the right name where one is not in the catalogue. Floor 3, pure. Only
names that the catalogue does not have are looked for, so the usual start does not pay for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from posixpath import basename, normpath

from generator.errors import InputError, Problem, did_you_mean, fold
from generator.facts.engine import names_on
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered
from generator.spec.deployment import DeploymentSpec, is_path

GGUF = "gguf"
"""The pin that means any GGUF type that is published."""
HOSTS = ("hf.co/", "huggingface.co/", "modelscope.cn/")


def pin_accepts(pin: str, method: str) -> bool:
    """Whether a pinned word means this method: `fp8` accepts any FP8 checkpoint, `gguf` any GGUF type."""
    return method == pin or (pin == "fp8" and method == "fp8-block") or (pin == GGUF and method.startswith("gguf-"))


def understood(spec: DeploymentSpec, book: RuleBook) -> DeploymentSpec:
    """The spec with the catalogue's name of its model; a checkpoint's name, or a GGUF file as `path`, becomes its model with that method
    pinned. A name that is not in the catalogue is left as it is. Raises `InputError` where the spec pins another method."""
    request = spec.model
    gguf = (request.path or "").lower().endswith(".gguf")
    if request.gguf and request.path:
        raise InputError(spec.problem(("model", "path"), "contradiction", "model: `path` cannot stand beside `gguf`, which names the file"))
    if request.gguf or request.form or (not gguf and (request.config or request.parameters)):
        return spec
    name, _, tag = _bare(request.id).partition(":")
    name = {fold(there): here for here, there in names_on(book, request.elsewhere).items()}.get(fold(name), name)
    model, methods = book.index("models").get(fold(f"{name}:{tag}" if tag else name)), list[str]()
    if model is None:
        name, model, methods = repositories(book).get(fold(name), ("", None, methods))
    if gguf and (model is None or request.config or request.parameters):
        message = f"{request.path!r} is a GGUF file; of a model that the catalogue does not know, the plan needs its header: `model: {{id: …, gguf: …}}`"
        raise InputError(spec.problem(("model", "path"), "unknown-model", message))
    if model is None or not (methods or gguf):
        return spec if model is None or tag else replace(spec, model=replace(request, id=model))
    methods = _methods(spec, f"gguf-{tag.lower()}" if tag else None, methods, book)
    pinned, path = spec.pin.get("quantization"), request.path
    fitting = [method for method in methods if pinned is None or pin_accepts(pinned, method)]
    if not fitting:
        says = f"{path or request.id!r} is {model} in {' or '.join(methods[:3])}, but pin.quantization says {pinned!r}"
        raise InputError(spec.problem(("pin", "quantization"), "contradiction", f"{says}: leave the pin out, or write `model: {model}`"))
    form = fitting[0] if len(fitting) == 1 else GGUF
    if path and (form == GGUF or (form.startswith("gguf-") and not gguf)):
        message = f"{path!r} does not say which GGUF file it means: write the path of the file, and pin.quantization where its name does not say the type"
        raise InputError(_problem(spec, "missing-key", message))
    prepared = names_on(book, request.elsewhere).get(name, name)
    known = replace(request, id=model, checkpoints={**request.checkpoints, **dict.fromkeys(fitting, path or prepared)}, form=form, prepared=prepared)
    return replace(spec, model=known, pin={**spec.pin, "quantization": form})


def _methods(spec: DeploymentSpec, tagged: str | None, methods: list[str], book: RuleBook) -> list[str]:
    """The methods that tag or file name, of those of the repository; where they say nothing, all of these, or every GGUF type."""
    known = book.section("methods")
    if tagged is not None and (tagged not in known or not methods[0].startswith("gguf-")):
        near = did_you_mean(tagged, known).replace("gguf-", "")
        raise InputError(_problem(spec, "unknown-method", f"{tagged[5:]!r} is no GGUF type of {spec.model.id}{near} (`gen-deploy list methods` lists them)"))
    methods = [tagged] if tagged else methods or [method for method in known if method.startswith("gguf-")]
    file = fold(basename(spec.model.path or ""))
    return sorted((method for method in methods if fold(method.removeprefix("gguf-")) in file), key=len)[-1:] or methods


def unknown_model(spec: DeploymentSpec, book: RuleBook) -> Problem:
    """The error for a name that is not in the catalogue, with the right one where it can be told."""
    wanted, models = spec.model.id, book.section("models")
    tail = fold(basename(normpath(_bare(wanted))).partition(":")[0])
    listed = [name for name, _, _ in repositories(book).values()]
    # the commonest slip is the name without its maker, or with another one
    same = next((found for names in (models, listed) if (found := sorted(n for n in names if fold(n.rpartition("/")[2]) == tail))), [])
    ways = "its config.json, a GGUF file, or its number of parameters would do too: `model: {id: …, config: …}`"
    if same and is_path(wanted):
        ways = f"where the folder holds {same[0]}, write `model: {{id: {same[0]}, path: {wanted}}}`; {ways}"
    short = {} if "/" in wanted else {model.rpartition("/")[2]: model for model in models}
    known = [*models, *(alias for entry in models.values() for alias in entry.get("aliases") or ())]
    near = f"; did you mean {' or '.join(map(repr, same))}?" if same else did_you_mean(wanted, short)
    near = next((near.replace(word, model) for word, model in short.items() if not same and repr(word) in near), near) or did_you_mean(wanted, known)
    asks = f"`gen-deploy lock {spec.words}` looks it up on the model hub (needs `pip install 'gen-deploy[hub]'`); "
    lookup = asks if "/" in wanted and not is_path(wanted) else ""
    return _problem(spec, "unknown-model", f"{wanted!r} is neither in the catalogue nor in the lock{near}; {lookup}{ways}")


def _problem(spec: DeploymentSpec, code: str, message: str) -> Problem:
    return spec.problem(("model", "id") if isinstance(spec.document.data["model"], dict) else ("model",), code, message)


def _bare(name: str) -> str:
    """A name without the address of its hub."""
    return next((name.removeprefix(host) for host in HOSTS if name.startswith(host)), name)


@remembered
def repositories(book: RuleBook) -> Mapping[str, tuple[str, str, list[str]]]:
    """Each prepared checkpoint by its folded name: its repository, the model that it is of, and the methods that it has."""
    found: dict[str, tuple[str, str, list[str]]] = {}
    for model, entry in book.section("models").items():
        for method, listed in (entry.get("checkpoints") or {}).items():
            for one in listed if isinstance(listed, list) else [listed]:
                methods = found.setdefault(fold(one["id"]), (one["id"], model, []))[2]
                methods += [f"gguf-{word}" if word else method for word in one.get("types") or (None,)]
    return found
