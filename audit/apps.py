from django.apps import AppConfig

from audit import columns


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        columns.register()
