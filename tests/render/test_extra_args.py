"""Every option of every engine as `extra_args`: refused at its line, or the only word of its kind in what is emitted, with the user's value."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from generator.decide.decision import Outcome, decide
from generator.decide.gates import gate_problems, gate_warnings, spellings
from generator.errors import InputError, Problem, fold
from generator.facts.engine import resolve_engine
from generator.plan import Plan
from generator.readers.document import parse_yaml, read_yaml
from generator.render.launch import Launch, launch_of
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import DeploymentSpec, from_document
from generator.verify.catalogue import Catalogue, Option, catalogue
from generator.verify.extra import extra_problems

ENGINES = ["vllm", "sglang", "tgi", "tensorrt-llm", "llama.cpp", "ollama"]
GGUF = ("llama.cpp", "ollama")
VALUES: dict[str, Any] = {"switch": True, "int": 7, "uint": 7, "size": 7, "size_or_auto": 7, "float": 0.5, "bool": True, "json": "{}", "duration": "5m"}


@cache
def book() -> RuleBook:
    return load("default")


def spec_of(engine: str, extra: dict[str, Any] | None = None, env: dict[str, str] | None = None, unknown: bool = True) -> DeploymentSpec:
    """A plain spec with these extra arguments, as its file has it."""
    deploy = {"allow_unknown": unknown, "extra_args": {engine: extra or {}}, "env": env or {}}
    text = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB, gpus_per_node: 2}\n"
    text += f"pin: {{engine: {engine}, {'quantization: gguf-q4_k_m' if engine in GGUF else 'tensor_parallel: 2'}}}\ndeploy:\n {json.dumps(deploy)}\n"
    document = parse_yaml(text, "a.yaml")
    spec, problems = from_document(document, Path("a.yaml"))
    if spec is None:
        raise InputError(problems)
    return spec


@cache
def outcome(engine: str) -> Outcome:
    found = decide(spec_of(engine), book())
    assert found.plan.choice is not None, engine
    return found


def refused(engine: str, extra: dict[str, Any]) -> list[Problem]:
    """What the spec's own checks say of these extra arguments."""
    try:
        spec = spec_of(engine, extra)
    except InputError as error:
        return list(error.problems)
    choice = outcome(engine).plan.choice
    assert choice is not None
    return [*gate_problems(spec, book()), *extra_problems(spec, engine, choice.engine_version, book())]


def launched(engine: str, extra: dict[str, Any]) -> Launch:
    plan: Plan = outcome(engine).plan
    plan = replace(plan, spec={**plan.spec, "deploy": {**plan.spec["deploy"], "extra_args": {engine: extra}}})
    assert plan.choice is not None
    return launch_of(plan, plan.choice, book(), "../../..")


def emitted(launch: Launch) -> list[tuple[str, list[Any]]]:
    """Every option with its values, wherever it is said."""
    found: list[tuple[str, list[Any]]] = []
    for word in launch.words():
        if isinstance(word, str) and word.startswith("-") and len(word) > 1 and not word[1].isdigit():
            found.append((word.lstrip("-"), []))
        elif found:
            found[-1][1].append(word)
    found += [(name, values) for name, values in flat(launch.spelled.config)]
    found += [(name, list(values)) for name, values in launch.spelled.parameters.items()]
    return found + [(name, [value]) for name, value in launch.spelled.env.items()]


def flat(config: dict[str, Any], prefix: str = "") -> list[tuple[str, list[Any]]]:
    found: list[tuple[str, list[Any]]] = []
    for name, value in config.items():
        if isinstance(value, dict):
            found += flat(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, [] if value is True else value if isinstance(value, list) else [value]))
    return found


def value_of(option: Option) -> Any:
    value = option.words[0] if option.words else VALUES.get(option.kind, "x1")
    many = option.nargs if isinstance(option.nargs, int) else 2 if option.nargs in ("+", "*") else 1
    return [value] * many if many > 1 else value


def options(engine: str) -> Catalogue:
    choice = outcome(engine).plan.choice
    assert choice is not None
    return catalogue(book(), engine, choice.engine_version)


def cases(engine: str) -> list[tuple[str, Any]]:
    """Each spelling of each option with a value of its type; switches on and off."""
    known = options(engine)
    found: list[tuple[str, Any]] = []
    for spelled, option in known.taken.items():
        name = spelled.lstrip("-")
        found += [(name, value_of(option)), *([(name, False)] if option.kind == "switch" else [])]
    found += [(name, {"str": "x1"}.get(entry["type"], VALUES.get(entry["type"], "x1"))) for name, entry in (known.facts.get("parameters") or {}).items()]
    found += [(name, value_of(option)) for name, option in known.env.items() if name.startswith("OLLAMA_")]
    found += [(name, True) for name in known.facts.get("keys") or ()]
    return found + [(f"{name}.x1", 7) for name in known.facts.get("keys") or ()]


def texts(values: list[Any]) -> list[str]:
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in values if value is not True]


