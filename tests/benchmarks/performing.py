"""How well T performs: `python tests/benchmarks/performing.py --weights FOLDER --output DIR`.

Wordings that training never saw (`HELD_OUT_PHRASINGS`, and sentences written for this file) are performed and
compared with the track of the action that is meant. Writes `performing.json` and `performing.png`.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from iad.checkpoint import load_part
from iad.config import PRESETS
from iad.performing import Performer, perform_prompt, track_to_code
from iad.performing.actions import ACTIONS, COEFFICIENTS, Performed
from iad.performing.hearing import hear
from iad.performing.performance import SURE, play_take, read_segments
from iad.portraits.wording import phrasings
from iad.text import Action, load_text_encoder
from iad.training.spoken import draw_off_topic, draw_scene

SECONDS, FRAMES = 2.0, 48
SCENE = (
    "The wind blows over the hills and a small train passes by the old station, while people wait for it. "
    "Golden light falls through the tall windows of the hall, where a few chairs and a table stand. "
    "On the wall hangs a painting of a harbour with many ships. A lamp gives a warm light, and the shadows "
    "of the plants lie on the floor. "
)
NATURAL = {
    "she cracks a big smile": "smile", "he is laughing out loud": "laugh", "the man looks furious": "angry",
    "she bursts into tears": "cry", "her eyes are shut": "eyes closed", "he says yes by nodding": "nod",
    "the old lady shakes her head no": "shake", "he lifts his eyebrows in surprise": "brows raised",
    "she opens her mouth really wide": "mouth open", "the woman glances over to the left": "look left",
    "his gaze wanders to the right": "look right", "she gives the camera a kiss": "pucker",
    "he rotates his head to the right": "turn right", "she leans her head towards the left": "tilt left",
    "he is yawning": "yawn", "a terrified woman": "afraid", "a sad man": "sad", "a happy girl": "smile",
    "an angry woman": "angry", "a surprised man": "surprised", "she speaks to us": "talk",
    "he is screaming": "shout", "the woman raises one brow": "skeptical", "eyes wide open": "eyes wide",
}  # fmt: skip
DENIED = {  # what must happen, and a coefficient that must not move
    "without closing her eyes she opens her mouth": ("mouth open", "eyeBlink_L"),
    "does not smile": ("neutral", "mouthSmile_L"),
    "no smile, just raises the brows": ("brows raised", "mouthSmile_L"),
    "he nods without smiling": ("nod", "mouthSmile_L"),
    "she doesn't open her mouth, she only smiles": ("smile", "jawOpen"),
    "a man who is not frowning but laughing": ("laugh", "mouthFrown_L"),
    "she never blinks": ("neutral", "eyeBlink_L"),
    "instead of nodding he shakes his head": ("shake", "pitch"),
}
STRANGE = (
    "eine Katze schläft auf dem Sofa", "la mujer cierra los ojos", "微笑的女人", "😀😀", "asdfgh",
    "does a backflip", "a man in a park", "a portrait of an astronaut riding a horse", "qwertz uiop",
    "Der Mann lächelt freundlich", "elle ferme les yeux", "plays the violin", "walks along the beach",
)  # fmt: skip


def canonical(name: str) -> np.ndarray:
    """Return the typical track of one action."""
    return play_take([Performed((name,), 0.0, SECONDS)], frames=FRAMES, seed=None)


def read(performer, encoder, prompts: list[str]):
    """Return for each prompt the confidence and the typical track."""
    segments = [Action(0.0, SECONDS, prompt) for prompt in prompts]
    confidence, deeds = read_segments(performer, hear(encoder, prompts), segments)
    return confidence, [play_take(own, frames=FRAMES, seed=None) for own in deeds]


def nearest(track: np.ndarray, tracks: dict[str, np.ndarray]) -> str:
    """Name the action whose typical track is nearest."""
    code = track_to_code(track)
    return min(tracks, key=lambda name: float(np.square(code - track_to_code(tracks[name])).sum()))


def compare(track: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return correlation and amplitude ratio over the truth's main coefficients."""
    code, wanted = track_to_code(track), track_to_code(truth)
    reach = np.abs(wanted).max(0)
    main = reach > 0.5 * reach.max()
    x, y = code[:, main].ravel(), wanted[:, main].ravel()
    ratio = float(np.abs(x).max() / np.abs(y).max())
    return (float(np.corrcoef(x, y)[0, 1]) if x.std() > 1e-6 else 0.0), ratio


