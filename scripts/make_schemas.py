"""Writes the JSON Schemas of `rules/schemas/` (all but that of a spec, which stands for itself).

The names that rows read, the settings that they set and the entries of the catalogue come from the shipped rules, so that an editor
completes them. Run it after a change of the vocabulary or of a name in the catalogue; `--check` says whether that is needed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from output_schemas import outputs  # noqa: E402

from generator.rulebook.rules_check import catalogue_words  # noqa: E402
from generator.rulebook.rulesets import put_together  # noqa: E402
from generator.rulebook.table import LABELS  # noqa: E402
from generator.throughput.steps import BACK_ENDS  # noqa: E402

Schema = dict[str, Any]
FOLDER = ROOT / "rules" / "schemas"

TEXT: Schema = {"type": "string", "minLength": 1}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 10**15}
SOME: Schema = {"type": "integer", "minimum": 1, "maximum": 10**9}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 10**9}
GROUP: Schema = {"type": "integer", "minimum": -1, "maximum": 10**6, "description": "Weights that share a scale; -1: a whole row."}
BITS: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 64}
FLAG: Schema = {"type": "boolean"}
VERSION: Schema = {"type": "string", "pattern": "^[0-9A-Za-z.+_-]+$", "description": "A version, quoted."}
DAY: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "description": "A day such as 2026-11-24."}
WORDS: Schema = {"type": "array", "items": TEXT}
ENV: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
SOURCE: Schema = {"type": ["string", "array"], "minLength": 1, "items": TEXT, "description": "A key of sources/, or several."}
ID: Schema = {
    "type": "string",
    "pattern": "^[a-z0-9]+([._-][a-z0-9]+)*$",
    "description": "A stable word: its identity in traces, cases and diffs.",
}
DIGEST: Schema = {
    "type": "string",
    "pattern": "^[0-9a-f]{12}$",
    "description": "The digest of what this replaces (`gen-deploy rules show ID` prints it), so that lint can say when that has changed.",
}
HANDBOOK: Schema = {
    "type": "object",
    "description": "What the handbook says of it.",
    "properties": {"memory_gb": POSITIVE, "tokens_per_second": POSITIVE, "speed": POSITIVE},
}
SCALAR: Schema = {"type": ["string", "number", "boolean"]}
SCALARS: Schema = {"type": "array", "items": SCALAR}
CELL_FORM: Schema = {
    "description": "x, [x, y] (any of them), {not: x}, {min: ≥, over: >, below: <, max: ≤} with a number or the name of a threshold, or unknown.",
    "type": ["string", "number", "boolean", "array", "object"],
    "items": SCALAR,
    "minItems": 1,
    "minProperties": 1,
    "additionalProperties": False,
    "properties": {
        "not": {
            "type": ["string", "number", "boolean", "array"],
            "items": SCALAR,
            "minItems": 1,
            "description": "None of these; never what is unknown.",
        },
        "min": {"type": ["number", "string"], "description": "At least (≥)."},
        "over": {"type": ["number", "string"], "description": "More than (>)."},
        "below": {"type": ["number", "string"], "description": "Less than (<)."},
        "max": {"type": ["number", "string"], "description": "At most (≤)."},
    },
}


def mapping(properties: Schema, required: tuple[str, ...] = (), description: str = "") -> Schema:
    """An object of just these keys."""
    more = {"required": list(required)} if required else {}
    return {
        **({"description": description} if description else {}),
        "type": "object",
        "additionalProperties": False,
        **more,
        "properties": properties,
    }


def by_name(entry: Schema, description: str) -> Schema:
    """An object whose keys are names of entries."""
    return {"description": description, "type": "object", "additionalProperties": entry}


def document(title: str, properties: Schema, required: tuple[str, ...], parts: Schema | None = None) -> Schema:
    """A whole schema."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return {**head, **mapping(properties, required), **({"$defs": parts} if parts else {})}


def cell(entry: Schema, merged: Schema) -> Schema:
    """The cell of one name, with its words to choose from."""
    unit = f" ({entry['unit']})" if "unit" in entry else ""
    described = f"{entry['meaning']}{unit}. Known per {entry['stage']}; from {entry['origin']}."
    if entry["type"] == "flag":
        return {"description": described, "enum": [True, False, "unknown"]}
    if entry["type"] == "number":
        return {"description": described, "$ref": "#/$defs/number"}
    if "from" in entry and catalogue_words(merged, entry["from"]):
        return {"description": described, "$ref": f"#/$defs/of_{entry['from']}"}
    return {"description": described, "anyOf": _one_or_many({"enum": entry["values"]} if entry.get("values") else {"type": "string"})}


def cell_forms(merged: Schema) -> Schema:
    """What cells of several names have in common: a number, and the words of each part of the catalogue or others."""
    bounds = {key: part for key, part in CELL_FORM["properties"].items() if key != "not"}
    compare = {"type": "object", "additionalProperties": False, "minProperties": 1, "properties": bounds}
    known = {entry["from"]: catalogue_words(merged, entry["from"]) for entry in merged["names"].values() if "from" in entry}
    forms = {f"of_{name}": _one_or_many({"$ref": f"#/$defs/word_of_{name}"}) for name, words in known.items() if words}
    words_of = {f"word_of_{name}": {"anyOf": [{"enum": words}, {"type": "string"}]} for name, words in known.items() if words}
    return {"number": {"anyOf": [compare, *_one_or_many({"type": "number"})]}, **{name: {"anyOf": form} for name, form in forms.items()}, **words_of}


def _one_or_many(one: Schema) -> list[Schema]:
    many = {"type": "array", "items": one, "minItems": 1}
    refused = {"type": "object", "additionalProperties": False, "required": ["not"], "properties": {"not": {"anyOf": [one, many]}}}
    return [one, many, refused, {"const": "unknown"}]


