"""All steps of the GitHub Action in order, and the entries of the hooks, in a checkout that a stranger wrote.

Slow: the Action's own Install step runs, and PyPI has to be reachable.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from test_action import GH, ROOT, STEPS, Runner, processed

SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\n"
MODULES = (
    "venv", "pip", "click", "sitecustomize", "usercustomize", "site", "yaml", "jinja2", "jsonschema", "filelock", "json", "runpy", "secrets", "os",
    "re", "subprocess", "tomllib", "importlib", "backend",
)  # fmt: skip
PACKAGES = ("generator", "generator/cli", "encodings", "ensurepip", "setuptools", "distutils", "_distutils_hack")
"""What Python, pip, the build or gen-deploy itself import."""
PROGRAMS = ("git", "gh", "python", "python3", "pip", "gen-deploy", "bash", "od", "grep", "cat", "mktemp", "jq", "run-by-git")
HOSTILE_NAMES = (
    "::error::owned.yaml", "a\n::error file=x::owned.yaml", "a\n::add-mask::e.yaml", "##[set-output name=changed]false.yaml", "a\r::set-env name=X::y.yaml",
    "a\n::stop-commands::x.yaml", "$(touch owned).yaml", "`touch owned`.yaml", ";touch owned;.yaml", "--rules=x.yaml", "-rf.yaml",
    "@octocat www.example.org.yaml",
    "![x](https:example.org).yaml", "<details open><img src=x>.yaml", "a|b`c\\.yaml", "\u202etxt.yaml", "%0A::error::x.yaml", "'\".yaml",
)  # fmt: skip
NEEDS_JQ = pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
ALLOWED = re.compile(r"::(error|warning|notice) [^:]*::")


def git(folder: Path, *words: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    who = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", f"core.hooksPath={os.devnull}"]
    return subprocess.run(["git", *who, *words], cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout.strip()


class Checkout:
    """A repository with a good base and a hostile head; whatever of it runs leaves a line in `canary`."""

    def __init__(self, base: Path) -> None:
        self.folder, self.canary = base / "checkout", base / "canary"
        (self.folder / "specs").mkdir(parents=True)
        (self.folder / "specs/chat.yaml").write_text(SPEC)
        self.put("gen-deploy.yaml", "specs: [specs/*.yaml]\nout: deploy\n")
        git(self.folder, "init", "--quiet", "--initial-branch=main")
        git(self.folder, "add", ".")
        git(self.folder, "commit", "--quiet", "-m", "base")
        self.base = git(self.folder, "rev-parse", "HEAD")
        for module in MODULES:
            self.put(f"{module}.py", self.python)
        for package in PACKAGES:
            self.put(f"{package}/__init__.py", self.python)
            self.put(f"{package}/__main__.py", self.python)
        for program in PROGRAMS:
            self.put(program, f'#!/bin/sh\necho "{program} $*" >> "{self.canary}"\n').chmod(0o755)
        self.put("x.pth", f"import os; open({str(self.canary)!r}, 'a').write('pth')\n")
        self.put("pyvenv.cfg", "home = .\ninclude-system-site-packages = true\n")
        for name in ("pip.conf", "pip.ini", ".pip/pip.conf", ".config/pip/pip.conf"):
            self.put(name, "[global]\nindex-url = http://127.0.0.1:9/\nno-index = true\nextra-index-url = http://127.0.0.1:9/\n")
        self.put("setup.cfg", "[install]\nprefix = /nowhere\n[options]\nsetup_requires = evil\n[easy_install]\nindex_url = http://127.0.0.1:9/\n")
        self.put("setup.py", self.python)
        self.put("conftest.py", self.python)
        backend = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "gen-deploy"\nversion = "99"\n'
        self.put("pyproject.toml", backend)
        self.put("gen_deploy-99.dist-info/METADATA", "Metadata-Version: 2.1\nName: gen-deploy\nVersion: 99\n")
        self.put("gen_deploy-99.dist-info/entry_points.txt", "[console_scripts]\ngen-deploy = x:main\n")
        self.put("requirements.txt", "evil\n")
        self.put(".python-version", "2.7\n")
        for name in (".bashrc", ".bash_profile", ".env", ".envrc"):
            self.put(name, f'echo {name} >> "{self.canary}"\n')
        self.put(".gitattributes", "* filter=x diff=x merge=x\n")

    @property
    def python(self) -> str:
        return f"open({str(self.canary)!r}, 'a').write(__name__ + '\\n')\n"

    def put(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def commit(self) -> None:
        """The head, and then what only an archive can bring: hooks and a configuration."""
        git(self.folder, "add", "--force", ".")
        git(self.folder, "commit", "--quiet", "-m", "head")
        program = self.folder / "run-by-git"
        for hook in ("pre-auto-gc", "post-checkout", "post-index-change", "reference-transaction", "post-merge"):
            (self.folder / ".git/hooks" / hook).symlink_to(program)
        with (self.folder / ".git/config").open("a") as config:
            config.write(f'[core]\n\tfsmonitor = {program}\n\thooksPath = .git/hooks\n\tpager = {program}\n[diff]\n\texternal = {program}\n')
            config.write(f'[filter "x"]\n\tclean = {program}\n\tsmudge = {program}\n[diff "x"]\n\ttextconv = {program}\n')

    def files(self) -> dict[str, tuple[int, bytes | str]]:
        """Everything in it: mode, and content or where a link leads; git's index has the time of the last look in it."""
        found: dict[str, tuple[int, bytes | str]] = {}
        for path in sorted(self.folder.rglob("*")):
            mode = path.lstat().st_mode
            if path.is_symlink():
                found[str(path)] = (mode, str(path.readlink()))
            elif path.is_file() and path.name != "index":
                found[str(path)] = (mode, path.read_bytes())
        return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Install step, run in a hostile checkout; returns what it installed."""
    base = tmp_path_factory.mktemp("install")
    checkout = Checkout(base)
    checkout.commit()
    before = checkout.files()
    runner = Runner(base)
    network = {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
    done = runner.step("Install", cwd=checkout.folder, **network)
    assert done.returncode == 0, done.stdout + done.stderr
    assert processed(done.stdout) == []
    assert not checkout.canary.exists(), checkout.canary.read_text()
    assert checkout.files() == before
    yield base / "gen-deploy"
    shutil.rmtree(base, ignore_errors=True)


class Run:
    """What the steps after the first said and left, in one checkout."""

    def __init__(self, base: Path, installed: Path, checkout: Checkout) -> None:
        runner = self.runner = Runner(base)
        (base / "gen-deploy").symlink_to(installed)
        runner.program("gh", GH)
        (base / "comments.json").write_text("[]")
        before = checkout.files()
        outside = {path for path in base.iterdir() if path != checkout.folder}
        self.codes: dict[str, int] = {}
        self.commands: list[str] = []
        self.said = ""
        environment = {"BASE": checkout.base}
        for name in [step for step in STEPS if step != "Install"]:
            if name == "Comment" and "changed=" not in runner.output.read_text():
                continue
            if name == "Comment":
                environment = {"REPOSITORY": "o/r", "NUMBER": "7", "CHANGED": runner.output.read_text().strip().removeprefix("changed="), "GH_TOKEN": "t"}
            if name == "Verdict":
                environment = {n.upper(): "failure" if self.codes.get(n) else "success" for n in ("Lint", "Test", "Check", "Diff")}
                environment |= {"CHANGED": "", "FAIL_ON_CHANGE": "false"}
            done = runner.step(name, cwd=checkout.folder, **environment)
            self.codes[name] = done.returncode
            self.said += done.stdout + done.stderr
            found = processed(done.stdout) + processed(done.stderr)
            assert all(map(ALLOWED.match, found)), found
            self.commands += found
        assert not checkout.canary.exists(), checkout.canary.read_text()
        assert not list(base.rglob("owned"))
        assert checkout.files() == before, "the Action writes nothing into the checkout"
        assert {path.name for path in base.iterdir() if path not in outside} <= {"checkout", "gen-deploy-diff.md", "gh.log", "body", ".cache"} | {
            path.name for path in base.glob("annotations.*")
        }
        assert re.fullmatch(r"(changed=(true|false)\n)?", runner.output.read_text())


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@NEEDS_JQ
@pytest.mark.slow
def test_modules_and_names(tmp_path: Path, installed: Path, checkout: Checkout) -> None:
    """Specs that are right, with names that are not; a rule set of one's own with texts that are not."""
    for i, name in enumerate(HOSTILE_NAMES):
        checkout.put(f"specs/{name}", f"name: n{i}\n{SPEC}")
    checkout.put("specs/chat.yaml", SPEC + "deploy: {port: 9000}\n")
    checkout.put("gen-deploy.yaml", "specs: [specs/*.yaml]\nout: deploy\nrules: ours\n")
    text = json.dumps("\n::add-mask::x @octocat ![x](https://example.org/x.png) </details>")
    row = f"{{id: no-tgi, when: {{engine: tgi}}, because: {text}, source: ours}}"
    checkout.put("ours/ruleset.yaml", f"ruleset: {{name: ours, extends: default}}\nsources:\n  ours: {{title: {text}, where: {text}, read: 2026-11-24}}\n")
    checkout.put("ours/reject.yaml", f"table: reject\nrows:\n  - {row}\n")
    checkout.commit()
    run = Run(tmp_path, installed, checkout)
    assert run.codes == {"Lint": 0, "Test": 0, "Check": 3, "Diff": 0, "Comment": 0, "Verdict": 1}, run.said
    assert run.runner.output.read_text() == "changed=true\n"
    assert any(command.startswith("::notice file=ours/reject.yaml,line=3,") for command in run.commands)
    body = (tmp_path / "body").read_text()
    assert body == run.runner.summary.read_text()
    assert not re.search(r"(?m)^\s*::|@\w|!\[", re.sub(r"`+[^`]*`+", "", body))


