"""How passwords of staff are hashed: as Django does, but holding no database connection meanwhile."""

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection


class PasswordHasher(PBKDF2PasswordHasher):
    """Hashing takes half a second by design, and a web process has few connections: logins would hold all of them."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """The hash. The thread's connection goes back to the pool first, unless a transaction is open on it.

        Without a pool it stays: a command may hold a lock on it, and no other thread could use it.
        """
        if _is_pooled() and not connection.in_atomic_block:
            connection.close()
        return super().encode(password, salt, iterations)


def _is_pooled() -> bool:
    return "pool" in settings.DATABASES["default"]["OPTIONS"]
