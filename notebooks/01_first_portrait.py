# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1 · Your first portrait
#
# A photo and a sentence become two seconds of video: that person, doing that.
#
# **What you will learn**
#
# - how to make a clip, look at it, and read its scores without being fooled by them;
# - what a seed is: another *take*; and how to time, dial and borrow actions;
# - what a saved file says of itself, and whom to ask first.
#
# It runs for about 1 minute on two idle cores. You need Python, nothing else: no GPU, no network, no account.

# %%
import importlib.util

if lacking := [name for name in ("iad", "order", "schematic") if importlib.util.find_spec(name) is None]:
    raise ModuleNotFoundError(f"{' and '.join(lacking)} not found: see notebooks/README.md, or make lab")

from order import explain_missing_names

explain_missing_names()

# %%
import os
import tempfile
from pathlib import Path

import numpy as np
from IPython.display import Markdown, Video, display
from PIL import Image
from schematic import draw_schematic

from iad import Action, IaDPipeline
from iad.plots import face_sheet
from iad.plots.style import SERIES, create_figure, to_picture

SMOKE = bool(os.environ.get("IAD_SMOKE"))  # a short run, for tests
FPS = 4 if SMOKE else 24  # frames a second

# %% [markdown]
# ## The whole in one picture
#
# A network, the face encoder, turns the photo into an **embedding**: a list of numbers. It is split into three: identity, action and
# the rest. Words give another action instead. A video model, the denoiser, makes frames of the photo's *identity* and the words' *action*; and geometry moves the photo's own pixels by the same action.
# Every tutorial begins with this picture and lights the part that it is about. This one is about the two ends:

# %%
draw_schematic("photo", "words", "text", "text_action", "geometry", "clip")

# %%
pipe = IaDPipeline.from_pretrained("mini", device="cpu")
size, fps = pipe.preset.size, pipe.preset.fps
print(f"from the denoiser: {pipe.preset.frames} frames at {fps} a second, {size} x {size} pixels")

# %% [markdown]
# `mini` ships with the package and was made to show the idea on any laptop. What its denoiser makes is small and soft; geometry makes sharp
# clips. Its denoiser has some 9 million parameters; CogVideoX-5B, the paper's base, has 5.6 billion (tutorial 6 counts both).
#
# ## Faces
#
# Two real people whose portraits are in the public domain (both come along with Python packages): Grace Hopper, whose mouth is closed and
# whose face is stern, and Eileen Collins, who smiles. And two who do not exist: they were rendered and ship as examples.

# %%
import skimage.data
from matplotlib.cbook import get_sample_data

from iad.installation import EXAMPLES

with get_sample_data("grace_hopper.jpg") as file:
    hopper = np.asarray(Image.open(file).convert("RGB"))
collins = skimage.data.astronaut()
nobody = [np.asarray(Image.open(EXAMPLES / f"person-{n}.png").convert("RGB")) for n in ("219", "035")]
found = [pipe.find_face(photo) for photo in (hopper, collins, *nobody)]
names = ["Grace Hopper", "Eileen Collins", "nobody", "nobody"]
face_sheet(np.stack([face.image for face in found]), names, columns=4, size=176)

# %% [markdown]
# ## A clip
#
# `size` is that of the frames in pixels, up to 1024; `duration` in seconds, up to 10; there are 24 frames a second.

# %%
laugh = pipe(hopper, "a woman laughs", size=256, seed=0, fps=FPS)
print("frames ", laugh.frames.shape, f"in {laugh.seconds:.1f} seconds")
print("made of", {name: f"{share:.1%}" for name, share in laugh.made_of.items()})
assert laugh.made_of["photo"] > 0.9

# %%
folder = Path(tempfile.mkdtemp())
Video(laugh.save(folder / "laugh.mp4"), embed=True, html_attributes="controls loop autoplay muted")

# %% [markdown]
# Where a page may not play videos, look at this strip. Time runs to the right.

