"""The error that says that we are wrong, not the user.

Floor 4, pure.
"""

from __future__ import annotations

from generator.errors import GenDeployError, Problem


def internal(code: str, message: str) -> GenDeployError:
    """An error of ours, ready to raise."""
    return GenDeployError(Problem(code, f"{message} (an error of gen-deploy: please report it)"))
