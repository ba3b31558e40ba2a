"""Defects of documents, and the files that are checked."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_NOT_OURS: Final = {"build", "node_modules", "var"}
_HIDDEN_BUT_OURS: Final = {".ci", ".env.example", ".github"}
_TEXT_SUFFIXES: Final = {
    ".css",
    ".example",
    ".html",
    ".js",
    ".lua",
    ".md",
    ".py",
    ".sh",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
}
_TEXT_NAMES: Final = {"Dockerfile", "Makefile", "run"}


class Defect(NamedTuple):
    """A defect in a line of a file; the path is relative to the repository."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def text_files(root: Path) -> Iterator[Path]:
    """The repository's own text files, sorted; generated folders and hidden ones are left out."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _NOT_OURS and _is_shown(name))
        for name in sorted(names):
            path = Path(folder, name)
            if _is_shown(name) and (path.suffix in _TEXT_SUFFIXES or name in _TEXT_NAMES):
                yield path


def _is_shown(name: str) -> bool:
    return not name.startswith(".") or name in _HIDDEN_BUT_OURS


def line_of(text: str, offset: int) -> int:
    """The number of the line of this offset."""
    return text.count("\n", 0, offset) + 1
