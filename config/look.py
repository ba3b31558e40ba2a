"""The console's theme: name, icons and colours. Part of the settings, so it imports nothing that reads them."""

from typing import Any, Final

from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _


def _asset(name: str) -> Any:
    return lambda _request: static(f"console/{name}")


_SCANNING: Final = (
    "scan-bursts.js",
    "scan-queue.js",
    "scan-panel.js",
    "scan-walk.js",
    "scan-camera.js",
    "scanning.js",
)

UNFOLD: Final[dict[str, Any]] = {
    "SITE_TITLE": _("Stockroom"),
    "SITE_HEADER": _("Stockroom"),
    "SITE_SUBHEADER": _("Inventory and reservations"),
    "SITE_URL": None,
    "LOGIN": {"form": "config.login.LoginForm"},
    "DASHBOARD_CALLBACK": "config.dashboard.figures",
    "SITE_ICON": {"light": _asset("logo.svg"), "dark": _asset("logo-dark.svg")},
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _asset("favicon.svg")}],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "8px",
    "STYLES": [*map(_asset, ("console.css", "flows.css", "menus.css", "scanning.css", "search.css"))],
    "SCRIPTS": [
        *map(_asset, (*_SCANNING, "session.js", "console.js", "dialogs.js", "flows.js")),
        *map(_asset, ("drafts.js", "undo.js", "search.js", "menus.js", "live.js")),
    ],
    # A pine green. White on 600 and 700, and 500 on the dark background, have a contrast of more than 4.5:1.
    "COLORS": {
        "primary": {
            "50": "oklch(97.5% .018 168)",
            "100": "oklch(94% .038 168)",
            "200": "oklch(88.5% .07 168)",
            "300": "oklch(81.5% .1 168)",
            "400": "oklch(74% .115 168)",
            "500": "oklch(68% .115 168)",
            "600": "oklch(48% .092 168)",
            "700": "oklch(42% .08 168)",
            "800": "oklch(36% .066 168)",
            "900": "oklch(31% .054 168)",
            "950": "oklch(22% .038 168)",
        },
        "font": {
            "subtle-light": "var(--color-base-600)",
            "subtle-dark": "var(--color-base-400)",
            "default-light": "var(--color-base-700)",
            "default-dark": "var(--color-base-300)",
            "important-light": "var(--color-base-900)",
            "important-dark": "var(--color-base-100)",
        },
    },
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": "config.console.navigation"},
}
