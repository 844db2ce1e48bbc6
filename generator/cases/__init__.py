"""Cases of a rule set: expected decisions and rows for specs. Reading, running, coverage, and updates."""
