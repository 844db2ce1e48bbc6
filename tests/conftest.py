"""What every test needs: a home of its own, so that nothing of the user's is read and nothing is left behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# a shared machine is slow now and then; a test fails for what it finds, not for how long it took
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

# commands that tests start would compile each module again, which takes as long as all else that they do
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

USERS = ("GEN_DEPLOY_CACHE", "GEN_DEPLOY_ALLOW_OUTSIDE", "NO_COLOR", "FORCE_COLOR", "HF_TOKEN", "COLUMNS")
"""Variables of the user's that would change what is printed or where things go."""


@pytest.fixture(scope="session", autouse=True)
def _compiled_rules_of_this_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the user's cache is read or written; llama.cpp's build stays where it is: its cache is found before, and named."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path("~").expanduser() / ".cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEN_DEPLOY_CACHE", os.environ.get("GEN_DEPLOY_CACHE") or f"{home}/gen-deploy")
        patch.setenv("HF_HUB_OFFLINE", "1")  # a model that no test knows is not asked for on the real hub
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        for name in USERS:
            if name != "GEN_DEPLOY_CACHE":
                patch.delenv(name, raising=False)
        yield
