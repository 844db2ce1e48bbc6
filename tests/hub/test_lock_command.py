"""`gen-deploy lock` and the main job against a hub on this machine, with the real client: as people run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import HubServer
from jsonschema import Draft202012Validator
from repositories import TINY, awq, gguf_repo, model

ROOT = Path(__file__).resolve().parents[2]
SPEC = "model: acme/tiny\nhardware: {gpu: RTX4090-24GB}\n"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer().running() as hub:
        hub.repos = {"acme/tiny": model(), "acme/tiny-AWQ": awq("acme/tiny"), "unsloth/tiny-GGUF": gguf_repo("acme/tiny"), "evil/tiny-AWQ": awq("acme/tiny")}
        yield hub


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "spec.yaml").write_text(SPEC)
    return folder


@pytest.fixture
def env(server: HubServer, tmp_path: Path) -> dict[str, str]:
    """The variables of people who use a mirror, and none of this machine's."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING")) and not key.lower().endswith("_proxy")}
    return mine | {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_TELEMETRY": "1"}


@pytest.fixture
def run(env: dict[str, str], work: Path) -> Run:
    def started(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "generator", *words], cwd=work, env=env | more, capture_output=True, text=True, timeout=120)

    return started


def test_a_model_of_the_hub_is_one_line_and_planned_the_same_ever_after(server: HubServer, run: Run, work: Path) -> None:
    first = run("spec.yaml", "-o", "out")
    assert first.returncode == 0, first.stderr
    assert "looked up acme/tiny on the model hub; recorded in gen-deploy.lock" in first.stderr
    files = {path: path.read_bytes() for path in (work / "out").rglob("*") if path.is_file()}
    server.down = True
    again = run("spec.yaml", "-o", "out", "--locked")
    assert again.returncode == 0 and "9 unchanged" in again.stdout, again.stderr
    assert files == {path: path.read_bytes() for path in (work / "out").rglob("*") if path.is_file()}
    launch = (work / "out/spec/vllm/config.yaml").read_text()
    assert "a" * 40 in launch and "unpinned" not in (work / "out/spec/PLAN.md").read_text()


