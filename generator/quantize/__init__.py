"""The jobs that make weights which nobody has made yet: what they do, and what they need.

Floor 3, pure: sizes, formats and module names. Which job is offered is decided in `decide`, its files are written in `render`.
"""
