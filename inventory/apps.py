from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy as _

from audit.labelling import label
from inventory import labels


class InventoryConfig(AppConfig):
    name = "inventory"
    verbose_name = _("Inventory")

    def ready(self) -> None:
        label(self, labels.FIELDS, labels.MODELS)
        accounts = apps.get_app_config("auth")
        accounts.verbose_name = _("Access")
        label(accounts, {}, {"user": (_("person"), _("people"))})
        _install_reach()


def _install_reach() -> None:
    """Tell webhooks which warehouses stores sell from."""
    from audit.webhooks import reach_port  # noqa: PLC0415 - models are loaded only now
    from inventory.api.events.reaches import reach_of  # noqa: PLC0415

    reach_port.install(reach_of)
