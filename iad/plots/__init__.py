"""Pictures of numbers: what the app, the tutorials and the reports show alike.

In come arrays and reports, out come PIL pictures.
"""

from iad.plots.bars import draw_bars, score_bars, stack_bars
from iad.plots.curves import Trace, draw_curves
from iad.plots.embedding import dot_map, face_map, similarity_table
from iad.plots.faces import face_sheet
from iad.plots.report import decoupling_report, heat_table, list_labels

__all__ = [
    "Trace",
    "decoupling_report",
    "dot_map",
    "draw_bars",
    "draw_curves",
    "face_map",
    "face_sheet",
    "heat_table",
    "list_labels",
    "score_bars",
    "similarity_table",
    "stack_bars",
]
