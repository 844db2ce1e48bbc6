"""The commands from outside: exit codes of the installed script, stdout and stderr, several specs, odd places."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import run, tree

GOOD = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB}\n"
REFUSED = "model: Qwen/Qwen2.5-72B-Instruct\nhardware: {gpu: T4-16GB}\npin: {engine: vllm, quantization: bf16, tensor_parallel: 1}\n"
BAD = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-81GB}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test stands in a folder with three specs."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("good", GOOD), ("refused", REFUSED), ("bad", BAD)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def script(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The console script beside this Python, else the package's own entry."""
    installed = Path(sys.executable).parent / "gen-deploy"
    start = [str(installed)] if installed.is_file() else [sys.executable, "-m", "generator"]
    environment = {**os.environ, **options.pop("env", {})}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run([*start, *words], text=True, errors="replace", env=environment, timeout=60, check=False, **options)


EXITS = [
    ("good.yaml -o out", 0),
    ("plan good.yaml", 0),
    ("check good.yaml -o out", 3),
    ("bad.yaml -o out", 1),
    ("missing.yaml -o out", 1),
    ("refused.yaml -o out", 4),
    ("good.yaml -o good.yaml", 5),
    ("good.yaml -o out --bogus", 2),
    ("good.yaml", 2),
    ("plan", 2),
    ("", 2),
    ("--version", 0),
    ("--help", 0),
    ("plan --help", 0),
    ("list gpus", 0),
    ("list gpsu", 2),
    ("schema", 0),
    ("explain good.yaml", 0),
    ("explain good.yaml --why-not vlm", 2),
    ("plan good.yaml --rules nowhere", 1),
    ("plan good.yaml --engine vlm", 1),
]


@pytest.mark.parametrize(("words", "code"), EXITS, ids=[words or "nothing" for words, _ in EXITS])
def test_exit_codes_of_the_console_script(words: str, code: int) -> None:
    done = script(*words.split())
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip() or code == 0  # what is wrong is said on stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_files_are_the_same_bytes_twice_and_check_agrees(here: Path) -> None:
    assert run("good.yaml", "-o", "out").code == 0
    first = tree(here / "out")
    assert {"good/plan.json", "good/PLAN.md", "good/manifest.json", "good/smoke.sh"} <= set(first)
    assert run("check", "good.yaml", "-o", "out").code == 0
    assert run("good.yaml", "-o", "out").code == 0
    assert tree(here / "out") == first
    assert run("good.yaml", "-o", "elsewhere").code == 0
    assert tree(here / "elsewhere") == first


def test_quiet_says_only_what_is_wrong() -> None:
    assert run("good.yaml", "-o", "out", "-q") == run("plan", "good.yaml", "-q")
    assert run("plan", "good.yaml", "-q").out == ""
    assert "error[nothing-fits]" in run("plan", "refused.yaml", "-q").err
    assert "error[unknown-gpu]" in run("bad.yaml", "-o", "out", "-q").err


def test_results_go_to_stdout_and_messages_to_stderr() -> None:
    good, refused = run("plan", "good.yaml"), run("plan", "refused.yaml")
    assert good.err == ""
    assert good.out.startswith("good: ")
    assert refused.out == ""
    assert refused.err.startswith("refused.yaml:3:6: error[nothing-fits]: ")


def test_json_of_one_spec_is_an_object_and_of_several_an_array() -> None:
    assert run("plan", "good.yaml", "--json").json["name"] == "good"
    several = run("plan", "good.yaml", "bad.yaml", "refused.yaml", "--json")
    assert several.code == 4
    assert [one["name"] for one in several.json] == ["good", "refused"]
    assert "bad.yaml:2:17: error[unknown-gpu]" in several.err
    assert run("plan", "bad.yaml", "missing.yaml", "--json").json == []
    assert run("plan", "bad.yaml", "--json").out == ""


def test_a_refused_pin_keeps_its_estimate() -> None:
    """Exit 4 with an object: no choice, the pinned candidate first, and what it would have taken."""
    said = run("plan", "refused.yaml", "--json")
    assert said.code == 4
    assert said.json["choice"] is None
    first = said.json["rejected"][0]
    assert (first["engine"], first["quantization"], first["tensor_parallel"]) == ("vllm", "bf16", 1)
    assert first["memory"]["weights"] > 130
    assert first["kv_cache"]["bytes_per_token"] > 0
    assert {"out-of-memory", "bf16-needs-hardware"} <= {row["id"] for row in first["rows"]}


