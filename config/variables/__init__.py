"""The variables of the environment, each declared once; imported in the order of the reference.

To add one, declare it in the module of its subject: it becomes a setting of the same name, and `make fmt` writes it
into docs/reference/configuration.md.
"""

# isort: skip_file

from config.variables.servers import *  # noqa: F403
from config.variables.programs import *  # noqa: F403
from config.variables.stock import *  # noqa: F403
from config.variables.events import *  # noqa: F403
from config.variables.api import *  # noqa: F403
from config.variables.staff import *  # noqa: F403
from config.variables.mail import *  # noqa: F403
from config.variables.metrics import *  # noqa: F403
from config.variables.traces import *  # noqa: F403
from config.variables.history import *  # noqa: F403