def table(merged: Schema) -> Schema:
    """Decision tables."""
    names, settings = merged["names"], merged["settings"]
    values = {
        key: {"description": entry["meaning"], **({"anyOf": [{"enum": entry["values"]}, SCALAR]} if entry.get("values") else SCALAR)}
        for key, entry in settings.items()
    }
    ranked = [name for name, entry in names.items() if entry["type"] in ("number", "flag")]
    ordered = {name: {"$ref": "#/$defs/places"} for name in names}  # what each means stands under `when`
    row = mapping(
        {
            "id": ID,
            "when": {"$ref": "#/$defs/when"},
            "otherwise": {"const": True, "description": "The row matches whatever is left."},
            "set": {"$ref": "#/$defs/set"},
            "rank": {"$ref": "#/$defs/rank"},
            "beyond": {"const": "uncertainty", "description": "Estimates only count where they differ by more than they err against each other."},
            "unbeaten": {
                "description": "Drops candidates that another one beats: no worse in any of these, better in one.",
                **mapping({key: {"type": "array", "items": {"enum": ranked}} for key in ("higher", "lower")}),
            },
            "order": {"$ref": "#/$defs/order"},
            "because": {**TEXT, "description": "Why, in a clause: it is printed as the reason."},
            "source": {"type": "string", "description": "A key of sources/: who says so."},
            "evidence": {"description": "Notes for a reviewer."},
            "replaces": DIGEST,
            "before": {**ID, "description": "The row that this new one stands before; without it, it goes to the end."},
        },
        ("id", "because"),
    )
    parts: Schema = {
        "row": row,
        "cell": CELL_FORM,
        **cell_forms(merged),
        "when": {
            "description": "All cells must hold.", **mapping({name: cell(entry, merged) for name, entry in names.items()}),
            "patternProperties": {f"^{LABELS}": {"$ref": "#/$defs/cell"}},
        },
        "when_form": by_name(CELL_FORM, "All cells must hold."),
        "set": {"description": "A literal, a threshold or a name for each key.", "minProperties": 1, **mapping(values)},
        "set_form": {**by_name(SCALAR, "A literal, a threshold or a name for each key."), "minProperties": 1},
        "rank": {**mapping({key: {"enum": ranked} for key in ("higher", "lower")}), "minProperties": 1, "maxProperties": 1},
        "rank_form": {**mapping({key: {"type": "string"} for key in ("higher", "lower")}), "minProperties": 1, "maxProperties": 1},
        "order": {**mapping(ordered), "minProperties": 1, "maxProperties": 1},
        "order_form": {**by_name({"$ref": "#/$defs/places"}, "Words, best first."), "minProperties": 1, "maxProperties": 1},
        "places": {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean", "array"], "items": SCALAR}},
    }
    properties = {
        "table": {"enum": ["workload", "reject", "fit", "prefer", "settings", "warn", "quantize", "fits"]},
        "asks": {**TEXT, "description": "The question that the table answers."},
        "hit": {
            "enum": ["collect", "first", "unique"],
            "description": "collect: every row that matches; first: in order; unique: exactly one.",
        },
        "off": {**WORDS, "description": "Rows of the rule set below that are switched off."},
        "rows": {"type": "array", "items": {"$ref": "#/$defs/row"}},
    }
    return document("A decision table", properties, ("table",), parts)


def cases(merged: Schema) -> Schema:
    """Cases: what a spec must be decided to, by which rows."""
    choice = {
        name: {"description": f"{name} of the choice."}
        for name in (
            "engine", "engine_version", "back_end", "quantization", "bits", "group_size", "checkpoint", "revision", "gguf_file", "weights", "kv_cache_dtype",
            "dtype", "tensor_parallel", "pipeline_parallel", "replicas", "max_model_len", "max_num_seqs", "max_num_batched_tokens", "gpu_memory_utilization",
        )
    }  # fmt: skip
    settings = {key: {"description": entry["meaning"]} for key, entry in merged["settings"].items()}
    candidate = mapping(choice, description="Words of the choice (a list: one of them); null: nothing fits.") | {"type": ["object", "null"]}
    exactly = {"type": "array", "items": ID, "uniqueItems": True}
    rows = mapping(
        {name: {**exactly, "description": f"Rows of `{name}`."} for name in ("workload", "fit", "settings", "quantize", "warn", "prefer", "reject", "fits")}
    )
    expect = mapping(
        {
            "choice": candidate,
            "settings": mapping(settings, description="Settings of the choice, by our own names; null: not set."),
            "rejected": {
                "type": "object", "additionalProperties": exactly,
                "description": "{ENGINE[/METHOD[/tpN…]]: [rows]}: these rows are among the reasons of a rejected candidate of that name.",
            },
            "figures": {"type": "array", "items": TEXT, "description": "Rejected candidates that keep their memory and KV cache."},
            "warnings": {**exactly, "description": "Rows among the warnings."},
            "no_warnings": {**exactly, "description": "Rows that are not."},
            "trace": {**rows, "description": "Rows that take part in the decision, among others."},
            "rows": {**rows, "description": "For each table named, exactly the rows that take part in the decision."},
            "engines": {"type": "array", "items": TEXT, "description": "Exactly the engines with a candidate that works."},
            "plan": {"type": "object", "description": "Figures of `plan --json` by path, such as rule_of_thumb.memory_gb."},
            "error": {**TEXT, "description": "The code of the error in the spec."},
        }
    )  # fmt: skip
    case = mapping(
        {
            "id": {**ID, "description": "The case's name; unique in its rule set."},
            "because": {**TEXT, "description": "What the case is there to show."},
            "given": {"type": "object", "description": "A spec."},
            "expect": {**expect, "minProperties": 1},
        },
        ("id", "given", "expect"),
    )
    parts: Schema = {"given": {"$ref": "spec.json"}, "given_form": {"type": "object"}}
    case["properties"]["given"] = {"$ref": "#/$defs/given"}
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Cases of a rule set: what a spec must be decided to, and by which rows",
    }
    return {**head, "type": "array", "items": case, "$defs": parts}


def policy_parts(merged: Schema) -> dict[str, Schema]:
    """Thresholds, vocabulary, sources, and the file that names a rule set."""
    number = {"type": "number", "description": "The number; it stands here and nowhere else."}
    versions = {
        "type": "array",
        "minItems": 1,
        "items": mapping({"since": VERSION, "value": number, "source": {"type": "string"}}, ("since", "value")),
    }
    threshold = mapping(
        {
            "meaning": TEXT,
            "unit": TEXT,
            "value": number,
            "by_version": versions,
            "source": {"type": "string"},
            "checked": DAY,
            "replaces": DIGEST,
        },
        ("meaning", "unit", "checked"),
    )
    threshold |= {"if": {"not": {"required": ["by_version"]}}, "then": {"required": ["value", "source"]}}
    threshold["else"] = {"anyOf": [{"required": ["source"]}, {"properties": {"by_version": {"items": {"required": ["source"]}}}}]}
    name = mapping(
        {
            "stage": {"enum": ["spec", "pair", "layout", "sized"]},
            "type": {"enum": ["word", "words", "flag", "number"]},
            "values": WORDS,
            "from": {"enum": sorted({entry["from"] for entry in merged["names"].values() if "from" in entry})},
            "unit": TEXT,
            "origin": TEXT,
            "meaning": TEXT,
        },
        ("stage", "type", "origin", "meaning"),
    )
    source = mapping(
        {"title": TEXT, "url": {"type": "string", "pattern": "^https?://"}, "where": TEXT, "read": DAY, "note": TEXT}, ("title", "read")
    )
    source |= {"if": {"not": {"required": ["url"]}}, "then": {"required": ["where"]}}
    extends = {**TEXT, "description": "The rule set below: default, handbook, or a folder relative to this one."}
    off = {
        "type": "object",
        "additionalProperties": WORDS,
        "description": "What is switched off: {thresholds: [name], gpus: […], models, methods, engines} or {TABLE: [row]}.",
    }
    ruleset = mapping(
        {
            "name": ID,
            "title": TEXT,
            "extends": extends,
            "sizing": {"enum": ["detailed", "rule-of-thumb"]},
            "fallback": mapping({"gpu": TEXT, "model": TEXT}, description="Entries that stand for what is not in the catalogue."),
        },
        ("name",),
    )
    setting = mapping({"values": WORDS, "meaning": TEXT}, ("meaning",))
    return {
        "thresholds": document("Thresholds: each number once", {"thresholds": by_name(threshold, "By name.")}, ("thresholds",)),
        "vocabulary": document(
            "What rules may read and set",
            {"names": by_name(name, "What a row may read."), "settings": by_name(setting, "What a row may set.")},
            (),
        ),
        "sources": document("Where numbers and rules come from", {"sources": by_name(source, "By key.")}, ("sources",)),
        "ruleset": document(
            "A rule set",
            {
                "ruleset": ruleset,
                "extends": extends,
                "off": off,
                "title": TEXT,
                "note": TEXT,
                "sources": by_name(source, "Sources of its own."),
                "thresholds": by_name(threshold, "Thresholds of its own, or replaced."),
            },
            ("ruleset",),
        ),
        "prices": document(
            "GPU prices per hour, for `plan --prices`",
            {
                "dated": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "description": "A day such as 2026-11-24."},
                "currency": TEXT,
                "source": TEXT,
                "per_gpu_hour": by_name({"type": "number", "minimum": 0}, "The price of each GPU."),
            },
            ("dated", "currency", "per_gpu_hour"),
        ),
        "project": document(
            "The project file gen-deploy.yaml",
            {
                "specs": {
                    "type": ["array", "string"],
                    "items": TEXT,
                    "minItems": 1,
                    "minLength": 1,
                    "description": "Globs of the specs, from here.",
                },
                "out": {**TEXT, "description": "The folder that generated files go to."},
                "rules": {**TEXT, "description": "The rule set: default, handbook, or a folder."},
                "requires": {
                    **TEXT,
                    "description": 'The versions of gen-deploy that may work on this project, as in ">=0.4,<0.5"; another one exits 1.',
                },
            },
            ("specs", "out"),
        ),
    }


