"""Whether a server would start on a machine, by how much or on which term not, and the command as it should be.

Floor 6, pure but for the files beside the command: the decision of the spec that says the same (`restated`)."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from generator.decide.decision import Outcome, decide
from generator.errors import InputError, Place, Problem
from generator.facts.engine import resolve_engine
from generator.plan import Candidate, Rejection
from generator.quantity import gib
from generator.rulebook.book import RuleBook
from generator.spec.words import spec_of
from generator.verify.argv import Argument, arguments
from generator.verify.catalogue import Catalogue
from generator.verify.launches import Launch
from generator.verify.restated import Restated, restated

START = {"concurrency": 1, "input_tokens": 1, "output_tokens": 1}
"""What a start must hold: one sequence, as long as the context."""
_STEP = 1024
"""Tokens: a context that is proposed is a multiple of it."""
_TERMS = {"weights": "weights", "activations": "activations", "cuda_graphs": "CUDA graphs", "runtime": "run-time"}
_DROPPED = ("unknown-flag", "removed-flag", "future-flag", "stray-word")


class Verdict(NamedTuple):
    """What a machine makes of a command: the findings, what was sized (None: nothing was), and the corrected command (empty: as it is)."""

    place: Place
    findings: list[Problem]
    fits: bool | None
    sized: Candidate | None
    command: str

    def as_json(self) -> dict[str, Any]:
        """The verdict for `--json`; memory in GiB of the fullest GPU."""
        one, (path, line, column) = self.sized, self.place
        memory = one.memory if one else None
        kept = ("engine", "tensor_parallel", "max_model_len", "max_num_seqs", "kv_cache_dtype")
        sized = {} if one is None else {"quantization": one.method, **{name: getattr(one, name) for name in kept}}
        figures = {name: gib(getattr(memory, name)) for name in (*_TERMS, "kv_cache", "kv_needed", "budget", "capacity")} if memory else None
        return {"file": path, "line": line, "column": column, "fits": self.fits, **sized, "memory": figures, "command": self.command or None}


def judged(
    launch: Launch, known: Catalogue, found: Sequence[Problem], hardware: Mapping[str, Any] | None, model: str | None, folder: Path, book: RuleBook
) -> Verdict:
    """The verdict on one server of a file, in which `found` are the problems of its words; without a machine only the corrected command."""
    place = launch.place.place if launch.place else launch.words[0].place if launch.words else Place("")
    told = {finding.code for finding in found}
    wrong, changes = any(finding.severity == "error" for finding in found), dict[str, str]()
    if hardware is None:
        return Verdict(place, [], None, None, corrected(launch, known, found, {}, book))
    try:
        said = restated(launch, known, hardware, model, folder, book)
        said.data["workload"] = dict(START)
        outcome = decide(spec_of(said.data, folder), book)
    except InputError as error:
        findings = [problem._replace(place=place) for problem in error.problems]
        return Verdict(place, findings, None, None, corrected(launch, known, found, {}, book) if wrong else "")
    choice = outcome.plan.choice
    if choice is not None:
        findings = [Problem("fits", _fits(choice, said), place, "note")]
        sized: Candidate | None = choice
    else:
        nearest = min(outcome.plan.rejected, key=lambda one: (one.candidate.memory is None, len(one.reasons)), default=None)
        findings, sized = [one for one in _refused(nearest, said, place) if one.code not in told], nearest.candidate if nearest else None
        if changes := _in_words(cure(said, outcome, folder, book), said, known, book):
            findings.append(Problem("would-fit", f"it would with {' '.join(f'{flag} {value}' for flag, value in changes.items())}", place, "note"))
    command = corrected(launch, known, found, changes, book) if wrong or changes else ""
    return Verdict(place, findings, choice is not None, sized, command)


def _machine(said: Restated) -> str:
    hardware = said.data["hardware"]
    count = len(hardware.get("devices", ())) or hardware.get("gpus_per_node", 1)
    return f"{count}x {hardware['gpu']}" if count != 1 else str(hardware["gpu"])


def _terms(candidate: Candidate) -> str:
    memory = candidate.memory
    assert memory is not None
    return ", ".join(f"{shown} {gib(size):.1f}" for name, shown in _TERMS.items() if (size := getattr(memory, name)))


def _fits(choice: Candidate, said: Restated) -> str:
    memory, kv = choice.memory, choice.kv_cache
    if memory is None or kv is None:
        return f"starts on {_machine(said)}; its memory is not known"
    cache = f"KV cache {gib(memory.kv_cache):.1f} for {kv.tokens} tokens, {kv.max_concurrency:.1f} sequences of {choice.max_model_len}"
    return f"fits on {_machine(said)}: {gib(memory.total):.1f} of {gib(memory.capacity):.1f} GiB per GPU ({_terms(choice)}, {cache}; estimated)"


def _refused(rejection: Rejection | None, said: Restated, place: Place) -> Iterator[Problem]:
    """Each reason against the command as an error; a lack of memory by its terms."""
    if rejection is None:
        yield Problem("nothing-fits", "no layout of this machine is possible", place)
        return
    memory, candidate = rejection.candidate.memory, rejection.candidate
    for reason in rejection.reasons:
        if "memory.headroom" not in reason.read or memory is None:
            yield Problem(reason.row, reason.because, place)
            continue
        left = memory.budget - (memory.total - memory.kv_cache)
        terms = f"{_terms(candidate)} of {gib(memory.budget):.1f} GiB per GPU"
        cache = f"the KV cache needs {gib(memory.kv_needed):.1f} GiB for a sequence of {candidate.max_model_len} tokens"
        short = f"{cache}, {gib(max(0, left)):.1f} are left beside {terms}" if left > 0 else f"{terms} leave nothing for the KV cache"
        yield Problem("does-not-fit", f"does not fit on {_machine(said)}: {short} (estimated)", place)


def cure(said: Restated, outcome: Outcome, folder: Path, book: RuleBook) -> dict[str, Any]:
    """The pins to change so that the command starts, the least intrusive first: all cards, fewer sequences, a shorter context. Empty for none."""
    context, pin = outcome.context, said.data["pin"]
    cards, used = context.gpus, pin.get("tensor_parallel", 0) * pin.get("pipeline_parallel", 1)
    asked = pin.get("max_model_len") or context.workload.max_context
    length, few = min(asked, context.model.architecture.max_context or asked), min(pin.get("max_num_seqs", 1), int(book.number("chat.concurrency")))
    all_cards = {"tensor_parallel": cards} if used and used < cards else {}
    shorter = {"max_model_len": length} if length < asked else {}

    def works(changes: Mapping[str, Any]) -> bool:
        try:
            return decide(spec_of({**said.data, "pin": {**pin, **changes}}, folder), book).plan.choice is not None
        except InputError:
            return False

    fewer = {"max_num_seqs": few} if few < pin.get("max_num_seqs", 1) else {}
    tries = [shorter, {**all_cards, **shorter}, {**shorter, **fewer}, {**all_cards, **shorter, **fewer}]
    if found := next((changes for changes in tries if changes and works(changes)), None):
        return found
    low, high = int(book.number("cure.least_context")) // _STEP, length // _STEP
    wide = {**all_cards, **fewer}
    if high < low or not works({**wide, "max_model_len": low * _STEP}):
        return {}
    while high - low > max(1, low // 16):
        middle = (low + high) // 2
        low, high = (middle, high) if works({**wide, "max_model_len": middle * _STEP}) else (low, middle)
    return {**wide, "max_model_len": low * _STEP}


def _in_words(changes: Mapping[str, Any], said: Restated, known: Catalogue, book: RuleBook) -> dict[str, str]:
    """Pins in the words of the engine, with their values."""
    engine, found = resolve_engine(known.engine, known.version, book), {}
    for setting, value in changes.items():
        if setting == "max_model_len" and not engine.has(setting):  # the engine is told the context of all slots together
            setting, value = "ctx_size", value * (said.data["pin"].get("max_num_seqs", 1) if "kv_unified" not in said.given else 1)
        entry = engine.spelling(setting) or {}
        found[entry.get("flag") or entry.get("parameter") or entry.get("key") or setting] = str(value)
    return found


def corrected(launch: Launch, known: Catalogue, found: Iterable[Problem], changes: Mapping[str, str], book: RuleBook) -> str:
    """The command with the words that its findings and the machine ask for, in one line; a secret is a variable."""
    wrong = {finding.place: finding for finding in found if finding.severity != "note"}
    set_to = dict(changes)
    secret = (resolve_engine(known.engine, known.version, book).spelling("api_key") or {}).get("flag")
    words = [str(word) for word in book.section("engines")[known.engine]["command"]]
    for one in arguments(launch.words, known):
        if not isinstance(one, Argument):
            finding = wrong.get(one.word.place)
            if finding is None or finding.code not in _DROPPED:
                words += [one.word.text, *(value.text for value in one.values)]
            elif finding.use and finding.use.startswith("-"):
                words += [finding.use, *(value.text for value in one.values)]
            continue
        name = one.name if one.inner or one.name in one.option.off else one.option.name
        texts = [set_to.pop(name)] if name in set_to else [] if one.option.kind == "switch" else [value.text for value in one.values]
        words += [name, *(["$API_KEY"] if name == secret else texts)]
    words += [part for flag, value in set_to.items() if flag.startswith("-") for part in (flag, value)]
    return " ".join(word if word == "$API_KEY" else shlex.quote(word) for word in words)
