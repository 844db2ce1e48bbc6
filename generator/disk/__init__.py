"""Writing and reading output folders, git, and signals.

Floor 8.
"""
