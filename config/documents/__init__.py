"""The repository's documents: generating them, and checking links and citations.

``python -m config.documents`` writes the generated documents; with ``--check`` it writes nothing and lists every
generated document that is out of date, and every link and citation whose target is missing.
"""
