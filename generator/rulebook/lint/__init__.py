"""Proofs over the tables of a rule set: unreachable rows, double matches, unused entries. Floor 1, pure."""
