"""The account that runs the servers. Wheels that it can't read are copied to a folder that it can."""

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from config.embedded.places import EmbeddedUnavailable, unavailable
from config.orphans import die_with_parent

SHARED_FOLDER = Path("/var/lib/inventory-embedded")


@dataclass(frozen=True)
class Account:
    """The account that runs the servers: this user, or another one if this user is root."""

    uid: int
    gid: int

    @classmethod
    def of_owner(cls, folder: Path) -> "Account":
        """Return the account for a cluster in `folder`, which need not exist."""
        if os.getuid() != 0:
            return cls(os.getuid(), os.getgid())
        with contextlib.suppress(FileNotFoundError):
            owner = folder.stat()
            if owner.st_uid != 0:
                return cls(owner.st_uid, owner.st_gid)
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError as error:
            raise EmbeddedUnavailable(unavailable("cannot run as root without a user called nobody")) from error
        return cls(nobody.pw_uid, nobody.pw_gid)

    def spawn(
        self,
        command: list[str],
        *,
        cwd: Path,
        output: int,
        death_signal: int = signal.SIGKILL,
        stdin: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program that ends with this process. It inherits no descriptor and no secret of the environment."""
        parent = os.getpid()
        other = self.uid != os.getuid()
        return subprocess.Popen(
            command,
            cwd=cwd,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=output,
            stderr=output,
            user=self.uid if other else None,
            group=self.gid if other else None,
            extra_groups=[] if other else None,
            # Safe: the supervisor has one thread. The user is changed before this runs, since that would reset it.
            preexec_fn=lambda: die_with_parent(death_signal, parent),  # noqa: PLW1509
        )

    def can_run(self, program: Path) -> bool:
        """Return whether a program and its libraries can be read and run from where they are."""
        return self.succeeds([os.fspath(program), "--version"])

    def succeeds(self, command: list[str]) -> bool:
        """Return whether a command succeeds under this account."""
        try:
            return self.spawn(command, cwd=Path("/"), output=subprocess.DEVNULL).wait() == 0
        except OSError:
            return False

    def own(self, folder: Path) -> None:
        """Make a folder, and give it with its content to this account alone."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if folder.stat().st_uid != self.uid:
            for parent, _, files in os.walk(folder):
                for path in (parent, *(os.path.join(parent, name) for name in files)):
                    os.chown(path, self.uid, self.gid, follow_symlinks=False)


def make_shared_folder() -> None:
    """Make the folder that every account can read."""
    SHARED_FOLDER.mkdir(parents=True, exist_ok=True)
    SHARED_FOLDER.chmod(0o755)


def _readable_copy(distribution: str, root: Path, sources: list[Path]) -> Path:
    """Copy parts of a wheel installed in `root` to where every account can read them, once per version.

    Returns the folder to use instead of `root`.
    """
    target = SHARED_FOLDER / f"{distribution}-{importlib.metadata.version(distribution)}"
    if target.exists():
        return target
    make_shared_folder()
    partial = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=SHARED_FOLDER))
    for source in sources:
        shutil.copytree(source, partial / source.relative_to(root), ignore=shutil.ignore_patterns("include"))
    for parent, _, files in os.walk(partial):
        os.chmod(parent, 0o755)
        for file in files:
            os.chmod(os.path.join(parent, file), 0o755)
    try:
        partial.rename(target)
    except OSError:
        # The supervisor of another data folder has made the copy meanwhile.
        shutil.rmtree(partial)
    return target


def program_of(account: Account, distribution: str, package: str, parts: list[str], name: str) -> Path:
    """Return a path from which `account` can run a wheel's program. `parts` are the parts of the wheel it needs."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise EmbeddedUnavailable(unavailable(f"needs the package {distribution}, which is not installed"))
    root = Path(spec.origin).parent.parent
    program = root / name
    if not account.can_run(program) and os.getuid() == 0 and program.exists():
        sources = [root / part for part in parts if (root / part).is_dir()]
        program = _readable_copy(distribution, root, sources) / name
    if not account.can_run(program):
        raise EmbeddedUnavailable(unavailable(f"{program.name} of {distribution} does not run on this machine"))
    return program
