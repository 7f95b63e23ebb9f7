"""A work folder told in pictures: report.html, complete in itself, and the PNGs of report/.

Reads files only (config.json, env.json, metrics.jsonl, evaluation/), never a model, so it also tells of a run that is
under way, was killed, or came from another machine.
"""

from vidjax.core.errors import ReportError
from vidjax.report.write import write_report

__all__ = ["ReportError", "write_report"]
