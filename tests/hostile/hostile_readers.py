"""The real readers of what is written: bash with stub engines, Docker Compose v2, GitHub's Markdown, YAML 1.1 and 1.2, JSON.

Each turns the files of many specs into plain data, so that one spec's can be compared with another's. Programs are started once
for many files where they can be.
"""

from __future__ import annotations

import functools
import html
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hostile_specs import Case

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "render"))

from interpolation import interpolated

from generator.readers.document import parse_yaml
from generator.verify.modelfile import read as read_modelfile

HERE = Path(__file__).parent
HOME = "/home/x"
KEY = "s3cret"
VARIABLES = {"MY_KEY": KEY, "HOME": HOME}
"""What the reader's environment has: Compose and the scripts expand it where a file of ours says so."""

STUB = """#!/bin/sh
case "$1" in
  --version | -c) exit 0 ;;
esac
{ printf '%s\\0' "${0##*/}" "$@"; printf '\\001env\\001'; env -0; } >"$STUB_OUT.${0##*/}"
"""
CURL = """#!/bin/sh
printf '%s\\0' "$@" >>"$STUB_OUT.curl"
echo '{"content": "ok"}'
"""
OLLAMA = """#!/bin/sh
case "$1" in
  --version | list) exit 0 ;;
  create) printf '%s\\0' "$@" >"$STUB_OUT.part"; mv "$STUB_OUT.part" "$STUB_OUT.create" ;;
  serve)
    { printf '%s\\0' ollama "$@"; printf '\\001env\\001'; env -0; } >"$STUB_OUT.ollama"
    for i in 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0; do [ -e "$STUB_OUT.create" ] && exit 0; sleep 0.05; done ;;
esac
"""
PROGRAMS = {"curl": CURL, "ollama": OLLAMA}
PROGRAMS |= dict.fromkeys(("vllm", "python3", "text-generation-launcher", "trtllm-serve", "llama-server", "llama-bench"), STUB)

OF_THE_SHELL = ("_", "STUB_OUT", "SHLVL", "PATH", "PWD", "OLDPWD", "SMOKE_TIMEOUT")
"""Variables that are not of the files."""

SEAL = "GEN_DEPLOY_SET"
"""The digest of a set, another for each."""

DRIVER = """
while IFS= read -r -d '' folder && IFS= read -r -d '' script && IFS= read -r -d '' out; do
  cd -- "$folder" || exit 9
  if [[ $out == - ]]; then
    bash -n "$script" </dev/null >/dev/null 2>&1
  else
    STUB_OUT=$out "$script" </dev/null >/dev/null 2>"$out.err"
  fi
  printf '%d\\n' "$?"
done
"""

ASSIGNED = re.compile(r"^model=.*?(?=^expected=)", re.DOTALL | re.MULTILINE)
"""The part of the job of llama.cpp that holds values; the rest works with them, and would download."""

SHOWN = 'for name in model made_of revision calibration dataset; do printf "%s\\0" "$name=${!name-}"; done >"$STUB_OUT.job"\n'


@dataclass
class Seen:
    """What the readers made of one spec's files: by reader and file, plain data; and what they refused."""

    data: dict[str, Any] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


