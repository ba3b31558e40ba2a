"""Variables: low stock and mail."""

from config import environment, parsing
from config.environment import Used
from config.variables.servers import IS_LOCAL

_mail = environment.section("Low stock and mail")

LOW_STOCK_INTERVAL_MINUTES = _mail.whole(
    "LOW_STOCK_INTERVAL_MINUTES",
    30,
    least=1,
    most=environment.MOST_MINUTES,
    unit="minutes",
    meaning="How often alerts are checked and mails about them are sent.",
    used_by=(Used.BEAT,),
)
LOW_STOCK_REMINDER_HOURS = _mail.whole(
    "LOW_STOCK_REMINDER_HOURS",
    24,
    most=environment.MOST_HOURS,
    unit="hours",
    meaning="After how long an open alert that nobody has acknowledged is mailed again.",
    used_by=(Used.WORKER,),
)
EMAIL_BACKEND = _mail.parsed(
    "EMAIL_BACKEND",
    f"django.core.mail.backends.{'console' if IS_LOCAL else 'smtp'}.EmailBackend",
    parsing.backend,
    kind="Python path",
    unit="Python path",
    meaning="Django's mail backend.",
    used_by=(Used.WEB, Used.WORKER, Used.RELAY, Used.COMMANDS),
    shown="SMTP; in DEBUG and DEMO mails are printed by the worker",
)
EMAIL_HOST = _mail.text(
    "EMAIL_HOST",
    "localhost",
    unit="host name",
    meaning="The mail server.",
    used_by=(Used.WEB, Used.WORKER, Used.RELAY, Used.COMMANDS),
)
EMAIL_PORT = _mail.port(
    "EMAIL_PORT",
    25,
    meaning="The mail server's port.",
    used_by=(Used.WEB, Used.WORKER, Used.RELAY, Used.COMMANDS),
)
EMAIL_HOST_USER = _mail.text(
    "EMAIL_HOST_USER",
    unit="text",
    meaning="The user name at the mail server.",
    used_by=(Used.WEB, Used.WORKER, Used.RELAY, Used.COMMANDS),
)
EMAIL_HOST_PASSWORD = _mail.text(
    "EMAIL_HOST_PASSWORD",
    unit="text",
    meaning="The password at the mail server.",
    used_by=(Used.WEB, Used.WORKER, Used.RELAY, Used.COMMANDS),
    is_secret=True,
)
EMAIL_USE_TLS = _mail.flag(
    "EMAIL_USE_TLS",
    False,
    meaning="Whether the connection is secured by STARTTLS. Not together with `EMAIL_USE_SSL`.",
    used_by=(Used.WEB, Used.WORKER, Used.RELAY, Used.COMMANDS),
)
EMAIL_USE_SSL = _mail.flag(
    "EMAIL_USE_SSL",
    False,
    meaning="Whether the connection is secured by TLS from its start. Not together with `EMAIL_USE_TLS`.",
    used_by=(Used.WEB, Used.WORKER, Used.RELAY, Used.COMMANDS),
)
EMAIL_TIMEOUT = _mail.whole(
    "EMAIL_TIMEOUT",
    10,
    unit="seconds",
    meaning="How long sending a mail may take.",
    used_by=(Used.WEB, Used.WORKER, Used.RELAY, Used.COMMANDS),
)
DEFAULT_FROM_EMAIL = _mail.text(
    "DEFAULT_FROM_EMAIL",
    "inventory@localhost",
    unit="address",
    meaning="The sender of mails.",
    used_by=(Used.WEB, Used.WORKER, Used.RELAY, Used.COMMANDS),
)