def test_each_spec_is_all_or_nothing_and_the_highest_code_wins(here: Path) -> None:
    said = run("bad.yaml", "refused.yaml", "good.yaml", "-o", "out")
    assert said.code == 4
    assert sorted(p.name for p in (here / "out").iterdir()) == ["gen-deploy.json", "good"]


def test_two_specs_of_one_name_stop_everything(here: Path) -> None:
    (here / "other.yaml").write_text("name: good\n" + GOOD)
    said = run("bad.yaml", "good.yaml", "other.yaml", "-o", "out")
    assert said.code == 1
    assert "bad.yaml:2:17: error[unknown-gpu]" not in said.err  # what is unknown is seen later
    assert "other.yaml:1:7: error[duplicate-name]: good.yaml has the name 'good' too" in said.err
    assert not (here / "out").exists()
    (here / "wrong.yaml").write_text("modle: x\n")
    both = run("wrong.yaml", "good.yaml", "other.yaml", "-o", "out").err
    assert "wrong.yaml:1:1: error[unknown-key]" in both
    assert "error[duplicate-name]" in both
    assert run("good.yaml", "good.yaml", "-o", "out").code == 1


def test_a_subcommand_is_a_subcommand_and_a_path_a_path(here: Path) -> None:
    (here / "plan").write_text(GOOD)
    assert run("./plan", "-o", "out").code == 0
    assert run("-o", "out", "--", "plan").code == 0
    assert run("plan", "plan").code == 0


WRITTEN = {
    "byte-order-mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "windows-lines": GOOD.replace("\n", "\r\n").encode(),
    "no-last-newline": GOOD.rstrip("\n").encode(),
    "json": b'{"hardware": {"gpu": "A100-80GB"}, "model": "Qwen/Qwen2.5-7B-Instruct"}',
    "comments": b"# a\n---\n# b\nhardware:   # c\n  gpu: A100-80GB\nmodel: Qwen/Qwen2.5-7B-Instruct\n...\n",
    "mapping": b"model: {id: Qwen/Qwen2.5-7B-Instruct}\nhardware: {gpu: 'A100-80GB', gpus_per_node: 1.0, nodes: 0x1}\n",
    "empty-sections": GOOD.encode() + b"workload:\npin:\ndeploy: {}\n",
    "aliases": b"model: &m Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB}\ndeploy: {served_name: good}\nname: &n good\n",
    "spelling": b"model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: a100 80gb}\n",
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_ways_to_write_one_spec(text: bytes, here: Path) -> None:
    """However it is written, the plan is the same."""
    (here / "case").mkdir()
    (here / "case" / "good.yaml").write_bytes(text)
    plain, said = run("plan", "good.yaml", "--json").json, run("plan", "case/good.yaml", "--json")
    assert said.code == 0, said.err
    for key in ("choice", "memory", "kv_cache", "alternatives"):
        assert said.json[key] == plain[key]


def test_an_engine_on_the_command_line_is_a_pin(here: Path) -> None:
    (here / "pinned.yaml").write_text("name: good\n" + GOOD + "pin: {engine: sglang}\n")
    assert run("plan", "good.yaml", "--json", "--engine", "sglang").json["choice"] == run("plan", "pinned.yaml", "--json").json["choice"]
    assert run("plan", "pinned.yaml", "--json", "--engine", "vllm").json["choice"]["engine"] == "vllm"
    wrong = run("plan", "good.yaml", "--engine", "vlm")
    assert wrong.err.startswith("error[unknown-engine]: --engine: 'vlm' is not a known engine; did you mean 'vllm'?")


def test_another_engine_does_not_take_over_the_version_of_the_pinned_one(here: Path) -> None:
    (here / "pinned.yaml").write_text(GOOD + 'pin: {engine: vllm, engine_version: "0.10.0"}\n')
    assert run("plan", "pinned.yaml", "--json", "--engine", "vllm").json["choice"]["engine_version"] == "0.10.0"
    assert run("plan", "pinned.yaml", "--json", "--engine", "sglang").json["choice"]["engine_version"] != "0.10.0"
    assert run("pinned.yaml", "-o", "out", "--engine", "sglang").code == 0


def test_all_engines_writes_a_folder_for_each(here: Path) -> None:
    assert run("good.yaml", "-o", "out", "--all-engines").code == 0
    folders = {path.name for path in (here / "out" / "good").iterdir() if path.is_dir()}
    assert {"vllm", "sglang", "llama.cpp"} <= folders
    assert run("check", "good.yaml", "-o", "out", "--all-engines").code == 0


def test_paths_are_relative_to_the_spec_not_to_the_reader(here: Path) -> None:
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32}
    config |= {"num_key_value_heads": 8, "vocab_size": 32000, "intermediate_size": 8192, "max_position_embeddings": 8192, "torch_dtype": "bfloat16"}
    (here / "deep" / "er").mkdir(parents=True)
    (here / "deep" / "config.json").write_text(json.dumps(config))
    (here / "deep" / "er" / "own.yaml").write_text("model: {id: me/own, config: ../config.json}\nhardware: {gpu: A100-80GB}\n")
    assert run("deep/er/own.yaml", "-o", "out").code == 0
    (here / "deep" / "er" / "own.yaml").write_text("model: {id: me/own, config: ..}\nhardware: {gpu: A100-80GB}\n")
    assert run("plan", "deep/er/own.yaml").code == 0


