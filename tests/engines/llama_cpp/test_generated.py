"""From a spec to an answer: the installed command, the files it writes as they are, and the real llama.cpp.

A tiny model with random weights, quantised by llama-quantize. Each test takes about a second.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="the PyPI package gguf writes the files")

import yaml
from binaries import ask, folder
from server import Server, clean_environment, free_port
from tiny_gguf import MODELS, write_tiny_gguf

pytestmark = pytest.mark.llama_cpp

MIB_PER_GIB = 1024
BUFFER = re.compile(r"(\S+)\s+(model|KV|compute)\s+buffer size\s*=\s*([\d.]+) MiB")
COPY = "CPU_REPACK"
"""What the CPU backend interleaves of the mapped file: used instead of its pages, which the system may then drop."""
SMALL = {"concurrency": 2, "input_tokens": 200, "output_tokens": 100, "max_context": 1024}


@pytest.fixture(scope="module")
def programs() -> Path:
    """The folder of the programs, found before a test gives itself another home."""
    return folder()


@pytest.fixture(scope="module")
def quantised(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A Q4_K_M file of each tiny model."""
    root = tmp_path_factory.mktemp("tiny")
    found = {}
    for name, model in MODELS.items():
        plain, found[name] = root / f"{name}-f16.gguf", root / f"{name}.gguf"
        write_tiny_gguf(plain, model)
        ask(root, "llama-quantize", plain, found[name], "Q4_K_M")
        plain.unlink()
    return found


@dataclass(frozen=True)
class Generated:
    """The files of one spec, and where its server will listen."""

    folder: Path
    port: int
    plan: dict[str, Any]
    programs: Path

    @property
    def serve(self) -> Path:
        return self.folder / "llama.cpp" / "serve.sh"

    @property
    def memory(self) -> dict[str, float]:
        """MiB of the plan by kind."""
        return {name: size * MIB_PER_GIB for name, size in self.plan["memory"].items()}

    @contextmanager
    def running(self, *words: str, environment: dict[str, str] | None = None, path: str | None = None) -> Iterator[Server]:
        """The generated serve.sh, as it is, from a folder that is not its own."""
        found = {"PATH": path or f"{self.programs}:{os.environ['PATH']}", **(environment or {})}
        with Server([self.serve, *words], self.port, environment=found, cwd=Path("/"), key=(environment or {}).get("TINY_KEY")) as server:
            server.wait_healthy()
            yield server

    def smoke(self, home: Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """The generated smoke.sh, as it is."""
        words = [str(self.folder / "smoke.sh"), "--timeout", "20"]
        env = clean_environment(home, environment)
        return subprocess.run(words, capture_output=True, text=True, errors="replace", env=env, cwd="/", timeout=60, check=False)


def command() -> list[str]:
    """The console script beside this Python, else the package's own entry."""
    script = Path(sys.executable).parent / "gen-deploy"
    return [str(script)] if script.is_file() else [sys.executable, "-m", "generator"]


BUILT = "b11312"
"""The version of the programs that build.sh makes."""


def generate(programs: Path, home: Path, spec: dict[str, Any], place: str = "site") -> Generated:
    """Write the spec beside its model, run `gen-deploy` there, and say what came of it."""
    beside = home / place
    beside.mkdir(exist_ok=True)
    spec["pin"] = {"engine": "llama.cpp", "engine_version": BUILT, **spec.get("pin", {})}
    port = spec.setdefault("deploy", {}).setdefault("port", free_port())
    (beside / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True), encoding="utf-8")
    done = subprocess.run([*command(), "spec.yaml", "-o", "out"], capture_output=True, text=True, cwd=beside, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    made = beside / "out" / "spec"
    return Generated(made, port, json.loads((made / "plan.json").read_text(encoding="utf-8")), programs)


def tiny(source: Path, home: Path, place: str = "site", name: str = "tiny.gguf", **parts: Any) -> dict[str, Any]:
    """A spec as a user types it, with the model copied beside it."""
    (home / place).mkdir(exist_ok=True)
    shutil.copy(source, home / place / name)
    return {"model": {"id": "tiny", "gguf": f"./{name}"}, "hardware": {"gpu": "cpu", "memory_gib": 8}, "workload": dict(SMALL), **parts}


def answered(generated: Generated, home: Path, environment: dict[str, str] | None = None) -> str:
    """What smoke.sh prints; it must exit 0 with a text."""
    done = generated.smoke(home, environment)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) > 2  # a text in quotes
    return done.stdout


def slot_context(server: Server) -> int:
    """Tokens that one slot holds, as the server says."""
    reply = server.request("/props")
    assert reply.status == 200, reply.text
    return int(reply.json()["default_generation_settings"]["n_ctx"])


