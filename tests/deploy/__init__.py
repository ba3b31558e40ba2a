"""Tests of what is in deploy/, beside those of its proxies (tests/faults/)."""
