"""Writes docs/reference/: commands, spec keys, messages, GPUs, models, methods and rules, from the code and the rules.

    python scripts/reference.py            writes what has changed
    python scripts/reference.py --check    writes nothing; exit 1 where something has
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click
import yaml
from blocks import ROOT, cell, put, table
from doc_tables import names, tables, thresholds

from generator.cli.main import COMMANDS, cli
from generator.rulebook.book import RuleBook, load

NOTE = "<!-- Written by scripts/reference.py. Do not edit. -->"
CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
SAID_BY = {"Problem": 0, "fail": 0, "Finding": 0, "error": 0, "refused": 0, "internal": 0, "Reason": 0, "problem": 1, "_problem": 1, "_fail": 1}
"""Calls of the code that make a message, and which of their words is its code."""
INDIRECT = {
    "not-together": ("generator/verify/semantics.py", '"not-together"'),
    "requires": ("generator/spec/project.py", '= CODE = "requires"'),
    "stale-source": ("generator/rulebook/lint/findings.py", 'f"stale-{what}"'),
    "unknown-kv-cache-dtype": ("generator/decide/context.py", "f\"unknown-{key.replace('_', '-')}\""),
    "wrong-value": ("generator/verify/engine_yaml.py", '"wrong-value"'),
}
"""Codes that are put together where they are said: the module, and its text that does it."""


def main() -> int:
    """Write what has changed."""
    book = load()
    pages = {
        "commands": ("Commands", commands()),
        "spec-keys": ("Spec keys", spec_keys()),
        "messages": ("Messages and codes", messages(book)),
        "gpus": ("GPUs", gpus(book)),
        "models": ("Models", models(book)),
        "methods": ("Methods of quantization", methods(book)),
        "rules": ("Rules: tables, thresholds, names", rules(book)),
    }
    return put({f"docs/reference/{name}.md": {"": f"{NOTE}\n\n# {title}\n\n{text}\n"} for name, (title, text) in pages.items()})


def commands() -> str:
    """What each command takes: from its parameters, since releases of click format their help differently."""
    parts = ["In words: [the command line](../commands.md)."]
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        rows = [(f"`{words(one)}`", one.help) for one in command.params if isinstance(one, click.Option) and not one.hidden]
        if isinstance(command, click.Group):
            found = (command.get_command(click.Context(command), sub) for sub in command.list_commands(click.Context(command)))
            rows += [(f"`{one.name}`", one.help) for one in found if one is not None]
        usage = " ".join(["gen-deploy", name, *(words(one) for one in command.params if isinstance(one, click.Argument))])
        parts += [f"## {name}", f"`{usage}`", *map(cell, (command.help or "").split("\n\n")), table(("option", "does"), rows)]
    return "\n\n".join(parts)


def words(one: click.Parameter) -> str:
    """How a parameter is written."""
    shown = one.metavar or ("|".join(map(str, one.type.choices)) if isinstance(one.type, click.Choice) else (one.name or "").upper())
    if isinstance(one, click.Argument):
        return shown if one.required or one.metavar else f"[{shown}]"
    names = ", ".join([*one.opts, *one.secondary_opts])
    return names if isinstance(one, click.Option) and (one.is_flag or one.count) else f"{names} {shown}"


def spec_keys() -> str:
    """Every key of a spec, with its type, from the JSON Schema."""
    schema = json.loads((ROOT / "rules/schemas/spec.json").read_text(encoding="utf-8"))
    rows = ((f"`{path}`", kind(entry), entry.get("description")) for path, entry in keys(schema, schema, ""))
    return "From the schema that `gen-deploy schema` prints. In words: [the spec](../spec.md).\n\n" + table(("key", "value", "is"), rows)


def keys(entry: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The keys below an entry of the schema."""
    if "$ref" in entry:
        entry = {**schema["$defs"][entry["$ref"].rpartition("/")[2]], **entry}
    for name, one in {**entry.get("properties", {}), **entry.get("then", {}).get("properties", {})}.items():
        whole = {**schema["$defs"][one["$ref"].rpartition("/")[2]], **one} if "$ref" in one else one
        yield path + name, whole
        yield from keys(one, schema, f"{path}{name}.")


def kind(entry: Mapping[str, Any]) -> str:
    """What a key may hold, in a few words."""
    if "anyOf" in entry or "oneOf" in entry:
        return "; or ".join(kind(one) for one in entry.get("anyOf", entry.get("oneOf")) if one.keys() != {"required"})
    if "const" in entry or "enum" in entry:
        return ", ".join(f"`{json.dumps(word) if isinstance(word, bool) else word}`" for word in entry.get("enum", [entry.get("const")]))
    given = entry.get("type", "any")
    said = " or ".join({"object": "mapping", "array": "list", "string": "text"}.get(one, one) for one in ([given] if isinstance(given, str) else given))
    low, above, high = (entry.get(word) for word in ("minimum", "exclusiveMinimum", "maximum"))
    if low is not None and high is not None:
        said += f" from {low:,.10g} to {high:,.10g}"
    elif above is not None:
        said += f" above {above:,.10g}"
    elif low is not None:
        said += f" from {low:,.10g}"
    return said + (f"; {entry['form']}" if "form" in entry else "")