def matrix(merged: Schema, more: Schema) -> Schema:
    """A row of a compatibility matrix: a statement, or several; and its form where architectures are one's own."""
    words = ["yes", "degraded", "plugin", "unknown", "no"]
    word, span = {"$ref": "#/$defs/word"}, {"$ref": "#/$defs/spans"}
    spans = {
        "type": ["string", "object"], "pattern": f"^({'|'.join(words)})$", "propertyNames": {"pattern": r"^from [0-9]+(\.[0-9]+)?$"},
        "additionalProperties": word, "description": "A word, or one for each span of compute capabilities: {from 7.5: degraded, from 8.9: 'yes'}.",
    }  # fmt: skip
    architectures = merged["architectures"]
    vendors = dict.fromkeys(dict.fromkeys(entry["vendor"] for entry in architectures.values()), word)
    vendors |= {entry["vendor"]: span for entry in architectures.values() if entry.get("compute_capabilities")}
    when = {"since": VERSION, "until": VERSION, "shape": {"enum": ["dense", "moe", "hybrid"], "description": "Models that it holds for."}}
    keys = {**when, "all": {"enum": words, "description": "All other hardware."}, "notes": TEXT, "source": SOURCE, **more}
    own = mapping({**vendors, **dict.fromkeys(architectures, word), **keys})
    form = {**mapping({**vendors, **keys}), "additionalProperties": word}
    parts: Schema = {"word": {"enum": words, "description": "Quote 'yes' and 'no'."}, "spans": spans, "statement": own, "statement_form": form}
    each = {"items": {"$ref": "#/$defs/statement"}, "minItems": 1}
    for name, one in (("row", own), ("row_form", form)):
        parts[name] = {**one, "type": ["object", "array"], **each, "description": "A statement, or several: the first that says something counts."}
    return parts