@pytest.mark.parametrize("engine", ENGINES)
def test_each_option_is_the_only_word_of_its_kind_or_refused(engine: str) -> None:
    words, known = spellings(book(), engine), options(engine)
    counts = {"refused": 0, "said": 0}
    for name, value in cases(engine):
        if problems := refused(engine, {name: value}):
            assert all(p.place is not None and p.place.line == 5 for p in problems), (name, problems)
            counts["refused"] += 1
            continue
        counts["said"] += 1
        found = [(said, values) for said, values in emitted(launched(engine, {name: value})) if words.same(said, name)]
        option = known.taken.get(f"--{name}")
        if value is False and option is not None and option.kind == "switch":
            off = [word.lstrip("-") for word in option.off]
            assert not found if not off else len(found) == 1 and found[0][0] in off, (name, found)
            continue
        assert len(found) == 1, (name, found)
        assert fold(found[0][0]) == fold(name)
        wanted = texts(value if isinstance(value, list) else [value])
        assert texts([v for v in found[0][1] if v is not None]) == wanted or (engine == "ollama" and value is True), (name, value, found)
    assert counts["refused"] > 3 and counts["said"] > 10, counts


def ways(name: str) -> list[str]:
    """A name as people and engines write it."""
    return [name, name.replace("-", "_"), name.replace("_", "-"), name.upper().replace("-", "_"), f"{name}.x1"]


GATES = list(read_yaml(Path(__file__).parents[2] / "rules/facts/gates.yaml").data["gates"])


@pytest.mark.parametrize("name", GATES)
def test_every_spelling_of_what_a_gate_names_meets_the_gate(name: str) -> None:
    """Short names, aliases, what switches it off, dashes and case, the variable that says the same: at any version of any engine."""
    entry, met = book().section("gates")[name], 0
    for engine in ENGINES:
        words = spellings(book(), engine)
        named = [option.lstrip("-") for option in (entry.get("options") or {}).get(engine) or ()]
        canonical = {words.options.get(fold(option)) for option in named} - {None}
        spelled = [word for word, option in words.options.items() if option in canonical]
        variables = [variable for variable, option in words.env.items() if option in canonical]
        variables += [variable.replace("*", "X1") for variable in entry.get("env") or ()]
        extra = [{way: "x1"} for word in named for way in ways(word)] + [{word: "x1"} for word in spelled]
        extra += [{variable: "x1"} for variable in variables if engine == "ollama" and variable.isupper()]
        for given, env in [*((one, {}) for one in extra), *(({}, {variable: "x1"}) for variable in variables)]:
            met += 1
            try:
                spec = spec_of(engine, given, env)
            except InputError as error:  # its name says that it is a secret
                assert [p.code for p in error.problems] == ["secret"]
                continue
            problems = list(gate_problems(spec, book()))
            if env and not given and words.env.get(*env) and entry.get("does") == "warn":
                assert "write extra_args" in problems[0].message  # an option has one spelling, which the gate then judges
            elif entry.get("does") == "warn":
                assert problems == [], (name, given, env)
                choice = outcome(engine).plan.choice
                assert choice is not None
                warned = gate_warnings(spec, resolve_engine(engine, choice.engine_version, book()), choice.settings, book())
                assert name in [reason.row for reason in warned], (name, given, env)
            else:
                assert [p.code for p in problems] == ["gate"], (name, given, env)
                assert problems[0].place is not None and problems[0].place.line == 5
    assert met > 3


def test_every_planned_setting_is_gated_or_named_in_a_warning() -> None:
    """An extra argument never contradicts the plan unseen."""
    for engine in ENGINES:
        choice = outcome(engine).plan.choice
        assert choice is not None
        facts = resolve_engine(engine, choice.engine_version, book())
        for setting in choice.settings:
            entry = facts.spelling(setting)
            name = str((entry or {}).get("parameter") or (entry or {}).get("env") or (entry or {}).get("key"))
            if entry is None or entry.get("positional"):
                continue
            spec = spec_of(engine, {name: 1})
            warned = [reason.row for reason in gate_warnings(spec, facts, choice.settings, book())]
            assert list(gate_problems(spec, book())) or "planned-setting-replaced" in warned, (engine, setting, name)


def test_two_spellings_of_one_option_are_refused() -> None:
    for extra in ({"max-loras": 1, "max_loras": 2}, {"enable-prefix-caching": True, "no-enable-prefix-caching": True}):
        assert [p.code for p in gate_problems(spec_of("vllm", extra), book())] == ["repeated-flag"]


def test_the_scripts_own_variables_are_gated() -> None:
    """A variable of the spec is exported after the script has set its own: none may share a name."""
    own = set()
    for path in (Path(__file__).parents[2] / "templates").glob("*.sh.j2"):
        own |= set(re.findall(r"^\s*([A-Za-z_]\w*)=", path.read_text(encoding="utf-8"), re.MULTILINE)) if path.name == "serve.sh.j2" else set()
    assert {"here", "found", "create", "pids"} <= own
    for name in own - {"OLLAMA_HOST"}:
        assert list(gate_problems(spec_of("vllm", {}, {name: "x1"}), book())), name