def codes() -> dict[str, dict[str, list[str]]]:
    """docs/codes.yaml: by group, each code in English and Chinese."""
    data: dict[str, dict[str, list[str]]] = yaml.safe_load((ROOT / "docs/codes.yaml").read_text(encoding="utf-8"))["codes"]
    return data


def rows_in_chinese() -> dict[str, str]:
    """docs/codes.yaml: rows that warn or reject, in Chinese."""
    data: dict[str, str] = yaml.safe_load((ROOT / "docs/codes.yaml").read_text(encoding="utf-8"))["rows"]
    return data


def said() -> set[str]:
    """The codes that the code says, as literals of calls, and those of the tables of the hub's errors and of faults."""
    found = {entry["code"] for entry in json.loads((ROOT / "rules/hub_errors.json").read_text(encoding="utf-8"))["known"]}
    found |= json.loads((ROOT / "rules/faults.json").read_text(encoding="utf-8"))["says"].keys()
    for path in (ROOT / "generator").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r"(?:error|warning|note)\[([a-z-]+)\]", text)) - {"code"}
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                at = SAID_BY.get(name)
                if at is not None and len(node.args) > at and isinstance(node.args[at], ast.Constant | ast.IfExp):
                    words = (one.value for one in ast.walk(node.args[at]) if isinstance(one, ast.Constant) and isinstance(one.value, str))
                    found |= {word for word in words if CODE.fullmatch(word)}
    return found


def messages(book: RuleBook) -> str:
    """Every code, and every row that warns or rejects, in English and Chinese."""
    parts = ["Messages are `file:line:column: error[code]: text`. 消息是英文，代码的含义见下表。"]
    spoken = said() | INDIRECT.keys()
    for group, entries in codes().items():
        rows = ((f"`{code}`", english, chinese) for code, (english, chinese) in sorted(entries.items()) if code in spoken)
        parts += [f"## {group}", table(("code", "means", "含义"), rows)]
    chinese = rows_in_chinese()
    for name, title in (("warn", "Warnings of a plan 方案的警告"), ("reject", "Why a candidate is rejected 方案被否决的原因")):
        found = ((f"`{row}`", because, chinese.get(row)) for row, because in sorted(rows_that_speak(book, name).items()))
        parts += [f"## {title}", table(("row", "because", "含义"), found)]
    return "\n\n".join(parts)


def rows_that_speak(book: RuleBook, name: str) -> dict[str, str]:
    """Rows of `warn` or `reject` with their reasons; to the warnings belong those of gates."""
    found = {row.id: row.because for row in book.tables[name].rows}
    gates = book.section("gates").items() if name == "warn" else ()
    return found | {gate: entry["because"] for gate, entry in gates if entry.get("does") == "warn"}


def gpus(book: RuleBook) -> str:
    """The GPUs of the catalogue."""
    shown = ("memory_gb", "capacity_gib", "bandwidth_gb_per_s", "interconnect")
    entries = book.section("gpus").items()
    rows = ((f"`{name}`", one["vendor"], f"`{one['architecture']}`", *(one.get(key) for key in shown)) for name, one in entries)
    head = ("GPU", "maker", "generation", "GB on the box:", "GiB by the driver:", "GB/s:", "link")
    note = "A dash under *by the driver*: no log is known, and [a share is assumed](../spec.md#memory-that-the-driver-reports)."
    return f"{note}\n\n{table(head, rows)}"


def models(book: RuleBook) -> str:
    """The models of the catalogue with the methods that have published weights."""
    entries = sorted(book.section("models").items(), key=lambda entry: entry[0].lower())
    rows = ((f"`{name}`", one["family"], sorted({*(one.get("checkpoints") or {}), *(["gguf"] if one.get("gguf") else [])})) for name, one in entries)
    return "Any other model of the hub: [the lock](../lock.md).\n\n" + table(("model", "family", "published weights besides its own"), rows)


def methods(book: RuleBook) -> str:
    """The methods of quantization."""
    rows = ((f"`{name}`", one.get("weight_bits"), one["family"], one.get("title")) for name, one in book.section("methods").items())
    return table(("method", "bits:", "family", "is"), rows)


def rules(book: RuleBook) -> str:
    """Tables, thresholds and names."""
    note = "At the newest engine version. Those of profiles are in [the spec](../spec.md#workload), those of physics in `rules/physics/`."
    parts = ["How they are read: [the rules](../rules.md).", "## Tables", tables(book), "## Thresholds", note, thresholds(book)]
    return "\n\n".join([*parts, "## Names", names(book)])


if __name__ == "__main__":
    sys.exit(main())