def test_the_lock_has_commits_sizes_and_the_checkpoints_of_trusted_publishers_only(server: HubServer, run: Run, work: Path) -> None:
    done = run("lock", "spec.yaml")
    assert done.returncode == 0, done.stderr
    lock = json.loads((work / "gen-deploy.lock").read_text())["repositories"]
    assert list(lock) == ["acme/tiny", "acme/tiny-AWQ", "unsloth/tiny-GGUF"]
    own = lock["acme/tiny"]
    assert own["commit"] == "a" * 40 and own["licence"] == "apache-2.0" and own["chat"] == ["tools", "thinking"]
    assert set(own["files"]) == {
        "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert "4 × BF16 [3072, 1024] model.layers.*.mlp.up_proj.weight" in own["tensors"]
    assert lock["unsloth/tiny-GGUF"]["weights"]["gguf-q4_k_m"]["file"] == "tiny-Q4_K_M.gguf"
    assert not any("README" in line or "figures" in line for line in server.asked)
    assert all(int(piece.rpartition("-")[2]) <= 1 << 20 for piece in server.ranges), "more than headers was asked for"


def test_what_a_plan_loads_is_recorded_whole(run: Run, work: Path) -> None:
    (work / "spec.yaml").write_text(SPEC + "pin: {engine: llama.cpp, quantization: gguf-q4_k_m}\n")
    assert run("lock", "spec.yaml").returncode == 0
    gguf = json.loads((work / "gen-deploy.lock").read_text())["repositories"]["unsloth/tiny-GGUF"]
    assert list(gguf["gguf"]) == ["tiny-Q4_K_M.gguf"]
    header = gguf["gguf"]["tiny-Q4_K_M.gguf"]
    assert "q4_K [1024, 3072] blk.0-3.ffn_up.weight" in header["tensors"] and header["metadata"]["tokenizer.ggml.tokens"] == {"count": 50}
    listed = run("lock", "spec.yaml", "--list", "--json")
    assert [row["file"] for row in json.loads(listed.stdout)] == ["mmproj-F16.gguf", "tiny-Q4_K_M.gguf"]


def test_plan_check_and_diff_never_ask(server: HubServer, run: Run) -> None:
    done = run("plan", "spec.yaml")
    assert done.returncode == 1 and "gen-deploy lock spec.yaml" in done.stderr and "gen-deploy[hub]" in done.stderr
    assert run("spec.yaml", "-o", "out", "--locked").returncode == 1
    assert not server.asked


def test_a_revision_is_looked_up_as_such(server: HubServer, run: Run, work: Path) -> None:
    (work / "spec.yaml").write_text(SPEC.replace("acme/tiny", "{id: acme/tiny, revision: main}"))
    assert run("lock", "spec.yaml").returncode == 0
    assert "acme/tiny@main" in json.loads((work / "gen-deploy.lock").read_text())["repositories"]
    assert run("spec.yaml", "-o", "out").returncode == 0
    assert "a" * 40 in (work / "out/spec/vllm/config.yaml").read_text()


def test_upgrade_says_what_changes_and_keeps_what_does_not(server: HubServer, run: Run, work: Path) -> None:
    assert run("lock", "spec.yaml").returncode == 0
    server.repos["acme/tiny"] = model({**TINY, "max_position_embeddings": 16384}, commit="d" * 40)
    kept = run("lock", "spec.yaml")
    assert kept.returncode == 0 and "unchanged" in kept.stdout
    moved = run("lock", "spec.yaml", "--upgrade")
    assert moved.returncode == 0 and "acme/tiny: aaaaaaaaaaaa -> dddddddddddd" in moved.stdout
    assert "spec: vllm" in moved.stdout


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        ("gated", "hub-gated", "accept its licence at"),
        ("gone", "hub-unknown", "has no repository 'acme/tiny'"),
        ("commit", "hub-commit", "has no commit, branch or tag"),
        ("moved:acme/other", "hub-moved", "'acme/other'"),
        ("changed", "hub-changed", "is not the file that the hub lists"),
        ("shards", "hub-changed", "that the hub lists for this commit"),
        ("cut", "hub-cut", "the connection broke off at byte 0"),
        ("unavailable", "hub-answer", "status 503"),
        ("offline", "hub-unreachable", "HF_HUB_OFFLINE is set"),
        ("nobody", "hub-unreachable", "cannot ask"),
        ("no-config", "hub-no-model", "only GGUF files"),
    ],
)
def test_every_failure_is_said_and_leaves_the_old_lock(server: HubServer, run: Run, work: Path, fault: str, code: str, says: str) -> None:
    (work / "old.yaml").write_text("model: acme/old\nhardware: {gpu: RTX4090-24GB}\n")
    server.repos["acme/old"] = model(commit="e" * 40)
    assert run("lock", "old.yaml").returncode == 0
    before = (work / "gen-deploy.lock").read_bytes()
    repo, more = server.repos["acme/tiny"], {}
    if fault == "gated":
        repo.gated = "manual"
    elif fault == "gone":
        del server.repos["acme/tiny"]
    elif fault == "commit":
        (work / "spec.yaml").write_text(SPEC.replace("acme/tiny", "{id: acme/tiny, revision: abcd123}"))
    elif fault == "offline":
        more = {"HF_HUB_OFFLINE": "1"}
    elif fault == "nobody":
        more = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    elif fault == "no-config":
        server.repos["acme/tiny"] = gguf_repo("acme/base")
    else:
        repo.fault = fault
    done = run("lock", "spec.yaml", **more)
    assert done.returncode == 1 and f"spec.yaml:1:8: error[{code}]" in done.stderr and says in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and "secret" not in done.stderr
    assert (work / "gen-deploy.lock").read_bytes() == before


def test_a_token_opens_a_gated_repository_and_goes_nowhere_else(server: HubServer, run: Run, work: Path) -> None:
    server.repos["acme/tiny"].gated = "auto"
    done = run("lock", "spec.yaml", HF_TOKEN=server.token)
    assert done.returncode == 0, done.stderr
    assert server.token not in (work / "gen-deploy.lock").read_text() + done.stdout + done.stderr
    assert "warning[gated-model]" in run("plan", "spec.yaml").stdout


def test_a_connection_that_breaks_off_is_gone_on_with(server: HubServer, run: Run, work: Path) -> None:
    server.repos["acme/tiny"].fault = "half"
    done = run("lock", "spec.yaml")
    assert done.returncode == 0, done.stderr
    assert len(server.ranges) > 4


@pytest.mark.slow
def test_interrupting_a_lookup_at_any_moment_leaves_the_old_lock(server: HubServer, run: Run, env: dict[str, str], work: Path) -> None:
    (work / "old.yaml").write_text("model: acme/old\nhardware: {gpu: RTX4090-24GB}\n")
    server.repos["acme/old"] = model(commit="e" * 40)
    assert run("lock", "old.yaml").returncode == 0
    before = (work / "gen-deploy.lock").read_bytes()
    server.repos["acme/tiny"].fault = "slow"
    for after in range(1, 12):
        server.asked.clear()
        command = subprocess.Popen(
            [sys.executable, "-m", "generator", "lock", "spec.yaml"], cwd=work, env=env | {"HF_HOME": str(work / f"hf{after}")},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        while len(server.asked) < after and command.poll() is None:
            time.sleep(0.005)
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=60)
        if command.returncode == 0:
            break
        assert command.returncode == 130 and b"Traceback" not in said, said
        assert (work / "gen-deploy.lock").read_bytes() == before
        assert sorted(path.name for path in work.iterdir() if path.name.startswith((".", "gen-"))) == ["gen-deploy.lock"]
    assert after > 3, "the lookup was interrupted at no moment"


