"""What was looked up on a model hub: reading the lock, and, apart, looking up."""
