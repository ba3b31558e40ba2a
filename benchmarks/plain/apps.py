"""The application's label."""

from django.apps import AppConfig


class PlainConfig(AppConfig):
    """Tables named ``plain_…``."""

    name = "benchmarks.plain"
    label = "plain"
    default_auto_field = "django.db.models.BigAutoField"
