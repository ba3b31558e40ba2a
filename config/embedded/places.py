"""Where the things of one data folder are, and what is said when its servers can't run."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

DATABASE = "inventory"
USER = "inventory"


class EmbeddedUnavailable(Exception):
    """The servers cannot run here; the message is one sentence that says what to do. Set DATABASE_URL and REDIS_URL."""


class Urls(NamedTuple):
    """Addresses of the servers; None for one that was not asked for."""

    database_url: str | None
    """`postgres://USER@//SOCKET/FOLDER/DATABASE`, as django-environ reads Unix sockets (libpq does not)."""
    redis_url: str | None
    """`unix:///SOCKET`, for redis-py and Django's cache."""


@dataclass(frozen=True)
class ServerPaths:
    """Where the things of one data folder are. Socket paths are short: over about 100 characters they fail."""

    data_dir: Path
    run_dir: Path

    @classmethod
    def of(cls, data_dir: Path) -> "ServerPaths":
        """Return the place of a data folder, made absolute without links, so that two names of one folder agree."""
        real = data_dir.resolve()
        name = hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
        # Not TMPDIR: processes of one data folder must agree, and root's may be closed to nobody.
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
    """The sentence of an ``EmbeddedUnavailable``, with what to do instead."""
    return f"The embedded server {reason}: set DATABASE_URL and REDIS_URL to servers of your own."


def last_line(log: Path) -> str:
    """What a log says last of what went wrong, for such a sentence."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    telling = [line for line in lines if "FATAL" in line or "ERROR" in line] or lines
    return telling[-1].strip() if telling else f"{log} is empty"
