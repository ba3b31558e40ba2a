"""The repository's documents: the generated ones, and the links and citations that must lead somewhere.

``python -m config.documents`` writes the generated documents; with ``--check`` it writes nothing and lists every
generated document that is out of date, and every link and citation whose target is missing.
"""