# %%
def strip(*clips, titles=(), at=(2, 8, 14, 24, 36)):
    """Show some frames of every clip in a row of its own."""
    shown = np.concatenate([clip.frames[[min(k, len(clip.frames) - 1) for k in at]] for clip in clips])
    labels = [f"{k / clips[0].fps:.1f} s" for k in at] * len(clips)
    return face_sheet(shown, labels, columns=len(at), size=160, titles=titles)


strip(laugh)

# %% [markdown]
# Nearly all are the photo's own pixels, moved. What a photo does not show, teeth say, is painted; `made_of` counts such pixels. So
# of course it looks like her; whether the *method* keeps a person is asked where geometry is off, from tutorial 2 on.
#
# ## Scores
#
# - *identity*: how alike frame and photo are to a recogniser, a network that tells people apart: the cosine of its embeddings. 1 is the photo itself.
# - *action*: how well the frames do what was asked. 1 is fully, 0 something else or nothing.
# - *copied*: how well they do what the **photo** does. High may mean that the photo's expression came back unasked.
# - *detected*: in how many frames a face is found.

# %%
smiling = pipe(collins, "a woman frowns", size=192, seed=0, fps=8)  # her photo smiles
for name, clip in {"Hopper laughs": laugh, "Collins frowns": smiling}.items():
    scores = clip.scores
    print(f"{name:15} identity {scores['identity'].mean():.2f}  action {scores['action']:.2f}  "
          f"copied {scores['copied']:.2f}  detected {scores['detected']:.0%}")  # fmt: skip
strip(smiling, at=(0, 4, 7, 10, 14))

# %% [markdown]
# A high *copied* is a question, not a verdict: where what was asked and what the photo shows have something in common, it is high
# without anything being copied. Look at the clip. And beware: all of it is the model's own opinion, by the same reader that read the photo. Such scores compare two clips of yours. For claims, tutorial
# 9 judges with networks that took no part.
#
# ## Seeds are takes
#
# One sentence has many right performances: when it begins, how strong it is, when she blinks. $T$, which turns words into motion, *samples*
# one; the seed decides which.

# %%
ask = {"prompt": "a woman smiles", "size": 176, "fps": FPS}
takes = {seed: pipe(hopper, seed=seed, **ask) for seed in ((0, 1) if SMOKE else (0, 1, 2))}
again = pipe(hopper, seed=0, **ask)
assert np.array_equal(takes[0].frames, again.frames)  # same seed, same machine: the same, to the last bit
strip(*takes.values(), titles=[f"seed {seed}" for seed in takes], at=(2, 16, 36))

# %% [markdown]
# How much do takes differ, and when? Each frame's distance to the first frame of its own clip:

# %%
figure, axes = create_figure(7.2, 2.6)
moved = {}
for seed, clip in takes.items():
    moved[seed] = np.abs(clip.frames - clip.frames[:1].astype(float)).mean((1, 2, 3))
for (seed, way), colour in zip(moved.items(), SERIES, strict=False):
    axes[0, 0].plot(np.arange(len(way)) / FPS, way, color=colour, label=f"seed {seed}")
axes[0, 0].set(title="Three takes of one smile", xlabel="seconds", ylabel="levels of 255", ylim=(0, None))
axes[0, 0].legend()
to_picture(figure)

# %%
apart = np.mean([np.abs(takes[0].frames.astype(int) - takes[seed].frames).mean() for seed in list(takes)[1:]])
peak = {seed: int(way.argmax()) / FPS for seed, way in moved.items()}
display(Markdown(
    f"Takes differ by {apart:.1f} grey levels on average, and are furthest from where they began after "
    + ", ".join(f"{second:.1f} s (seed {seed})" for seed, second in peak.items()) + "."
))  # fmt: skip
assert apart > 0.3

# %% [markdown]
# ## A timeline
#
# Since action is apart from the person, every moment can have its own. Write times into the prompt or pass a list; both mean the same.

# %%
ask = {"size": 176, "seed": 0, "fps": 8}
timeline = [Action(0.0, 1.0, "opens her mouth"), Action(1.0, 2.0, "closes her eyes")]
timed = pipe(hopper, timeline=timeline, **ask)
written = pipe(hopper, "[0-1s] opens her mouth [1-2s] closes her eyes", **ask)
assert np.array_equal(timed.frames, written.frames)
strip(timed, at=(1, 4, 6, 10, 13))

