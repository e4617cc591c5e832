"""Pictures of numbers: what the app, the tutorials and the reports show alike.

In come arrays and reports, out come PIL pictures.
"""

from iad.plots.charts import Trace, draw_bars, draw_curves, stack_bars
from iad.plots.face_pictures import (
    decoupling_report,
    dot_map,
    face_map,
    face_sheet,
    list_labels,
    similarity_table,
)

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