def measure(performer, encoder) -> dict:
    """Measure everything."""
    tracks = {name: canonical(name) for name in ACTIONS}
    groups: dict[str, list[tuple[str, str]]] = {"held out": [], "natural": list(NATURAL.items())}
    for name in ACTIONS:
        for pronoun, who in (("she", "a woman"), ("he", "the man")):
            said = phrasings(name, pronoun=pronoun, held_out=True)
            groups["held out"] += [(f"{who} {phrase}", name) for phrase in said]
    some = groups["held out"][::4]
    groups["after 200 words"] = [(SCENE * 3 + text[0].upper() + text[1:], name) for text, name in some]
    groups["after 'word ' * 40"] = [("word " * 40 + text, name) for text, name in some]
    found: dict = {}
    for group, pairs in groups.items():
        confidence, played = read(performer, encoder, [text for text, _ in pairs])
        told = [nearest(track, tracks) for track in played]
        moving = [(t, n) for t, (_, n) in zip(played, pairs, strict=True) if n != "neutral"]
        fits = np.array([compare(track, tracks[name]) for track, name in moving])
        sides = [(a, n) for a, (_, n) in zip(told, pairs, strict=True) if n.split()[-1] in ("left", "right")]
        other = {"left": "right", "right": "left"}
        found[group] = {
            "prompts": len(pairs),
            "nearest action right": float(np.mean([a == n for a, (_, n) in zip(told, pairs, strict=True)])),
            "correlation": float(fits[:, 0].mean()),
            "amplitude": float(np.median(fits[:, 1])),
            "sure": float(np.mean(np.array(confidence) >= SURE)),
            "sides mixed up": sum(a == n.replace(n.split()[-1], other[n.split()[-1]]) for a, n in sides),
            "sided prompts": len(sides),
            "wrong": [f"{t[-50:]} -> {a}" for a, (t, n) in zip(told, pairs, strict=True) if a != n],
        }
    _, played = read(performer, encoder, list(DENIED))
    kept = []
    for track, (prompt, (name, still)) in zip(played, DENIED.items(), strict=True):
        moved = float(np.abs(track_to_code(track)[:, COEFFICIENTS.index(still)]).max())
        kept.append((nearest(track, tracks) == name and moved < 0.15, prompt, nearest(track, tracks)))
    wrong = [k[1:] for k in kept if not k[0]]
    found["denials"] = {"held": len(kept) - len(wrong), "of": len(kept), "wrong": wrong}
    rng = np.random.default_rng(0)
    odd = [*STRANGE, *(draw_off_topic(rng, held_out=True) for _ in range(40))]
    odd += [draw_scene(rng) for _ in range(10)]
    confidence, _ = read(performer, encoder, odd)
    missed = [p for p, c in zip(odd, confidence, strict=True) if c >= SURE]
    found["no action named"] = {"prompts": len(odd), "calm": 1 - len(missed) / len(odd), "wrong": missed}
    return found


def time_clips(performer, encoder) -> dict[str, float]:
    """Return milliseconds of CPU for a clip, the median of some."""
    found = {}
    clips = (("2 s", "a woman smiles", 2), ("10 s, 200 words", SCENE * 3 + "She nods.", 10))
    for name, prompt, seconds in clips:
        spent = []
        for k in range(9):
            begun = time.process_time()
            perform_prompt(performer, encoder, prompt, seconds=seconds, seed=k)
            spent.append(1000 * (time.process_time() - begun))
        found[name] = round(float(np.median(spent)), 1)
    return found


def draw(performer, encoder, path: Path) -> None:
    """Draw the tracks of eight prompts, typical (dashed) and in two takes."""
    from matplotlib.figure import Figure

    prompts = {
        "she smiles": ("mouthSmile_L", "cheekSquint_L", "eyeBlink_L"),
        "a man nods": ("pitch", "yaw", "eyeBlink_L"),
        "slowly shakes her head": ("yaw", "pitch", "roll"),
        "closes her eyes, then smiles broadly": ("eyeBlink_L", "mouthSmile_L", "jawOpen"),
        "he talks": ("jawOpen", "mouthFunnel", "eyeBlink_L"),
        "[0-1s] looks surprised [1.5-3s] winks": ("browInnerUp_L", "eyeBlink_L", "eyeBlink_R"),
        "turns her head to the left while opening her mouth": ("yaw", "jawOpen", "eyeBlink_L"),
        "does a backflip": ("pitch", "yaw", "eyeBlink_L"),
    }
    figure = Figure(figsize=(16, 8), layout="constrained")
    for axes, (prompt, names) in zip(figure.subplots(2, 4).flat, prompts.items(), strict=True):
        for seed, style in ((None, "--"), (0, "-"), (1, ":")):
            performance = perform_prompt(performer, encoder, prompt, seconds=3, seed=seed)
            code = track_to_code(performance.track)
            for k, name in enumerate(names):
                label = name if seed == 0 else None
                curve = code[:, COEFFICIENTS.index(name)]
                axes.plot(np.arange(72) / 24, curve, style, color=f"C{k}", label=label)
        axes.set_title(prompt, fontsize=9)
        axes.legend(fontsize=7)
        axes.set_ylim(-1.1, 1.1)
    figure.savefig(path, dpi=70)


def main() -> None:
    """Measure, draw, and write both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="folder with the part 'performing'")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    performer = Performer(PRESETS["mini"]).eval()
    performer.load_state_dict(load_part(arguments.weights, "performing"))
    encoder = load_text_encoder(PRESETS["mini"].text)
    found = measure(performer, encoder) | {"CPU ms a clip": time_clips(performer, encoder)}
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "performing.json").write_text(json.dumps(found, indent=1, ensure_ascii=False))
    draw(performer, encoder, arguments.output / "performing.png")
    print(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
