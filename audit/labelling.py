"""How models get their labels: once, when an app is ready.

Models stay free of words. What is set here is no part of a migration's state, so that a better word needs none.
"""

from collections.abc import Mapping
from typing import Any

from django.apps import AppConfig


def label(
    app: AppConfig,
    fields: Mapping[str, Any],
    models: Mapping[str, tuple[Any, Any]],
) -> None:
    """Give an app's models and their fields the labels of these names; what has none here keeps its own."""
    for model in app.get_models():
        options = model._meta
        if options.model_name and options.model_name in models:
            options.verbose_name, options.verbose_name_plural = models[options.model_name]
        for field in options.local_fields + options.local_many_to_many:
            if field.name in fields:
                field.verbose_name = fields[field.name]
