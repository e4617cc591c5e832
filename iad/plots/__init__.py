"""Pictures of numbers: what the app, the tutorials and the reports show alike.

In come arrays and reports, out come PIL pictures.
"""

from iad.plots.charts import Trace, draw_bars, draw_curves, stack_bars
from iad.plots.face_pictures import dot_map, face_map, face_sheet, similarity_table
from iad.plots.shares import decoupling_report, list_labels

__all__ = [
    "Trace",
    "decoupling_report",
    "dot_map",
    "draw_bars",
    "draw_curves",
    "face_map",
    "face_sheet",
    "list_labels",
    "similarity_table",
    "stack_bars",
]
