"""Tests. Their names state the rules that they check."""