class Bench:
    """A folder to work in, with the stubs, and the readers that are here."""

    def __init__(self, root: Path, compose: str | None, llama_server: str | None = None) -> None:
        self.root, self.compose, self.llama_server = root, compose, llama_server
        self.out, self.tools, self.got = root / "out", root / "tools", root / "got"
        for folder in (self.out, self.tools, self.got):
            folder.mkdir(parents=True, exist_ok=True)
        for name, text in PROGRAMS.items():
            (self.tools / name).write_text(text)
            (self.tools / name).chmod(0o755)

    def clear(self) -> None:
        """Take away what the last specs left."""
        for folder in (self.out, self.got, self.root / "specs"):
            shutil.rmtree(folder, ignore_errors=True)
        self.out.mkdir()
        self.got.mkdir()

    def read(self, cases: Sequence[Case], every: Callable[[Case], bool] = lambda case: True) -> dict[int, Seen]:
        """The files of every case as their readers have them; `every` says which go through the slow readers too."""
        seen = {case.number: Seen() for case in cases}
        self._scripts(cases, seen)
        self._compose(cases, seen, every)
        for case in cases:
            self._files(case, seen[case.number], every(case))
            if every(case) and case.shape.engine == "llama.cpp":
                self._llama_cpp(seen[case.number])
        return seen

    def _llama_cpp(self, seen: Seen) -> None:
        """The real llama-server parses the words; with `--version` behind them it stops there."""
        words = seen.data.get("run llama.cpp/serve.sh llama-server")
        if self.llama_server is None or words is None:
            return
        done = subprocess.run([self.llama_server, *words[1:], "--version"], env={}, cwd=self.got, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        seen.data["parsed by llama-server"] = done.returncode == 0 and b"version:" in done.stdout + done.stderr
        if not seen.data["parsed by llama-server"]:
            seen.refused.append(f"llama-server: {done.stderr.decode(errors='replace')[-300:]}")

    # ---- bash

    def _scripts(self, cases: Sequence[Case], seen: dict[int, Seen]) -> None:
        """Every script parsed by bash; those that start something are run, with stubs."""
        work: list[tuple[int, str, str, str]] = []
        for case in cases:
            folder = self.out / case.name
            for path in sorted(folder.rglob("*.sh")):
                text = path.read_text()
                script = f"./{path.relative_to(folder)}"
                runs = path.name in ("serve.sh", "smoke.sh") or (path.name == "bench.sh" and 'exec "${args[@]}"' in text)
                if path.name == "serve.sh" and (made := re.search(r'! -e "\$here"/(\S+) \]\]', text)):
                    weights = path.parent / made[1]
                    weights.parent.mkdir(parents=True, exist_ok=True)
                    weights.touch()
                work.append((case.number, str(folder), script, str(self.got / f"{case.number}.{path.stem}") if runs else "-"))
                if job := ASSIGNED.search(text):
                    part = self.got / f"{case.number}-assigned.sh"
                    part.write_text(f"#!/bin/bash\nset -euo pipefail\nhere={shlex.quote(str(path.parent))}\n{job[0]}\n{SHOWN}")
                    part.chmod(0o755)
                    work.append((case.number, str(folder), str(part), str(self.got / f"{case.number}.run")))
        sent = "".join(f"{folder}\0{script}\0{out}\0" for _, folder, script, out in work)
        env = {"PATH": f"{self.tools}:/usr/bin:/bin", **VARIABLES, "SMOKE_TIMEOUT": "5"}
        done = subprocess.run(["bash", "-c", DRIVER], input=sent.encode("utf-8", "surrogateescape"), env=env, stdout=subprocess.PIPE, check=True)
        codes = done.stdout.decode().split()
        for (number, _, script, out), code in zip(work, codes, strict=True):
            if code != "0":
                said = Path(out + ".err").read_text(errors="replace")[-300:] if out != "-" else "bash -n"
                seen[number].refused.append(f"{script} ends with {code}: {said}")
            elif out != "-":
                name = script.removeprefix("./") if script.startswith("./") else "quantize/run.sh"
                seen[number].data.update({f"run {name} {key}": value for key, value in self._got(out).items()})

    def _got(self, out: str) -> dict[str, Any]:
        """What the stubs of one script wrote down: words and environment, or words alone."""
        found: dict[str, Any] = {}
        for path in sorted(self.got.glob(Path(out).name + ".*")):
            if path.suffix == ".err":
                continue
            words, _, env = path.read_bytes().decode("utf-8", "surrogateescape").partition("\1env\1")
            found[path.suffix[1:]] = [_json(word) for word in words.removesuffix("\0").split("\0")]
            if env:
                pairs = dict(pair.split("=", 1) for pair in env.removesuffix("\0").split("\0"))
                found[path.suffix[1:] + " env"] = {k: v for k, v in pairs.items() if k not in (*OF_THE_SHELL, SEAL)}
        return found

    # ---- Compose

    def _compose(self, cases: Sequence[Case], seen: dict[int, Seen], every: Callable[[Case], bool]) -> None:
        files = [(case, path) for case in cases for path in sorted((self.out / case.name).glob("*/compose.yaml"))]
        if self.compose is None:
            for case, path in files:
                try:
                    data = interpolated(parse_yaml(path.read_text(), "compose.yaml").data, VARIABLES)
                except ValueError as error:
                    seen[case.number].refused.append(f"compose.yaml: {error}")
                else:
                    seen[case.number].data["compose"] = _services(data["services"], 1)
            return
        found = self._extended(files)
        for case, path in files:
            what = found[path]
            if isinstance(what, str):
                seen[case.number].refused.append(f"compose.yaml: {what}")
                continue
            seen[case.number].data["compose"] = what
            if every(case):
                alone = self._config(path, path.parent)
                if isinstance(alone, str) or alone["name"] != case.name:
                    seen[case.number].refused.append(f"compose.yaml: {alone if isinstance(alone, str) else alone['name']}")
                elif _services(alone["services"]) != what:
                    seen[case.number].refused.append("compose.yaml: alone it is read otherwise than together with others")

    def _extended(self, files: Sequence[tuple[Case, Path]]) -> dict[Path, Any]:
        """The services of many files by one run: each taken over by `extends`, which reads and expands the whole file."""
        if not files:
            return {}
        lines, names = ["volumes: {cache: {}, compiled: {}}", "services:", '  ollama: {image: "x"}'], {}
        for number, (_, path) in enumerate(files):
            for service in re.findall(r"^  ([a-z.-]+):$", path.read_text().partition("\nservices:\n")[2], re.MULTILINE):
                names[f"s{number}-{service.replace('.', '_')}"] = (path, service)
                lines.append(f"  s{number}-{service.replace('.', '_')}: {{extends: {{file: {json.dumps(str(path))}, service: {json.dumps(service)}}}}}")
        together = self.got / "together.yaml"
        together.write_text("\n".join(lines) + "\n")
        data = self._config(together, self.got)
        if isinstance(data, str):
            if len(files) == 1:
                return {files[0][1]: data}
            half = len(files) // 2
            return self._extended(files[:half]) | self._extended(files[half:])
        found: dict[Path, Any] = {path: {} for _, path in files}
        for name, (path, service) in names.items():
            found[path][service] = data["services"][name]
        return {path: _services(services) for path, services in found.items()}

    def _config(self, path: Path, folder: Path) -> Any:
        """`docker compose config` of a file, or what it says against it."""
        assert self.compose
        words = [self.compose, "--file", str(path), "--project-directory", str(folder), "config", "--format", "json"]
        done = subprocess.run(words, env={"PATH": "/usr/bin:/bin", **VARIABLES}, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr.decode(errors="replace")[-300:] or "no word"

    # ---- files

    def _files(self, case: Case, seen: Seen, whole: bool) -> None:
        folder = self.out / case.name
        names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
        seen.data["files"] = [name for name in names if "if-missing" not in name]
        for name in names:
            path = folder / name
            text = path.read_bytes().decode()
            try:
                if name == "PLAN.md":
                    seen.data[name] = sections(text)
                elif name == "plan.json":
                    seen.data[name] = {k: v for k, v in json.loads(text).items() if k not in ("warnings", "trace", "digest")}
                elif name.endswith(".json"):
                    json.loads(text)
                elif name.endswith(".yaml") and not name.endswith("compose.yaml"):
                    seen.data[name] = yamls(text, whole)
                elif name.endswith("compose.yaml"):
                    yamls(text, whole)
                elif name.endswith("Modelfile"):
                    seen.data[name] = [list(command) for command in read_modelfile(text)]
            except (ValueError, yaml.YAMLError) as error:
                seen.refused.append(f"{name}: {error}")


def _services(services: Mapping[str, Any], dollars: int = 2) -> Any:
    """What is meant by services of which `config` prints each `$` twice; without what differs from set to set."""

    def halved(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: halved(item) for key, item in value.items()}
        if isinstance(value, list):
            return [halved(item) for item in value]
        return value.replace("$" * dollars, "$") if isinstance(value, str) else value

    found = {name: {k: v for k, v in halved(service).items() if k not in ("networks", "depends_on", "env_file")} for name, service in services.items()}
    for service in found.values():
        (service.get("environment") or {}).pop(SEAL, None)
    return found


def yamls(text: str, whole: bool) -> Any:
    """What YAML 1.1 (PyYAML) and 1.2 read, which must be one; `whole` asks another reader of 1.2 as well.

    Raises `ValueError` where they differ.
    """
    old = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    new: list[Any] = [parse_yaml(text, "x").data]
    if whole:
        from ruamel.yaml import YAML

        reader: Any = YAML(typ="safe", pure=True)
        new.append(reader.load(io.StringIO(text)))
    if any(data != old for data in new):
        raise ValueError("YAML 1.1 and 1.2 read it differently")
    return old


@functools.cache
def _markdown() -> Callable[[str], str]:
    import cmarkgfm
    from cmarkgfm.cmark import Options

    def render(text: str) -> str:
        return str(cmarkgfm.github_flavored_markdown_to_html(text, options=Options.CMARK_OPT_UNSAFE))

    return render


def sections(text: str) -> dict[str, str]:
    """PLAN.md as GitHub renders it, by its headings; without the comments that it begins and ends with, each of which must be one."""
    page = re.sub(r"<!-- sha256 [0-9a-f]{64} -->\n\Z", "", _markdown()(text))
    comment, _, rest = page.partition("-->\n")
    if not comment.startswith("<!-- ") or re.search(r"--!?>|<!--", comment[4:] + rest):
        raise ValueError(f"a comment of its own: {page[:200]!r}")
    parts = re.split(r"<(?:h2|summary)>(.*?)</(?:h2|summary)>", rest)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


LOOSE = "What may go wrong"
"""The section that may hold other warnings with another text: there only the form is looked at."""

WHY = "Why"
"""The section in which a value is made code only where something might be made of it."""

_FORM = re.compile(r"</?(?:p|ul|li|code)>")
_CODE = re.compile(r"<code>.*?</code>", re.DOTALL)
_OURS = re.compile(r'<a href="[^"]*">[^<]*</a>')
_LINKS = re.compile(r"@[A-Za-z0-9]|#[0-9]|GH-[0-9]|://|www\.|:[a-z0-9_+-]+:")


def odd_form(section: str) -> str | None:
    """What is neither a paragraph, a list nor code in a section of warnings, or text outside code that GitHub makes a link of."""
    bare = _FORM.sub("", _CODE.sub("", section))
    found = re.search(r"<", bare) or _LINKS.search(html.unescape(bare))
    return found and bare[max(0, found.start() - 20) : found.end() + 40]


def links(section: str) -> list[str]:
    """Text outside code and outside our own links that GitHub makes a link or a mention of."""
    return _LINKS.findall(html.unescape(_OURS.sub("", _CODE.sub("", section))))


def without_code(section: str) -> str:
    """A section with its code as plain text."""
    return re.sub(r"</?code>", "", section)


def _json(word: str) -> Any:
    """A word that is a JSON object as its data: how it is spelled is free."""
    if word.startswith("{"):
        try:
            return json.loads(word)
        except ValueError:
            return word
    return word


def compose_program(fetch: bool = False) -> str | None:
    """Docker Compose v2 where it is, or can be fetched; None where it is not."""
    done = subprocess.run([str(HERE / "compose.sh"), *([] if fetch else ["--here"])], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def cpu_folder() -> Path | None:
    """A folder in memory for files that live for a second, where there is one."""
    shm = Path("/dev/shm")
    return shm if os.access(shm, os.W_OK) else None
