"""Has msgspec build, at start, what it must know of each type that it decodes.

By default it does so when a type is first decoded. Other threads that decode the same type meanwhile read a half-built
structure, and the process ends by a segmentation fault: a web process that has just started gets many requests at once.
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
    """Have msgspec build what it must know of these types, except those that it can't decode. For a single thread."""
    for kind in types:
        # A field of another type, or a name that is known to the type checker alone.
        with suppress(TypeError, NameError):
            msgspec.json.Decoder(kind)
