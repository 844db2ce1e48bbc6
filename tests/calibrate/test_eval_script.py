"""`eval.sh` against a stand-in for a server: scores item by item, the baseline, what is kept, and what stands in the result."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from generator.cli.main import main
from generator.readers.resources import folder as shipped_folder

SPEC = """\
name: fast
model: meta-llama/Llama-3.1-8B-Instruct
hardware: {gpu: RTX4090-24GB}
workload: {profile: PROFILE, concurrency: 4, max_context: 4096}
deploy: {api_key_from: MY_KEY, served_name: "it's $HOME"}
pin: {engine: vllm, quantization: METHOD}
"""


def generated(where: Path, profile: str, method: str = "awq") -> Path:
    """The folder of the engine."""
    where.mkdir()
    (where / "spec.yaml").write_text(SPEC.replace("PROFILE", profile).replace("METHOD", method), encoding="utf-8")
    assert main([str(where / "spec.yaml"), "-o", str(where / "out"), "-q"]) == 0
    return where / "out" / "fast" / "vllm"


class Model(BaseHTTPRequestHandler):
    """A server whose answers are right but for some, and whose log probabilities are those of its kind."""

    served = "it's $HOME"
    chance = -1.0
    wrong_every = 0
    echoes = True
    asked: list[str]

    def do_GET(self) -> None:
        self.answer({"data": [{"id": self.served}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(self.path)
        if self.headers.get("Authorization") != "Bearer secret key" or body["model"] != self.served:
            self.answer({"error": "unknown"}, 401)
        elif self.path == "/v1/completions":
            words = re.findall(r"\S+|\s+", body["prompt"])
            chances = [None, *(self.chance - 0.01 * (number % 7) for number in range(1, len(words)))]
            found = {"tokens": [*words, "x"], "token_logprobs": [*chances, -9.0]} if self.echoes else None
            self.answer({"choices": [{"text": "x", "logprobs": found}], "usage": {"prompt_tokens": len(words)}})
        else:
            self.answer({"choices": [{"message": self.message(body["messages"][0]["content"], body.get("tools"))}]})

    def message(self, prompt: str, tools: list[Any] | None) -> dict[str, Any]:
        right = not self.wrong_every or len(prompt) % self.wrong_every
        if tools is None:
            found = re.search(r"The pass number of ship \d+ is (\d+)\.", prompt)
            assert found is not None
            return {"content": found[1] if right else "I do not know."}
        name, _, rest = prompt.removeprefix("Please ").rstrip(".").partition(": ")
        tool = next(tool["function"] for tool in tools if tool["function"]["name"] == name.replace(" ", "_"))
        given = {key: re.search(f"{key.replace('_', ' ')} ([^,]+)", rest) for key in tool["parameters"]["required"]}
        words = {key: found[1] for key, found in given.items() if found}
        said = {key: int(word) if tool["parameters"]["properties"][key]["type"] == "integer" else word for key, word in words.items()}
        call = {"function": {"name": tool["name"], "arguments": json.dumps(said if right else {})}}
        return {"content": None, "tool_calls": [call]}

    def answer(self, data: object, status: int = 200) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server() -> Iterator[tuple[str, type[Model]]]:
    class Fresh(Model):
        asked: list[str] = []  # noqa: RUF012 -- of this class alone, which lives for one test

    found = ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{found.server_port}", Fresh
    found.shutdown()
    found.server_close()
    thread.join()


def run(script: Path, where: Path, url: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "MY_KEY": "secret key", "BASE_URL": url, "PYTHON": sys.executable, **env}
    return subprocess.run([str(script / "eval.sh"), *words], cwd=where, env=variables, capture_output=True, text=True, timeout=100, check=False)


def result(where: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((where / "eval.json").read_text(encoding="utf-8"))
    schema = json.loads((shipped_folder("rules") / "schemas" / "eval-json.json").read_text(encoding="utf-8"))
    jsonschema.validate(found, schema)
    return found


def test_both_sides_are_measured_and_the_loss_is_a_fact(
    tmp_path: Path, server: tuple[str, type[Model]], capsys: pytest.CaptureFixture[str]
) -> None:
    url, model = server
    script = generated(tmp_path / "a", "agent")
    model.served = "16-bit"
    words = ("--tasks", "perplexity,tool-calls")
    done = run(script, tmp_path, url, "--baseline", *words)
    assert done.returncode == 0, done.stderr
    model.served, model.chance, model.wrong_every = "it's $HOME", -1.02, 9
    done = run(script, tmp_path, url, *words)
    assert done.returncode == 0, done.stderr
    found = result(tmp_path)
    perplexity, calls = found["tasks"]
    assert perplexity["loss_percent"] == pytest.approx(2.02, abs=0.01)  # e^0.02
    assert perplexity["items"] > 4000
    assert calls["baseline"] == 1.0 and 0 < calls["loss_percent"] < 40
    assert calls["interval"][0] < calls["loss_percent"] < calls["interval"][1]
    assert found["skipped"] == [{"task": "ifeval", "because": "not run yet"}]
    assert (found["model"], found["method"], found["engine"]) == ("meta-llama/Llama-3.1-8B-Instruct", "awq", "vllm")
    # a second run asks for nothing that is finished
    before = len(model.asked)
    done = run(script, tmp_path, url, *words)
    assert done.returncode == 0 and "finished before" in done.stderr and len(model.asked) == before
    capsys.readouterr()
    spec = str(tmp_path / "a" / "spec.yaml")
    code = main(["calibrate", "--quality", str(tmp_path / "eval.json"), "--spec", spec, "--write", str(tmp_path / "mine")])
    assert code == 1  # fifty calls of which five are wrong: ±8 %
    assert "small-sample" in capsys.readouterr().err
    (tmp_path / "eval" / "measured" / "tool-calls.json").unlink()
    run(script, tmp_path, url, "--tasks", "perplexity")
    assert main(["calibrate", "--quality", str(tmp_path / "eval.json"), "--spec", spec, "--write", str(tmp_path / "mine")]) == 0
    capsys.readouterr()
    assert main(["plan", spec, "--rules", str(tmp_path / "mine"), "--json"]) == 0
    quality = json.loads(capsys.readouterr().out)["quality"]
    assert quality["measured"] is True and quality["loss_percent"]["value"] == pytest.approx(2.02, abs=0.01)


def test_a_number_far_back_in_a_long_prompt(tmp_path: Path, server: tuple[str, type[Model]]) -> None:
    url, _ = server
    script = generated(tmp_path / "a", "rag")
    assert run(script, tmp_path, url, "--baseline", "--tasks", "needle").returncode == 0
    assert run(script, tmp_path, url, "--tasks", "needle").returncode == 0
    (needle,) = result(tmp_path)["tasks"]
    assert (needle["items"], needle["measured"], needle["loss_percent"]) == (50, 1.0, 0.0)
    assert needle["interval"] == [-6.0, 6.0]  # nothing differs in fifty: the rule of three


STAND_IN = """\
import json, os, pathlib, sys, time
words = sys.argv[1:]
flags = dict(zip(words[::2], words[1::2]))
folder = pathlib.Path(words[words.index("--output_path") + 1]) / "model"
folder.mkdir(parents=True)
time.sleep(float(os.environ.get("SLOW", "0")))
pathlib.Path(os.environ["SEEN"]).write_text(json.dumps(words))
task = words[words.index("--tasks") + 1]
with open(folder / f"samples_{task}_2026.jsonl", "w") as file:
    for number in range(int(words[words.index("--limit") + 1])):
        for name in ("none", "other"):
            right = name == "none" and number % int(os.environ["EVERY"]) > 0
            file.write(json.dumps({"doc_id": number, "filter": name, "prompt_level_strict_acc": right, "exact_match": 0.0}) + "\\n")
