"""The requests of a shared transaction (``inventory.combining``)."""

from collections.abc import Callable, Iterable
from typing import TypeVar

R = TypeVar("R")


class Batch(list[R]):
    """The requests of a batch. ``more`` takes those that have arrived since off the queue, and returns them."""

    def __init__(self, requests: Iterable[R], more: Callable[[], list[R]]) -> None:
        super().__init__(requests)
        self._more = more

    def grow(self) -> None:
        """Take the requests that have arrived meanwhile, as far as the batch's limit allows."""
        self.extend(self._more())
