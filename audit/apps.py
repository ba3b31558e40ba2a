from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from audit import labels
from audit.db import columns
from audit.labelling import label


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = _("Trail")

    def ready(self) -> None:
        columns.register()
        label(self, labels.FIELDS, labels.MODELS, labels.ACTIONS)
