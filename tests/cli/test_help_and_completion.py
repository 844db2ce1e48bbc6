"""`help`, words that are near a command, completion in a real bash, and a spec by standard input."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import run

from generator.cli.main import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]
SPEC = b"model: Qwen/Qwen3-8B\nhardware: {gpu: RTX4090-24GB}\n"


def test_help_of_every_command_is_its_own() -> None:
    assert "  fits " in run("help").out
    assert run("help").out == run("--help").out
    assert run("help").out.count("\n  rules ") == 1
    for name in COMMANDS:
        assert run("help", name).out == run(name, "--help").out, name
    assert run("help", "rules", "show").out == run("rules", "show", "--help").out


def test_help_of_no_command() -> None:
    said = run("help", "plam")
    assert (said.code, said.out, said.err) == (2, "", "error[usage]: 'plam' is not a command; did you mean 'plan'?\n")
    assert run("help", "./plan.yaml").code == 2


@pytest.mark.parametrize(("word", "meant"), [("plna", "plan"), ("chek", "check"), ("Explain", "explain"), ("fit", "fits")])
def test_a_word_that_is_near_a_command(word: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = run(word, "a.yaml")
    assert (said.code, said.err) == (2, f"error[usage]: {word!r} is neither a command nor a file; did you mean {meant!r}?\n")
    Path(word).write_bytes(SPEC)
    assert run(word, "-o", "out", "--quiet").code == 0  # such a file is a spec
    assert run("plna.yaml", "-o", "out").code == 1  # a file that is missing
    assert run("qwerty", "-o", "out").code == 1


@pytest.mark.parametrize("words", [("plan", "-"), ("explain", "-"), ("-", "-o", "out")], ids=str)
def test_a_spec_by_standard_input(words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text, code, says in ((SPEC, 0, ""), (SPEC.replace(b"4090", b"4091"), 1, "stdin:2:17: error[unknown-gpu]"), (b"# " * 600_000, 1, "stdin:1:1: error")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        said = run(*words)
        assert said.code == code, said
        assert says in said.err
    assert not Path("out").exists() or (Path("out") / "stdin" / "plan.json").exists()


def test_words_in_place_of_a_spec_are_named_in_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("plan", "explain"):
        said = run(command, "-m", "acme/foo", "-g", "2x RTX 3090")
        assert said.code == 1
        assert '`gen-deploy lock -m acme/foo -g "2x RTX 3090"` looks it up' in said.err
    said = run("plan", "-m", "deepseek-ai/DeepSeek-V3.1", "-g", "RTX 4090")
    assert (said.code, said.err.splitlines()[0]) == (4, "deepseek-v3-1: error[nothing-fits]: no candidate can be deployed")
    assert said.err.splitlines()[-1] == '  (`gen-deploy init -m deepseek-ai/DeepSeek-V3.1 -g "RTX 4090"` writes a spec, which takes such words)'
    said = run("plan", "-m", "Qwen/Qwen3-8B", "-g", "V100-32GB", "--engine", "sglang")
    assert "works with --engine left out" in said.err


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_completion_in_bash(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "gen-deploy"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m generator "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    script = """eval "$(gen-deploy --completion bash)"
    complete -p gen-deploy
    for line in "gen-deploy pl" "gen-deploy plan --swe" "gen-deploy list mod" "gen-deploy spec.yaml --loc" "gen-deploy rules sh" "gen-deploy spe"; do
        COMPREPLY=()
        read -r -a COMP_WORDS <<< "$line"
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        _gen_deploy_completion gen-deploy 2>/dev/null
        echo "$line: ${COMPREPLY[*]}"
    done
    """
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=env, cwd=tmp_path, check=False)
    assert done.stdout.splitlines() == [
        "complete -o nosort -F _gen_deploy_completion gen-deploy",
        "gen-deploy pl: plan",
        "gen-deploy plan --swe: --sweep",
        "gen-deploy list mod: models",
        "gen-deploy spec.yaml --loc: --locked",
        "gen-deploy rules sh: show",
        "gen-deploy spe: ",  # bash's own completion of files
    ], done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_scripts_of_other_shells(shell: str) -> None:
    said = run("--completion", shell)
    assert said.code == 0
    assert f"_GEN_DEPLOY_COMPLETE={shell}_complete" in said.out
    assert run("--completion", "cmd").code == 2
    assert cli.name == "cli"
