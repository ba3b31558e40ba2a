"""How passwords of staff are hashed: as Django does, but holding no database connection meanwhile."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from audit.db.pool import give_back_connection


class PasswordHasher(PBKDF2PasswordHasher):
    """Hashing takes half a second by design, and a web process has few connections: logins would hold all of them."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """The hash. The thread's connection goes back to the pool first, unless a transaction is open on it."""
        give_back_connection()
        return super().encode(password, salt, iterations)
