"""`serve.sh` under the real bash, with stub engines that print the words and the environment they got.

Hostile words: tests/hostile.
"""

from __future__ import annotations

import os
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from render_plans import book, candidate, engines, plan

from generator.errors import GenDeployError
from generator.plan import Plan
from generator.render.files import artifacts

STUB = """#!/bin/bash
case "$1" in
  --version | -c) echo "$STUB_VERSION"; exit 0 ;;
esac
{ printf '%s\\0' "$0" "$@"; } >"$STUB_OUT"
env -0 >"$STUB_OUT.env"
"""
PROGRAMS = {
    "vllm": "vllm",
    "sglang": "python3",
    "tgi": "text-generation-launcher",
    "tensorrt-llm": "trtllm-serve",
    "llama.cpp": "llama-server",
}


@dataclass
class Run:
    """What a script's engine was given."""

    code: int
    argv: list[str]
    env: dict[str, str]
    stderr: str


def put(folder: Path, made: Plan, back: str = "../../..") -> None:
    """Write a plan's files for its choice."""
    assert made.choice
    for artifact in artifacts(made, [made.choice], book(), spec_file="x.yaml", back=back):
        path = folder / artifact.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(artifact.data)
        if artifact.executable:
            path.chmod(0o755)


def stub(folder: Path, name: str, text: str = STUB) -> Path:
    """A program of that name on a path of its own."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    (tools / name).write_text(text)
    (tools / name).chmod(0o755)
    return tools


def run(folder: Path, engine: str, *, version: str = "", args: tuple[str, ...] = (), **env: str) -> Run:
    """Run an engine's script with its stub."""
    out = folder / "got"
    tools = stub(folder, PROGRAMS[engine])
    full = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": "/home/x", "STUB_OUT": str(out), "STUB_VERSION": version, **env}
    done = subprocess.run(
        [str(folder / engine / "serve.sh"), *args],
        env=full,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    argv = out.read_bytes().decode().split("\0")[:-1] if out.exists() else []
    pairs = Path(f"{out}.env").read_bytes().decode().split("\0")[:-1] if out.exists() else []
    return Run(done.returncode, argv[1:], dict(p.split("=", 1) for p in pairs), done.stderr)


def expected(engine: str, folder: Path, made: Plan) -> list[str]:
    """The words as the launch means them, with this folder and key filled in."""
    from generator.render.launch import launch_of
    from generator.render.words import Beside, Home, Ref

    assert made.choice
    one = launch_of(made, made.choice, book(), "../../..")
    words: list[str] = []
    for word in [*one.program()[1:], *one.words()]:
        match word:
            case Ref(_, _, suffix):
                words.append("s3cret" + suffix)
            case Beside(path, _):
                words.append(f"{folder}/{engine}/{path}")
            case Home(path):
                words.append(f"/home/x/{path}")
            case _:
                words.append(word)
    return words


@pytest.mark.parametrize("engine", PROGRAMS)
def test_the_engine_gets_the_words_that_were_meant(engine: str, tmp_path: Path) -> None:
    made = plan(candidate(engine), deploy={"api_key_from": "MY_KEY", "env": {"X": "1"}, "cache_dir": "~/models"})
    put(tmp_path, made)
    got = run(tmp_path, engine, args=("--more", "a b"), MY_KEY="s3cret")
    assert got.code == 0, got.stderr
    assert got.argv == [*expected(engine, tmp_path, made), "--more", "a b"]
    assert got.env["X"] == "1"
    facts = book().section("engines")[engine]
    if "api_key_env" in facts:
        assert got.env[facts["api_key_env"]] == "s3cret"
        assert "s3cret" not in got.argv
    assert got.env[facts["container"]["cache_env"]] == "/home/x/models"


@pytest.mark.parametrize("engine", PROGRAMS)
def test_the_key_is_asked_for(engine: str, tmp_path: Path) -> None:
    put(tmp_path, plan(candidate(engine), deploy={"api_key_from": "MY_KEY"}))
    got = run(tmp_path, engine)
    if engine == "tensorrt-llm":
        assert got.code == 0
        assert "does not support an API key" in (tmp_path / engine / "serve.sh").read_text()
    else:
        assert got.code != 0
        assert "MY_KEY" in got.stderr


VERSIONS = [
    ("vllm", "0.33.0", True),
    ("vllm", "0.33.0+cu130", True),
    ("vllm", "0.33.1", False),
    ("vllm", "10.33.0", False),
    ("sglang", "0.5.23", True),
    ("sglang", "0.5.2", False),
    ("llama.cpp", "version: 0.5.0-dev (build 11865, commit 0c1e57098)", True),
    ("llama.cpp", "version: 0.5.0-dev (build 11313, commit 0c1e57098)", False),
    ("tgi", "text-generation-launcher 3.3.7", True),
    ("tgi", "", False),
    ("tensorrt-llm", "", False),
]


@pytest.mark.parametrize(("engine", "version", "same"), VERSIONS)
def test_another_version_is_a_warning_only(engine: str, version: str, same: bool, tmp_path: Path) -> None:
    put(tmp_path, plan(candidate(engine)))
    if engine in ("vllm", "tensorrt-llm"):  # the interpreter beside the program knows the version
        stub(tmp_path, "python3", '#!/bin/bash\n[[ -n $STUB_VERSION ]] && echo "$STUB_VERSION"\n')
    got = run(tmp_path, engine, version=version)
    assert got.code == 0
    assert ("warning" not in got.stderr) is same


@pytest.mark.parametrize("engine", engines())
def test_a_missing_program_is_said_and_127(engine: str, tmp_path: Path) -> None:
    put(tmp_path, plan(candidate(engine)))
    bash = tmp_path / "bin"
    bash.mkdir()
    for tool in ("bash", "dirname", "env"):
        (bash / tool).symlink_to(f"/usr/bin/{tool}")
    script = str(tmp_path / engine / "serve.sh")
    done = subprocess.run(
        ["/usr/bin/env", "bash", script], env={"PATH": str(bash)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 127
    assert "is not on PATH" in done.stderr


@pytest.mark.parametrize("engine", engines())
def test_scripts_parse(engine: str, tmp_path: Path) -> None:
    put(tmp_path, plan(candidate(engine), deploy={"api_key_from": "MY_KEY"}))
    for script in (f"{engine}/serve.sh", "smoke.sh"):
        path = tmp_path / script
        assert path.stat().st_mode & stat.S_IXUSR
        subprocess.run(["bash", "-n", str(path)], check=True)


def test_the_test_can_fail(tmp_path: Path) -> None:
    """An unquoted word would be caught: here is one."""
    put(tmp_path, plan(candidate("tgi", checkpoint="org/$(touch pwned)")))
    script = tmp_path / "tgi" / "serve.sh"
    script.write_text(script.read_text().replace("'org/$(touch pwned)'", "org/$(touch pwned)"))
    run(tmp_path, "tgi")
    assert (tmp_path / "pwned").exists()


@pytest.mark.parametrize("field", ["checkpoint", "served_name"])
def test_a_leading_dash_is_refused(field: str) -> None:
    one = candidate("vllm", **({"checkpoint": "-x"} if field == "checkpoint" else {"settings": {"served_name": "-x"}}))
    with pytest.raises(GenDeployError, match="begins with a dash"):
        artifacts(plan(one), [one], book())


PATHS = [
    ("./m/model.gguf", "{spec}/m/model.gguf"),
    ("model.gguf", "{spec}/model.gguf"),
    ("/abs/it's.gguf", "/abs/it's.gguf"),
    ("~/m $x.gguf", "/home/x/m $x.gguf"),
]


@pytest.mark.parametrize(("path", "meant"), PATHS)
def test_a_local_file_is_found_from_the_spec(path: str, meant: str, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "chat"
    folder.mkdir(parents=True)
    put(folder, plan(candidate("llama.cpp", origin="given", checkpoint=path)))
    got = run(folder, "llama.cpp")
    assert got.argv[0] == "--model"
    assert os.path.normpath(got.argv[1]) == meant.format(spec=tmp_path)


@pytest.mark.parametrize(
    ("checkpoint", "file", "meant"),
    [
        ("org/M-GGUF", "q4_k_m", ["--hf-repo", "org/M-GGUF:Q4_K_M"]),
        ("org/M-GGUF", "m-q4.gguf", ["--hf-repo", "org/M-GGUF", "--hf-file", "m-q4.gguf"]),
        ("org/M-GGUF", None, ["--hf-repo", "org/M-GGUF"]),
    ],
)
def test_a_gguf_repository(checkpoint: str, file: str | None, meant: list[str], tmp_path: Path) -> None:
    put(tmp_path, plan(candidate("llama.cpp", checkpoint=checkpoint, gguf_file=file)))
    assert run(tmp_path, "llama.cpp").argv[: len(meant)] == meant


@pytest.mark.parametrize(
    ("engine", "address"), [("vllm", ["--master-addr", "head"]), ("sglang", ["--dist-init-addr", "head:20000"])]
)
@pytest.mark.parametrize("rank", ["0", "1"])
def test_several_nodes(engine: str, address: list[str], rank: str, tmp_path: Path) -> None:
    put(tmp_path, plan(candidate(engine, tensor_parallel=4), hardware={"gpus_per_node": 2, "nodes": 2}))
    assert not (tmp_path / engine / "compose.yaml").exists()
    got = run(tmp_path, engine, NODE_RANK=rank, HEAD_ADDRESS="head")
    rest = ["--headless"] if engine == "vllm" and rank == "1" else []
    assert got.argv[-4 - len(rest) :] == ["--node-rank", rank, *address, *rest]
    assert "HEAD_ADDRESS" in run(tmp_path, engine, NODE_RANK=rank).stderr
    assert "NODE_RANK" in run(tmp_path, engine, HEAD_ADDRESS="head").stderr


OLLAMA = """#!/bin/bash
printf '%s\\0' "$@" >>"$STUB_OUT.$1"
case "$1" in
  --version) echo "ollama version is 0.33.0" ;;
  list) [[ -e $STUB_OUT.serve ]] ;;
  create) exit "${STUB_CREATE:-0}" ;;
  serve) for ((i = 0; i < 100; i++)); do [[ -e $STUB_OUT.create ]] && sleep 0.5 && exit 0; sleep 0.1; done; exit 9 ;;
esac
"""


@pytest.mark.parametrize("works", [True, False])
def test_ollama_creates_its_model(works: bool, tmp_path: Path) -> None:
    made = plan(candidate("ollama"), deploy={"served_name": "my $(x) model"})
    put(tmp_path, made)
    tools = stub(tmp_path, "ollama", OLLAMA)
    env = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "HOME": "/",
        "STUB_OUT": str(tmp_path / "got"),
        "STUB_CREATE": "0" if works else "1",
    }
    start = time.monotonic()
    done = subprocess.run(
        [str(tmp_path / "ollama" / "serve.sh")], env=env, capture_output=True, text=True, timeout=20, check=False
    )
    assert time.monotonic() - start < 8
    created = (tmp_path / "got.create").read_bytes().decode().split("\0")[:-1]
    assert created == ["create", "my $(x) model", "-f", f"{tmp_path}/ollama/Modelfile"]
    assert done.returncode == (0 if works else -15), done.stderr
    assert ("could not be created" in done.stderr) is not works
