"""Tests: their names are rules."""
