"""Date formats of the console, by language."""
