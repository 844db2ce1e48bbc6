"""Output folders, git repositories, and signals. Floor 8."""
