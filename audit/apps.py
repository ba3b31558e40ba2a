from django.apps import AppConfig, apps
from django.core import checks
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _

from audit import labels
from audit.db import columns, times
from audit.db.service_role import check_service_role
from audit.feed import make_partitions
from audit.labelling import label
from audit.permissions import sync_groups


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = _("History")

    def ready(self) -> None:
        columns.register()
        times.register()
        checks.register(check_service_role, checks.Tags.database)
        autodiscover_modules("actions")  # For entries that other processes wrote.
        label(self, labels.FIELDS, labels.MODELS)
        post_migrate.connect(make_partitions, sender=self)
        # After the migration of the last app, the permissions of all apps exist.
        post_migrate.connect(sync_groups, sender=[app for app in apps.get_app_configs() if app.models_module][-1])
