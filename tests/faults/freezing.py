"""The ASGI application with a fault: a reserve stops once it has its locks, if the file of ``FREEZE_FILE`` is there.

A file that says ``stop`` stops the whole process by SIGSTOP; one that says ``wait`` lets the reserve wait until the
file is deleted. When it is reached, the file is renamed: it ends with ``.reached`` then.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config.asgi import application
from reservations.services.holds import placing

__all__ = ["application"]
_file = Path(os.environ["FREEZE_FILE"])
_reached = _file.with_suffix(".reached")


def _freezing(lock: Callable[..., Any]) -> Callable[..., Any]:
    def locked(*arguments: Any, **more: Any) -> Any:
        levels = lock(*arguments, **more)
        if _file.exists():
            how = _file.read_text()
            _file.rename(_reached)
            if how == "stop":
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # This thread, at once.
            while how == "wait" and _reached.exists():
                time.sleep(0.01)
        return levels

    return locked


placing.lock_sellable_levels = _freezing(placing.lock_sellable_levels)
placing.lock_levels = _freezing(placing.lock_levels)
