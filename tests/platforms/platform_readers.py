"""What each platform makes of its files: readers that are not the generator's own, for where the platforms themselves are not."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML

SECRETS = {"MY_KEY": "s3cret", "CHAT_API_KEY": "s3cret"}
RANKS = {"LWS_WORKER_INDEX": "1", "LWS_LEADER_ADDRESS": "head.group"}

STUB = """#!/bin/bash
printf '%s\\0' "${0##*/}" "$@" >"$STUB_OUT.${SLURM_NODEID:-0}"
printf '\\001env\\001' >>"$STUB_OUT.${SLURM_NODEID:-0}"
env -0 >>"$STUB_OUT.${SLURM_NODEID:-0}"
"""
DOCKER = """#!/bin/bash
if [[ $1 == exec ]]; then [[ $* == *" create "* ]] && printf '%s\\0' docker "$@" >"$STUB_OUT.create"; exit 0; fi
printf '%s\\0' docker "$@" >"$STUB_OUT.0"
printf '\\001env\\001' >>"$STUB_OUT.0"
env -0 >>"$STUB_OUT.0"
for i in 1 2 3 4 5 6 7 8 9 10; do [[ -z $STUB_WAITS || -e $STUB_OUT.create ]] && exit 0; sleep 0.1; done
"""
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
for ((node = 0; node < SLURM_NODES; node++)); do SLURM_NODEID=$node "$@" || exit; done
"""
SLEEP = "#!/bin/bash\nexec /bin/sleep 0.02\n"  # a script that looks again every two seconds need not be waited for
SCONTROL = "#!/bin/bash\nprintf 'localhost\\nother\\n'\n"


@dataclass
class Seen:
    """What a process gets: words and environment; `more` is what only some platforms say."""

    words: list[str]
    env: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)


