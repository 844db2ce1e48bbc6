"""The formats of a comparison, against golden files; nothing that a pull request names can break out of them.

`UPDATE_GOLDEN=1 pytest tests/compare/test_formats.py` writes them anew.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.compare.model import (
    Cause,
    Change,
    Comparison,
    Coverage,
    Edit,
    FileDiff,
    Kept,
    Move,
    RulesName,
    Tool,
    Totals,
    in_order,
)
from generator.report.diff import FORMATS, MARKER, MOST_BYTES, MOST_LINES, report, said

GOLDEN = Path(__file__).with_name("golden")
FLOOR = Move("headroom.floor", 0.02, 0.06)

OUT, AT = "out-of-memory", "rules/default/reject.yaml:106"
WHY = "too little is free"
CONFIG = ("--- vllm/config.yaml", "+++ vllm/config.yaml", "@@ -1 +1 @@", "-model: a/b-int8", "+model: a/b-gptq")

CHANGES = [
    Change(
        "chat", "specs/chat.yaml", "method", "rules", "vllm 0.33.0 · int8 · tp 1", "vllm 0.33.0 · gptq · tp 1",
        (Move("quantization", "int8", "gptq"), Move("bits", 8, 4), Move("checkpoint", "a/b-int8", "a/b-gptq")),
        (Cause("reject", OUT, "rejects", "vllm/int8/tp1", (Move("memory.headroom", 0.031, 0.046), FLOOR), WHY, AT),),
        ("thresholds/headroom.floor",),
        (FileDiff("vllm/config.yaml", "changed", CONFIG, 1, 1),),
    ),
    Change(
        "big", "specs/big.yaml", "no-longer-fits", "rules", "vllm 0.33.0 · awq · tp 2", None, (),
        (Cause("reject", OUT, "rejects", "vllm/awq/tp2", (Move("memory.headroom", 0.03, 0.03), FLOOR), WHY, AT),),
        ("thresholds/headroom.floor",),
        (FileDiff("vllm/serve.sh", "gone", ("--- vllm/serve.sh", "+++ vllm/serve.sh", "@@ -1 +0,0 @@", "-exec vllm"), 0, 1),),
    ),
    Change(
        "rag", "specs/rag.yaml", "settings", "rules", "vllm 0.33.0 · fp8 · tp 1", "vllm 0.33.0 · fp8 · tp 1",
        (Move("max_num_seqs", 32, 16), *(Move(f"settings.s{i}", i, i + 1) for i in range(5))),
        (Cause("workload", "profile-rag", "sets", "concurrency 32 → 16", (), "", "rules/default/workload.yaml:9"),),
        ("thresholds/headroom.floor",),
    ),
    Change(
        "agent", "specs/agent.yaml", "engine", "rules", "vllm 0.33.0 · fp8 · tp 1", "sglang 0.5.23 · fp8 · tp 1", (Move("engine", "vllm", "sglang"),),
        (Cause("prefer", "agents", "prefers", "sglang/fp8/tp1 to vllm/fp8/tp1", (Move("engine", "vllm", "sglang"),), "shares prefixes",
               "rules/default/prefer.yaml:40"),),
        ("tables/prefer/agents",),
    ),
    Change("small", "specs/small.yaml", "now-fits", "spec", None, "llama.cpp b11312 · gguf-q4_k_m · tp 1"),
    Change("dev", "specs/dev.yaml", "figures", "rules", "x", "x", (Move("memory.total", 1.0, 1.1),)),
    Change("code", "specs/code.yaml", "wording", "rules", "x", "x"),
]  # fmt: skip

EDITS = (
    Edit("thresholds", "headroom.floor", "changed",
         (Move("value", 0.02, 0.06), Move("source", "judgement-headroom", "log-42"), Move("checked", "2026-01-01", "2026-02-02")),
         True, "rules/default/thresholds/policy.yaml:5", "log-42", "2026-02-02", "fraction"),
    Edit("thresholds", "idle.number", "changed", (Move("value", 1, 2),), True, "rules/default/thresholds/policy.yaml:9", "judgement", "2026-01-01", "count"),
    Edit("tables/prefer", "agents", "moved", (Move("place", 7, 3),), True, "rules/default/prefer.yaml:40", "judgement"),
    Edit("tables/reject", "old-row", "removed", (Move("id", "old-row", None),), True),
    Edit("tables/reject", "out-of-memory", "changed", (Move("because", "a", "b"),), False, "rules/default/reject.yaml:106"),
)  # fmt: skip

RESULT = Comparison(
    RulesName("main", "default", "0123456789abcdef"), RulesName("the working tree", "default", "fedcba9876543210"), 42,
    tuple(in_order(CHANGES)), EDITS, ("specs/new.yaml",), ("specs/gone.yaml",),
)  # fmt: skip

NOTHING = Comparison(RulesName("main", "default", "0123456789abcdef"), RulesName("HEAD", "default", "0123456789abcdef"), 42, (), ())


EXCHANGE = Edit("tables/prefer", "engine-order", "changed", (Move("order.engine", ["vllm", "sglang"], ["sglang", "vllm"]),), True,
                "rules/default/prefer.yaml:144", "judgement-engine-order")  # fmt: skip
BAN = Edit("tables/reject", "no-fp8-for-code", "added", (Move("id", None, "no-fp8-for-code"),), True, "ours/reject.yaml:3", "our-policy")


def exchanged(n: int, spec: str) -> list[Change]:
    """As many changes with one cause, of four outcomes."""
    outs = [f"fp8 · tp {1 << i % 4}" for i in range(n)]
    return [
        Change(f"{spec}-{i:02}", f"specs/{spec}-{i:02}.yaml", "engine", "rules", f"vllm 0.33.0 · {out}", f"sglang 0.5.23 · {out}",
               (Move("engine", "vllm", "sglang"),),
               (Cause("prefer", "engine-order", "prefers", "sglang to vllm", (Move("engine", "vllm", "sglang"),), "known best", EXCHANGE.at),), (EXCHANGE.id,),
               (FileDiff("vllm/serve.sh", "gone", ("--- vllm/serve.sh", "+++ vllm/serve.sh", *["-x"] * 30), 0, 30),))
        for i, out in enumerate(outs)
    ]  # fmt: skip


COVERAGE = (Coverage(BAN.id, (("profile", "code"),), ("code",), ("labels.environment",)),)
MANY = replace(
    RESULT, specs=45, changes=tuple(in_order([*exchanged(25, "chat"), CHANGES[1]])), edits=(EDITS[0], EXCHANGE, BAN), coverage=COVERAGE,
    totals=Totals((61, 60), (0.5, 2.13), "chat-07", ("chat-01",), (84.306, 83.0), 12, "USD"),
    grid=replace(
        RESULT, specs=288, changes=tuple(exchanged(12, "grid")), edits=(), added=(), removed=(),
        totals=Totals((900, 900), (3.0, 3.0), "grid-00", (), None, 0, ""), coverage=(COVERAGE[0]._replace(specs=("grid-00", "grid-01"), unset=()),),
    ),
)  # fmt: skip
"""An exchange of two engines: one cause, many specs, and the grid."""


BY_TOOL = Cause("tool", "", "considers", "gen-deploy 0.4.0 → 0.5.0")
UPGRADE = replace(
    NOTHING,
    changes=tuple(in_order([
        replace(CHANGES[3], by="tool", causes=(BY_TOOL, *CHANGES[3].causes), edits=(), files=CHANGES[0].files),
        *(replace(one, by="tool", causes=(BY_TOOL,), edits=()) for one in exchanged(6, "rag")),
        replace(CHANGES[2], by="lock", causes=(), edits=()),
    ])),
    tool=Tool("main", "0.4.0", "0.5.0", ("0123456789abcdef", "fedcba9876543210")),
    kept=(
        Kept("chat", "newer", "vllm 0.34.0 with fp8 on 1 GPU, +5 % output tokens/s", False, CHANGES[0].files), Kept("big", "newer", "sglang", False, ()),
        Kept("code", "newer", "sglang 0.6.0 with awq on 1 GPU", True, None), Kept("old", "refused", "ours-at-most-2-gpus", False, None),
    ),
)  # fmt: skip
"""Another version of gen-deploy: what it decides otherwise, and what the lock keeps."""
GOLDENS = {"changes": RESULT, "nothing": NOTHING, "many": MANY, "upgrade": UPGRADE}


@pytest.mark.parametrize("verbose", [False, True], ids=["short", "verbose"])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("name", "result"), GOLDENS.items(), ids=GOLDENS)
def test_golden(name: str, result: Comparison, form: str, verbose: bool) -> None:
    if verbose and (form in ("json", "github") or name == "nothing"):
        assert report(result, form, True) == report(result, form, False)
        return
    path = GOLDEN / f"{name}{'-verbose' if verbose else ''}.{form}"
    text = report(result, form, verbose) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_gravest_first() -> None:
    assert [c.name for c in RESULT.changes] == ["big", "small", "agent", "chat", "rag", "dev", "code"]


HOSTILE = "x`|\n::error::</code><img src=x> @everyone %0A #1 \x1b[31m\u202e"


def hostile() -> Comparison:
    """Every text that a pull request can reach."""
    change = Change(
        HOSTILE, HOSTILE, "method", "rules", HOSTILE, HOSTILE + "2", (Move(HOSTILE, HOSTILE, 1),),
        (Cause(HOSTILE, HOSTILE, "rejects", HOSTILE, (Move(HOSTILE, HOSTILE, HOSTILE),), HOSTILE, HOSTILE),), (),
        (FileDiff(HOSTILE, "new", ("```", "</details>", "+@team"), 1, 0),), HOSTILE,
    )  # fmt: skip
    edit = Edit("thresholds", HOSTILE, "changed", (Move("value", HOSTILE, 2),), True, f"{HOSTILE}:3", HOSTILE, HOSTILE, HOSTILE)
    name = RulesName(HOSTILE, HOSTILE, HOSTILE)
    kept, tool = (Kept(HOSTILE, state, HOSTILE, False, ()) for state in ("newer", "refused")), Tool(HOSTILE, HOSTILE, "1", (HOSTILE, "2"))
    return Comparison(name, replace(name, digest="2"), 1, (change,), (edit,), (HOSTILE,), (HOSTILE,), tool=tool, kept=tuple(kept))


def test_hostile_text() -> None:
    """Control and direction characters never come through as they are."""
    for form in ("text", "markdown", "github"):
        text = report(hostile(), form)
        assert "\x1b" not in text
        assert "\u202e" not in text
    json.loads(report(hostile(), "json"))


def test_hostile_annotations() -> None:
    """Each line is one command of ours."""
    for line in report(hostile(), "github").splitlines():
        assert re.match(r"::(error|warning|notice) [^:\n]*::", line)


def without_code(text: str) -> str:
    """Markdown without its code spans and fences."""
    text = re.sub(r"(?ms)^(`{3,})diff\n.*?^\1$", "", text)
    return re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)


def test_hostile_markdown() -> None:
    """Outside code there is no mention, no HTML of theirs and no table cell of theirs."""
    text = report(hostile(), "markdown")
    assert text.startswith(MARKER)
    rest = without_code(text)
    assert not re.search(r"@\w", rest)
    assert "<img" not in rest
    assert rest.count("<details>") == rest.count("</details>") == 1
    for line in text.splitlines():
        if line.startswith("| ") and "---" not in line:
            assert len(re.findall(r"(?<!\\)\|", line)) == 4, line


def several(count: int, files: int = 0) -> Comparison:
    """As many changes, each with a cause of its own, and more edits."""
    lines = tuple(f"+{'x' * 100}" for _ in range(files))
    diffs = (FileDiff("a", "new", lines, files, 0),) if files else ()
    many = [replace(CHANGES[0], name=f"s{i}", spec=f"s{i}", edits=(f"thresholds/n{i}",), files=diffs) for i in range(count)]
    edits = tuple(replace(EDITS[1], name=f"n{i}") for i in range(500))
    return replace(RESULT, changes=tuple(many), edits=edits, specs=count)


@pytest.mark.parametrize("verbose", [False, True])
def test_a_comment_is_never_too_long(verbose: bool) -> None:
    text = report(several(300, 100), "markdown", verbose)
    assert len(text.encode()) <= MOST_BYTES + 500
    assert "left out" in text
    assert "and 285 more" in text


@pytest.mark.parametrize("result", [MANY, several(300, 100), RESULT, NOTHING], ids=["one-cause", "many-causes", "few", "none"])
def test_a_comment_fits_a_screen(result: Comparison) -> None:
    """What is not folded; and where there is one cause, all of it."""
    text = report(result, "markdown")
    shown = re.sub(r"(?s)<details>.*?</details>", "<details></details>", text)
    assert len(shown.splitlines()) <= MOST_LINES
    if result.specs < 300:
        assert len(text.splitlines()) <= MOST_LINES


def test_the_sum_comes_first() -> None:
    first = report(MANY, "text").splitlines()[0]
    assert first == (
        "26 of 45 specs decide differently: 1 no longer fits, 25 change engine. GPUs 61 → 60; cost 84.31 → 83 USD an hour, of 12 specs with a price; "
        "worst quality loss 0.5 → 2.13 percent (chat-07); 1 newly misses an objective: chat-01. 19 decide as before."
    )


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("code", "x code"), (["a", "b"], "x a or b"), ({"not": "a"}, "x other than a"), ({"not": ["a", "b"]}, "x other than a or b"),
        ({"over": 4}, "x over 4"), ({"min": 2, "below": "top"}, "x min 2 and below top"), (True, "x"), (False, "no x"),
    ],
)  # fmt: skip
def test_cells_in_words(cell: object, words: str) -> None:
    assert said("cell", "x", cell) == words


def test_text_is_capped_too() -> None:
    text = report(several(300), "text")
    assert "and 260 more specs (-v shows them)" in text
    assert len(text.splitlines()) < 110


NAMES = [
    "a\n::error::x", "\n::add-mask::a", "a\r::stop-commands::x", "##[set-output name=changed]false", "@octocat", "@org/team", "#1", "o/r#1", "GH-1",
    "https://example.org/x.png", "www.example.org", "![x](https://example.org/x.png)", "[x](https://example.org)", "<img src=//example.org>", "<!-- ",
    "</details>", "<details open>", "```", "~~~~", "a|b", "a\\|b", "a\\", "`a`|`", "a``", "\u2028::error::x", "\u202e", "-->", "&lt;img&gt;", "<https://example.org>",
    "me@example.org", "[^1]", "# x", "***", "- [ ] x", "$$x$$", ":tada:", "<script>", "a\tb", " ", "",
]  # fmt: skip


def named(*texts: str) -> Comparison:
    """A comparison with texts of a pull request in every place that they can reach."""
    one, two, three = texts
    change = Change(
        one, two, "method", "rules", three, one + two, (Move(one, two, three),),
        (Cause(one, two, "rejects", three, (Move(one, two, three),), one, two),), (),
        (FileDiff(one, "new", (two, three), 1, 0),), three,
    )  # fmt: skip
    edit = Edit("thresholds", two, "changed", (Move("value", one, three), Move(two, three, one)), True, f"{one}:3", two, three, one)
    name = RulesName(one, two, three)
    kept, tool = (Kept(one, state, two, False, ()) for state in ("newer", "refused")), Tool(one, two, "1", (three, "2"))
    return Comparison(name, replace(name, digest="2"), 1, (change,), (edit,), (one, two), (three,), tool=tool, kept=tuple(kept))


TEXT = st.one_of(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4).map("".join), st.text(max_size=40))
texts_of_a_pull_request = given(st.tuples(TEXT, TEXT, TEXT))


@texts_of_a_pull_request
def test_no_name_is_a_command(texts: tuple[str, str, str]) -> None:
    """In the log no line is a command but ours."""
    result = named(*texts)
    for line in report(result, "github").split("\n"):
        assert re.match(r"::(error|warning|notice) [^:]*::", line), line
    prefixed = report(named(*(f"x{text}" for text in texts)), "text", verbose=True)
    assert not re.search(r"(?m)^\s*(::|##\[)", prefixed), "a line end in a name begins a line"


@texts_of_a_pull_request
def test_no_name_is_more_than_text(texts: tuple[str, str, str]) -> None:
    """In the comment, as GitHub renders it, nothing is a link, an image, a mention, a reference, or markup of theirs."""
    cmark = pytest.importorskip("cmarkgfm", reason="GitHub's own reader of Markdown")
    text = report(named(*texts), "markdown")
    assert text.count(MARKER) == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\x85\u2028\u2029\u202a-\u202e\u2066-\u2069]", text)
    html = cmark.github_flavored_markdown_to_html(text, options=cmark.cmark.Options.CMARK_OPT_UNSAFE)
    tags = set(re.findall(r"</?([a-zA-Z][a-zA-Z0-9]*)", html))
    assert tags <= {"h3", "p", "code", "pre", "details", "summary", "table", "thead", "tbody", "tr", "th", "td", "strong", "br"}, html
    assert html.count("<details>") == html.count("</details>") == 1
    assert html.count("<tr>") == 4
    assert html.count("<td>") == 6
    outside = re.sub(r"(?s)<pre.*?</pre>|<code>.*?</code>", "", html)
    assert not re.search(r"(?i)[@#]\w|GH-\d|www\.\w|://", outside), outside
