"""`smoke.sh`: waits for a server, asks one question, expects a text as answer. Floor 6, pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence

from generator.errors import internal
from generator.render import templates
from generator.render.artifact import Artifact
from generator.render.launch import Launch
from generator.render.words import bash
from generator.verify.data import same_json

ANSWERS = {
    "generate": r'"(content|text|reasoning_content|reasoning)"[[:space:]]*:[[:space:]]*("([^"\\]|\\.)+")',
    "embed": r'"(embedding)"[[:space:]]*:[[:space:]]*(\[*-?[0-9])',
    "rerank": r'"(relevance_score|score)"[[:space:]]*:[[:space:]]*(-?[0-9.e-]+)',
    "classify": r'"(label|probs)"[[:space:]]*:[[:space:]]*([^,}]+)',
}
"""What an answer holds, by task, as bash matches it: the second group is printed."""
QUESTION = "Say hello in one short sentence."


def smoke(launches: Sequence[Launch], header: str) -> Artifact:
    """The smoke test of a spec; without an argument it asks the first engine."""
    times = launches[0].facts["container"]["health_check"]
    text = templates.render(
        "smoke.sh.j2", header=header, engines=[_engine(launch) for launch in launches], timeout=max(launch.start_up.seconds for launch in launches),
        probe_s=times["timeout_s"], answer_s=launches[0].facts["smoke"]["answer_s"],
    )  # fmt: skip
    return Artifact("smoke.sh", text, executable=True)


def _engine(launch: Launch) -> dict[str, str]:
    path, question = request(launch)
    ready = ("/api/show", {"model": launch.served}) if launch.creates_model else (launch.facts["health"], None)
    return {
        "name": launch.engine.name, "base_url": bash(launch.base_url), "ready_path": bash(ready[0]),
        "ready_body": _body(ready[1]) if ready[1] else "", "path": bash(path), "body": _body(question),
        "answer": bash(ANSWERS[launch.candidate.task]), "key": bash(launch.client_key) if launch.client_key else "",
    }  # fmt: skip


def request(launch: Launch) -> tuple[str, dict[str, object]]:
    """The path and the data of one question: a chat, or a completion for a model that was not tuned for chat."""
    task, asked = launch.candidate.task, {"model": launch.request_name}
    if task != "generate":
        path = str(launch.facts["tasks"][task]["request"])
        return path, {**asked, "query": QUESTION, "documents": [QUESTION]} if task == "rerank" else {**asked, "input": QUESTION}
    common = {**asked, "max_tokens": launch.facts["smoke"]["max_tokens"]}
    if launch.plan.facts.get("model.chat") is False:
        return "/v1/completions", {**common, "prompt": QUESTION}
    return "/v1/chat/completions", {**common, "messages": [{"role": "user", "content": QUESTION}]}


def _body(data: Mapping[str, object]) -> str:
    """JSON as one shell word, verified by parsing it again."""
    word = bash(json.dumps(data))
    (text,) = shlex.split(word) or [""]
    if text.startswith("@"):
        raise internal("bad-word", "curl would interpret the data as a file name")
    same_json(text, data, "the question of smoke.sh")
    return word
