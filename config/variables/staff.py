"""Variables: staff."""

from config import environment
from config.environment import Used

_staff = environment.section("Staff")

SESSION_MINUTES = _staff.whole(
    "SESSION_MINUTES",
    480,
    least=1,
    most=environment.MOST_MINUTES,
    unit="minutes",
    meaning="How long staff stay logged in after their last request.",
    used_by=(Used.WEB,),
)
SESSION_MAX_HOURS = _staff.whole(
    "SESSION_MAX_HOURS",
    24,
    least=1,
    most=environment.MOST_HOURS,
    unit="hours",
    meaning="How long staff stay logged in at most, however busy they are.",
    used_by=(Used.WEB,),
)
PASSWORD_MIN_LENGTH = _staff.whole(
    "PASSWORD_MIN_LENGTH",
    12,
    unit="characters",
    meaning="The shortest password of staff.",
    used_by=(Used.WEB, Used.COMMANDS),
)
LOGIN_FAILURES = _staff.whole(
    "LOGIN_FAILURES",
    5,
    unit="logins",
    meaning="How many failed logins of one name from one address lead to a lockout.",
    used_by=(Used.WEB,),
)
LOGIN_FAILURES_PER_ADDRESS = _staff.whole(
    "LOGIN_FAILURES_PER_ADDRESS",
    50,
    unit="logins",
    meaning="How many failed logins from one address (of IPv6, from one /64) lock it out for all names.",
    used_by=(Used.WEB,),
)
LOGIN_FAILURES_PER_NAME = _staff.whole(
    "LOGIN_FAILURES_PER_NAME",
    50,
    unit="logins",
    meaning="How many failed logins of one name lock it out for all addresses.",
    used_by=(Used.WEB,),
)
LOGIN_LOCKOUT_MINUTES = _staff.whole(
    "LOGIN_LOCKOUT_MINUTES",
    15,
    least=1,
    most=environment.MOST_MINUTES,
    unit="minutes",
    meaning="How long a lockout lasts.",
    used_by=(Used.WEB,),
)
