"""Scenes: for each operation a request that succeeds, and one for each code that it may be refused with.

Each is sent to the running views; the answers are kept in docs/reference/examples.json, from which the OpenAPI document
has its examples.
"""
