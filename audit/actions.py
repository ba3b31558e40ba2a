"""The actions that the trail records, in words."""

from typing import Any, Final

_PREFIX: Final = "inventory_"
action_words: Final[dict[str, Any]] = {}
"""What entries of the trail tell of, by the action's name."""


def words_of(action: str) -> str:
    """An action of the trail in words; one that has none speaks for itself as far as it goes."""
    return str(action_words.get(action) or action.removeprefix(_PREFIX).replace("_", " ").capitalize())


def actions_called(words: str) -> list[str]:
    """The actions that are meant by what somebody typed: a name, with or without its beginning, or the words for it."""
    typed = words.strip().lower()
    named = typed.replace(" ", "_")
    called = [action for action, told in action_words.items() if str(told).lower() == typed]
    return [named, f"{_PREFIX}{named}", *called]
