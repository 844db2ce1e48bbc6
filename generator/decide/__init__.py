"""The decision: consider, reject, fit, reject, prefer. Floor 5, pure but for the files that a spec names."""