# ---- places that cannot be written


def a_file(here: Path) -> str:
    (here / "taken").write_text("mine")
    return "taken"


def below_a_file(here: Path) -> str:
    return a_file(here) + "/below"


def a_loop(here: Path) -> str:
    (here / "loop").symlink_to("loop")
    return "loop"


def a_link_to_nothing(here: Path) -> str:
    (here / "dangling").symlink_to("nowhere")
    return "dangling"


def a_linked_spec_folder(here: Path) -> str:
    (here / "real").mkdir()
    (here / "out").mkdir()
    (here / "out" / "good").symlink_to("../real")
    return "out"


def a_linked_file(here: Path) -> str:
    (here / "out" / "good").mkdir(parents=True)
    (here / "out" / "good" / "smoke.sh").symlink_to("/etc/hostname")
    return "out"


def a_file_in_the_way(here: Path) -> str:
    (here / "out").mkdir()
    (here / "out" / "good").write_text("mine")
    return "out"


def a_folder_in_the_way(here: Path) -> str:
    (here / "out" / "good" / "plan.json").mkdir(parents=True)
    return "out"


def a_strangers_file(here: Path) -> str:
    (here / "out" / "good").mkdir(parents=True)
    (here / "out" / "good" / "plan.json").write_text("mine")
    return "out"


def a_pipe_in_the_way(here: Path) -> str:
    (here / "out" / "good").mkdir(parents=True)
    os.mkfifo(here / "out" / "good" / "plan.json")
    return "out"


def proc(here: Path) -> str:
    return "/proc/gen-deploy"


def a_device(here: Path) -> str:
    return "/dev/null"


def a_long_name(here: Path) -> str:
    return "x" * 300


NO_PLACE = [
    a_file, below_a_file, a_loop, a_link_to_nothing, a_linked_spec_folder, a_linked_file, a_file_in_the_way, a_folder_in_the_way, a_strangers_file,
    a_pipe_in_the_way, proc, a_device, a_long_name,
]  # fmt: skip


@pytest.mark.parametrize("place", NO_PLACE, ids=lambda place: place.__name__)
def test_where_nothing_can_be_written(place: Callable[[Path], str], here: Path) -> None:
    """Exit 5, one sentence, and everything stays as it was."""
    out = place(here)
    before = tree(here)
    said = run("good.yaml", "-o", out)
    assert said.code == 5
    assert said.out == ""
    assert said.err.startswith("error[")
    assert tree(here) == before


def test_an_output_folder_behind_a_symlink_is_fine(here: Path) -> None:
    (here / "real").mkdir()
    (here / "link").symlink_to("real")
    assert run("good.yaml", "-o", "link").code == 0
    assert (here / "real" / "good" / "plan.json").is_file()


def test_a_spec_behind_a_symlink_is_fine(here: Path) -> None:
    (here / "linked.yaml").symlink_to("good.yaml")
    assert run("linked.yaml", "-o", "out").code == 0
    assert (here / "out" / "linked").is_dir()


# ---- specs that are no files


@pytest.mark.parametrize("path", ["missing.yaml", ".", "/dev/zero", "pipe", "loop", "", "good.yaml/x", "x" * 300, "huge"], ids=lambda p: p[:12] or "empty")
def test_what_is_no_spec_file(path: str, here: Path) -> None:
    os.mkfifo(here / "pipe")
    (here / "loop").symlink_to("loop")
    with (here / "huge").open("wb") as file:
        file.truncate(1 << 40)
    said = run(path, "-o", "out")
    assert said.code == 1
    assert ":1:1: error[" in said.err
    assert len(said.err.splitlines()) == 1
    assert not (here / "out").exists()


