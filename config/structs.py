"""What msgspec must know of a type before it can decode it, built at start.

msgspec builds it when a type is first decoded, and other threads that decode the same type meanwhile read what is half
built: the process ends by a segmentation fault. A web process that has just started gets many requests at once.
"""

import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import is_dataclass
from typing import Any, Final

import msgspec

_OURS: Final = ("audit", "config", "inventory", "reservations")


def kinds() -> set[type[Any]]:
    """The structs and dataclasses of all modules of this project that are loaded."""
    ours = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in _OURS]
    named = [value for module in ours for value in vars(module).values() if isinstance(value, type)]
    return {kind for kind in named if issubclass(kind, msgspec.Struct) or is_dataclass(kind)}


def build(types: Iterable[type[Any]]) -> None:
    """Have msgspec build what it knows of these types, but for those that it can't decode. For a single thread."""
    for kind in types:
        # A field of another type, or a name that is known to the type checker alone.
        with suppress(TypeError, NameError):
            msgspec.json.Decoder(kind)
