from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _

from audit import labels
from audit.db import columns
from audit.labelling import label


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = _("Trail")

    def ready(self) -> None:
        columns.register()
        autodiscover_modules("actions")  # Entries that nothing of this process wrote are read as well.
        label(self, labels.FIELDS, labels.MODELS)