ODD_NAMES = [
    b"n\xff.yaml", b"line\nbreak\x1b[31m.yaml", "\u202ename.yaml".encode(), "模型-a.yaml".encode(),
    b"it's $(touch x) `id`.yaml", b"-o.yaml", b"{{ x }}.yaml", b"UPPER.YAML",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES, ids=repr)
def test_odd_file_names(name: bytes, here: Path) -> None:
    """They are shown escaped, and reach the files as text that does nothing."""
    (here / os.fsdecode(name)).write_text(GOOD)
    done = subprocess.run(
        [sys.executable, "-m", "generator", "-o", "out", "--", os.fsdecode(name)], capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    (made,) = (path for path in (here / "out").iterdir() if path.is_dir())
    for path in made.rglob("*.sh"):
        text = path.read_text(encoding="utf-8")
        assert all(line.isprintable() for line in text.splitlines())
        subprocess.run(["bash", "-n", str(path)], check=True)
    assert not (here / "x").exists()


def test_a_name_that_leaves_nothing_asks_for_one(here: Path) -> None:
    (here / "模型.yaml").write_text(GOOD)
    said = run("模型.yaml", "-o", "out")
    assert said.code == 1
    assert "add `name`" in said.err


# ---- terminals and pipes


def test_output_that_cannot_be_spelled() -> None:
    done = script("plan", "good.yaml", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "vllm" in done.stdout


def test_a_reader_that_goes_away() -> None:
    read, write = os.pipe()
    os.close(read)
    done = script("list", "gpus", stdout=write)
    os.close(write)
    assert done.returncode == 0
    assert done.stderr == ""


def test_a_full_disk_under_stdout() -> None:
    with Path("/dev/full").open("w") as full:
        done = script("list", "gpus", stdout=full)
    assert done.returncode == 5
    assert done.stderr == "error[system]: No space left on device\n"


@pytest.mark.parametrize("lost", ["/dev/full", "pipe"])
def test_files_are_written_whatever_becomes_of_the_report(lost: str, here: Path) -> None:
    """The first line on stdout fails after the first spec was written: the others are written too, and the exit code is that of the files."""
    (here / "other.yaml").write_text(GOOD)
    read, write = os.pipe()
    os.close(read)
    with Path("/dev/full").open("w") as full:
        done = script("good.yaml", "other.yaml", "-o", "out", stdout=full if lost == "/dev/full" else write)
    os.close(write)
    assert done.returncode == 0, done.stderr
    assert (here / "out/good/PLAN.md").exists() and (here / "out/other/PLAN.md").exists()
    told = "warning: standard output: No space left on device; the files are written nevertheless"
    assert done.stderr.splitlines().count(told) == (1 if lost == "/dev/full" else 0)


def test_two_specs_of_one_name_in_two_runs(here: Path) -> None:
    for folder in ("a", "b"):
        (here / folder).mkdir()
        (here / folder / "chat.yaml").write_text(GOOD)
    assert run("a/chat.yaml", "-o", "out").code == 0
    said = run("b/chat.yaml", "-o", "out")
    assert said.code == 5
    assert "error[another-spec]: out/chat holds the files of a/chat.yaml" in said.err
    assert run("a/chat.yaml", "-o", "out").code == 0
    assert run("b/chat.yaml", "-o", "out", "--force").code == 0


def test_a_working_directory_that_is_gone(here: Path) -> None:
    gone = here / "gone"
    gone.mkdir()
    words = ["sh", "-c", f'rmdir "{gone}" && exec {sys.executable} -m generator plan "{here / "good.yaml"}"']
    done = subprocess.run(words, cwd=gone, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 5)
    assert "Traceback" not in done.stderr


def test_colours_are_never_used() -> None:
    for env in ({}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}):
        assert "\x1b" not in script("plan", "good.yaml", "bad.yaml", env=env).stdout


def test_the_starter_spec_works(here: Path) -> None:
    assert run("init").code == 0
    assert yaml.safe_load((here / "spec.yaml").read_text())
    assert run("spec.yaml", "-o", "out").code == 0
    assert run("init").code == 5
    assert run("init", "--force").code == 0