@NEEDS_JQ
@pytest.mark.slow
def test_specs_that_are_wrong(tmp_path: Path, installed: Path, checkout: Checkout) -> None:
    """Their names are in every message; those at the root begin it."""
    for name in HOSTILE_NAMES:
        checkout.put(name, "model: x\n::error::owned: [1]\n")
        checkout.put(f"specs/{name}", "model: |\n  x\n  ::error::owned\n")
    checkout.put("gen-deploy.yaml", "specs: ['*.yaml', specs/*.yaml]\nout: deploy\n")
    checkout.commit()
    run = Run(tmp_path, installed, checkout)
    assert {name: code for name, code in run.codes.items() if name != "Lint"} == {"Test": 0, "Check": 3, "Diff": 1, "Verdict": 1}, run.said
    assert "error[" in run.said


PROJECTS = {  # more of them: tests/project/test_strangers.py
    "out leads to git's": ("specs: [specs/*.yaml]\nout: deploy\n", {"deploy": ".git/hooks"}),
    "a spec leads outside": ("specs: ['specs/*']\nout: deploy\n", {"specs/x.yaml": "../../own/secret.yaml"}),
    "a rule leads outside": ("specs: [specs/*.yaml]\nout: deploy\nrules: ours\n", {"ours/x.yaml": "../../own/secret.yaml"}),
    "names with line ends": ('specs: ["a\\n::error::owned"]\nout: "b\\n::add-mask::x"\n"c\\n::error::owned": 1\n', {}),
}