def fact_parts(merged: Schema) -> dict[str, Schema]:
    """Facts: hardware, models, methods, matrices."""
    architectures = list(merged["architectures"])
    vendor = {"enum": ["nvidia", "amd", "intel", "apple", "cpu"]}
    one_of_them = {"architecture": {"enum": architectures}, "architecture_form": TEXT}
    gpu = mapping(
        {
            "aliases": WORDS, "vendor": vendor, "architecture": {"$ref": "#/$defs/architecture"}, "compute_capability": POSITIVE,
            "memory_gb": {**POSITIVE, "description": "On the box, in the maker's gigabytes."},
            "capacity_gib": {**POSITIVE, "description": "What the driver reports, in GiB."},
            "bandwidth_gb_per_s": POSITIVE, "fp16_tflops": POSITIVE, "fp8_tflops": POSITIVE, "int8_tops": POSITIVE, "fp4_tflops": POSITIVE,
            "multiprocessors": COUNT, "interconnect": {"enum": ["nvlink", "xgmi", "pcie", "none"]}, "interconnect_gb_per_s": POSITIVE,
            "mig": by_name(mapping({"memory_gib": POSITIVE, "multiprocessors": COUNT}, ("memory_gib", "multiprocessors")), "Its slices, by profile."),
            "tdp_w": POSITIVE, "unified_memory": FLAG, "handbook": HANDBOOK, "source": SOURCE, "notes": TEXT, "replaces": DIGEST,
        }
    )  # fmt: skip
    checkpoint = mapping(
        {
            "id": {**TEXT, "description": "The repository."}, "layout": TEXT, "group_size": GROUP, "desc_act": FLAG,
            "padded": {"type": "object", "additionalProperties": {"type": "integer"}}, "types": WORDS, "source": SOURCE,
            "publisher": {**TEXT, "description": "Whose it is, where the id does not say so."},
            "fp8_cache": {**FLAG, "description": "It has scales for an FP8 KV cache."},
            "ignore": {**WORDS, "description": "Roles that its maker left in 16 bits besides embeddings and norms; an empty list: none."},
            "in_fp8": {**WORDS, "description": "Roles that its maker stored in FP8 in whatever method, such as lookup tables."},
            "narrow": {**WORDS, "description": "Roles that most makers leave in 16 bits and its maker did not, such as lm_head."},
            "bytes": {**COUNT, "description": "Of its safetensors files, where a source has it exactly."},
            "gb": {**POSITIVE, "description": "The same in decimal GB, as rounded by the source; of a whole repository where only that is said."},
            "gib": by_name(POSITIVE, "Sizes of GGUF files by type in GiB, as rounded by the source."),
            "file": {**TEXT, "description": "The word in the file's name that stands for the type, where it is not the type's own."},
        },
        ("id",),
    )  # fmt: skip
    by_engine = {"type": "object", "additionalProperties": TEXT}
    model = mapping(
        {
            "family": TEXT, "aliases": WORDS, "config": {"type": "object", "description": "What its config.json says of its shape."},
            "same_shape_as": {**TEXT, "description": "Another entry whose config this one shares."}, "config_overrides": {"type": "object"},
            "parameters_billion": POSITIVE, "fp16_gb": POSITIVE, "chat": FLAG, "gated": FLAG,
            "trust_remote_code": {
                "enum": [True, False, "tokenizer"],
                "description": "Its repository brings code; tokenizer: for the tokenizer too, which no engine has.",
            },
             "revision": TEXT,
            "checkpoints": by_name(
                {"anyOf": [checkpoint, {"type": "array", "minItems": 1, "items": checkpoint}]},
                "Prepared weights by method, one or several, best first; gguf has several types.",
            ),
            "tool_call_parser": by_engine, "reasoning_parser": by_engine, "tokenizer_mode": by_engine,
            "tool_template": {**by_engine, "description": "The chat template of the engine's own that its documentation gives for this model's tool calls."},
            "min_version": {**by_engine, "description": "Where a version that has the architecture is not enough (registry/)."},
            "task": {"enum": ["generate", "embed", "rerank", "classify"], "description": "What its server does; generate where it is not said."},
            "drafts": by_name(
                mapping(
                    {
                        "id": TEXT, "tokens": SOME, "billion": NUMBER, "shares_cache": FLAG, "source": SOURCE,
                        "options": {"type": "object", "minProperties": 1, "description": "Further keys of vLLM's --speculative-config."},
                    },
                    ("source",),
                ),
                "What drafts for it, by method: the repository, tokens that its makers or a recipe propose, parameters beside those that it shares.",
            ),
            "overrides": by_name({"type": "object"}, "By task, what a command must say in place of its config.json."),
            "tags": {**WORDS, "description": "What it was made for: coding, reasoning, multilingual, vision, …"},
            "source": SOURCE, "notes": TEXT, "replaces": DIGEST,
        }
    )  # fmt: skip
    where = "^(all|more_bits|middle|first_(eighth|sixteenth|[0-9]+)|gqa_4|gqa_4_or_experts_4)$"
    clause = mapping({"type": TEXT, "where": {"type": "string", "pattern": where}, "imatrix": FLAG, "experts": COUNT}, ("type",))
    tensors = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    raised = {"type": "object", "additionalProperties": TEXT}
    gguf = mapping(
        {
            **dict.fromkeys(("base", "output", "token_embedding", "lookup", "norm", "router"), TEXT), "experts": clause, "experts_8": raised,
            **{key: {"anyOf": [clause, {"type": "array", "minItems": 1, "items": clause}]} for key in tensors},
            "class_70b": mapping({"attn_v": raised}), "imatrix": {"enum": ["required"]}, "overrides": raised,
        },
        ("base", "output", "token_embedding", "norm"),
        "The mixture: which GGML type each tensor gets, and where.",
    )  # fmt: skip
    note = mapping({"models": WORDS, "keeps_16bit": WORDS, "notes": TEXT, "source": SOURCE})
    made = mapping({"group_size": GROUP, "ignore": WORDS, "in_fp8": WORDS, "narrow": WORDS, "source": SOURCE, "notes": TEXT}, ("source",))
    method = mapping(
        {
            "title": TEXT, "family": {"enum": ["float", "fp8", "int8", "int4", "fp4", "gguf"]}, "weight_bits": BITS, "activation_bits": BITS,
            "group_size": GROUP, "block": {"type": ["array", "null"], "items": SOME, "minItems": 2, "maxItems": 2},
            "scale_bits": COUNT, "zero_bits": COUNT, "zero_point": FLAG,
            "desc_act": FLAG, "strategy": TEXT, "kernel": TEXT, "keeps_16bit": WORDS, "checkpoint": {"enum": ["native", "prepared", "published"]},
            "online": by_engine, "support_key": {"type": "object", "additionalProperties": TEXT}, "gguf": gguf, "model_notes": {"type": "array", "items": note},
            "makers": by_name(made, "What a maker of checkpoints does otherwise, for those that a spec names and the catalogue lacks."),
            "use": TEXT, "handbook": HANDBOOK, "source": SOURCE, "notes": TEXT, "replaces": DIGEST,
        }
    )  # fmt: skip
    ggml = mapping({"bits_per_weight": BITS, "block": SOME, "source": SOURCE}, ("bits_per_weight", "block"))
    loss = mapping({"value": NUMBER, "low": NUMBER, "high": NUMBER}, ("value", "low", "high"))
    quality = mapping(
        {
            "method": {"type": "string"}, "models_from_billion": NUMBER, "models_below_billion": NUMBER, "loss_percent": loss, "metric": TEXT,
            "rows": COUNT, "models": WORDS, "source": SOURCE, "notes": TEXT,
            "model": {**TEXT, "description": "Measured with this model, by its id; it goes before what is published."},
            "experts": {**TEXT, "description": "Only for models whose published experts stay in this GGUF type."},
        },
        ("method", "models_from_billion", "loss_percent", "metric", "source"),
    )  # fmt: skip
    arithmetic = merged["names"]["gpu.computes"]["values"]
    architecture = mapping(
        {
            "vendor": vendor, "title": TEXT, "compute_capabilities": {"type": "array", "items": NUMBER},
            "computes": {"type": "array", "items": {"enum": arithmetic}, "description": "Arithmetic that it has in hardware."},
            "back_end": {"enum": list(BACK_ENDS), "description": "The class of llama.cpp's measured speeds."},
            "back_ends": {
                "type": "object", "minProperties": 1, "additionalProperties": {"enum": list(BACK_ENDS)},
                "description": "The back ends of llama.cpp that run on it, as they are tried, each with the class of its measured speeds.",
            },
            "speed": mapping({"compute": TEXT, "host": TEXT}, description="Thresholds that its arithmetic and its host's work are multiplied by."),
            "measured": {**FLAG, "description": "Many have measured servers on it."},
            "like": {**TEXT, "description": "The nearest known family, for all that is not said, the columns of the matrices too."},
            "engines": {**WORDS, "description": "The only engines with kernels for it; every method is refused with another."}, "source": SOURCE,
        }
    )  # fmt: skip
    ask = mapping(
        {
            "command": {**WORDS, "minItems": 1, "description": "The tool and its arguments."},
            "vendor": {"enum": ["nvidia", "amd", "intel", "apple"]},
            "device": {**TEXT, "description": "Where a card begins in the answer: a regular expression."},
            "name": {**TEXT, "description": "Its first group is the card's name."},
            "memory": {**TEXT, "description": "Its first group is the card's memory."},
            "capability": {**TEXT, "description": "Its first group is the card's compute capability."},
            "bytes": {**SOME, "maximum": 10**10, "description": "Bytes of one of what `memory` counts."},
            "within": {**NUMBER, "description": "A card whose memory differs by more than this share from what its name says was rebuilt."},
            "least_gib": {**NUMBER, "description": "Less memory is a processor's own graphics."},
        },
        ("command", "vendor", "device", "name", "memory", "bytes"),
        "A tool that names the cards of a machine.",
    )
    gpu_names = mapping(
        {
            "front": {**WORDS, "description": "Words before a card's name that tell no card from another."},
            "anywhere": {**WORDS, "description": "Words in a card's name that tell no card from another."},
            "elsewhere": {**WORDS, "description": "Names of accelerators, or their beginnings, that no engine of the catalogue serves."},
            "use": {**TEXT, "description": "What serves them."}, "ask": ask, "source": SOURCE,
        }
    )  # fmt: skip
    row = {"$ref": "#/$defs/row"}
    dtype = mapping({"bits_per_value": BITS, "model_dtype": FLAG, "notes": TEXT, "source": SOURCE})
    return {
        "gpus": document("GPUs", {"gpus": by_name(gpu, "By name: NAME-MEMORYGB.")}, ("gpus",), one_of_them),
        "gpu_names": document("How cards are named", {"gpu_names": by_name(gpu_names, "By maker, or by what they are.")}, ("gpu_names",)),
        "models": document("Models", {"models": by_name(model, "By repository.")}, ("models",)),
        "methods": document(
            "Quantisation methods", {"ggml_types": by_name(ggml, "GGML types."), "methods": by_name(method, "By name.")}, ("methods",)
        ),
        "quality": document("Published quality loss", {"quality": {"type": "array", "items": quality}}, ("quality",)),
        "architectures": document("Families of hardware", {"architectures": by_name(architecture, "By name.")}, ("architectures",)),
        "kv_cache": document(
            "Types of the KV cache",
            {"dtypes": by_name(dtype, "By name."), "kv_cache": by_name(by_name(row, "By type."), "By engine.")},
            (),
            matrix(merged, {"needs": TEXT}),
        ),
        "support": document(
            "Which method runs on which architecture",
            {"engine": {"type": "string"}, "version": VERSION, "support": by_name(row, "By method or layout.")},
            ("engine", "support"),
            matrix(merged, {}),
        ),
    }