"""


def test_tasks_of_the_harness(tmp_path: Path, server: tuple[str, type[Model]]) -> None:
    """By a stand-in that writes the files which lm_eval 0.4.13 writes with --log_samples."""
    url, _ = server
    script = generated(tmp_path / "a", "dev")
    done = run(script, tmp_path, url, "--tasks", "ifeval")
    assert done.returncode == 1
    assert result(tmp_path)["skipped"][1]["because"].startswith("lm-evaluation-harness is not installed")
    (tmp_path / "lm_eval").mkdir()
    (tmp_path / "lm_eval" / "__init__.py").write_text("")
    (tmp_path / "lm_eval" / "__main__.py").write_text(STAND_IN)
    env = {"PYTHONPATH": str(tmp_path), "SEEN": str(tmp_path / "seen"), "EVERY": "10"}
    assert run(script, tmp_path, url, "--baseline", "--tasks", "ifeval", **env).returncode == 0
    done = run(script, tmp_path, url, "--tasks", "ifeval", **{**env, "EVERY": "5"})
    assert done.returncode == 0, done.stderr
    (task,) = result(tmp_path)["tasks"]
    assert (task["items"], task["baseline"], task["measured"]) == (100, 0.9, 0.8)
    assert task["loss_percent"] == pytest.approx(100 / 9)
    words = json.loads((tmp_path / "seen").read_text())
    arguments = json.loads(words[words.index("--model_args") + 1])
    assert (arguments["model"], arguments["base_url"]) == ("it's $HOME", f"{url}/v1/chat/completions")
    assert "--apply_chat_template" in words and "--confirm_run_unsafe_code" not in words
    done = run(script, tmp_path, url, "--tasks", "ifeval", "--again", "--minutes", "0.05", **{**env, "SLOW": "30"})
    assert "not finished in time" in done.stderr
    assert result(tmp_path)["tasks"] == [task]  # what was finished stays


def test_code_of_the_model_is_run_only_where_that_is_allowed(tmp_path: Path, server: tuple[str, type[Model]]) -> None:
    script = generated(tmp_path / "a", "code")
    (tmp_path / "lm_eval").mkdir()
    (tmp_path / "lm_eval" / "__init__.py").write_text("")
    done = run(script, tmp_path, server[0], "--tasks", "humaneval", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1 and "--run-code" in done.stderr


def test_what_cannot_be_compared_is_said(tmp_path: Path, server: tuple[str, type[Model]]) -> None:
    url, model = server
    script = generated(tmp_path / "a", "chat")
    model.echoes = False
    done = run(script, tmp_path, url, "--tasks", "perplexity")
    assert done.returncode == 1 and "no log probabilities" in done.stderr
    assert run(script, tmp_path, url, "--tasks", "sums").returncode == 2
    model.served = "another"
    done = run(script, tmp_path, url)
    assert done.returncode == 1 and "serves another, not it's $HOME" in done.stderr
    done = run(script, tmp_path, "http://127.0.0.1:9")
    assert done.returncode == 1 and "does not answer" in done.stderr


def test_weights_in_16_bits_have_nothing_to_measure(tmp_path: Path) -> None:
    folder = generated(tmp_path / "a", "chat", "bf16")
    assert (folder / "bench.sh").is_file() and not (folder / "eval.sh").exists()
