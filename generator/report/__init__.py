"""Plans and changes as text, Markdown, JSON and HTML. Floor 7, pure."""
