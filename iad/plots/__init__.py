"""Pictures of numbers: what the app, the notebooks and the reports show alike.

In come arrays and reports, out come PIL pictures.
"""

from iad.plots.report import decoupling_report, heat_table, list_labels

__all__ = ["decoupling_report", "heat_table", "list_labels"]