def engine(merged: Schema) -> Schema:
    """How an engine is started, and how it spells each setting."""
    verified = {"enum": ["parser", "source", "docs", "inferred"]}
    kinds = {"enum": ["int", "float", "string", "choice", "switch", "bool", "list", "secret", "path", "duration", "null"]}
    spelling = mapping(
        {
            "flag": TEXT, "key": TEXT, "env": TEXT, "parameter": TEXT, "where": {"enum": ["argv", "command", "config", "env", "modelfile"]}, "positional": FLAG,
            "type": kinds, "choices": SCALARS, "values": {"type": "object", "additionalProperties": {"type": [*SCALAR["type"], "null"]}}, "negated": TEXT,
            "text": {**TEXT, "description": "What is written where the setting is on."},
            "member": {**TEXT, "description": "The value goes under this key of a JSON text."},
            "rope_key": {**TEXT, "description": "The key of config.json by which this version reads how positions are stretched."},
            "frees": {"enum": ["memory", "gpu"], "description": "What the vision tower no longer takes: any memory, or that of a GPU apart from the host's."},
            "also": WORDS, "same": {**WORDS, "description": "Options that a command may say it by."},
            "with_port": {"type": ["integer", "boolean"]}, "port_flag": TEXT, "words_since": {"type": "object", "additionalProperties": VERSION},
            "accepted_when": by_name(CELL_FORM, "Cells as in `when`: the engine takes the setting only for these."),
            "since": VERSION, "until": VERSION, "note": TEXT, "verified": verified, "source": SOURCE,
        },
        ("type",),
    )  # fmt: skip
    image = mapping(
        {
            "vendor": TEXT, "back_end": TEXT, "architectures": {**WORDS, "description": "Only for these."}, "since": VERSION, "until": VERSION,
            "image": {**TEXT, "description": "A reference; {version} stands for the engine's version."},
            "entrypoint": WORDS, "prefix": WORDS, "model_flag": TEXT, "verified": verified, "source": SOURCE,
        },
        ("vendor", "image"),
    )  # fmt: skip
    words = {"type": "array", "items": {"type": "string"}}
    seconds = {"interval_s": SOME, "timeout_s": SOME, "retries": SOME}
    container = mapping(
        {
            "port": PORT, "entrypoint": WORDS, "explicit_entrypoint": FLAG, "prefix": WORDS, "cache_path": TEXT, "cache_env": TEXT,
            "compile_cache": TEXT, "shm_gib": COUNT,
            "probe": {"type": ["string", "array"], "minLength": 1, "minItems": 1, "items": TEXT},
            "health_check": mapping({**seconds, "source": SOURCE}, tuple(seconds)),
            "ulimits": {"type": "object", "additionalProperties": {"type": "integer", "minimum": -1}}, "source": SOURCE,
        }
    )  # fmt: skip
    smoke = mapping({"max_tokens": SOME, "answer_s": SOME, "source": SOURCE}, ("max_tokens", "answer_s"))
    bench = mapping({"rounds": SOME, "least_requests": SOME, "source": SOURCE}, ("rounds", "least_requests"))
    numbers = {"read_timeout_s": SOME, "connect_timeout_s": SOME, "connections": SOME}
    balancer = mapping({"image": TEXT, **numbers, "source": SOURCE}, ("image", *numbers))
    how = {"enum": ["own", "processes"]}
    copies = mapping({"dense": how, "moe": how, "processes_since": VERSION, "balancer": balancer, "source": SOURCE})
    apart = [{"required": [kind], "properties": {kind: {"const": "processes"}}} for kind in ("dense", "moe")]
    copies |= {"if": {"anyOf": apart}, "then": {"required": ["balancer"]}}
    file = mapping(
        {
            "name": TEXT, "flag": TEXT, "newer_flag": TEXT, "since": VERSION, "format": {"enum": ["yaml", "modelfile"]},
            "holds": {"enum": ["config"]},
        },
        ("name", "format"),
    )
    file |= {"if": {"properties": {"format": {"const": "yaml"}}}, "then": {"required": ["flag"]}}
    hub = mapping({"env": ENV, "prefix": TEXT, "cache_path": TEXT, "cache_env": TEXT, "refused": TEXT, "source": SOURCE}, ("source",))
    known = {
        key: {"description": entry["meaning"], "type": "array", "items": {"$ref": "#/$defs/spelling"}}
        for key, entry in merged["settings"].items()
    }
    properties = {
        "engine": {"type": "string"}, "title": TEXT, "status": {"enum": ["active", "maintenance"]}, "use": TEXT, "features": WORDS,
        "throughput": {"enum": ["high", "medium", "low"]}, "handbook": HANDBOOK,
        "mpi": {**mapping({"launch": TEXT, "source": SOURCE}, ("launch", "source")), "description": "It runs over machines by MPI, started by Slurm."},
        "formats": {"type": "array", "items": {"enum": ["safetensors", "gguf"]}}, "vendors": {"type": "array", "items": TEXT},
        "back_ends": by_name(
            mapping({"title": TEXT, "variable": TEXT, "numbers": TEXT, "devices": WORDS, "source": SOURCE}, ("title",)),
            "What computes, for an engine that is built for several: the variable that limits it to some cards, a container's devices.",
        ),
        "safe_from": VERSION, "default_version": VERSION,
        "versions": by_name(mapping({"source": SOURCE, "commit": TEXT, "read_at": TEXT, "verified": TEXT}), "Catalogued versions, quoted."),
        "images": {"type": "array", "items": image}, "container": container, "command": words, "smoke": smoke, "bench": bench,
        "version_command": words,
        "version_package": TEXT, "port": PORT, "health": TEXT, "api": TEXT, "metrics": TEXT,
        "prometheus": mapping(
            {
                **dict.fromkeys(("waiting", "running", "cache", "first_token"), TEXT), "source": SOURCE,
                "switch": {**TEXT, "description": "The option without which they are not there."},
            },
            ("waiting", "source"), "Names of its metrics: requests that wait and run, use of the KV cache (0 to 1), seconds to the first token.",
        ),
        "served_names": mapping({"pattern": TEXT, "form": TEXT, "source": SOURCE}, ("pattern", "form", "source")),
        "api_key_env": TEXT, "api_key_flag": TEXT, "token_env": TEXT, "loads_from": by_name(hub, "How it loads from each model hub."),
        "offline": mapping({"env": ENV, "source": SOURCE}, ("env", "source")),
        "file_address": mapping({"base": TEXT, "env": WORDS, "kept": TEXT, "source": SOURCE}, ("base", "env", "kept", "source")),
        "tasks": mapping(
            {task: mapping({"since": VERSION, "request": TEXT, "source": SOURCE}, ("request", "source")) for task in ("embed", "rerank", "classify")},
            (), "What it serves besides generation: since which version, and the path of a request.",
        ),
        "speculative": by_name(
            mapping({"word": TEXT, "since": VERSION, "source": SOURCE}, ("word", "source")),
            "Methods of speculative decoding, each with the engine's word for it and the first version that has it.",
        ),
        "attention_ranks": mapping(
            {"since": VERSION, "source": SOURCE}, ("since", "source"), "The first version with attention in data-parallel ranks and shared experts.",
        ),
        "uses_all_gpus": FLAG, "loads_projector": FLAG, "copies": copies, "unread_layouts": WORDS, "config_file": file,
        "yarn": mapping(
            {"multiplied_until": VERSION, "source": SOURCE}, ("multiplied_until", "source"),
            "Before this version YaRN's original context times its factor is the context, from it on max_position_embeddings.",
        ),
        "tables_in_host": mapping(
            {"nvidia": VERSION, "amd": VERSION, "source": SOURCE}, ("source",),
            "By GPU vendor the first version that keeps lookup tables of n-grams in the host's memory, where nothing else is asked for.",
        ),
        "untyped": mapping(
            {"type": TEXT, "library": {**FLAG, "description": "Names without a repository are of its own library."}, "source": SOURCE},
            ("type", "source"), "The type of weights that a name without one counts as.",
        ),
        "whole_prompts": mapping(
            {"until": VERSION, "models": WORDS, "source": SOURCE}, ("until", "models", "source"),
            "Before this version, and of these model_types with images, a prompt is read in one step.",
        ),
        "profiled_as": {
            "description": "Hardware (vendor, compute capability below) and models (with states) whose memory is profiled as in an older version: the "
            "thresholds that are as there. Where several hold, the last counts.",
            "type": "array",
            "items": mapping(
                {
                    "vendor": TEXT, "below": {"type": "number"}, "hybrid": {"const": True}, "since": VERSION, "until": VERSION, "as": VERSION,
                    "numbers": WORDS, "source": SOURCE,
                },
                ("since", "as", "numbers", "source"),
            ),
        },
        "defaults": {
            "description": "What it takes where a command says nothing; of the rows that hold, each setting takes the first.",
            "type": "array",
            "items": mapping(
                {"set": {"type": "object", "minProperties": 1}, "since": VERSION, "until": VERSION, "when": {"type": "object"}, "source": SOURCE},
                ("set", "source"),
            ),
        },
        "for_models": {
            "description": "What models need beside their config.json: of the rows that hold for a model (its id, class or model_type; every model "
            "without `models`), each setting takes the first.",
            "type": "array",
            "items": mapping(
                {
                    "set": {"type": "object", "minProperties": 1, "additionalProperties": SCALAR}, "models": WORDS, "since": VERSION, "until": VERSION,
                    "when": by_name(CELL_FORM, "Cells over names of the vocabulary."), "because": TEXT, "source": SOURCE,
                },
                ("set", "because", "source"),
            ),
        },
        "notes": {"type": "array", "items": TEXT}, "source": SOURCE, "replaces": DIGEST,
        "flags": {
            "description": "By setting.", "type": "object", "properties": known,
            "additionalProperties": {"type": "array", "items": {"$ref": "#/$defs/spelling"}},
        },
    }  # fmt: skip
    return document("A serving engine", properties, ("engine",), {"spelling": spelling})


