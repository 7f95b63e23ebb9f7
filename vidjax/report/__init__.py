"""A work folder told in pictures: report.html, complete in itself, and the PNGs of report/.

This room reads files only (config.json, env.json, metrics.jsonl, evaluation/), never a model. So it
can show a run that still trains, one that was killed, and one that comes from another machine.

It knows no task, either. env.json says which scalars are drawn over the steps, and
evaluation/<split>.json lists the scores and generic sections, which sections/ draws: one kind a
file.
"""

from vidjax.core.errors import ReportError
from vidjax.report.write import write_report

__all__ = ["ReportError", "write_report"]
