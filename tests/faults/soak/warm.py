"""What the processes of the service import, so that each is forked with it and starts at once."""

import django

django.setup()

import audit.management.commands.relay_events  # noqa: E402, F401
import reservations.management.commands.consume_events  # noqa: E402
import reservations.management.commands.expire_due_holds  # noqa: E402
import reservations.management.commands.reconcile  # noqa: E402, F401
