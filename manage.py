#!/usr/bin/env python
"""The command line of the service: `python manage.py help` lists what it does."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        from config.doctor.lines import report_settings

        sys.exit(report_settings(str(error), sys.argv[1:]))
