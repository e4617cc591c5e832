"""How well T performs: `python -m tests.benchmarks.performing --weights FOLDER --output DIR`.

Prompts that training never saw (`tests/held_out_prompts.tsv`, and `HELD_OUT_PHRASINGS` of the named actions)
are performed without a seed and judged by the coefficients of the track. Writes `performing.json`.
"""

import argparse
import json
import sys
import time
from itertools import combinations, permutations
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from held_out_prompts import Prompt, load_prompts

from iad.checkpoint import load_part
from iad.config import PRESETS
from iad.geometry.coefficients import COLUMN
from iad.performing import Performer, perform_prompt, perform_segments, track_to_code
from iad.performing.actions import ACTIONS, Performed, perform
from iad.performing.motions import Typical
from iad.performing.performance import SURE
from iad.portraits.phrasings import phrasings
from iad.text import Action, load_text_encoder
from iad.training.spoken import draw_off_topic, draw_scene

SECONDS, FRAMES, TAKES = 3.0, 72, 8
SCENE = (
    "The wind blows over the hills and a small train passes by the old station, while people wait for it. "
    "Golden light falls through the tall windows of the hall, where a few chairs and a table stand. "
    "On the wall hangs a painting of a harbour with many ships. A lamp gives a warm light, and the shadows "
    "of the plants lie on the floor. "
)
STRANGE = (
    "eine Katze schläft auf dem Sofa", "la mujer cierra los ojos", "微笑的女人", "😀😀", "asdfgh", "?!?!",
    "...",
    "does a backflip", "a man in a park", "a portrait of an astronaut riding a horse", "qwertz uiop",
    "Der Mann lächelt freundlich", "elle ferme les yeux", "plays the violin", "walks along the beach",
    "smiles without smiling", "she nods and does not nod", "a red balloon over the city", SCENE,
)  # fmt: skip
TOGETHER = {  # a number of the track that shows each, and of what no two are done at once
    "smiles": ("mouthSmile_L", "mouth"), "opens her mouth": ("jawOpen", "jaw"),
    "winks": ("eyeBlink_L", "eyes"), "closes her eyes": ("eyeBlink_R", "eyes"),
    "raises her eyebrows": ("browInnerUp_L", "brows"), "furrows her brow": ("browDown_L", "brows"),
    "turns her head left": ("yaw", "head"), "shakes her head": ("yaw", "head"),
    "nods": ("pitch", "head"), "tilts her head": ("roll", "head"),
}  # fmt: skip