# %% [markdown]
# ## Dials
#
# `action_scale` weakens or exaggerates what is done. `detail_scale` says how much of geometry's drawing counts: at 0 you see
# what the two embeddings alone carry. `identity_scale` weighs the person; at 0 it is nobody in particular.

# %%
dials = {
    "action_scale": (0.0, 0.5, 1.0, 1.5),
    "detail_scale": (0.0, 0.3, 0.7, 1.0),
    "identity_scale": (0.0, 0.5, 0.8, 1.0),
}
ask |= {"prompt": "a woman opens her mouth", "duration": 1.0}
shown, labels = [], []
for dial, values in dials.items():
    values = values[-1:] if SMOKE else values
    shown += [pipe(hopper, **ask, **{dial: value}).frames[5] for value in values]
    labels += [f"{value:g}" for value in values]
face_sheet(np.stack(shown), labels, columns=4, size=144, titles=list(dials))

# %% [markdown]
# ## A driving picture
#
# Instead of saying what she does, show it. Only the driver's *action* is taken, 57 weights of muscles and the pose of the head, and not
# their face. A video works too: `action_reference="driver.mp4"`.

# %%
files = [EXAMPLES / "pairs" / f"person-099-{name}.png" for name in ("smile", "eyes-closed")]
drivers = [collins, *(np.asarray(Image.open(file).convert("RGB")) for file in files)][: 1 if SMOKE else 3]
ask = {"prompt": "a woman", "seed": 0, "size": 176, "fps": 8, "duration": 0.5}
driven = [pipe(hopper, action_reference=driver, **ask).frames[-1] for driver in drivers]
crops = [pipe.find_face(driver).image for driver in drivers]
small = [np.asarray(Image.fromarray(crop).resize((176, 176))) for crop in crops]
face_sheet(np.stack([*small, *driven]), columns=len(drivers), size=144, titles=["driver", "driven"])

# %% [markdown]
# ## Saving
#
# The suffix decides: `.mp4`, `.gif`, or `.png` for a contact sheet. Every file says that it is AI-generated, by which model and with which settings;
# the photo is not in it. `label=True` also writes it into the picture. A note can be taken out or forged, a *signed* one cannot be forged; that
# needs a certificate of yours.

# %%
from iad.media.provenance import verify

print(verify(laugh.save(folder / "laugh.mp4", label=True)).summary)
for name, value in list(verify(folder / "laugh.mp4").settings.items())[:8]:
    print(f"  {name:<22} {value}")

# %% [markdown]
# ## What goes wrong
#
# Bad input gets a sentence that says what to do, doubts become notes.

# %%
try:
    pipe(np.zeros((200, 200, 3), np.uint8), "a woman nods")
except ValueError as error:
    print("no face:     ", error)
print("odd words:   ", *pipe(hopper, "a woman juggles", size=128, fps=8, duration=0.5).notes)

# %% [markdown]
# ## Consent
#
# A face is not yours to animate because you have a picture of it.
#
# - **Ask first.** Use your own photo, or one of a person who agreed to *this* use. No children. (The two women above were not asked. That their
#   portraits are in the public domain settles the copyright only; a lesson at a desk is one thing, a clip to be shown around another.)
# - **Say what it is.** Leave the note in the file and the label in the picture.
# - **Embeddings are personal data too.** Tutorial 6 makes faces of them. The pipeline writes neither photo nor embedding to your disk; keep it so.
# - **Actions, not feelings.** The model moves a face. A smile is no proof of joy, neither here nor in a photo.

# %% [markdown]
# ## Exercises
#
# Answers, with their output, are in [answers.ipynb](answers.ipynb).
#
# **1.1** When Collins frowns, *identity* is below 1. Did the model lose her? Measure what a *true* change of
# expression costs: compare the rendered person 099 smiling and with closed eyes (`examples/pairs`) by the same cosine.
#
# **1.2** At which time does the smile of a take begin? Implement a measure on `frames` alone and list it for five seeds.