def flags() -> Schema:
    """An engine's full list of options, by version."""
    option = mapping(
        {
            "names": WORDS, "off": WORDS, "type": TEXT, "choices": SCALARS, "words": SCALARS, "words_since": VERSION, "ambiguous": WORDS,
            "since": VERSION, "until": VERSION, "seen": TEXT, "use": TEXT, "needs": {"type": ["string", "array"], "items": TEXT}, "deprecated": FLAG,
            "env": TEXT, "nargs": {"type": ["string", "integer"]}, "least": NUMBER, "most": NUMBER, "above": NUMBER,
            "or": {**NUMBER, "description": "A number outside the limits that has a meaning of its own."}, "numbers": FLAG,
            "repeatable": FLAG, "note": TEXT, "source": SOURCE,
        }
    )  # fmt: skip
    by_version = {
        **option,
        "type": ["object", "array"],
        "items": option,
        "description": "An option; a list where it changed between versions.",
    }
    free = {"type": "object"}
    words_of = {"type": "object", "additionalProperties": {"type": "string"}}
    refuses = {
        **mapping({"since": VERSION, "options": WORDS}, ("since", "options")),
        "description": "Options that the config file refuses, though the command line takes them.",
    }
    syntax = mapping(
        {
            "underscores": {"enum": ["accepted", "refused", "required", "same"]}, "abbreviations": FLAG, "equals": FLAG, "equals_ignored": WORDS,
            "dotted": FLAG, "env_prefix": TEXT,
            "config": mapping(
                {"flag": TEXT, "keys": {"enum": ["dashes", "either", "schema"]}, "false": {"enum": ["dropped", "ok"]}, "refuses": refuses}, ("flag", "keys")
            ),
        },
        ("underscores", "abbreviations", "equals"),
    )  # fmt: skip
    command = mapping({"words": {**WORDS, "minItems": 1}, "positionals": COUNT}, ("words", "positionals"))
    old_words = mapping({"option": TEXT, "since": VERSION, "words": words_of, "source": SOURCE}, ("option", "since", "words"))
    pair = mapping(
        {
            "option": TEXT, "with": {**TEXT, "description": "Another option or variable, or model.NAME: a number of the model."}, "values": SCALARS,
            "forbids": SCALARS, "is": {"enum": ["at-least", "at-most", "below", "divides", "given", "power-of-two", "reads"]},
            "words": {
                "type": "object", "additionalProperties": WORDS,
                "description": "With is: reads, the words of the option by the value of with.",
            },
            "when": WORDS, "unless": WORDS,
            "default": {"type": "number"}, "severity": {"enum": ["warning", "error"]}, "because": TEXT, "source": SOURCE,
            "row": {**TEXT, "description": "The row of `reject` that says the same of a plan: the code of the finding, in place of not-together."},
        },
        ("option", "with", "because"),
    )  # fmt: skip
    properties = {
        "engine": {"type": "string"}, "source": SOURCE, "versions": {"type": "array", "minItems": 1, "items": VERSION}, "transcribed": FLAG,
        "syntax": syntax,
        "commands": {"type": "array", "minItems": 1, "items": command}, "images": WORDS, "env": by_name(option, "By variable."),
        "variables": mapping(
            {"prefixes": WORDS, "since": {"type": "object", "additionalProperties": WORDS}, "source": SOURCE}, ("prefixes", "since", "source"),
            "Every variable with a prefix of the engine's own that it reads, by the first version that does.",
        ),
        "options": by_name(by_version, "By flag."),
        "keys": by_name(by_version, "Keys of the config file."), "classes": free, "parameters": by_name(option, "Parameters of a Modelfile."),
        "gone_keys": by_name(option, "Keys that older releases had."), "old_words": {"type": "array", "items": old_words},
        "plugins": {**words_of, "description": "An option, and the one that adds words to its choices."},
        "synonyms": {**words_of, "description": "Values of options that mean the same as another."},
        "visible": {**WORDS, "description": "Variables that list the GPUs a server sees."},
        "deprecated_parameters": WORDS, "unset": {**words_of, "description": "Parameters of a Modelfile that are worth a word when missing, and why."},
        "together": {"type": "array", "items": pair, "description": "Options that do not go together."},
        "world": mapping(
            {"gpus": WORDS, "within": words_of, "all": FLAG, "nodes": TEXT, "ranks": WORDS, "others": WORDS, "source": SOURCE}, ("gpus", "source"),
            "The options whose product is the number of GPUs of a server; how each of several machines is told its rank.",
        ),
    }  # fmt: skip
    return document("Every option of an engine, by version", properties, ("engine", "options"))


def hubs() -> Schema:
    """Model hubs and their names of repositories."""
    hub = mapping(
        {
            "title": TEXT, "address": TEXT, "same": {**WORDS, "description": "Repositories that have the same name there."},
            "names": {**ENV, "description": "Repositories that have another name there, and that name."}, "source": SOURCE, "replaces": DIGEST,
        },
        ("title", "source"),
    )  # fmt: skip
    return document("Model hubs", {"hubs": by_name(hub, "By hub.")}, ("hubs",))


def platforms() -> Schema:
    """Where a plan can end: what a platform is given, carries and refuses."""
    sizes = {"type": "object", "additionalProperties": {"anyOf": [{"type": "number", "minimum": 0}, SOURCE]}}
    platform = mapping(
        {
            "title": TEXT, "renderer": {"type": "string", "pattern": "^[a-z]+$", "description": "The module of generator/platforms/ that renders it."},
            "files": {**ENV, "description": "Files in the engine's folder, {name} for the spec's name, each with its template."},
            "runs": {"enum": ["image", "host"], "description": "The engine's image, or the engine on this machine."},
            "start": {**ENV, "description": "Commands of PLAN.md, in the spec's folder, with {engine}, {name} and {port}; and what each does."},
            "escapes": {**TEXT, "description": "What it expands in the words of a command, and how a word is kept from it."},
            "engines": {**WORDS, "description": "Only these; without it all."},
            "replicas": {**TEXT, "description": "What a whole copy of the model is there; without it, the engine runs its copies itself."},
            "longest_name": SOME, "name_pattern": TEXT, "name_form": TEXT,
            "refuses": {**ENV, "description": "Launches that it cannot carry, by the condition that generator/platforms knows, and why."},
            "api_versions": ENV, "gpu_resources": ENV, "sizes": sizes, "words": ENV, "started": TEXT, "source": SOURCE, "replaces": DIGEST,
        },
        ("title", "renderer", "files", "runs", "start", "escapes", "started", "source"),
    )  # fmt: skip
    return document("Platforms that a plan can end on", {"platforms": by_name(platform, "By the word of deploy.targets.")}, ("platforms",))


