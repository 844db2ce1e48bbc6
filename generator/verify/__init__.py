"""What was written, read back: a difference from what was meant is an error of ours.

Floor 6, pure.
"""
