"""Hostile texts: what a shell, Compose, YAML, Markdown, Jinja or an option parser might take for something of its own.

The same seed gives the same values. A value is one of the attacks in attacks.json, several of them run together, or characters that
mean something to one of those readers; some keep to what a field allows, so that they get past its first check.
"""

from __future__ import annotations

import json
import random
import string
from pathlib import Path

ATTACKS: list[str] = [text for texts in json.loads(Path(__file__).with_name("attacks.json").read_text()).values() for text in texts]
"""What one of the readers would take for something of its own, by itself."""


META = "$`'\"\\|&;<>(){}[]*?~!#%=:@,+^-_./ "
"""ASCII that means something to one of the readers."""

CHARACTERS = "éßжא中あ🙂\u0301\u00a0\u200b\u2028\u2029\u202e\ufeff\x85\t\n\r\x1b\x00\x7f＄｀　" + META + "azAZ09"

ALLOWED = {
    "revision": string.ascii_letters + string.digits + "-._/",
    "host": string.hexdigits + ":.-" + "xyz",
    "image": string.ascii_letters + string.digits + "-._/:@",
    "label": string.ascii_lowercase + string.digits + "-",
    "variable": string.ascii_uppercase + string.digits + "_",
    "option": string.ascii_letters + string.digits + "-_.",
}
"""What fields of one kind may hold, by their schema: letters to make values of that pass it."""


def value(chance: random.Random, kind: str = "text") -> str:
    """One hostile value for a field of that kind (a key of `ALLOWED`, or `text` for a field that takes any)."""
    dice = chance.random()
    if kind in ALLOWED and dice < 0.6:
        return "".join(chance.choices(ALLOWED[kind], k=chance.randint(1, 16)))
    if dice < 0.5:
        return chance.choice(ATTACKS)
    if dice < 0.68:
        return "".join(chance.choice(ATTACKS) for _ in range(chance.randint(2, 3)))
    if dice < 0.78:
        return chance.choice("abcXYZ") + chance.choice(ATTACKS) + chance.choice("abcXYZ")
    if dice < 0.93:
        return "".join(chance.choices(META + "abc", k=chance.randint(1, 24)))
    return "".join(chance.choices(CHARACTERS, k=chance.randint(1, 24)))
