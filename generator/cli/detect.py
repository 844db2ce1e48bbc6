"""The hardware section of a spec for the machine that this runs on: what the makers' own tools say of its cards, else its memory.

The tools, what they are asked and where they answer are facts (`gpu_names`). None is required; each is stopped after a while, and what it
says may be anything: only words that the patterns find are used."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from generator.cli.output import tell
from generator.errors import fail, printable
from generator.facts.gpu import card_of, sizes_of
from generator.quantity import GIB
from generator.rulebook.book import RuleBook

Ask = Mapping[str, Any]
"""How a maker's tool is asked for its cards: `ask` of an entry of `gpu_names`."""

SECONDS = 10
MOST = 1 << 16
"""Bytes of an answer; a longer one is none."""
LONGEST = 100
CGROUP = Path("/sys/fs/cgroup/memory.max")


class Card(NamedTuple):
    """A card as a tool reports it; GiB are 0 where it does not say."""

    name: str
    gib: float
    capability: str | None


def detected(book: RuleBook) -> dict[str, object]:
    """The hardware section for this machine; raises `InputError` for cards that are neither in the catalogue nor described well enough."""
    ram = memory()
    for ask in (entry["ask"] for entry in book.section("gpu_names").values() if "ask" in entry):
        cards = [(card, _listed(book, card, ask)) for card in cards_in(answer(ask["command"]), ask)]
        if not cards:
            continue
        known = [one for _, one in cards if one is not None]
        if known and len(known) < len(cards):
            tell(f"note: {', '.join(dict.fromkeys(card.name for card, one in cards if one is None))}: not in the catalogue, left out")
        groups = known or [_described(book, card, ask) for card, _ in cards]
        host = {"host_memory_gib": int(ram)} if ram >= 1 and ask["vendor"] != "apple" else {}
        if all(one == groups[0] for one in groups):
            return {**groups[0], **({"gpus_per_node": len(groups)} if len(groups) > 1 else {}), **host}
        return {"gpus": [{"gpu": one["gpu"], "count": groups.count(one)} for n, one in enumerate(groups) if one not in groups[:n]], **host}
    return {"gpu": "cpu", **({"memory_gib": int(ram)} if ram >= 1 else {})}


def answer(command: list[str]) -> str:
    """What a tool prints in its time; empty where it is not installed, fails, or says nothing."""
    path, env = shutil.which(command[0]), {**os.environ, "LC_ALL": "C"}
    if path is None:
        return ""
    with tempfile.TemporaryFile() as file:  # a pipe would be held open by what a stopped tool has started
        try:
            subprocess.run([path, *command[1:]], stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL, env=env, timeout=SECONDS, check=True)
        except (OSError, subprocess.SubprocessError):
            return ""
        file.seek(0)
        text = file.read(MOST)
    return "" if len(text) == MOST else text.decode("utf-8", "replace").replace("\r", "")


def cards_in(text: str, ask: Ask) -> Iterator[Card]:
    """The cards that an answer describes, without a processor's own graphics."""
    starts = [found.start() for found in re.finditer(ask["device"], text, re.MULTILINE)]
    for start, end in pairwise([*starts, len(text)]):
        part = text[start:end]
        name, size, capability = (re.search(ask[key], part, re.MULTILINE) if key in ask else None for key in ("name", "memory", "capability"))
        gib = float(size[1]) * ask["bytes"] / GIB if size and size[1].count(".") < 2 else 0.0
        if name and gib >= ask.get("least_gib", 0):
            yield Card(printable(name[1].strip())[:LONGEST], gib, capability[1] if capability else None)


def _listed(book: RuleBook, card: Card, ask: Ask) -> dict[str, object] | None:
    """A card by its name in the catalogue, of several sizes the nearest; with its memory where that is not what the name says."""
    exact, gpus = card_of(book, card.name), book.section("gpus")
    names = [name for name in ([exact] if exact else sizes_of(book, card.name)) if gpus[name]["vendor"] == ask["vendor"]]
    if not names or (card.gib == 0 and len(names) > 1):
        return None
    name = min(names, key=lambda one: abs(gpus[one]["memory_gb"] - card.gib))
    said = gpus[name]["memory_gb"]
    rebuilt = card.gib > 0 and "within" in ask and abs(said - card.gib) > ask["within"] * said
    return {"gpu": name, **({"memory_gib": round(card.gib, 2)} if rebuilt else {})}


def _described(book: RuleBook, card: Card, ask: Ask) -> dict[str, object]:
    """A card that the catalogue lacks, by its memory and generation; raises `InputError` where one of them is not known."""
    kinds: Mapping[str, Mapping[str, object]] = book.section("architectures")
    mine = [name for name, kind in kinds.items() if kind["vendor"] == ask["vendor"]]
    if card.gib == 0 or (card.capability is None and len(mine) > 1):
        size = f"{card.gib:.1f}" if card.gib else "its memory"
        message = (
            f"{card.name!r} is not in the catalogue (`gen-deploy list gpus`); describe it in the spec: "
            f"`hardware: {{gpu: {{memory_gib: {size}, architecture: …}}}}`, one of {', '.join(mine)}"
        )
        raise fail("unknown-gpu", message)
    capability = {"compute_capability": card.capability} if card.capability else {"vendor": ask["vendor"]}
    return {"gpu": {"name": card.name, "memory_gib": round(card.gib, 2), **capability}}


def memory() -> float:
    """The RAM of this machine, or of this container, in GiB; 0 where the system does not say."""
    try:
        ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0.0
    with contextlib.suppress(OSError, ValueError):
        ram = min(ram, int(CGROUP.read_text(encoding="ascii")))  # `max` without a limit
    return ram / GIB
