"""Who asked, what was done, what must be told."""
