"""`gen-deploy report`: every figure on the page is one of `plan --json`, hostile words stay words, and the page stays small and whole."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from command import run

from generator.cli.report import MARK

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
VOID = {"meta", "link", "br"}
CELLS = {"td", "th"}
ENDED_BY_START = {"td": {*CELLS, "tr"}, "th": {*CELLS, "tr"}, "tr": {"tr"}, "li": {"li"}}
ENDED_BY_END = {"td": {"tr", "tbody", "table"}, "th": {"tr", "tbody", "thead", "table"}, "tr": {"tbody", "table"}, "li": {"ul"}}
"""Elements that HTML ends without an end tag, and the tags that end them."""


class Node:
    """An element with its attributes, its parts and its text."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes, self.parts = tag, attributes, list[Any]()

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def all(self) -> list[Node]:
        return [self, *(one for part in self.parts if isinstance(part, Node) for one in part.all())]

    def find(self, tag: str | None = None, **wanted: str) -> list[Node]:
        names = {name.rstrip("_").replace("_", "-"): value for name, value in wanted.items()}
        return [one for one in self.all() if tag in (None, one.tag) and all(value in one.attributes.get(name, "").split() for name, value in names.items())]


class Reader(HTMLParser):
    """A strict reader: whatever is not closed or closes nothing is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = [Node("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        while tag in ENDED_BY_START.get(self.stack[-1].tag, ()):
            self.stack.pop()
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.stack[-1].parts.append(node)
        if tag not in VOID:
            self.stack.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.stack.pop()

    def handle_endtag(self, tag: str) -> None:
        while self.stack[-1].tag != tag and tag in ENDED_BY_END.get(self.stack[-1].tag, ()):
            self.stack.pop()
        assert self.stack.pop().tag == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        self.stack[-1].parts.append(data)


def read(file: Path) -> Node:
    reader = Reader()
    reader.feed(file.read_text(encoding="utf-8"))
    reader.close()
    assert len(reader.stack) == 1
    return reader.stack[0]


def at(data: Any, path: str) -> Any:
    """What stands at `alternatives.0.memory.total`."""
    for word in path.strip(".").split(".") if path else ():
        data = data[int(word)] if isinstance(data, list) else data[word]
    return data


def number(text: str) -> float | None:
    return None if text.strip() in ("–", "unknown") else float(text.replace(",", ""))


def percent(node: Node, name: str) -> float:
    return float(node.attributes.get(name, "0").removesuffix("%"))


def check_figures(page: Node, plan: dict[str, Any]) -> int:
    """Compare every figure that names its place with the object of `plan --json`; returns how many there are."""
    seen = 0
    for node in page.find():
        path = node.attributes.get("data-at")
        if path is None:
            continue
        if node.tag == "span":
            assert number(node.text) == pytest.approx(at(plan, path), rel=1e-5), path
        elif node.tag == "td":
            shown, value = node.text.strip(), at(plan, path)
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert number(shown) == pytest.approx(value, rel=1e-5), path
            else:
                assert shown == value if isinstance(value, str) else shown, path
        elif node.tag == "tr" and path.startswith("rejected."):
            assert [code.text for code in node.find("code")] == [row["id"] for row in at(plan, path)["rows"]]
        elif node.tag == "tr" and path.startswith("sweep."):
            point = at(plan, path)
            cells = [part.text for part in node.parts if isinstance(part, Node)]
            keys = [key for key in ("output_tokens_per_second", "tpot_ms", "ttft_ms") if any(p[key] for p in plan["sweep"])]
            assert number(cells[0]) == point["concurrency"] and cells[-1].strip() == point["limited_by"]
            for key, cell in zip(keys, cells[1:-1], strict=True):
                found = [number(one) for one in re.findall(r"[\d,.]+", cell)]
                assert found == pytest.approx([point[key], *(point["error_band"][key] or ())], rel=1e-5), (path, key)
        elif node.tag == "g":
            point = at(plan, path)
            values = [number(one.text) for one in node.find("tspan", class_="v")]
            assert values == [point[key] for key in ("output_tokens_per_second", "tpot_ms", "ttft_ms") if point[key]], path
        elif node.tag == "tr":
            cells, one = [part.text for part in node.parts if isinstance(part, Node)], at(plan, path) if path else plan
            named = one["choice"] if not path else one
            assert cells[0].startswith(f"{named['engine']}/{named['quantization']}/tp{named['tensor_parallel']}")
            memory, perf = one["memory"], one["performance"]
            expected = [perf["output_tokens_per_second"], perf["tpot_ms"], perf["ttft_ms"], one["quality"]["loss_percent"]["value"]]
            assert [number(cell) for cell in cells[2:6]] == pytest.approx(expected), path
            parts = sum(memory[key] for key in ("weights", "kv_needed", "activations", "cuda_graphs", "runtime", "draft", "adapters"))
            assert number(cells[6]) == pytest.approx(parts, abs=0.006), path
            gpus = named["tensor_parallel"] * named["pipeline_parallel"] * named["data_parallel"] * named["replicas"]
            assert (number(cells[7]), number(cells[8])) == (gpus, named["max_model_len"])
        elif node.tag == "svg":
            check_bar(node, at(plan, path))
        elif node.tag == "line":
            assert at(plan, path) > 0
        else:
            raise AssertionError(f"{node.tag} at {path} is not checked")
        seen += 1
    return seen


def check_bar(bar: Node, memory: dict[str, float]) -> None:
    """The widths of a bar are the figures, on one scale."""
    scale = percent(bar.find("rect", class_="room")[0], "width") / memory["capacity"]
    parts = [one for one in bar.find("rect") if one.attributes["class"] != "room" and one.attributes["class"] != "kv_needed"]
    parts += [] if any(one.attributes["class"] == "kv_cache" for one in parts) else bar.find("rect", class_="kv_needed")[:1]
    for one in parts:
        assert percent(one, "width") / scale == pytest.approx(memory[one.attributes["class"]], rel=5e-4, abs=0.011 / scale), one.attributes
    assert percent(bar.find("line", class_="limit")[0], "x1") / scale == pytest.approx(memory["budget"], rel=5e-4, abs=0.011 / scale)


def plan_of(page: Node, *words: str | Path) -> dict[str, Any]:
    """`plan --json` with the concurrencies that the page draws."""
    asked = [row.parts[0].text.replace(",", "") for row in page.find("tr") if row.attributes.get("data-at", "").startswith("sweep.")]
    return dict(run("plan", *words, "--json", *(["--sweep", f"concurrency={','.join(asked)}"] if asked else [])).json)


@pytest.mark.parametrize("name", ["agents-2xh100", "objectives-h100", "cpu-only", "laptop-m3", "deepseek-8xh200", "make-awq-mixed-l4", "offload-rtx4090"])
def test_every_figure_is_that_of_the_plan(name: str, tmp_path: Path) -> None:
    said = run("report", EXAMPLES / f"{name}.yaml", "-o", tmp_path / "page.html")
    assert (said.code, said.out) == (0, "")
    page = read(tmp_path / "page.html")
    plan = plan_of(page, EXAMPLES / f"{name}.yaml")
    assert check_figures(page, plan) > 20
    assert (tmp_path / "page.html").stat().st_size <= 500_000


def test_candidates_that_only_the_page_shows_are_those_of_a_plan_that_pins_them(tmp_path: Path) -> None:
    run("report", EXAMPLES / "latency-4xh100.yaml", "-o", tmp_path / "page.html")
    page = read(tmp_path / "page.html")
    rows = [row for row in page.find("table", class_="figures")[-1].find("tr") if row.find("td")]
    only = [row for row in rows if "data-at" not in row.attributes and re.fullmatch(r"vllm/[\w-]+/tp\d", row.parts[0].text.strip())]
    assert len(rows) > 100 and only
    engine, method, tp = only[0].parts[0].text.strip().split("/")
    text = (EXAMPLES / "latency-4xh100.yaml").read_text()
    (tmp_path / "pinned.yaml").write_text(f"{text}\npin: {{engine: {engine}, quantization: {method}, tensor_parallel: {tp[2:]}}}\n")
    plan = run("plan", tmp_path / "pinned.yaml", "--json").json
    same = [one for one in (plan["choice"] and plan, *plan["alternatives"]) if one and (one.get("choice") or one)["replicas"] == 1]
    assert number(only[0].parts[2].text) in [one["performance"]["output_tokens_per_second"] for one in same]


def test_the_page_shows_the_files_that_the_main_job_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(EXAMPLES / "t4-chat.yaml", tmp_path)
    run("t4-chat.yaml", "-o", "out", "--quiet")
    assert run("report", "t4-chat.yaml", "-o", "page.html").code == 0
    shown = {node.attributes["data-file"]: node.text.removeprefix("\n") for node in read(tmp_path / "page.html").find("pre") if "data-file" in node.attributes}
    written = {str(p.relative_to("out/t4-chat")): p.read_text() for p in Path("out/t4-chat").rglob("*") if p.is_file()}
    for name in [name for name in written if name in ("PLAN.md", "plan.json", "manifest.json") or name.endswith(("bench.sh", "eval.sh", ".env"))]:
        del written[name]
    assert shown == written


def test_the_page_loads_nothing_and_runs_only_its_own_script(tmp_path: Path) -> None:
    run("report", EXAMPLES / "t4-chat.yaml", "-o", tmp_path / "page.html")
    page, text = read(tmp_path / "page.html"), (tmp_path / "page.html").read_text()
    policy = page.find("meta", http_equiv="Content-Security-Policy")[0].attributes["content"]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    for tag, key in (("style", "style-src"), ("script", "script-src")):
        (part,) = page.find(tag)
        digest = base64.b64encode(hashlib.sha256(part.text.encode()).digest()).decode()
        assert f"{key} 'sha256-{digest}'" in policy and set(part.attributes) == set()
    for node in page.all():
        assert not {"src", "style", "srcdoc", "action"} & node.attributes.keys() and not any(name.startswith("on") for name in node.attributes)
        if node.tag in ("link", "use"):
            assert node.attributes["href"].startswith(("data:,", "#"))
        elif node.tag == "a":
            assert node.attributes["href"].startswith(("#", "https://", "http://"))
    assert "@import" not in text and "url(" not in text and MARK in text.encode()[:1024]
    targets = {node.attributes["id"] for node in page.all() if "id" in node.attributes}
    assert {node.attributes["href"][1:] for node in page.find("a") if node.attributes["href"].startswith("#")} <= targets


HOSTILE = ["</script><script>alert(1)</script>", "\"' onload='alert(1)", "<img src=x onerror=alert(1)>", "{{ 7*7 }}{% raw %}", "ספר שלום", "&lt;b&gt;"]


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_words_stay_words(word: str, tmp_path: Path) -> None:
    model = {"id": f"my-org/{word}", "parameters": 7e9}
    data = {"version": 1, "name": "hostile", "model": model, "hardware": {"gpu": "L4-24GB"}, "workload": {"profile": "chat"}}
    (tmp_path / "hostile.yaml").write_text(json.dumps(data, ensure_ascii=False))
    said = run("report", tmp_path / "hostile.yaml", "-o", tmp_path / "page.html")
    if not (tmp_path / "page.html").exists():
        assert said.code == 1 and "error[" in said.err  # the spec itself refuses it
        return
    page, plain = read(tmp_path / "page.html"), tmp_path / "plain.html"
    (tmp_path / "plain.yaml").write_text(json.dumps(data | {"model": {"id": "my-org/my-model", "parameters": 7e9}}))
    run("report", tmp_path / "plain.yaml", "-o", plain)
    kinds = [[(node.tag, sorted(node.attributes)) for node in one.all()] for one in (page, read(plain))]
    assert kinds[0] == kinds[1]
    assert f"my-org/{word}" in page.find("h1")[0].text


def test_text_of_a_rule_set_is_escaped_and_cannot_turn_direction() -> None:
    from generator.cli.report import entry_of
    from generator.decide.decision import decide
    from generator.report.page import page
    from generator.rulebook.book import load
    from generator.spec.deployment import read_spec

    entry = entry_of(decide(read_spec(EXAMPLES / "t4-chat.yaml"), load("default")), [])
    entry.plan["warnings"].append({"id": "x</code><script>", "because": "left\u202eright\x1b[31m", "source": "bad", "at": "", "read": {}})
    text = page([entry], {"bad": {"url": "javascript:alert(1)", "title": "<b>"}})
    assert "x&lt;/code&gt;&lt;script&gt;" in text and "\u202e" not in text and "left\\u202eright\\x1b[31m" in text and 'href="javascript:' not in text


def test_where_nothing_fits_the_page_says_why(tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_text("model: meta-llama/Llama-3.1-70B-Instruct\nhardware: {gpu: T4-16GB}\n")
    said = run("report", tmp_path / "big.yaml", EXAMPLES / "t4-chat.yaml", "-o", tmp_path / "page.html")
    assert said.code == 4 and "error[nothing-fits]" in said.err
    page = read(tmp_path / "page.html")
    big, small = page.find("article")
    assert "Nothing fits" in big.text and "error[nothing-fits]" in big.text and "Nothing fits" not in small.text
    check_figures(big, run("plan", tmp_path / "big.yaml", "--json").json)


def test_a_bad_spec_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("model: nothing/known\nhardware: {gpu: T4-16GB}\n")
    said = run("report", tmp_path / "bad.yaml", EXAMPLES / "t4-chat.yaml", "-o", tmp_path / "page.html")
    assert said.code == 1 and "bad.yaml:1:" in said.err
    page = read(tmp_path / "page.html")
    assert len(page.find("article")) == 1 and "bad.yaml could not be planned" in page.text
    assert run("report", tmp_path / "bad.yaml", "-o", tmp_path / "none.html").code == 1
    assert not (tmp_path / "none.html").exists()


@pytest.mark.parametrize("place", ["missing/page.html", "folder", "spec.yaml", "link"])
def test_a_place_that_is_no_page_is_refused_before_any_work(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "spec.yaml").write_text("model: x\n")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for words in (["report"], ["plan", "--report"]):
        said = run(words[0], EXAMPLES / "t4-chat.yaml", *(words[1:] or ["-o"]), tmp_path / place)
        assert said.code == 5 and "error[cannot-write]" in said.err and said.out == ""
    assert (tmp_path / "spec.yaml").read_text() == "model: x\n" and not (tmp_path / "missing").exists()


def test_plan_writes_the_page_of_its_sweep_too(tmp_path: Path) -> None:
    words = ["--sweep", "concurrency=2..8"]
    said = run("plan", EXAMPLES / "t4-chat.yaml", *words, "--report", tmp_path / "a.html", "--json")
    assert said.code == 0 and check_figures(read(tmp_path / "a.html"), said.json) > 20
    assert run("report", EXAMPLES / "t4-chat.yaml", *words, "-o", tmp_path / "b.html").code == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert run("report", EXAMPLES / "t4-chat.yaml", *words, "-o", tmp_path / "b.html").code == 0  # a page is replaced


def test_two_rule_sets_side_by_side(tmp_path: Path) -> None:
    words = [EXAMPLES / "t4-chat.yaml", EXAMPLES / "code-rtx4090.yaml"]
    assert run("report", *words, "--compare", "handbook..default", "-o", tmp_path / "page.html").code == 0
    changes = {change["name"]: change for change in run("diff", "handbook..default", *words, "--json").json["changes"]}
    for article in read(tmp_path / "page.html").find("article"):
        name = article.attributes["data-spec"]
        moved = [row for row in article.find("tr", class_="moved") if row.find("td")]
        old, new = (run("plan", EXAMPLES / f"{name}.yaml", "--rules", rules, "--json").json["choice"] for rules in ("handbook", "default"))
        assert changes[name]["decisive"] and len(moved) >= 2
        first = next(row for row in moved if row.find("td", data_at="choice.engine_version") or row.find("td", data_at="choice.engine"))
        key = first.find("td")[1].attributes["data-at"].removeprefix("choice.")
        assert [cell.text.strip() for cell in first.find("td")] == [old[key], new[key]]
    assert run("report", *words, "--compare", "handbook..default", "--engine", "vllm", "-o", tmp_path / "page.html").code == 2


@pytest.mark.slow
def test_fifty_specs_are_at_most_three_megabytes(tmp_path: Path) -> None:
    specs = [*sorted(EXAMPLES.glob("*.yaml")), *sorted((EXAMPLES / "all-engines").glob("*.yaml"))]
    assert len(specs) >= 50
    assert run("report", *specs[:50], "-o", tmp_path / "page.html").code == 0
    assert (tmp_path / "page.html").stat().st_size <= 3_000_000
    assert len(read(tmp_path / "page.html").find("article")) == 50
