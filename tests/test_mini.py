"""The shipped `mini`, end to end: a photo and a sentence give a moving portrait, offline."""

import numpy as np
import pytest
from made_up import ASTRONAUT

from iad import IaDPipeline, checkpoint
from iad.evaluation.samples import split_faces
from iad.faces.recogniser import DIM
from iad.media.video import read_video

FOLDER = checkpoint.WEIGHTS / "mini"


@pytest.fixture(scope="module")
def mini():
    return IaDPipeline.from_pretrained("mini")


def test_weights_are_small_and_have_a_card():
    sizes = {path.name: path.stat().st_size for path in FOLDER.glob("*.safetensors")}
    apart = ("arm-", "scorers-", "decoupling-heads")  # what generation does without
    beside = [size for name, size in sizes.items() if name.startswith(apart)]
    assert sum(sizes.values()) - sum(beside) <= 50e6 and sum(beside) <= 30e6
    assert max(sizes.values()) <= 9.5e6
    card = (FOLDER / "README.md").read_text()
    assert all(word in card for word in ("Data", "Hardware", "Date", "Limits"))


def test_a_photo_and_a_sentence_move(mini, tmp_path):
    result = mini(ASTRONAUT, "a woman smiles, then turns her head", seed=1)
    assert result.frames.shape == (48, 384, 384, 3) and result.fps == 24
    frames = result.frames.astype(float)
    assert np.abs(np.diff(frames, axis=0)).mean() > 0.1  # grey levels a frame: it moves
    between = (frames[:-2] + frames[2:]) / 2
    assert np.abs(frames[1:-1] - between).mean((1, 2, 3)).max() < 14  # and it does not flicker
    assert result.made_of["photo"] > 0.9 and result.made_of["denoiser"] == 0
    frames, _ = read_video(result.save(tmp_path / "clip.mp4"), 100)
    assert np.abs(frames.astype(float) - result.frames).mean() < 4


def test_same_seed_same_frames(mini):
    for scale in (0, 1):
        asked = {"seed": 5, "detail_scale": scale, "size": 128, "duration": 1.0}
        first, again = (mini(ASTRONAUT, "a woman nods", **asked).frames for _ in range(2))
        assert np.array_equal(first, again)


def test_words_decide_what_the_face_does(mini):
    """The same photo and seed with other words gives another clip; other words for the same, a like one."""
    for scale in (0, 1):
        asked = {"seed": 0, "detail_scale": scale, "size": 128, "fps": 8}
        smile, smiling, closed = (
            mini(ASTRONAUT, words, **asked).frames[8:].astype(float)
            for words in ("a woman smiles", "a woman is smiling", "a woman closes her eyes")
        )
        assert np.abs(smile - smiling).mean() < np.abs(smile - closed).mean()


def test_people_stay_apart(mini):
    """A clip that the embeddings alone carry resembles its own reference more than another person's."""
    folder = checkpoint.WEIGHTS.parents[1] / "examples"
    photos = [folder / f"person-{n}.png" for n in ("003", "019", "179", "219")]
    own = [mini.decouple(photo).identity[:-DIM] for photo in photos]  # the tokens that the denoiser is given
    for k, photo in enumerate(photos):
        frame = mini(photo, "a person smiles", seed=k, detail_scale=0).frames[8]
        made = split_faces(mini, frame[None], local=True)["identity"][0].numpy()
        cosines = [made @ v / np.linalg.norm(made) / np.linalg.norm(v) for v in own]
        assert int(np.argmax(cosines)) == k


def test_calm_prompts_say_so(mini):
    assert any("stays calm" in note for note in mini(ASTRONAUT, "a photo of a chair").notes)


def test_the_arms_differ_in_what_they_take_from_the_photo(mini):
    """The crop's copy shows the photo's face from the first frame on; IaD shows what the words say."""
    moved = {}
    for arm in ("iad", "consisid"):
        open_mouth, calm = (
            mini(ASTRONAUT, f"a woman {said}", arm=arm, seed=0, detail_scale=0).frames.astype(float)
            for said in ("opens her mouth wide", "keeps a calm face")
        )
        moved[arm] = np.abs(open_mouth - calm)[8:].mean()
    assert moved["iad"] > 1.25 * moved["consisid"]


def test_arms_without_a_drawing_say_so(mini):
    clip = mini(ASTRONAUT, "a woman nods", arm="consisid", seed=0)
    assert clip.frames.shape == (16, 128, 128, 3) and any("no drawing of its own" in n for n in clip.notes)
