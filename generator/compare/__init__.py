"""What changes between two rule sets: in the rules themselves, and in what they decide for a corpus of specs.

Floor 7, pure: decisions in, changes out.
"""
