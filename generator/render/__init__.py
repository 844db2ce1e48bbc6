"""From a plan to the text of its files. `files.artifacts` makes them all."""
