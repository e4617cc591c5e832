"""The suite's report for readers: one page of tables in Markdown.

In comes the report as JSON holds it (intervals as lists, NaN as None); out comes text.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from iad.evaluation.real.asked import ACTIONS
from iad.evaluation.real.driver_cases import CASES

NOTE = """\
Judges: MediaPipe's 468-point mesh and its network for lids, which no training here met, and dlib's recogniser
(the product may use it itself to say who somebody is). The held-out photos are pictures, made by models that
are not ours, of people who do not exist; the photos of Collins and Hopper and the videos are of real people.
Brackets are 95 % bootstrap intervals over people, frames or clips.
"""
READING = """\
Pearson's r between what the model reads and what the mesh measures. *Read-out*: its coefficients and pose
(the jaw for the mouth, which a grin with teeth opens without it). *Own landmarks*: the same measure from the
model's 68 points. *Words*: similarity of the face with that prompt. *Shuffled*: another photo's reading.
"""
IDENTITY = """\
Cosine of each part, the same person against different persons. The identity part should tell them (1.00), the
action part should not (0.50) wherever the action differs. In *one photo in four looks* the action is the
same, too, so there the action part may know. In *one face in three surroundings* all faces share the same
three surroundings, so whoever looks at hair, clothes and backdrop is at 0.50 or below. *Action, same action*
asks the action part for what it should tell: one action of two persons.
"""
DRIVING = """\
Within each clip, clip against driver: r, and the slope, which is 1 where the clip moves as far as the driver.
*Drivers exchanged*: another driver's measures, which a clip should not follow. Smiles are compared while lips
are near: the judge misses the corners of mouths that are open. In *car* a man talks, turns and grimaces and
hardly smiles; in *grin* a man begins to grin; in *tears* a woman weeps and wipes her face with her hand.
"""
ASKED = """\
Calm photos are their own neutral face. *Right*: the judge sees what was asked. *Others*: how often the same
rule holds in clips that were asked for something else. *Photo repeated*: the rule on a clip that is the photo
itself. *Distance*: dlib's, up to 0.6 is called the same person.
"""
COPYING = """\
Untouched photos, which smile or turn by chance, all asked for a calm look ahead: the share of what the photo
shows that its clip still shows, cov(clip, z) / cov(photo, z) over people, z being the model's own reading of
the photo (an instrumental variable). 1 repeats the photo, 0 does not depend on it. The arms by the embeddings
alone (`detail_scale=0`); *drawn* is the product, which moves the photo's own pixels and by design leaves the
head where it is until it is asked to turn. *Photos exchanged*: the clips of `iad`, each under another photo.
"""


def to_markdown(report: Mapping[str, Any]) -> str:
    """Write the page."""
    parts = ["## Real faces", "", NOTE, *(f"Left out: {sentence}\n" for sentence in report["skipped"])]
    if "asked" in report:
        parts += _asked(report["asked"], report["control"])
    for name, write in (
        ("copying", _copying),
        ("cases", _cases),
        ("driving", _driving),
        ("reading", _reading),
        ("identity", _identity),
    ):
        parts += write(report[name]) if name in report else []
    return "\n".join(parts)


def _reading(report: Mapping[str, Any]) -> list[str]:
    first = report["held-out photos"]
    names = list(first["track"])
    rows = []
    for title, part in report.items():
        count = part.get("photos", part.get("frames"))
        for key in ("track", "own landmarks"):
            if key in part:
                label = "read-out" if key == "track" else key
                rows.append([f"{title} ({count}), {label}", *(_estimate(part[key].get(n)) for n in names)])
    rows.append(["shuffled", *(_number(first["shuffled"][n]) for n in names)])
    words = list(first["words"])
    said = [[title, *(_estimate(part["words"][w]) for w in words)] for title, part in report.items()]
    errors = [[name, _estimate(value, percent=True)] for name, value in first["landmarks"].items()]
    return [
        "### Reading\n",
        READING,
        _table(["", *names], rows),
        _table(["similarity with the words", *words], said),
        _table(["landmarks of held-out photos", "mean error, % of the eye distance"], errors),
    ]


def _identity(report: Mapping[str, Any]) -> list[str]:
    rows = []
    for title, part in report.items():
        for name, row in part["rows"].items():
            gap = [_number(row.get(f"cosine {kind}")) for kind in ("same", "different")]
            counts = f"{row['same']} / {row['different']}"
            rows.append([title, name, _estimate(row["auc"]), _estimate(row["eer"]), *gap, counts])
    header = ["same person is", "part", "AUC", "EER", "cosine, same", "different", "pairs"]
    return ["### Identity\n", IDENTITY, _table(header, rows)]


def _copying(report: Mapping[str, Any]) -> list[str]:
    rows = [[name, *map(_estimate, row.values())] for name, row in report["rows"].items()]
    names = list(next(iter(report["rows"].values())))
    title = f"### Copied from {report['photos']} photos as they are\n"
    return [title, COPYING, _table(["", *names], rows)]


def _driving(report: Mapping[str, Any]) -> list[str]:
    rows = []
    for title, row in report["rows"].items():
        rows += [[title, kind, *(_estimate(part[kind]) for part in row.values())] for kind in ("r", "slope")]
    names = list(next(iter(report["rows"].values()))) if report["rows"] else []
    made = f"{report['made']} of {report['asked']} clips were made.\n"
    return ["### Driving\n", DRIVING, made, _table(["driver", "", *names], rows)]


def _asked(report: Mapping[str, Any], control: Mapping[str, Any]) -> list[str]:
    header = ["asked", "should move", "clips", "right", "others", "photo repeated", "median change"]
    header += ["face seen", "distance", "same person"]
    rows = []
    for name, row in report.items():
        prompt = ACTIONS[name].prompt if name in ACTIONS else "a neutral face, of a grin with teeth"
        rows.append([
            prompt, row["moves"], str(row["clips"]), _estimate(row["right"]), _number(row["others"]),
            _number((control[name]["right"] or [None])[0]), _number(row["change"]), _number(row["detected"]),
            _number(row["distance"]), _estimate(row["same person"]),
        ])  # fmt: skip
    return ["### Asked actions\n", ASKED, _table(header, rows)]


def _cases(report: Mapping[str, Any]) -> list[str]:
    words = {True: "yes", False: "no", None: "see the sheet"}
    rows = []
    for number, row in report.items():
        case = (CASES[int(number)].__doc__ or "").partition(": ")[2].rstrip(".")
        rows.append([number, case, row["said"].replace("|", "/"), words[row["right"]]])
    right = sum(row["right"] is True for row in report.values())
    title = f"### Cases that failed visitors: {right} of {len(report)} right\n"
    return [title, _table(["#", "case", "came out", "right?"], rows)]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _estimate(value: Sequence[float | None] | None, *, percent: bool = False) -> str:
    if value is None or value[0] is None:
        return "–"
    scale, digits = (100, 1) if percent else (1, 2)
    middle, low, high = (None if v is None else f"{scale * v:.{digits}f}" for v in value)
    return f"{middle} [{low or '–'}, {high or '–'}]"
