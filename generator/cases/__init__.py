"""Cases of a rule set: what a spec must be decided to, and by which rows. Read, run, covered, and brought up to date."""
