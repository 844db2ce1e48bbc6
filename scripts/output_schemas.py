"""The JSON Schemas of what commands print with `--json`: `gen-deploy schema COMMAND-json`.

A key may be added in the same `schema_version`; none that stands here goes, changes its type or its meaning. `plan.json` has the schema `plan`."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
MAYBE: Schema = {"type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
FLAG: Schema = {"type": "boolean"}
ANY: Schema = {}
VERSION: Schema = {"const": 1, "description": "The version of this form; it changes when a key goes or means something else."}


def thing(properties: Schema, optional: tuple[str, ...] = (), **more: object) -> Schema:
    """An object with these keys, and perhaps others that a later release adds."""
    return {"type": "object", "required": [key for key in properties if key not in optional], "properties": properties, **more}


def many(item: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": item}


def one_or_many(item: Schema) -> Schema:
    """One of these, or a list where several were asked for."""
    return {"anyOf": [item, many(item)]}


def printed(title: str, properties: Schema, optional: tuple[str, ...] = ()) -> Schema:
    """What a command prints: an object with its version."""
    return {**_head(title), **thing({"schema_version": VERSION, **properties}, optional)}


def several(title: str, properties: Schema, optional: tuple[str, ...] = ()) -> Schema:
    """What a command prints for one spec (an object), or for several (a list)."""
    return {**_head(title), **one_or_many(thing({"schema_version": VERSION, **properties}, optional))}


def rows(title: str, properties: Schema, optional: tuple[str, ...] = ()) -> Schema:
    """What a command prints as a list of rows."""
    return {**_head(title), **many(thing(properties, optional))}


def _head(title: str) -> Schema:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}


NEEDS = thing({"gpu_memory_gib": NUMBER, "host_memory_gib": NUMBER, "disk_gb": NUMBER, "time_class": TEXT})
FINDING = thing({"code": TEXT, "severity": {"enum": ["error", "warning", "note"]}, "message": TEXT, "file": TEXT, "line": COUNT, "column": COUNT})
TERM = thing({"term": TEXT, "unit": TEXT, "predicted": NUMBER, "logged": MAYBE_NUMBER, "error_percent": MAYBE_NUMBER})
OBJECT: Schema = {"type": ["object", "null"]}
CHOICE: Schema = thing(
    {
        "engine": TEXT, "engine_version": TEXT, "quantization": TEXT, "bits": NUMBER, "checkpoint": TEXT, "kv_cache_dtype": TEXT, "dtype": TEXT,
        "tensor_parallel": COUNT, "pipeline_parallel": COUNT, "replicas": COUNT, "max_model_len": COUNT, "max_num_seqs": COUNT,
        "max_num_batched_tokens": COUNT, "gpu_memory_utilization": MAYBE_NUMBER, "gpu_layers": {"type": ["integer", "null"]},
    }
) | {"type": ["object", "null"], "description": "null where nothing fits."}  # fmt: skip
OF_A_LOG = thing(
    {"schema_version": VERSION, "log": TEXT, "engine": TEXT, "candidate": TEXT, "terms": many(TERM), "off": MAYBE, "measured": many(ANY)}
)
OF_A_RESULT = thing(
    {"schema_version": VERSION, "result": TEXT, "candidate": TEXT, "figures": many(thing({"name": TEXT, "unit": TEXT, "ratio": NUMBER}))}
)
OF_A_LOSS = thing(
    {"schema_version": VERSION, "result": TEXT, "model": TEXT, "method": TEXT, "date": TEXT, "metric": TEXT, "measured": OBJECT, "published": OBJECT}
)
INTERVAL = {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2, "description": "Two standard errors to each side."}
SCORE = thing(
    {
        "task": TEXT, "items": COUNT, "measured": NUMBER, "baseline": MAYBE_NUMBER, "loss_percent": MAYBE_NUMBER, "interval": INTERVAL, "seconds": NUMBER,
    }
)  # fmt: skip
PATHS = many({**TEXT, "description": "A path below the spec's folder."})
RULES = thing({"label": TEXT, "name": TEXT, "digest": TEXT})


def outputs() -> dict[str, Schema]:
    """Each schema by its name."""
    return {
        "generate-json": printed(
            "gen-deploy SPEC… --json: what was written",
            {
                "specs": many(
                    thing(
                        {
                            "name": TEXT, "folder": TEXT, "choice": {**TEXT, "description": "engine/method/layout"}, "written": PATHS,
                            "unchanged": PATHS, "removed": PATHS, "kept": PATHS, "edited": PATHS,
                            "warnings": many(thing({"id": TEXT, "because": TEXT})),
                        }
                    )
                )
            },
        ),
        "plan-json": several(
            "gen-deploy plan --json: the decision for a spec",
            {
                "name": TEXT, "rules": thing({"name": TEXT, "digest": TEXT}), "spec": {"type": "object"}, "choice": CHOICE,
                "memory": OBJECT, "kv_cache": OBJECT, "performance": OBJECT, "quality": OBJECT, "rule_of_thumb": OBJECT, "memory_terms": many(ANY),
                "alternatives": many(thing({"engine": TEXT, "quantization": TEXT})), "warnings": many(thing({"id": TEXT, "because": TEXT, "source": MAYBE})),
                "rejected": many(thing({"engine": TEXT, "quantization": TEXT, "rows": many(thing({"id": TEXT, "because": TEXT}))})),
                "trace": many(thing({"step": TEXT, "row": TEXT})),
            },
        ),
        "check-json": printed(
            "gen-deploy check --json: generated files that are not as they would be written",
            {
                "specs": many(TEXT),
                "findings": many(
                    thing({"spec": TEXT, "path": TEXT, "kind": {"enum": ["missing", "differs", "edited", "stale", "stale-edited", "unfinished"]}})
                ),
            },
        ),
        "explain-json": printed("gen-deploy explain --json: the plan, and its explanation in lines", {"plan": {"type": "object"}, "lines": many(TEXT)}),
        "fits": rows(
            "gen-deploy fits --json: models that run on a machine, best first",
            {
                "model": TEXT, "engine": TEXT, "quantization": TEXT, "max_model_len": COUNT, "memory_gib": MAYBE_NUMBER,
                "output_tokens_per_second": MAYBE_NUMBER, "loss_percent": MAYBE_NUMBER,
            },
        ),
        "lint-json": printed(
            "gen-deploy lint --json: findings about a rule set", {"findings": many(FINDING), "counts": thing({"error": COUNT, "warning": COUNT, "note": COUNT})}
        ),
        "test-json": printed(
            "gen-deploy test --json: the cases of a rule set",
            {
                "cases": many(thing({"id": TEXT, "at": TEXT, "passed": FLAG, "differences": many(thing({"at": TEXT, "message": TEXT}))})),
                "failed": COUNT,
            },
        ),
        "rules-json": {
            **_head("gen-deploy rules show --json: the effective set, or a row, threshold or fact (a list of several with one name)"),
            "anyOf": [
                thing({"schema_version": VERSION, "ruleset": {"type": "object"}, "rows": many(thing({"table": TEXT, "id": TEXT})), "changes": many(ANY)}),
                *one_or_many(
                    thing({"schema_version": VERSION, "id": TEXT, "digest": TEXT, "origin": many(ANY), "cases": many(TEXT), "examples": many(TEXT)})
                )["anyOf"],
            ],
        },
        "diff-json": printed(
            "gen-deploy diff --json: which decisions a rule change affects",
            {
                "verdict": TEXT, "old": RULES, "new": RULES, "specs": COUNT, "changed": COUNT, "unplanned": COUNT, "edits_traced": FLAG,
                "changes": many(thing({"name": TEXT, "spec": TEXT, "level": TEXT, "by": TEXT, "old": MAYBE, "new": MAYBE, "decisive": FLAG})),
                "edits": many(thing({"id": TEXT, "section": TEXT, "name": TEXT, "action": TEXT, "decisive": FLAG, "changes": many(TEXT)})),
                "groups": many(thing({"edits": many(TEXT), "specs": many(TEXT)})), "added": many(TEXT), "removed": many(TEXT),
                "totals": {"type": ["object", "null"]}, "grid": {"type": ["object", "null"]},
            },
        ),
        "upgrade-check-json": several(
            "gen-deploy upgrade-check --json: what an engine version changes",
            {
                "name": TEXT, "spec": TEXT, "engine": TEXT, "from": TEXT, "to": TEXT, "breaks": many(FINDING),
                "decision": {"anyOf": [thing({"old": TEXT, "new": TEXT}), {"type": "null"}]},
                "changes": many(thing({"word": TEXT, "old": MAYBE, "new": MAYBE})), "rejected": many(thing({"id": TEXT, "because": TEXT})),
            },
        ),
        "verify-json": printed(
            "gen-deploy verify --json: findings about launch files, and the verdict on each server of them",
            {
                "findings": many(FINDING), "files": COUNT, "checked": many(TEXT),
                "verdicts": many(
                    thing({"file": TEXT, "line": COUNT, "column": COUNT, "fits": {"type": ["boolean", "null"]}, "memory": OBJECT, "command": MAYBE})
                ),
            },
        ),
        "lock-json": printed(
            "gen-deploy lock --json: the locks that were written",
            {"locks": many(thing({"path": TEXT, "repositories": {"type": "object", "additionalProperties": TEXT}, "changed": FLAG}))},
        ),
        "lock-list-json": rows(
            "gen-deploy lock --list --json: the files that a site without network must bring",
            {"repository": TEXT, "commit": TEXT, "file": TEXT, "bytes": COUNT, "digest": TEXT},
        ),
        "calibrate-json": {
            **_head("gen-deploy calibrate --json: predicted against logged memory, estimated against measured speed, or published against measured loss"),
            **one_or_many(
                {"anyOf": [OF_A_LOG, OF_A_RESULT, OF_A_LOSS]}
            ),
        },
        "eval-json": printed(
            "eval.json: what eval.sh measured",
            {
                "date": TEXT, "model": TEXT, "revision": MAYBE, "checkpoint": TEXT, "method": TEXT, "engine": TEXT, "engine_version": TEXT, "profile": TEXT,
                "text": {**TEXT, "description": "The digest of the text of the perplexity."},
                "tasks": many(SCORE), "skipped": many(thing({"task": TEXT, "because": TEXT})),
            },
        ),
        "quantize-json": {
            **_head("gen-deploy quantize --json: the job that makes the weights, or another compression job"),
            **one_or_many(
                {
                    "anyOf": [
                        thing({"schema_version": VERSION, "tool": TEXT, "version": TEXT, "method": TEXT, "scheme": TEXT, "needs": NEEDS, "output": TEXT}),
                        thing({"schema_version": VERSION, "job": TEXT, "method": TEXT, "library": TEXT, "version": TEXT, "gpus": COUNT, "needs": NEEDS}),
                    ]
                }
            ),
        },
        "init-json": printed("gen-deploy init --json: the files that were written", {"written": many(TEXT)}),
        "list-json": rows("gen-deploy list --json: the catalogue", {"name": TEXT}),
    }  # fmt: skip
