"""Changes between two rule sets: in the rules, and in the decisions for a corpus of specs. Floor 7, pure: decisions in, changes out."""
