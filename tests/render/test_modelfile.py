"""The reader and writer of Modelfiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from render_plans import book, candidate, plan

from generator.errors import GenDeployError
from generator.render.files import artifacts
from generator.verify.modelfile import Command, ModelfileError, quote, read

GOOD = [
    ("FROM x", [Command("FROM", "", "x")]),
    ("from x # y\n", [Command("FROM", "", "x # y")]),
    (
        '# c\n\nFROM "a b"\nparameter num_ctx 4096\n',
        [Command("FROM", "", "a b"), Command("PARAMETER", "num_ctx", "4096")],
    ),
    ('FROM x\nSYSTEM """a\n"b" c"""', [Command("FROM", "", "x"), Command("SYSTEM", "", 'a\n"b" c')]),
    ('FROM x\nSYSTEM "a\nb"', [Command("FROM", "", "x"), Command("SYSTEM", "", "a\nb")]),
    ("FROM 'x'", [Command("FROM", "", "'x'")]),
    ("FROM x\nMESSAGE user hi there", [Command("FROM", "", "x"), Command("MESSAGE", "user", "hi there")]),
]
BAD = [
    "",
    "FROM",
    "FROM ",
    "PARAMETER num_ctx 1",
    "FROM x\nNUM_CTX 1",
    'FROM "x',
    'FROM x\nSYSTEM """a',
    "FROM x\nPARAMETER num_ctx",
    "FROM x\nMESSAGE me hi",
    'FROM ""',
]


@pytest.mark.parametrize(("text", "commands"), GOOD)
def test_reads(text: str, commands: list[Command]) -> None:
    assert read(text) == commands


@pytest.mark.parametrize("text", BAD)
def test_refuses(text: str) -> None:
    with pytest.raises(ModelfileError):
        read(text)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_what_is_quoted_is_read_back_or_refused(value: str) -> None:
    try:
        quoted = quote(value)
    except ModelfileError:
        return
    assert read(f"FROM {quoted}\nPARAMETER stop {quoted}\nPARAMETER a b") == [
        Command("FROM", "", value),
        Command("PARAMETER", "stop", value),
        Command("PARAMETER", "a", "b"),
    ]


@pytest.mark.parametrize("value", ['"', '"a', "a b", 'a"b"', " a", "a\nb", "#", 'a"""'])
def test_what_can_be_quoted(value: str) -> None:
    assert read(f"FROM {quote(value)}")[0].value == value


SOURCES = [
    ("org/M-GGUF", "q4_k_m", "hf.co/org/M-GGUF:Q4_K_M"),
    ("org/M-GGUF", "m.gguf", "hf.co/org/M-GGUF:m.gguf"),
    ("hf.co/org/M", None, "hf.co/org/M"),
    ("qwen2.5:7b", None, "qwen2.5:7b"),
]


@pytest.mark.parametrize(("checkpoint", "file", "source"), SOURCES)
def test_where_the_model_comes_from(checkpoint: str, file: str | None, source: str) -> None:
    one = candidate("ollama", checkpoint=checkpoint, gguf_file=file)
    text = next(a.text for a in artifacts(plan(one), [one], book()) if a.path == "ollama/Modelfile")
    assert read(text)[0] == Command("FROM", "", source)


def test_several_stop_words() -> None:
    one = candidate("ollama")
    made = plan(one, deploy={"extra_args": {"ollama": {"stop": ["a b", '"'], "OLLAMA_DEBUG": True}}})
    files = {a.path: a.text for a in artifacts(made, [one], book())}
    assert [c.value for c in read(files["ollama/Modelfile"]) if c.name == "stop"] == ["a b", '"']
    assert "export OLLAMA_DEBUG=true" in files["ollama/serve.sh"]


def test_what_cannot_be_said_is_refused() -> None:
    one = candidate("ollama", checkpoint="org/a\nFROM b", gguf_file=None)
    with pytest.raises(GenDeployError):
        artifacts(plan(one), [one], book())
