"""Setting of the labels of models and fields, once, when an app is ready.

Labels are kept out of the models and of the state of migrations, so that changing one needs no migration.
"""

from collections.abc import Mapping
from typing import Any

from django.apps import AppConfig


def label(
    app: AppConfig,
    fields: Mapping[str, Any],
    models: Mapping[str, tuple[Any, Any]],
) -> None:
    """Set the labels of an app's models and fields, by name. Names without a label keep Django's."""
    for model in app.get_models():
        options = model._meta
        if options.model_name and options.model_name in models:
            options.verbose_name, options.verbose_name_plural = models[options.model_name]
        for field in options.local_fields + options.local_many_to_many:
            if field.name in fields:
                field.verbose_name = fields[field.name]
