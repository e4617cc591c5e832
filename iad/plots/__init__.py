"""Pictures of numbers: what the app, the notebooks and the reports show alike.

In come arrays and reports, out come PIL pictures.
"""

from iad.plots.curves import Trace, draw_curves
from iad.plots.embedding import dot_map, face_map, similarity_table
from iad.plots.faces import face_sheet
from iad.plots.geometry import pythagoras, scatter_faces, strength_of_directions
from iad.plots.probes import confusion_table, probe_bars, score_bars
from iad.plots.report import decoupling_report, heat_table, list_labels

__all__ = [
    "Trace",
    "confusion_table",
    "decoupling_report",
    "dot_map",
    "draw_curves",
    "face_map",
    "face_sheet",
    "heat_table",
    "list_labels",
    "probe_bars",
    "pythagoras",
    "scatter_faces",
    "score_bars",
    "similarity_table",
    "strength_of_directions",
]
