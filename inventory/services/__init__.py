"""Verbs that change stock: one family a module."""
