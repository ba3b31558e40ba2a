"""Benchmarks of a reserve in this service, in plain Django and in raw SQL (docs/explanation/benchmark.md)."""