class Measured:
    """T, and how its takes are judged."""

    def __init__(self, weights: Path):
        self.performer = Performer(PRESETS["mini"]).eval()
        self.performer.load_state_dict(load_part(weights, "performing"))
        self.encoder = load_text_encoder(PRESETS["mini"].text)

    def perform(self, text: str, *, seed: int | None = None):
        """Perform a prompt over three seconds."""
        segments = [Action(0.0, SECONDS, text)]
        return perform_segments(self.performer, self.encoder, segments, frames=FRAMES, seed=seed)

    def rate(self, prompts: list[Prompt], *, before: str = "") -> dict:
        """Judge the typical takes of prompts, with words before each."""
        rights, wrong = [], []
        for prompt in prompts:
            text = before + prompt.text[0].upper() + prompt.text[1:] if before else prompt.text
            performance = self.perform(text)
            rights.append(prompt.judge(performance.track))
            if not rights[-1]:
                wrong.append(f"{prompt.text} ({performance.confidence[0]:.2f})")
        return {"right": round(float(np.mean(rights)), 3), "of": len(rights), "wrong": wrong}

    def name_actions(self) -> dict:
        """Find the named action that is nearest to the take of each of its held-out wordings."""
        shown = {n: self._canonical(n) for n in ACTIONS}
        people = (("she", "a woman"), ("he", "the man"))
        pairs = [
            (f"{who} {phrase}", name)
            for name in ACTIONS
            for pronoun, who in people
            for phrase in phrasings(name, pronoun=pronoun, held_out=True)
        ]
        wrong = []
        for text, name in pairs:
            code = track_to_code(self.perform(text).track)
            nearest = min(shown, key=lambda n: float(np.square(code - shown[n]).sum()))
            if nearest != name:
                wrong.append(f"{text} -> {nearest}")
        return {
            "nearest action right": round(1 - len(wrong) / len(pairs), 3),
            "of": len(pairs),
            "wrong": wrong,
        }

    @staticmethod
    def _canonical(name: str) -> np.ndarray:
        deeds = [Performed((name,), 0.0, SECONDS)]
        return track_to_code(perform(deeds, rng=Typical(), frames=FRAMES, fps=24, idle=False))

    def do_both(self) -> dict:
        """Tell two at once, in either order: does each show half of what it shows alone?"""
        alone = {words: self._reach(f"she {words}", words) for words in TOGETHER}
        pairs = [(a, b) for a, b in permutations(TOGETHER, 2) if TOGETHER[a][1] != TOGETHER[b][1]]
        wrong = [
            f"{a} and {b}"
            for a, b in pairs
            if any(self._reach(f"she {a} and {b}", words) < 0.5 * alone[words] for words in (a, b))
        ]
        return {"both shown": round(1 - len(wrong) / len(pairs), 3), "of": len(pairs), "wrong": wrong}

    def _reach(self, text: str, words: str) -> float:
        return float(np.abs(self.perform(text).track[:, COLUMN[TOGETHER[words][0]]]).max())

    def stay_calm(self) -> dict:
        """Count words without an action at which the face stays calm."""
        rng = np.random.default_rng(0)
        odd = [
            *STRANGE,
            *(draw_off_topic(rng, held_out=True)[0] for _ in range(60)),
            *(draw_scene(rng) for _ in range(10)),
        ]
        moved = [text for text in odd if self.perform(text).confidence[0] >= SURE]
        return {"calm": round(1 - len(moved) / len(odd), 3), "of": len(odd), "moved": moved}

    def vary(self, prompts: list[Prompt]) -> dict:
        """Judge eight takes of each prompt that has only lower limits, and say how far apart they are."""
        rights, apart = [], []
        for prompt in prompts:
            takes = [self.perform(prompt.text, seed=seed).track for seed in range(TAKES)]
            rights += [prompt.judge(take) for take in takes]
            middle = [track_to_code(take)[FRAMES // 4 :] for take in takes]
            apart += [float(np.sqrt(np.square(a - b).sum(1)).mean()) for a, b in combinations(middle, 2)]
        return {"takes right": round(float(np.mean(rights)), 3), "of": len(rights),
                "mean distance of two takes": round(float(np.mean(apart)), 3)}  # fmt: skip

    def time_clips(self) -> dict[str, float]:
        """Return milliseconds of CPU for a clip, the median of some, with and without the text encoder."""
        found = {}
        for name, prompt, seconds in (
            ("2 s", "a woman smiles", 2),
            ("10 s, 200 words", SCENE * 3 + "She nods.", 10),
        ):
            spent, encoding = [], []
            for k in range(9):
                begun = time.process_time()
                perform_prompt(self.performer, self.encoder, prompt, seconds=seconds, seed=k)
                spent.append(1000 * (time.process_time() - begun))
                begun = time.process_time()
                self.encoder.encode([prompt], tokens=64)
                encoding.append(1000 * (time.process_time() - begun))
            found[name] = round(float(np.median(spent)), 1)
            found["of it MiniLM, " + name] = round(float(np.median(encoding)), 1) if seconds == 2 else None
        return {key: value for key, value in found.items() if value is not None}


def measure(weights: Path, part: str) -> dict:
    """Measure everything on one part of the prompts."""
    measured = Measured(weights)
    kinds = dict.fromkeys(prompt.kind for prompt in load_prompts(part))
    found: dict = {kind: measured.rate(load_prompts(part, kind)) for kind in kinds}
    wordings = load_prompts(part, "wording")
    found["wording after 200 words of scene"] = measured.rate(wordings, before=SCENE * 3)
    found["wording after 'word ' * 40"] = measured.rate(wordings, before="word " * 40)
    found["no action named"] = measured.stay_calm()
    plain = [p for p in load_prompts(part) if p.kind not in ("negation", "two") and "<" not in p.wanted]
    found["takes"] = measured.vary(plain[::3])
    if part == "report":
        found["two at once"] = measured.do_both()
        found["named actions"] = measured.name_actions()
    return found | {"CPU ms a clip": measured.time_clips()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=Path, required=True, help="folder with the part 'performing'")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--part", choices=("develop", "report", "second"), default="develop")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    result = json.dumps(measure(arguments.weights, arguments.part), indent=1, ensure_ascii=False)
    (arguments.output / f"performing-{arguments.part}.json").write_text(result)
    print(result)
