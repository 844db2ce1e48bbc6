"""The seal of a launch folder: a file whose name its start scripts check, so that mixed files of two runs do not start.

Floor 6, pure. The seal is a digest of all files of the folder. It is part of each start script, of the name of a small file
beside it, and of the headers of files that the script reads. Writing removes seals first and adds them last."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from generator.quantity import grouped
from generator.render import templates
from generator.render.artifact import Artifact

FILE = "if-missing-run-gen-deploy.{}.env"
"""The file name is an instruction, since Compose prints only the name of a missing file."""
_NAME = re.compile(re.escape(FILE).replace(r"\{\}", "[0-9a-f]{16}"))
LENGTH = 16


def is_seal(path: str) -> bool:
    """Whether a path (relative to a spec's output folder) is a seal."""
    return _NAME.fullmatch(PurePosixPath(path).name) is not None


def draft(data: Mapping[str, object]) -> str:
    """The placeholder in the files until their digest is known: a hash of all inputs, so that no input can contain it."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:LENGTH]


def sealed(files: Sequence[Artifact], word: str, header: str) -> list[Artifact]:
    """The files with their folder's seal in place of the placeholder `word`, and a seal file for each folder that uses it."""
    found: list[Artifact] = []
    for inside in grouped(files, lambda file: file.path.rpartition("/")[0]):
        if not any(word in file.text for file in inside):
            found += inside
            continue
        texts = [[file.path, file.text.replace(word, "")] for file in sorted(inside, key=lambda file: file.path)]
        seal = hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:LENGTH]
        found += [replace(file, text=file.text.replace(word, seal)) for file in inside]
        folder = inside[0].path.rpartition("/")[0]
        found.append(Artifact(f"{folder}/{FILE.format(seal)}", templates.render("seal.env.j2", header=header, seal=seal)))
    return found


_OWN = re.compile(rb"(.*\n)<!-- sha256 ([0-9a-f]{64}) -->\n", re.DOTALL)


def with_digest(text: str) -> str:
    """A page that ends with its own digest, so that no other file changes with its words."""
    return f"{text}<!-- sha256 {hashlib.sha256(text.encode()).hexdigest()} -->\n"


def sealed_itself(data: bytes) -> bool:
    """Whether a page ends with its own, right digest."""
    found = _OWN.fullmatch(data)
    return found is not None and hashlib.sha256(found[1]).hexdigest().encode() == found[2]
