"""Plans and changes as text, Markdown, JSON and HTML.

Floor 5, pure.
"""
