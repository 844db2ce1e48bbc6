"""Imports go downwards only, floor by floor; every module has a floor; no module is over 400 lines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import generator

ROOT = Path(generator.__file__).resolve().parent
MOST_LINES = 400

FLOORS: dict[str, int] = {
    # 0: imports nothing of the project but its own floor; files and bytes in, with budgets and positions
    "generator.errors": 0,
    "generator.quantity": 0,
    "generator.record": 0,
    "generator.readers": 0,
    # 1: rule sets, read through `readers`
    "generator.rulebook": 1,
    # 2: the spec and the project file, and the lock as it is read. Pure
    "generator.spec": 2,
    "generator.hub": 2,
    # 3: what is true of models, machines and methods, in types; physics. Pure
    "generator.architecture": 3,
    "generator.facts": 3,
    "generator.sizing": 3,
    "generator.quantize": 3,
    # 4: what only one engine needs, and speed, which differs by engine. Pure
    "generator.engines": 4,
    "generator.throughput": 4,
    # 5: the decision. Pure
    "generator.decide": 5,
    "generator.plan": 5,
    # 6: plan to text, and text to findings. Pure
    "generator.render": 6,
    "generator.verify": 6,
    "generator.platforms": 6,
    # 7: plans to reports, to changes, to comparisons with logs and cases. Pure but for the logs and the case files
    "generator.report": 7,
    "generator.compare": 7,
    "generator.calibrate": 7,
    "generator.cases": 7,
    # 8: the only ones that write, run something, or print
    "generator.cli": 8,
    "generator.disk": 8,
    "generator.hub.lookup": 8,
    "generator.__main__": 8,
    # the public names: loaded when they are asked for, so importing the package imports nothing
    "generator": 8,
}

MODULES = {
    ".".join(("generator", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
    if not {"rules", "templates", "compiled"} & set(path.relative_to(ROOT).parts[:1])
}


def floor_of(module: str) -> int | None:
    """The floor of the longest prefix; only the package itself stands for itself alone."""
    parts = module.split(".")
    for count in range(len(parts), 1, -1):
        found = FLOORS.get(".".join(parts[:count]))
        if found is not None:
            return found
    return FLOORS["generator"] if module == "generator" else None


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of everything of ours that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "generator":
                    yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the whole name"
            if node.module and node.module.split(".")[0] == "generator":
                for alias in node.names:
                    inside = f"{node.module}.{alias.name}"
                    yield node.lineno, inside if inside in MODULES else node.module


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_a_floor(module: str) -> None:
    assert floor_of(module) is not None, f"{module} stands on no floor: name it in FLOORS"


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downwards(module: str) -> None:
    if module == "generator":
        return  # its imports are for type checkers and for whoever asks
    own = floor_of(module)
    assert own is not None
    for line, other in imported(MODULES[module]):
        if other == "generator":
            continue  # `__version__`
        floor = floor_of(other)
        assert (99 if floor is None else floor) <= own, f"{MODULES[module]}:{line}: {module} (floor {own}) imports {other} (floor {floor})"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_small(module: str) -> None:
    lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{lines} lines; split it"


@pytest.mark.parametrize("prefix", FLOORS)
def test_no_floor_is_for_nothing(prefix: str) -> None:
    assert prefix in MODULES


def test_importing_the_package_loads_nothing_else() -> None:
    import subprocess
    import sys

    program = "import sys, generator; print([m for m in sys.modules if m.startswith('generator.') or m in ('yaml', 'jinja2', 'click', 'jsonschema')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [name for name in generator.__all__ if name != "__version__"])
def test_public_names_exist(name: str) -> None:
    assert getattr(generator, name).__module__.startswith("generator.")