def gates(merged: Schema) -> Schema:
    """What options and variables of a server may not do, or only with a warning."""
    by_engine = {**mapping(dict.fromkeys(merged["engines"], WORDS)), "description": "By engine: options of its table, keys of its file, parameters."}
    gate = mapping(
        {
            "because": TEXT, "write": {**TEXT, "description": "The key of the spec that says it."}, "does": {"enum": ["refuse", "warn"]},
            "left_out": {**FLAG, "description": "Whether `NAME: false` passes, which leaves the option to the engine's own default."}, "source": SOURCE,
            "options": by_engine, "env": {**WORDS, "description": "Variables of the process; NAME* is every name that begins so."}, "replaces": DIGEST,
        },
        ("because", "source"),
    )  # fmt: skip
    return document("Gates of options and variables", {"gates": by_name(gate, "By name.")}, ("gates",))


def publishers() -> Schema:
    """Whose checkpoints of other people's models a lock lists."""
    entry = mapping({"because": TEXT, "source": SOURCE, "replaces": DIGEST}, ("because", "source"))
    accounts = {"propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}$"}}
    found = {**by_name(entry, "By the name of their account on the model hub, the best first."), **accounts}
    return document("Trusted publishers of prepared checkpoints", {"publishers": found}, ("publishers",))


def registry() -> Schema:
    """Which models each version of an engine loads."""
    span = mapping({"since": VERSION, "until": {**VERSION, "description": "The first version without them, quoted."}, "names": WORDS}, ("names",))
    entry = mapping(
        {
            "source": SOURCE, "complete": {**FLAG, "description": "The engine loads nothing else, and has no way around."},
            "architectures": {"type": "array", "items": span, "description": "By `architectures` or `model_type` of config.json."},
            "configs": {"type": "array", "items": span, "description": "By `model_type`: config.json is read without code of the repository."},
        },
        ("source", "architectures"),
    )  # fmt: skip
    return document("Models that the versions of an engine load", {"registry": by_name(entry, "By engine.")}, ("registry",))


def families() -> Schema:
    """What model code fixes and config.json leaves out."""
    bias = {"enum": [True, False, "config"]}
    text = {"type": "string"}
    words = {"type": "object", "additionalProperties": TEXT}
    head = mapping(dict.fromkeys(("query", "kv", "key_dim", "value_dim", "value_is_key", "sinks"), TEXT))
    windows = mapping(
        {
            "full_every": {**COUNT, "description": "One of so many layers has full attention; 0: none."},
            "full_first": {**FLAG, "description": "It is the first of them, not the last."},
            "size": {**SOME, "description": "Tokens, where the file does not say."}, "fixed_size": {**SOME, "description": "Tokens, whatever the file says."},
            "chunked": FLAG, "layers": {**SOME, "description": "Only models of so many layers have windows."},
        }
    )  # fmt: skip
    described: dict[str, tuple[Schema, str]] = {
        "like": (TEXT, "The model_type whose traits this one takes over, but for those that follow; not what is said of GGUF files."),
        "stack": (
            {"enum": ["grouped", "latent", "mixers", "compressed", "shared-kv", "blocks"]},
            "How its layers are built and what they keep. grouped: grouped-query attention; latent: multi-head latent attention, both with layers "
            "between that keep a state where the config has them; mixers: one mixer a layer; "
            "compressed: attention over compressed tokens; shared-kv: layers that reuse keys and values; blocks: each has its own shape or none.",
        ),
        "linear": (
            {"enum": ["delta", "kimi-delta", "lightning", "mamba", "mamba-2", "short-conv"]},
            "What its layers without attention are, which keep a state: gated delta net, Kimi delta attention (lightning attention where the config "
            "has no short convolution), lightning attention, Mamba, Mamba-2, a short convolution.",
        ),
        "linear_beside": (FLAG, "Each layer has both: attention, and beside it one that keeps a state."),
        "twin_layers": (FLAG, "A layer is two of attention and of a feed-forward layer, with one mixture of experts beside them."),
        "attn_gate": (
            {"enum": ["", "head", "full", "config"]},
            "A projection gates the attention's output: one value a head, as wide as the output, or as gating or a key like it says.",
        ),
        "config": ({"type": "object"}, "Values of config.json where it does not say them: the defaults of its config class."),
        "keys": (words, "Its own names of keys in config.json, each with the usual name."),
        "qkv_bias": (bias, "Biases of query, key and value; config: as attention_bias says."),
        "out_bias": (bias, "Bias of the attention's output; config: as attention_bias says."),
        "mlp_bias": (bias, "Biases of the feed-forward layer; config: as mlp_bias says."),
        "qk_norm": ({"enum": ["", "head", "full", "flag"]}, "Norms of query and key: per head, over the full width, or per head where use_qk_norm."),
        "norms": ({**COUNT, "maximum": 4}, "Norms as wide as the hidden state in each layer."),
        "norm_bias": (FLAG, "Each norm has a bias beside it."),
        "gated": (FLAG, "The feed-forward layer has a gate beside its up projection."),
        "lm_head_bias": (FLAG, "The output embedding has a bias."),
        "fused_qkv": (FLAG, "Query, key and value are one matrix."),
        "fused_gate_up": (FLAG, "Gate and up projection are one matrix."),
        "sinks": (FLAG, "Attention has a learned sink for each head."),
        "expert_bias": (FLAG, "Experts have biases."),
        "router_bias": (FLAG, "The router has a correction bias for each expert."),
        "shared_gate": (FLAG, "The shared expert has a gate."),
        "mrope": (FLAG, "The rotary table covers multimodal positions."),
        "context_scaled": (FLAG, "max_position_embeddings already has the rope scaling in it."),
        "encoder": (FLAG, "Its attention looks both ways: it generates nothing, and no engine keeps a cache for it."),
        "positions": ({"enum": ["rotary", "learned", "none"]}, "How positions are told."),
        "yarn_original": (SOME, "Tokens that the makers' settings for YaRN count their factor from, if that is less than the model's context."),
        "positions_offset": (COUNT, "Positions of its table that no token of a text has."),
        "windows": (
            {"enum": ["", "everywhere", "chunked"]},
            "What sliding_window says without layer_types and sliding_window_pattern: nothing, that every layer has it; chunked: windows are chunks.",
        ),
        "heads": (
            mapping(dict.fromkeys(("all", "full", "sliding", "chunked"), head)),
            "Keys of config.json for the heads of one kind of layers, where they have their own; a.b: the key b inside a.",
        ),
        "halved_width": (FLAG, "intermediate_size counts gate and up projection together."),
        "mlp_times_hidden": (SOME, "Width of the feed-forward layer in hidden sizes, where the config does not say it."),
        "mtp": (
            {"enum": ["", "module", "layer", "layer-with-embeddings"]},
            "Where checkpoints keep layers for multi-token prediction: a module mtp, or further layers, perhaps with embeddings of their own.",
        ),
        **dict.fromkeys(("attn", "ffn", "experts", "router", "shared"), (text, "The module's name in a layer, as ignore lists have it.")),
        "expert_names": ({"type": "array", "minItems": 3, "maxItems": 3, "items": TEXT}, "Names of an expert's gate, up and down projection."),
        "text": (TEXT, "The model_type of the language model inside a multimodal one."),
        "tower": (
            {"enum": [
                "plain", "rotary", "pooled", "shuffled", "pooled-patches", "deepstack", "merger", "plain-merger", "merged-patches", "downsampled", "resampled",
                "resampler",
                "perception", "conformer", "gated-conformer",
            ]},
            "This is the model_type of a vision or audio tower, built like this.",
        ),
        "projector": (
            {"enum": ["two-layers", "four-patches", "four-layers", "merged"]},
            "The projector of this multimodal model: two layers, perhaps over four patches at once (merged: as wide as projector_hidden_size or the four "
            "patches, after a norm); four layers, two of them over the merged patches.",
        ),
        "tool_call_parser": (words, "By engine, the parser of tool calls that all its models have; for a model without an entry in the catalogue."),
        "reasoning_parser": (words, "By engine, the parser of reasoning that all its models have; for a model without an entry in the catalogue."),
        "gguf_only": (FLAG, "Read from GGUF files only: its config.json is not understood."),
        "gguf": (TEXT, "llama.cpp's name of the architecture, if it is not the model_type."),
        "gguf_when": (mapping({"has": TEXT, "lacks": TEXT}), "Families that share such a name: this one, if the file has the key, or lacks it."),
        "gguf_windows": ({"anyOf": [{"const": "none"}, windows]}, "Sliding windows in llama.cpp, where the file does not list the layers."),
        "gguf_own_caches": (SOME, "Only so many layers have a cache of their own."),
        "gguf_experts": (TEXT, "The type in which published experts stay in every GGUF of the model, whatever the file's type is called."),
    }  # fmt: skip
    entry = mapping({**{key: {**form, "description": says} for key, (form, says) in described.items()}, "source": SOURCE, "replaces": DIGEST})
    return document("Families of models", {"families": by_name(entry, "By model_type.")}, ("families",))