@pytest.mark.parametrize("name", GATES)
def test_what_a_gate_names_is_in_the_engines_table(name: str) -> None:
    for engine, named in (book().section("gates")[name].get("options") or {}).items():
        table = book().section("flags")[engine]
        known = {*table["options"], *(table.get("keys") or ()), *(table.get("parameters") or ())}
        assert [option for option in named if option not in known and option.split(".")[0] not in known] == []


@pytest.mark.parametrize(
    ("engine", "extra", "code"),
    [
        ("vllm", {"limit-mm-per-prompt": {"image": 2, "video": 0}}, None),
        ("vllm", {"limit-mm-per-promt": {"image": 2}}, "unknown-flag"),
        ("vllm", {"block-size": {"a": 1}}, "wrong-type"),
        ("vllm", {"enable-expert-paralle": True}, "abbreviated-flag"),  # the parser takes it, but it would hide what it replaces
        ("vllm", {"additional-config": {"inner": {"api_key": "abcdefgh12345"}}}, "secret"),
        ("sglang", {"mm-process-config": {"image": {"max_pixels": 1000}}}, None),
        ("tensorrt-llm", {"cuda_graph_config": {"enable_padding": True}}, None),
        ("tensorrt-llm", {"cuda_graph_config": {"enable_paddin": True}}, "unknown-key"),
        ("tensorrt-llm", {"cuda_graph_config.enable_paddin": True}, "unknown-key"),
        ("llama.cpp", {"poll": {"a": 1}}, "wrong-type"),
        ("ollama", {"seed": {"a": 1}}, "wrong-type"),
    ],
)
def test_mappings(engine: str, extra: dict[str, Any], code: str | None) -> None:
    try:
        spec = spec_of(engine, extra, unknown=False)
    except InputError as error:
        assert [problem.code for problem in error.problems] == [code]
        return
    version = str(book().section("engines")[engine]["default_version"])
    assert [problem.code for problem in extra_problems(spec, engine, version, book())] == ([code] if code else [])


@pytest.mark.parametrize(
    ("engine", "name", "code"),
    [
        ("vllm", "VLLM_USE_DEP_GEMM", "unknown-variable"),
        ("vllm", "VLLM_USE_DEEP_GEMM", None),
        ("vllm", "VLLM_ATTENTION_BACKEND", "removed-variable"),
        ("vllm", "NCCL_ANYTHING", None),
        ("sglang", "SGLANG_NO_SUCH_THING", "unknown-variable"),
        ("sglang", "SGLANG_ENABLE_JIT_DEEPGEMM", None),
        ("vllm", "SGLANG_NO_SUCH_THING", None),
        ("ollama", "OLLAMA_SUCH_THING", "unknown-variable"),
    ],
)
def test_a_variable_that_the_engine_does_not_read_is_refused(engine: str, name: str, code: str | None) -> None:
    version = resolve_engine(engine, None, book()).version
    found = list(extra_problems(spec_of(engine, env={name: "1"}, unknown=False), engine, version, book()))
    assert [problem.code for problem in found] == ([code] if code else [])
    assert all(problem.place is not None and problem.place.line == 5 for problem in found)
    allowed = list(extra_problems(spec_of(engine, env={name: "1"}), engine, version, book()))
    assert [problem.code for problem in allowed] == ([code] if code == "removed-variable" else [])


def test_a_variable_of_a_newer_version_is_refused_with_that_version() -> None:
    table = book().section("flags")["vllm"]["variables"]["since"]
    newest = table["0.33.0"][0]
    [problem] = extra_problems(spec_of("vllm", env={newest: "1"}, unknown=False), "vllm", "0.32.0", book())
    assert "vllm 0.33.0 does" in problem.message
    assert not list(extra_problems(spec_of("vllm", env={newest: "1"}, unknown=False), "vllm", "0.33.0", book()))


def test_a_key_of_a_mapping_keeps_its_false_and_lists_are_repeated() -> None:
    launch = launched("vllm", {"kernel-config.enable_flashinfer_autotune": False, "middleware": ["a.b", "c.d"]})
    assert launch.spelled.config["kernel-config.enable_flashinfer_autotune"] == "false"
    assert "--middleware a.b --middleware c.d" in " ".join(map(str, launch.words()))


@pytest.mark.parametrize(("engine", "extra"), [("vllm", {"cpu-offload-gb": 4}), ("sglang", {"page-size": 64}), ("llama.cpp", {"swa-full": True})])
def test_an_option_that_takes_memory_and_is_not_counted_is_said(engine: str, extra: dict[str, Any]) -> None:
    choice = outcome(engine).plan.choice
    assert choice is not None
    spec = spec_of(engine, extra)
    found = gate_warnings(spec, resolve_engine(engine, choice.engine_version, book()), choice.settings, book())
    assert "memory-uncounted" in [reason.row for reason in found]
