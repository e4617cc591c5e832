"""T performs: words and time -> what the face does.

In come a prompt or a timeline, a length and a seed; out comes a `Performance`: a track of 57 expression
weights and the head's pose at 24 frames a second, how sure T is of each segment, and notes.
"""

from iad.geometry.coefficients import code_to_track, track_to_code
from iad.performing.network import Performer, TextAction, frame_times
from iad.performing.performance import Performance, perform_prompt, perform_segments

__all__ = [
    "Performance",
    "Performer",
    "TextAction",
    "code_to_track",
    "frame_times",
    "perform_prompt",
    "perform_segments",
    "track_to_code",
]
