"""How models and the trail's actions get their labels: once, when an app is ready.

Models stay free of words. What is set here is no part of a migration's state, so that a better word needs none.
"""

from collections.abc import Mapping
from typing import Any, Final

from django.apps import AppConfig

_PREFIX: Final = "inventory_"
action_words: Final[dict[str, Any]] = {}
"""What entries of the trail tell of, by the action's name."""


def label(
    app: AppConfig,
    fields: Mapping[str, Any],
    models: Mapping[str, tuple[Any, Any]],
    actions: Mapping[str, Any] | None = None,
) -> None:
    """Give an app's models and their fields the labels of these names; what has none here keeps its own.

    ``actions`` are added to ``action_words``.
    """
    action_words.update(actions or {})
    for model in app.get_models():
        options = model._meta
        if options.model_name and options.model_name in models:
            options.verbose_name, options.verbose_name_plural = models[options.model_name]
        for field in options.local_fields + options.local_many_to_many:
            if field.name in fields:
                field.verbose_name = fields[field.name]


def words_of(action: str) -> str:
    """An action of the trail in words; one that has none speaks for itself as far as it goes."""
    return str(action_words.get(action) or action.removeprefix(_PREFIX).replace("_", " ").capitalize())


def actions_called(words: str) -> list[str]:
    """The actions that are meant by what somebody typed: a name, with or without its beginning, or the words for it."""
    typed = words.strip().lower()
    named = typed.replace(" ", "_")
    called = [action for action, told in action_words.items() if str(told).lower() == typed]
    return [named, f"{_PREFIX}{named}", *called]
