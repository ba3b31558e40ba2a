"""What a reserve costs here, in plain Django, and in SQL alone (docs/explanation/benchmark.md)."""
