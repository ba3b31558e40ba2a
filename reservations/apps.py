from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from audit.labelling import label
from reservations import labels


class ReservationsConfig(AppConfig):
    name = "reservations"
    verbose_name = _("Reservations")

    def ready(self) -> None:
        label(self, labels.FIELDS, labels.MODELS)
