"""`python -m tests.node.lint [FILE]`: check the OpenAPI document by Spectral and Redocly.

Without Node one line says that it was not checked, and where CI_RUN is set that is an error.
"""

import os
import sys
from pathlib import Path
from typing import Final

from tests.node import HERE, Missing, run

DOCUMENT: Final = HERE.parents[1] / "docs" / "reference" / "openapi.yaml"


def findings(document: Path) -> str:
    """What Spectral and Redocly print about a document; empty if they find nothing. Raises Missing without Node."""
    linters = (
        ("spectral", "lint", "--ruleset", HERE / "spectral.yaml", "--fail-severity", "warn", document),
        ("redocly", "lint", "--config", HERE / "redocly.yaml", "--format", "stylish", document),
    )
    ran = [run(*command, cwd=document.parent) for command in linters]
    failed = [done for done in ran if done.returncode]
    return "\n".join(done.stdout.strip() or f"{done.args[0]} ended with {done.returncode}" for done in failed)


def main(document: Path) -> int:
    """Print what was found. Returns the exit status."""
    try:
        found = findings(document)
    except Missing as missing:
        sys.stdout.write(f"{document.name} was not checked by Spectral and Redocly: {missing}\n")
        return int("CI_RUN" in os.environ)
    sys.stdout.write(f"{found or f'{document.name}: Spectral and Redocly found nothing'}\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve() if sys.argv[1:] else DOCUMENT))
