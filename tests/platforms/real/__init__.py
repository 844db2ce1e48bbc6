"""Platform files started for real: needs root and the tools that `.ci/platforms` installs; skipped elsewhere."""
