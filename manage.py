#!/usr/bin/env python
"""The command line of the service: `python manage.py help` lists what it does."""

import sys

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    from config import startup
    from config.doctor.lines import report_settings

    if faults := startup.faults():
        sys.exit(report_settings("\n".join(faults), sys.argv[1:]))
    startup.begin()
    execute_from_command_line(sys.argv)
