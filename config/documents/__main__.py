"""`python -m config.documents [--check]`."""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import django

from config.documents.citations import check_citations
from config.documents.defects import Defect, text_files
from config.documents.links import check_links

ROOT = Path(__file__).resolve().parents[2]


def defects(root: Path) -> Iterator[Defect]:
    """All defects of the repository's links and citations."""
    for file in text_files(root):
        if file.suffix == ".md":
            yield from check_links(root, file)
        yield from check_citations(root, file)


def main(arguments: list[str] | None = None) -> int:
    """Write the generated documents; with ``--check`` list all defects instead. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m config.documents", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if anything is wrong")
    given = parser.parse_args(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from config.documents.generated import check_generated, write_generated  # noqa: PLC0415 - needs the apps

    if not given.check:
        write_generated(ROOT)
        return 0
    found = sorted({*defects(ROOT), *check_generated(ROOT)})
    for defect in found:
        sys.stdout.write(f"{defect}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
