from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from audit.labelling import label
from reservations import labels


class ReservationsConfig(AppConfig):
    name = "reservations"
    verbose_name = _("Reservations")

    def ready(self) -> None:
        # Imported here because both import models, which can't be loaded earlier.
        from inventory.holds_port import install  # noqa: PLC0415
        from reservations.holds_adapter import HoldsAdapter  # noqa: PLC0415

        label(self, labels.FIELDS, labels.MODELS)
        install(HoldsAdapter())
