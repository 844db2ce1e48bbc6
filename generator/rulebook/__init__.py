"""Rule sets: read, laid over one another, checked, compiled, and ready to match.

Floor 1.
"""
