"""JSON pointers (RFC 6901) into bodies."""


def escaped(name: str) -> str:
    """A name as a part of a pointer."""
    return name.replace("~", "~0").replace("/", "~1")
