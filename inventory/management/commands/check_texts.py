"""The command ``check_texts``: list stored texts that would be refused today, and codes that products share."""

import sys
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandParser

from inventory.services.catalogue.stored_texts import shared_codes, text_findings

FOUND: Final = 1


class Command(BaseCommand):
    """Prints one line for each finding. Invisible characters are printed as escapes."""

    help = (
        "List SKUs that differ in case alone, and SKUs, barcodes, names and places with characters that would be "
        "refused today, each with what to do about it. Changes nothing. Exit status: 0 there is none, 1 there are some."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--shared", action="store_true", help="also list codes that several products have")

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        for finding in text_findings():
            count += 1
            self.stdout.write(f"{finding.row}: {finding.field} {finding.text!a} {finding.fault}. {finding.advice}")
        if options["shared"]:
            for code, skus in shared_codes():
                self.stdout.write(f"{code!a} is a code of several products: {', '.join(map(ascii, skus))}.")
        self.stdout.write(f"{count:,} texts to change.")
        if count:
            sys.exit(FOUND)
