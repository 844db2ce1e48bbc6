"""Checks of launch files: generated ones are parsed again and compared, any others are checked against the engine's options.

Floor 6, pure."""
