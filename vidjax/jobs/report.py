"""report: the pictures and the page of a work folder, from its files alone."""

import logging

from vidjax.report import write_report
from vidjax.run.command import Request
from vidjax.run.progress import show_messages

READS_RUN = True


def add_flags(parser) -> None:
    """--split."""
    parser.add_argument("--split", default="validation", help="default: validation")


def run(request: Request) -> None:
    """Writes report.html and report/*.png. Raises ReportError where there is no work folder."""
    show_messages()
    path = write_report(request.workdir, split=request.flags.split)
    logging.getLogger("vidjax").info("report: %s", path)
