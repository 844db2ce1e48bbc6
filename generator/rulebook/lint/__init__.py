"""Proofs over the tables of a rule set: what can never match, what matches twice, what nothing needs. Floor 1, pure."""
