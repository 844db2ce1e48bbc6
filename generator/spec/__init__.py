"""The spec and the project file. Floor 2."""