def buffers(log: str) -> dict[str, float]:
    """MiB by kind, over all places but the second copy of what is mapped."""
    found: dict[str, float] = {}
    for place, kind, size in BUFFER.findall(log):
        if place != COPY:
            found[kind] = found.get(kind, 0.0) + float(size)
    return found


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_files_start_a_server_that_answers(name: str, programs: Path, quantised: dict[str, Path], tmp_path: Path) -> None:
    """Context, slots and the served name are the planned ones, and memory is at most what was planned, hardly less."""
    generated = generate(programs, tmp_path, tiny(quantised[name], tmp_path))
    choice = generated.plan["choice"]
    with generated.running("--log-verbosity", "4") as server:
        answered(generated, tmp_path)
        assert slot_context(server) == choice["max_model_len"] == SMALL["max_context"]
        assert server.request("/props").json()["total_slots"] == choice["max_num_seqs"] == SMALL["concurrency"]
        assert [m["id"] for m in server.request("/v1/models").json()["data"]] == ["spec"]
        stopped = server.stop()
    assert stopped.exit_code == 0
    assert "warning: written for" not in stopped.log
    told, planned = buffers(stopped.log), generated.memory
    rounding = 1.0
    assert told["model"] == pytest.approx(planned["weights"], abs=rounding)
    assert told["KV"] == pytest.approx(planned["kv_cache"], abs=rounding)
    assert told["compute"] <= planned["activations"] + rounding
    assert planned["weights"] + planned["kv_cache"] + planned["activations"] <= 1.2 * sum(told.values()) + 4 * rounding


def test_two_lines_are_enough(programs: Path, quantised: dict[str, Path], tmp_path: Path) -> None:
    """Model and hardware alone: the profile's load, on a machine whose memory nobody gave."""
    spec = tiny(quantised["llama"], tmp_path)
    generated = generate(programs, tmp_path, {"model": spec["model"], "hardware": {"gpu": "cpu"}})
    assert generated.plan["choice"]["engine"] == "llama.cpp"
    assert "memory-assumed" in [w["id"] for w in generated.plan["warnings"]]
    with generated.running() as server:
        answered(generated, tmp_path)
        assert slot_context(server) == generated.plan["choice"]["max_model_len"]


def test_four_sequences_at_once(programs: Path, quantised: dict[str, Path], tmp_path: Path) -> None:
    generated = generate(programs, tmp_path, tiny(quantised["qwen2"], tmp_path, workload={**SMALL, "concurrency": 4, "max_context": 4096}))
    with generated.running() as server:
        answered(generated, tmp_path)
        assert server.request("/props").json()["total_slots"] == 4
        assert slot_context(server) == 4096


def test_a_pinned_cache_type(programs: Path, quantised: dict[str, Path], tmp_path: Path) -> None:
    """Half the cache and a little more, to the tenth of a MiB."""
    generated = generate(programs, tmp_path, tiny(quantised["llama"], tmp_path, pin={"kv_cache_dtype": "q8_0"}, workload={**SMALL, "max_context": 32768}))
    with generated.running("--log-verbosity", "4") as server:
        answered(generated, tmp_path)
        told = buffers(server.stop().log)
    assert told["KV"] == pytest.approx(generated.memory["kv_cache"], abs=1.0)
    halves = 2 * 2 * 2 * 64 * 2 * 32768 * 2 / 2**20  # K and V, 2 layers, 2 heads of 64, 16 bits, 2 sequences of 32768
    assert told["KV"] == pytest.approx(halves * 8.5 / 16, abs=0.1)


