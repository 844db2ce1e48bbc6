"""The public commands (`public/`), and broken copies of them (`broken.yaml`)."""

from __future__ import annotations

import functools
import json
import random
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from generator.compare.command import plan_of, unlike
from generator.errors import InputError
from generator.quantity import version_key
from generator.rulebook.book import RuleBook, load
from generator.spec.words import machine
from generator.verify.data import is_option
from generator.verify.files import Asked, Report, check_text
from generator.verify.restated import restated

HERE = Path(__file__).parent
FAULTS: dict[str, dict[str, list[dict[str, str]]]] = yaml.safe_load((HERE / "broken.yaml").read_text(encoding="utf-8"))
KINDS = ("typo", "removed flag", "wrong value", "wrong type", "wrong choice", "out of range", "impossible parallelism", "dead variable")

MACHINE = "8x H200"
"""Where a command runs, as far as its page does not say it."""
CONFIG = {
    "model_type": "qwen3_moe", "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 48, "num_attention_heads": 32,
    "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 151936, "max_position_embeddings": 262144, "num_experts": 128,
    "num_experts_per_tok": 8, "moe_intermediate_size": 768, "decoder_sparse_step": 1, "mlp_only_layers": [],
}  # fmt: skip
"""Of a model that the catalogue does not know: any will do, what is compared is what the command says beside it."""


class Command(NamedTuple):
    """A command as it was published."""

    engine: str
    entry: dict[str, Any]
    held_out: bool

    def restated(self, folder: Path) -> list[str] | None:
        """How the plan of its spec (`init --from`) says its argv otherwise; None where no plan is possible. Variables are no argv."""
        launch, known = self.report().servers[0]
        known = replace(known, version=known.checked_as)
        if self.entry.get("config"):
            model = next(word.text for word in launch.words if "/" in word.text)
            (folder / model).mkdir(parents=True, exist_ok=True)
            (folder / model / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
        try:
            said = restated(launch, known, machine(self.entry.get("gpu", MACHINE)), self.entry.get("model"), folder, book())
            plan = plan_of(said, launch, known, folder, book())
        except InputError:
            return None
        if plan.choice is None:
            return None
        return [str(one) for one in unlike(launch, known, plan, book()) if one.name.startswith("-") or known.takes_value(one.name)]

    def report(self, text: str | None = None) -> Report:
        """What verify says of it, or of a script in its place."""
        return check_text("serve.sh" if text else self.entry["name"], text or self.entry["text"], book(), Asked(self.engine, self.entry["version"]))


@functools.cache
def book() -> RuleBook:
    """The default rule set."""
    return load()


@functools.cache
def commands() -> list[Command]:
    """All of them; every third of an engine's is held out."""
    files = sorted((HERE / "public").glob("*.yaml"))
    return [Command(file.stem, entry, i % 3 == 2) for file in files for i, entry in enumerate(yaml.safe_load(file.read_text(encoding="utf-8")))]


def broken() -> Iterator[tuple[Command, str, str, str]]:
    """Command, kind, what was changed, and the script with one broken copy; each kind once a command, where the engine knows faults of it."""
    at = dict.fromkeys(((engine, kind) for engine in FAULTS for kind in KINDS), 0)
    for command in commands():
        servers = [(launch, known) for launch, known in command.report().servers if launch.words or launch.env]
        if not servers or "parameters" in command.entry:
            continue
        launch, known = servers[0]
        program = next(one["words"] for one in book().section("flags")[command.engine]["commands"] if one["positionals"] == launch.positionals)
        words = [word.text for word in launch.words]
        names = {name: option.name for option in known.taken.values() for name in option.names}
        env = {name: value.text for name, value in launch.env.items()}
        key = version_key(command.entry["version"])
        if typo := misspelt(words, command.entry["address"]):
            yield command, "typo", typo[0], script(program, typo[1], env)
        for kind in KINDS[1:]:
            faults = [
                fault for fault in FAULTS[command.engine].get(kind, [])
                if version_key(fault.get("since", "0")) <= key and ("until" not in fault or key < version_key(fault["until"]))
            ]  # fmt: skip
            if not faults:
                continue
            fault = faults[at[command.engine, kind] % len(faults)]["set"]
            at[command.engine, kind] += 1
            yield command, kind, fault, script(program, *changed(words, env, fault, names))


def misspelt(words: list[str], seed: str) -> tuple[str, list[str]] | None:
    """One of a command's options with a letter dropped, doubled or swapped."""
    chance = random.Random(seed)
    options = [i for i, word in enumerate(words) if word.startswith("--") and len(word.partition("=")[0]) > 6]
    if not options:
        return None
    at = chance.choice(options)
    name, equals, value = words[at].partition("=")
    place = chance.randrange(3, len(name) - 2)  # not the last letter: without it, a name is a beginning that parsers take
    ways = [name[:place] + name[place + 1 :], name[:place] + name[place] + name[place:], name[:place] + name[place + 1] + name[place] + name[place + 2 :]]
    wrong = next(way for way in chance.sample(ways, 3) if way != name)
    return wrong, [*words[:at], wrong + equals + value, *words[at + 1 :]]


def changed(words: list[str], env: dict[str, str], fault: str, names: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """The words and variables of a command with a fault."""
    words, env = list(words), dict(env)
    parts = fault.split(" ")
    while parts:
        name = parts.pop(0)
        if not is_option(name):
            variable, _, value = name.partition("=")
            env[variable] = value
            continue
        values = []
        while parts and not (is_option(parts[0]) and not parts[0][1:2].isdigit()):
            values.append(parts.pop(0))
        while (at := next((i for i, word in enumerate(words) if same(word, name, names)), None)) is not None:
            end = at + 1
            while "=" not in words[at] and end < len(words) and not is_option(words[end]):
                end += 1
            del words[at:end]
        words += [name, *([" ".join(values)] if values else [])]
    return words, env


def same(word: str, name: str, names: dict[str, str]) -> bool:
    """Whether a word of a command is the option that a fault sets."""
    word, name = word.partition("=")[0].replace("_", "-"), name.partition("=")[0].replace("_", "-")
    full = {spelled.replace("_", "-"): option for spelled, option in names.items()}
    beginnings = {option for spelled, option in full.items() if len(word) > 3 and spelled.startswith(word)}
    return is_option(word) and (word == name or full.get(name, name) == full.get(word, next(iter(beginnings), "")))


def script(program: list[str], words: list[str], env: dict[str, str]) -> str:
    """A server as a script; words that held a variable keep it."""
    line = " ".join(f'"{word}"' if "$" in word and '"' not in word else shlex.quote(word) for word in [*program, *words])
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in env.items()) + line + "\n"
