"""``manage.py doctor``: looks at everything that an installation needs, one line each, with what to do.

A check that can't be made, because the database or Redis is away or ``migrate`` hasn't run, is a line, and the other
checks go on.
"""
