"""Jobs that produce unpublished weights: their content and resource needs.

Floor 3, pure: sizes, formats and module names. `decide` chooses the job, `render` writes its files."""