def quantizers() -> dict[str, Schema]:
    """The tools that make weights, and the jobs that train or prune."""
    free = {"type": "object"}
    maker = mapping(
        {
            "scheme": {**TEXT, "description": "The tool's own word."}, "algorithm": {"enum": ["rtn", "ptq", "gptq", "awq", "modelopt"]},
            "group_sizes": {"type": "array", "items": COUNT, "description": "Weights that may share a scale, the largest first."},
            "stored": {"type": "object", "additionalProperties": {"type": "integer"}}, "not_for": WORDS,
            "recipe": {"type": "array", "items": {**free, "additionalProperties": free}}, "transform": TEXT,
            "plain": {"type": "array", "items": {**free, "additionalProperties": free}, "description": "The recipe without the transform."},
            "bounds": {"type": "object", "additionalProperties": {"type": "number", "exclusiveMinimum": 0}, "description": "What a result may lose."},
            "quantization": {**free, "description": "What the result's config.json says."},
            "notes": TEXT, "source": SOURCE,
        },
        ("scheme", "algorithm", "quantization", "source"),
    )  # fmt: skip
    wide = mapping({"model_types": WORDS, "roles": WORDS, "source": SOURCE}, ("model_types", "roles", "source"))
    tool = mapping(
        {
            "title": TEXT, "version": VERSION, "package": TEXT, "program": TEXT, "common": WORDS, "requirements": WORDS, "layout": TEXT,
            "layers": TEXT, "all_gpus": FLAG,
            "patterns": {"type": "object", "additionalProperties": {"type": "array", "items": TEXT}, "description": "How a role is left in 16 bits."},
            "also_wide": {"type": "array", "items": wide}, "makes": by_name(maker, "By method."), "types": {"type": "object", "additionalProperties": TEXT},
            "bounds": by_name(by_name(POSITIVE, "What a result may lose."), "GGUF: by nominal bits."),
            "kv_cache": {**free, "description": "What config.json says of scales for an FP8 KV cache."},
            "notes": TEXT, "source": SOURCE, "replaces": DIGEST,
        },
        ("title", "version", "layout", "source"),
    )  # fmt: skip
    share = {"type": "number", "minimum": 0}
    figures = mapping({"alone": share, "with": share, "plain": share, "error": TEXT})
    modifier = mapping({"proved": WORDS, "figures": by_name(figures, "By model_type.")}, ("proved", "figures"))
    transforms = mapping(
        {
            "version": VERSION, "transformers": VERSION, "modifiers": by_name(modifier, "By modifier."),
            "untried": {"type": "object", "additionalProperties": TEXT}, "source": SOURCE, "replaces": DIGEST,
        },
        ("version", "transformers", "modifiers", "source"),
    )  # fmt: skip
    memory = mapping(
        {
            "kind": {"enum": ["training", "forward", "sequential"]}, "teacher": {"enum": ["none", "same", "other"]}, "teacher_split": FLAG,
            "loss": {"enum": ["full", "distillation", "tiles"]}, "quantisers": FLAG, "generates": FLAG,
            "algorithm": {"enum": ["gptq", "ptq", "rtn"]},
        },
        ("kind", "teacher"),
    )  # fmt: skip
    numbers = by_name({"type": "object", "additionalProperties": TEXT}, "Thresholds by section and key of job.yaml.")
    method = mapping(
        {
            "library": TEXT, "package": TEXT, "version": VERSION, "requirements": WORDS, "settings": {"type": "object", "additionalProperties": free},
            "numbers": numbers, "memory": memory, "engines": WORDS, "note": TEXT, "source": SOURCE,
            "proven": {"enum": ["run", "schema"], "description": "run: to its end on a tiny model; schema: checked against the library's own words."},
        },
        ("library", "package", "version", "requirements", "settings", "memory", "engines", "proven", "source"),
    )  # fmt: skip
    other = mapping({"library": TEXT, "because": TEXT, "source": SOURCE}, ("library", "because", "source"))
    training = mapping(
        {
            "title": TEXT, "program": TEXT, "common": WORDS, "result": {"enum": ["quantised", "dense", "smaller"]},
            "numbers": numbers, "methods": by_name(method, "By method."), "not_chosen": {"type": "array", "items": other}, "source": SOURCE, "replaces": DIGEST,
        },
        ("title", "program", "common", "result", "numbers", "methods", "source"),
    )  # fmt: skip
    return {
        "quantizers": document("Tools that make quantised checkpoints", {"quantizers": by_name(tool, "By name.")}, ("quantizers",)),
        "transforms": document("Transforms and the model types that they are right for", {"transforms": by_name(transforms, "By tool.")}, ("transforms",)),
        "training_jobs": document("Jobs that train, distil or prune", {"training_jobs": by_name(training, "By name.")}, ("training_jobs",)),
    }


def schemas() -> dict[str, Schema]:
    """Every schema by the stem of its file."""
    merged = put_together(ROOT / "rules" / "default")
    return {
        "table": table(merged),
        "cases": cases(merged),
        "engine": engine(merged),
        "flags": flags(),
        **policy_parts(merged),
        **fact_parts(merged),
        **quantizers(),
        "gates": gates(merged),
        "publishers": publishers(),
        "hubs": hubs(),
        "platforms": platforms(),
        "families": families(),
        "registry": registry(),
        **outputs(),
    }


def as_text(schema: Schema) -> str:
    """A schema as it is written: one property a line, so that a diff says which changed."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def stale() -> list[Path]:
    """Files that are not what would be written now."""
    texts = {FOLDER / f"{name}.json": as_text(schema) for name, schema in schemas().items()}
    return [path for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]


def main() -> int:
    """Write what has changed, or with `--check` only name it."""
    found = stale()
    made = schemas()
    for path in found:
        if "--check" not in sys.argv[1:]:
            path.write_text(as_text(made[path.stem]), encoding="utf-8")
        print(path.relative_to(ROOT))
    return 1 if found and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
