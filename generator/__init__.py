"""gen-deploy: launch files for open-weight language models, decided by rules that can say why.

    book = load_rules()                                  # or load_rules("handbook"), or a folder
    outcome = decide_spec(read_spec(Path("spec.yaml")), book)
    files = artifacts(outcome.plan, [outcome.plan.choice], book)

Everything here is loaded when it is first asked for, so that importing the package costs nothing."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as typing has it, which is not imported here: the command sets its handlers of signals first
if TYPE_CHECKING:
    from generator.decide.decision import decide as decide_spec
    from generator.errors import GenDeployError as GenDeployError
    from generator.plan import Plan as Plan
    from generator.render.files import artifacts as artifacts
    from generator.rulebook.book import RuleBook as RuleBook
    from generator.rulebook.book import load as load_rules
    from generator.spec.deployment import DeploymentSpec as DeploymentSpec
    from generator.spec.deployment import read_spec as read_spec

__version__ = "0.1.0"

__all__ = ["DeploymentSpec", "GenDeployError", "Plan", "RuleBook", "__version__", "artifacts", "decide_spec", "load_rules", "read_spec"]

_WHERE = {
    "DeploymentSpec": ("generator.spec.deployment", "DeploymentSpec"),
    "GenDeployError": ("generator.errors", "GenDeployError"),
    "Plan": ("generator.plan", "Plan"),
    "RuleBook": ("generator.rulebook.book", "RuleBook"),
    "artifacts": ("generator.render.files", "artifacts"),
    "decide_spec": ("generator.decide.decision", "decide"),
    "load_rules": ("generator.rulebook.book", "load"),
    "read_spec": ("generator.spec.deployment", "read_spec"),
}


def __getattr__(name: str) -> object:
    """A public name, from the module that defines it."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)
