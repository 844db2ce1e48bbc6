"""Looking up on a model hub. Imported only by commands that may ask one; needs the extra `[hub]`."""
