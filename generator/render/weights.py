"""The location of a candidate's weights: a repository, or a path on the host and in a container. Floor 6, pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from posixpath import basename, dirname, normpath

from generator.plan import Candidate, Plan
from generator.record import dataclass
from generator.render.words import Beside, Home, Word
from generator.spec.deployment import is_path

MOUNTED = "/gen-deploy/model"
"""The mount point of a local model inside a container."""

_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Weights:
    """`name` is a repository or a path as in the spec; `file` is a GGUF file, or the quantization word to find it."""

    name: str
    file: str | None
    local: bool
    back: str

    @property
    def shown(self) -> str:
        """The server's default name for this model."""
        return basename(normpath(self.name)) if self.local else self.name

    @property
    def host(self) -> Word:
        """The path on this machine, for a script in the engine's folder."""
        return host_path(self.name, self.back)

    @property
    def inside(self) -> str:
        """The path inside a container."""
        return f"{MOUNTED}/{self.shown}"

    @property
    def mount(self) -> tuple[str, str]:
        """Source and target of the mount: the file or folder; for a split GGUF, the folder of its parts."""
        if _SPLIT.search(self.name):
            return dirname(self.name) or ".", MOUNTED
        return self.name, self.inside

    @property
    def is_file_name(self) -> bool:
        """Whether `file` is a file of a repository (else a word such as q4_k_m)."""
        return self.file is not None and self.file.lower().endswith(".gguf")


def host_path(path: str, back: str) -> Word:
    """A path of the spec as a word; a relative path is resolved from the script's folder via `back`."""
    if path.startswith("/"):
        return path
    if path.startswith("~/"):
        return Home(path[2:])
    return Beside(normpath(f"{back}/{path}"))


def container_path(path: str, back: str) -> str | Home:
    """A path of the spec as the source of a mount; a relative one, from the engine's folder, begins with `./` or `../`."""
    if path.startswith("/"):
        return path
    if path.startswith("~/"):
        return Home(path[2:])
    relative = normpath(f"{back}/{path}")
    return relative if relative.startswith("../") or relative == ".." else f"./{relative}"


def weights_of(plan: Plan, candidate: Candidate, back: str) -> Weights:
    """The weights of a candidate; `back` leads from an engine's folder to the spec's."""
    model = plan.spec.get("model")
    given = model.get("gguf") if isinstance(model, Mapping) else None
    name, file = candidate.checkpoint, candidate.gguf_file
    if candidate.origin == "made":  # relative to the job's output beside the engine's folder, not to the spec
        return Weights(name, None, True, "..")
    if candidate.origin == "given":
        paths = [p for p in (given, file, name) if isinstance(p, str) and p.lower().endswith(".gguf")]
        if paths:
            return Weights(paths[0], None, True, back)
    return Weights(name, file, is_path(name), back)