def run(script: Path, work: Path, nodes: int = 1, creates: bool = False) -> list[Seen]:
    """A script in bash, with stubs in place of all programs that it starts: what each of them got."""
    stubs, out = work / "bin", work / "out"
    if not stubs.is_dir():
        stubs.mkdir(parents=True)
        programs = dict.fromkeys(("vllm", "python3", "trtllm-serve", "trtllm-llmapi-launch"), STUB)
        for name, text in {**programs, "docker": DOCKER, "srun": SRUN, "scontrol": SCONTROL, "sleep": SLEEP}.items():
            (stubs / name).write_text(text)
            (stubs / name).chmod(0o755)
    for old in work.glob("out.*"):
        old.unlink()
    env = {
        "PATH": f"{stubs}:/usr/bin:/bin", "HOME": str(work), "STUB_OUT": str(out), "STUB_WAITS": "1" if creates else "", "SLURM_NODES": str(nodes),
        "SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_SUBMIT_DIR": str(script.parent), **SECRETS,
    }  # fmt: skip
    done = subprocess.run(["bash", str(script)], env=env, cwd=script.parent, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = []
    for node in range(nodes):
        words, _, env_text = Path(f"{out}.{node}").read_bytes().partition(b"\x01env\x01")
        env_read = dict(one.split("=", 1) for one in env_text.decode().split("\0") if "=" in one)
        found.append(Seen(words.decode().split("\0")[:-1], env_read, {"stderr": done.stderr}))
    if creates:
        found[0].more["create"] = Path(f"{out}.create").read_bytes().decode().split("\0")[:-1]
    return found


WITH_VALUE = ("--env", "--publish", "--mount", "--gpus", "--device", "--group-add", "--shm-size", "--ulimit", "--entrypoint")


def docker(seen: Seen) -> Seen:
    """What the container of a `docker run` gets."""
    assert seen.words[:2] == ["docker", "run"]
    options: dict[str, list[str]] = {}
    at = 2
    while seen.words[at].startswith("--"):
        name, equals, value = seen.words[at].partition("=")
        if not equals and name in WITH_VALUE:
            value, at = seen.words[at + 1], at + 1
        options.setdefault(name, []).append(value)
        at += 1
    env = {}
    for one in options.get("--env", []):
        name, equals, value = one.partition("=")
        if equals or name in seen.env:
            env[name] = value if equals else seen.env[name]
    mounts = []
    for one in options.get("--mount", []):
        (fields,) = csv.reader(io.StringIO(one), strict=True)
        mounts.append({name: value for name, _, value in (part.partition("=") for part in fields)})
    more = {**seen.more, "options": options, "mounts": mounts, "image": seen.words[at]}
    return Seen([*options.get("--entrypoint", []), *seen.words[at + 1 :]], env, more)


def documents(text: str) -> list[Any]:
    """The documents of a manifest, as YAML 1.1 (PyYAML) and YAML 1.2 (ruamel) read them: alike."""
    old = list(yaml.safe_load_all(text))
    new = list(YAML(typ="safe", pure=True).load_all(text))
    assert old == new
    return old


_DOLLAR = re.compile(r"\$(?:(\$)|\(([^()]*)\)|)")


def expanded(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` of Kubernetes, as its own expansion does it: `$$` is a dollar, and a name that nothing has stays as it is."""
    return _DOLLAR.sub(lambda found: "$" if found[1] else env.get(found[2], found[0]) if found[2] is not None else "$", text)


def pods(read: list[Any]) -> list[Seen]:
    """The containers that start the engine, each after its expansion."""
    found = []
    for document in read:
        group = document["spec"].get("leaderWorkerTemplate", {})
        for pod in (document["spec"].get("template"), group.get("leaderTemplate"), group.get("workerTemplate")):
            for container in pod["spec"]["containers"] if pod and document["kind"] != "Job" else ():
                env: dict[str, str] = {**RANKS, **SECRETS}
                for one in container["env"]:
                    assert isinstance(one.get("value", ""), str), "the API server takes strings only"
                    env[one["name"]] = expanded(one["value"], env) if "value" in one else f"secret {one['valueFrom']['secretKeyRef']['key']}"
                words = [*container.get("command", []), *container["args"]]
                assert all(isinstance(word, str) for word in words)
                found.append(Seen([expanded(word, env) for word in words], env, {"container": container, "pod": pod, "document": document}))
    return found


def unit_words(line: str, dollars: bool = True, env: Mapping[str, str] | None = None) -> list[str]:
    """A line of a unit as systemd reads it: quotes and C's escapes, then specifiers, then variables (of a command)."""
    words: list[str] = []
    word, quote, inside, at = "", "", False, 0
    while at < len(line):
        c = line[at]
        if c == "\\":
            code = {"x": 2, "u": 4, "U": 8}.get(line[at + 1], 0)
            named = {"n": "\n", "t": "\t", '"': '"', "'": "'", "\\": "\\", "s": " "}
            word += chr(int(line[at + 2 : at + 2 + code], 16)) if code else named[line[at + 1]]
            at, inside = at + 2 + code, True
            continue
        if quote and c == quote:
            quote = ""
        elif not quote and c in "\"'":
            quote, inside = c, True
        elif not quote and c == " ":
            if inside:
                words.append(word)
            word, inside = "", False
        else:
            word, inside = word + c, True
        at += 1
    assert not quote, "an open quote"
    if inside:
        words.append(word)
    assert all(re.fullmatch(r"(?:[^%]|%%|%[ES])*", one, re.DOTALL) for one in words), "a specifier that nobody meant"
    words = [one.replace("%%", "%") for one in words]
    if dollars:
        known = env or {}
        words = [re.sub(r"\$(?:(\$)|\{(\w+)\})", lambda m: "$" if m[1] else known[m[2]], one) for one in words]
    return words


def unit(text: str) -> dict[str, list[str]]:
    """The keys of a unit with their values, in order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and line[0] not in "#;[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def quadlet(text: str) -> Seen:
    """What Podman's container gets: Quadlet passes the words on to a command of systemd, but for an empty one and a lone semicolon."""
    read = unit(text)
    words = [word for line in read["Exec"] for word in unit_words(line)]
    assert "" not in words and ";" not in words
    env = dict(one.split("=", 1) for line in read.get("Environment", []) for one in unit_words(line))
    return Seen([*read.get("Entrypoint", []), *words], env, {"unit": read})


def service(text: str) -> Seen:
    """What the process of a service gets."""
    read = unit(text)
    env = {"LANG": os.environ.get("LANG", "")}
    for line in read.get("Environment", []):
        env |= dict(one.split("=", 1) for one in unit_words(line, dollars=False))
    words = unit_words(read["ExecStart"][0], env={**SECRETS, **env}) if "ExecStart" in read else []
    return Seen(words[1:], env, {"unit": read})
