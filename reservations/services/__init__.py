"""Verbs that change holds: one family a module."""