def test_an_api_key(programs: Path, quantised: dict[str, Path], tmp_path: Path) -> None:
    """Without the key the server does not start, without it in a request it says 401, and smoke.sh sends it."""
    key = "it's a \"key\" with $HOME and spaces"
    generated = generate(programs, tmp_path, tiny(quantised["llama"], tmp_path, deploy={"api_key_from": "TINY_KEY"}))
    bare = clean_environment(tmp_path, {"PATH": f"{programs}:{os.environ['PATH']}"})
    refused = subprocess.run([generated.serve], capture_output=True, text=True, env=bare, timeout=30, check=False)
    assert refused.returncode not in (0, 126, 127)
    assert "TINY_KEY" in refused.stderr
    with generated.running(environment={"TINY_KEY": key}) as server:
        answered(generated, tmp_path, {"TINY_KEY": key})
        body = {"model": "spec", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
        wrong = server.request("/v1/chat/completions", body, headers={"Authorization": "Bearer other"})
        assert wrong.status == 401
        assert generated.smoke(tmp_path, {"TINY_KEY": "other"}).returncode == 1
        assert generated.smoke(tmp_path).returncode != 0
    for path in generated.folder.rglob("*"):
        assert path.is_dir() or key.encode() not in path.read_bytes()


NAMES = ["two words", "it's \"quoted\" `id` $(touch x) ${HOME} \\n ; | & < > * ? # ~", "ключ — 模型 🦙", "a'b", "%s%d", "{{ name }}"]


@pytest.mark.parametrize("served", NAMES)
def test_a_served_name_is_literal(served: str, programs: Path, quantised: dict[str, Path], tmp_path: Path) -> None:
    generated = generate(programs, tmp_path, tiny(quantised["llama"], tmp_path, deploy={"served_name": served}))
    with generated.running() as server:
        answered(generated, tmp_path)
        assert [m["id"] for m in server.request("/v1/models").json()["data"]] == [served]
    assert not list(tmp_path.rglob("x"))


PLACES = [
    ("it's a \"site\" $(touch x) `id` & ; (1)", "tiny model; v1 'q4'.gguf"),
    ("ünïcode 模型", "模型.gguf"),
    ("percent %20 {{ x }} ${HOME}", "a b.GGUF"),
]


@pytest.mark.parametrize(("place", "name"), PLACES, ids=["shell", "unicode", "templates"])
def test_paths_are_literal(place: str, name: str, programs: Path, quantised: dict[str, Path], tmp_path: Path) -> None:
    generated = generate(programs, tmp_path, tiny(quantised["llama"], tmp_path, place, name), place)
    with generated.running() as server:
        answered(generated, tmp_path)
        assert server.request("/props").json()["model_path"].endswith(name)
    assert not list(tmp_path.rglob("x"))


@pytest.mark.parametrize("written", ["tiny.gguf", "{home}/site/tiny.gguf", "../site/./tiny.gguf", "~/site/tiny.gguf"])
def test_ways_to_write_a_path(written: str, programs: Path, quantised: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to the spec, with or without a dot; absolute; in the home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = tiny(quantised["llama"], tmp_path)
    spec["model"]["gguf"] = written.format(home=tmp_path)
    generated = generate(programs, tmp_path, spec)
    with generated.running(environment={"HOME": str(tmp_path)}):
        answered(generated, tmp_path)


def test_another_version_warns_and_starts(programs: Path, quantised: dict[str, Path], tmp_path: Path) -> None:
    """The words may be another version's: that is said, and nothing more."""
    generated = generate(programs, tmp_path, tiny(quantised["llama"], tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    program = other / "llama-server"
    real = programs / "llama-server"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "version: 1 (build 9999, commit abc)" >&2 && exit 0\nexec "{real}" "$@"\n')
    program.chmod(0o755)
    with generated.running(path=f"{other}:{os.environ['PATH']}") as server:
        answered(generated, tmp_path)
        assert f"serve.sh: warning: written for llama.cpp {BUILT}" in server.stop().log


def test_without_the_engine(programs: Path, quantised: dict[str, Path], tmp_path: Path) -> None:
    """No llama-server on PATH: one sentence and 127, as a shell would say it."""
    generated = generate(programs, tmp_path, tiny(quantised["llama"], tmp_path))
    bare = tmp_path / "bin"
    bare.mkdir()
    for word in ("bash", "dirname", "env"):
        (bare / word).symlink_to(shutil.which(word) or "")
    env = {"PATH": str(bare), "HOME": str(tmp_path)}
    done = subprocess.run([generated.serve], capture_output=True, text=True, env=env, timeout=30, check=False)
    assert done.returncode == 127
    assert done.stderr.startswith(f"serve.sh: llama-server is not on PATH: install llama.cpp {BUILT}")


def test_extra_arguments_reach_the_server(programs: Path, quantised: dict[str, Path], tmp_path: Path) -> None:
    deploy = {"extra_args": {"llama.cpp": {"slot-prompt-similarity": 0.25, "no-warmup": True, "slots": True}}}
    generated = generate(programs, tmp_path, tiny(quantised["llama"], tmp_path, deploy=deploy))
    with generated.running() as server:
        answered(generated, tmp_path)
        assert server.request("/slots").status == 200


def test_output_elsewhere_still_finds_the_model(programs: Path, quantised: dict[str, Path], tmp_path: Path) -> None:
    """An output folder that is no neighbour of the spec, reached through a symlink."""
    spec = tiny(quantised["llama"], tmp_path)
    spec["deploy"] = {"port": free_port()}
    (tmp_path / "site" / "spec.yaml").write_text(yaml.safe_dump(spec))
    real = tmp_path / "far" / "away"
    real.mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    words = [*command(), "site/spec.yaml", "-o", "link/out", "-q"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "link" / "out" / "spec"
    generated = Generated(made, spec["deploy"]["port"], json.loads((made / "plan.json").read_text(encoding="utf-8")), programs)
    with generated.running():
        answered(generated, tmp_path)
