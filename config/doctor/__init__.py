"""``manage.py doctor``: looks at everything that an installation needs, one line each, with what to do.

Nothing it looks at is needed for the rest: with the database or Redis away, or before ``migrate``, that is a line.
"""
