"""Where the real llama.cpp programs are, and what they say about a file. Nothing is built here."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from server import clean_environment

_SIZE = re.compile(r"quant size\s*=\s*([\d.]+) MiB")
_MEMORY = re.compile(r"^Host (\d+) (\d+) (\d+)\s*$", re.MULTILINE)


def folder() -> Path:
    """Where the programs are that LLAMA_CPP_BIN names or `build.sh` built last; without them the test is skipped."""
    named = os.environ.get("LLAMA_CPP_BIN")
    if named:
        found = [Path(named)]
    else:
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        root = Path(os.environ.get("GEN_DEPLOY_CACHE") or Path(cache) / "gen-deploy")
        found = sorted(root.glob("llama.cpp/*/bin"), key=lambda p: p.stat().st_mtime)
    found = [path for path in found if (path / "llama-quantize").is_file() and (path / "llama-fit-params").is_file()]
    if not found:
        pytest.skip("no llama.cpp programs: run tests/engines/llama_cpp/build.sh, or set LLAMA_CPP_BIN")
    return found[-1]


def ask(home: Path, program: str, *words: str | Path) -> str:
    """What a program prints, with settings of the user kept away; raises where it fails."""
    done = subprocess.run(
        [str(folder() / program), *map(str, words)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        env=clean_environment(home),
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    return done.stdout + done.stderr


def quantized_mib(home: Path, model: Path, kind: str, *words: str) -> float:
    """MiB that llama-quantize would write with these options, header left out."""
    found = _SIZE.search(ask(home, "llama-quantize", "--dry-run", *words, model, kind))
    assert found is not None
    return float(found[1])


def memory_mib(home: Path, model: Path, context: int, micro_batch: int) -> tuple[int, int, int]:
    """Model, KV cache and compute buffer of one slot on the CPU, in whole MiB as llama-fit-params cuts them off."""
    words: list[str | Path] = ["-m", model, "-c", str(context), "-np", "1", "-ub", str(micro_batch), "-b", "2048", "-fa", "on"]
    found = _MEMORY.search(ask(home, "llama-fit-params", *words, "--no-repack", "--fit-print", "on"))
    assert found is not None
    return int(found[1]), int(found[2]), int(found[3])