@NEEDS_JQ
@pytest.mark.slow
@pytest.mark.parametrize("case", PROJECTS)
def test_project_files(tmp_path: Path, installed: Path, checkout: Checkout, case: str) -> None:
    text, links = PROJECTS[case]
    checkout.put("gen-deploy.yaml", text)
    checkout.put("ours/ruleset.yaml", "ruleset: {name: ours, extends: default}\n")
    own = tmp_path / "own"
    own.mkdir()
    (own / "secret.yaml").write_text("s3cret: {s3cret: s3cret}\n")
    (own / "ruleset.yaml").write_text("ruleset: {name: own, extends: default}\n")
    for name, target in links.items():
        (checkout.folder / name).parent.mkdir(exist_ok=True)
        (checkout.folder / name).symlink_to(target)
    checkout.commit()
    run = Run(tmp_path, installed, checkout)
    assert run.codes["Check"] == 1, run.said
    assert run.codes["Verdict"] == 1
    assert "s3cret" not in run.said
    assert sorted(path.name for path in own.iterdir()) == ["ruleset.yaml", "secret.yaml"]


@NEEDS_JQ
@pytest.mark.slow
def test_a_model_s_files(tmp_path: Path, installed: Path, checkout: Checkout) -> None:
    (tmp_path / "secret.json").write_text('{"s3cret": 1}')
    for i, name in enumerate(("../../secret.json", str(tmp_path / "secret.json"), "~/secret.json", "/proc/self/environ", "link.json")):
        checkout.put(f"specs/m{i}.yaml", f"model: {{id: me/mine, config: '{name}'}}\nhardware: {{gpu: L4-24GB}}\n")
    (checkout.folder / "specs/link.json").symlink_to("../../secret.json")
    checkout.commit()
    run = Run(tmp_path, installed, checkout)
    assert (run.codes["Check"], run.codes["Diff"]) == (3, 1), "the good spec has no files yet"
    assert run.said.count("error[outside-project]") >= 10
    assert "s3cret" not in run.said


@pytest.mark.slow
def test_the_hooks_import_nothing_of_the_checkout(installed: Path, checkout: Checkout) -> None:
    """pre-commit starts the program that pip made, in the checkout, without `-I`: its first folder is that of the program."""
    checkout.commit()
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    for hook in hooks:
        program, *words = hook["entry"].split()
        assert program == "gen-deploy"
        done = subprocess.run(
            [str(installed / "bin" / program), *words], cwd=checkout.folder, capture_output=True, text=True, check=False,
            env={"PATH": f"{installed / 'bin'}:{os.environ['PATH']}", "HOME": str(checkout.folder.parent), "VIRTUAL_ENV": str(installed)},
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert done.returncode == (3 if "generate" in words else 0), done.stdout + done.stderr
    assert not checkout.canary.exists(), checkout.canary.read_text()


@pytest.mark.slow
def test_the_checkout_is_hostile(checkout: Checkout) -> None:
    """What the tests above keep out does run where nobody keeps it out."""
    checkout.commit()
    for words in ([sys.executable, "-m", "venv", "--help"], ["git", "status"], ["./git"]):
        checkout.canary.unlink(missing_ok=True)
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
        subprocess.run(words, cwd=checkout.folder, env=environment, capture_output=True, check=False)
        assert checkout.canary.exists(), words
