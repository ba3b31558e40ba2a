"""The environment of the tests: an embedded PostgreSQL and Redis of their own. Loaded before the settings."""

import os
import sys
from pathlib import Path

# A container image may switch off the writing of bytecode. Then each test process, and each process that a test starts,
# would compile everything anew: half a second for a command, many for the tests themselves.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

os.environ.setdefault("DATA_DIR", str(Path(__file__).resolve().parent.parent / "var" / "tests"))
os.environ.setdefault("DEBUG", "true")
os.environ.setdefault("LOG_LEVEL", "ERROR")
# Nothing here survives a power cut, and nothing has to: commits needn't wait for the disk. Nor does it live long enough
# to be vacuumed, and an ANALYZE in the background keeps old row versions, which some tests count.
os.environ.setdefault(
    "EMBEDDED_POSTGRES_OPTIONS",
    "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c autovacuum=off",
)
