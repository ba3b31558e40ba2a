"""The paths of a data folder's servers, and the error that they can't run."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

DATABASE = "inventory"
USER = "inventory"


class EmbeddedUnavailable(Exception):
    """The servers can't run here. The message is one sentence that says what to do: set DATABASE_URL and REDIS_URL."""


class Urls(NamedTuple):
    """Addresses of the servers; None for one that was not asked for."""

    database_url: str | None
    """`postgres://USER@//SOCKET/FOLDER/DATABASE`, as django-environ reads Unix sockets (libpq does not)."""
    redis_url: str | None
    """`unix:///SOCKET`, for redis-py and Django's cache."""


@dataclass(frozen=True)
class ServerPaths:
    """The paths of one data folder. Socket paths must be short: they fail over about 100 characters."""

    data_dir: Path
    run_dir: Path

    @classmethod
    def of(cls, data_dir: Path) -> "ServerPaths":
        """Return the paths of a data folder. Resolves symbolic links, so that all names of a folder give the same."""
        real = data_dir.resolve()
        name = hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
        # Not TMPDIR: it may differ between processes of one data folder, and root's may be closed to nobody.
        temporary = Path("/tmp") if os.access("/tmp", os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
        return cls(real, temporary / f"inventory-{os.getuid()}-{name}")

    @property
    def control(self) -> Path:
        """The supervisor's own socket."""
        return self.run_dir / "control"

    @property
    def sockets(self) -> Path:
        """The folder of the servers' sockets, open to their account alone."""
        return self.run_dir / "servers"

    @property
    def redis_socket(self) -> Path:
        """Redis's socket."""
        return self.sockets / "redis"

    @property
    def status(self) -> Path:
        """The JSON file described at the top."""
        return self.data_dir / "embedded.json"

    def log(self, name: str) -> Path:
        """Return the log file of `postgres`, `redis` or `supervisor`."""
        return self.data_dir / f"{name}.log"


def unavailable(reason: str) -> str:
    """The message of an ``EmbeddedUnavailable``, with what to do instead."""
    return f"The embedded server {reason}: set DATABASE_URL and REDIS_URL to servers of your own."


def last_line(log: Path) -> str:
    """The last error in a log, or else its last line, for such a message."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    errors = [line for line in lines if "FATAL" in line or "ERROR" in line] or lines
    return errors[-1].strip() if errors else f"{log} is empty"