def test_of_two_runs_the_later_merges(server: HubServer, env: dict[str, str], work: Path) -> None:
    server.repos["acme/two"] = model(commit="f" * 40)
    (work / "two.yaml").write_text("model: acme/two\nhardware: {gpu: RTX4090-24GB}\n")
    runs = [
        subprocess.Popen([sys.executable, "-m", "generator", "lock", name], cwd=work, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for name in ("spec.yaml", "two.yaml")
    ]
    assert [one.communicate(timeout=60)[1] for one in runs] == [b"", b""] and [one.returncode for one in runs] == [0, 0]
    assert {"acme/tiny", "acme/two"} <= set(json.loads((work / "gen-deploy.lock").read_text())["repositories"])


def test_a_project_has_one_lock_without_what_no_spec_names_any_more(server: HubServer, run: Run, work: Path) -> None:
    (work / "gen-deploy.yaml").write_text("specs: specs/*.yaml\nout: out\n")
    (work / "specs").mkdir()
    (work / "spec.yaml").rename(work / "specs/tiny.yaml")
    server.repos["acme/two"] = model(commit="f" * 40)
    (work / "specs/two.yaml").write_text("model: acme/two\nhardware: {gpu: RTX4090-24GB}\n")
    assert run("lock").returncode == 0
    assert not (work / "specs/gen-deploy.lock").exists()
    assert {"acme/tiny", "acme/two"} <= set(json.loads((work / "gen-deploy.lock").read_text())["repositories"])
    assert run().returncode == 0
    (work / "specs/two.yaml").unlink()
    assert run("lock").returncode == 0
    assert "acme/two" not in (work / "gen-deploy.lock").read_text()


def test_weights_that_are_not_in_the_checkout_are_planned_from_the_lock(run: Run, work: Path) -> None:
    (work / "spec.yaml").write_text("model: {id: acme/own, gguf: ./weights/own-Q4_K_M.gguf}\nhardware: {gpu: RTX4090-24GB}\n")
    (work / "weights").mkdir()
    one = gguf_repo("acme/own").files["tiny-Q4_K_M.gguf"]
    with (work / "weights/own-Q4_K_M.gguf").open("wb") as file:
        file.write(one.data)
        file.truncate(one.size)
    assert run("lock", "spec.yaml").returncode == 0
    assert run("spec.yaml", "-o", "out").returncode == 0
    (work / "weights/own-Q4_K_M.gguf").unlink()
    checked = run("check", "spec.yaml", "-o", "out")
    assert checked.returncode == 0, checked.stderr


def test_a_read_only_folder_is_no_traceback(run: Run, work: Path) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        (work / "gen-deploy.lock").mkdir()  # root writes everywhere, but not over a folder; Windows has no such modes
    else:
        work.chmod(0o555)
    done = run("lock", "spec.yaml")
    work.chmod(0o755)
    assert done.returncode in (1, 5) and "error[" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(("template", "parser"), [("{% if tools %}…{% endif %}", True), ("{{ messages }}", False)])
def test_a_template_without_tools_gets_no_parser_of_tools(server: HubServer, run: Run, work: Path, template: str, parser: bool) -> None:
    server.repos["acme/tiny"] = model(template=template)
    server.repos["acme/tiny"].card["base_model"] = "Qwen/Qwen3-8B"  # whose parsers it has
    (work / "spec.yaml").write_text(SPEC + "workload: {profile: agent}\n")
    assert run("spec.yaml", "-o", "out").returncode == 0
    assert ("tool-call-parser" in (work / "out/spec/vllm/config.yaml").read_text()) is parser


def test_a_model_named_on_the_command_line(run: Run, work: Path) -> None:
    words = ("-m", "acme/tiny", "-g", "RTX4090-24GB")
    said = run("plan", *words)
    assert said.returncode == 1 and f'`gen-deploy lock {words[0]} {words[1]} -g "{words[3]}"`' in said.stderr
    assert run("lock", *words).returncode == 0
    kept = json.loads((work / "gen-deploy.lock").read_text())
    assert "acme/tiny" in kept["repositories"] and not kept.get("choices")
    assert run("plan", *words).returncode == 0


def test_what_was_locked_as_json(run: Run) -> None:
    for name, words in (("lock-json", ("lock",)), ("lock-list-json", ("lock", "--list"))):
        said = run(*words, "spec.yaml", "--json")
        data = json.loads(said.stdout)
        schema = json.loads(run("schema", name).stdout)
        assert not list(Draft202012Validator(schema).iter_errors(data))
        assert data, said.stderr
    assert next(row["repository"] for row in data).startswith("acme/")
