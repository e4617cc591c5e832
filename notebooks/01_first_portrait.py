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
# - seeds, timelines, the three dials, and how to borrow an action from another picture;
# - what a saved file says of itself, and whom to ask first.
#
# It takes about 1 minute on two cores. You need Python, nothing else: no GPU, no network, no account.
#
# The model is `mini`. It ships with the repository and was built to show the idea on any laptop. What its denoiser
# makes of the embeddings is 128 × 128 pixels small and soft. Beside it stands plain geometry: a head fitted to the
# photo, which draws the same action with the photo's own pixels. Video models of today's full size have some hundred
# times its parameters, and need a GPU.

# %%
import sys

sys.path.insert(0, "..")  # the repository, so that `import iad` finds it

# %%
from iad import IaDPipeline

pipe = IaDPipeline.from_pretrained("mini")
print(f"the denoiser: {pipe.preset.size} pixels, {pipe.preset.frames} frames at {pipe.preset.fps} a second")
print("arms:", ", ".join(pipe.arms))

# %% [markdown]
# ## A face
#
# She does not exist: a renderer made her. Her picture therefore needs nobody's consent. For a photo of yours the
# rule is at the end of this tutorial.

# %%
from PIL import Image

photo = Image.open("../examples/person-187.png")
photo

# %% [markdown]
# ## A clip
#
# `size` is that of the frames in pixels, up to 1024, `duration` is in seconds, up to 10; there are 24 frames a second.

# %%
result = pipe(photo, "a woman laughs", size=384, seed=0)
print("frames ", result.frames.shape, result.frames.dtype)
print(f"seconds {result.seconds:.1f}")
print("made of", {name: f"{share:.0%}" for name, share in result.made_of.items()})

# %% [markdown]
# Save it and play it here. (`embed` puts the video into this page. Where a page may not play videos, look at the
# sheet below: every sixth frame.)

# %%
import tempfile
from pathlib import Path

from IPython.display import Video

folder = Path(tempfile.mkdtemp())
clip = result.save(folder / "laugh.mp4")
Video(clip, embed=True, html_attributes="controls loop autoplay muted")

# %%
from iad.plots import face_sheet

face_sheet(result.frames[::6], columns=4, size=192)

# %% [markdown]
# Her photo shows a round, open mouth. The clip is not to copy it: the action comes from your sentence. That is what
# this project is about. Is it *her*, though? Curls, skin and backdrop are hers, for these are the photo's own pixels,
# moved by the fitted head. What the photo does not show, teeth say, is painted: `made_of` tells how much. Compare for
# yourself before you read a score.
#
# ## Scores
#
# Four numbers come with every clip:

# %%
print("identity", result.scores["identity"].round(2))
print(f"action   {result.scores['action']:.2f}")
print(f"copied   {result.scores['copied']:.2f}")
print(f"detected {result.scores['detected']:.0%}")

# %% [markdown]
# - *identity*, one number a frame: the cosine of that frame's identity and the photo's, by a recogniser that learned
#   from millions of real faces. 1 is the photo itself. Some frames are looked at, those between are interpolated.
# - *action*: how well these frames, read anew, do what was asked: 1 fully, 0 something else or nothing.
# - *copied*: the same for what the *photo* does. Here it shows an open mouth, and a laugh opens the mouth, too.
# - *detected*: in how many of the frames a face is found.
#
# Beware: all of it is the model's own opinion, by the reader that also read the photo. Such scores are good for
# comparing two clips of yours, not for claims. Tutorial 7 judges with networks that took no part.

# %%
for prompt in ("a woman smiles", "a woman cries", "a woman closes her eyes"):
    made = pipe(photo, prompt, seed=0, size=128)
    print(f"{prompt:<24} identity {made.scores['identity'].mean():.2f}  action {made.scores['action']:.2f}")

# %% [markdown]
# ## Seeds
#
# The seed decides which *take* you get: when exactly the action sets in, how fast, how strongly, when she blinks. The
# same seed on the same machine gives the same frames, to the last bit; another one gives another take.

# %%
import numpy as np

takes = [pipe(photo, "a woman smiles", seed=seed, size=128).frames for seed in (0, 0, 1, 2)]
print("same seed, same frames:", np.array_equal(takes[0], takes[1]))
apart = np.abs(takes[0].astype(int) - takes[2]).mean()
print(f"another seed: pixels differ by {apart:.1f} of 255 on average")

# %%
shown = [5, 10, 20, 30, 45]  # of 48
face_sheet(np.concatenate([t[shown] for t in takes[1:]]), columns=5, titles=["seed 0", "seed 1", "seed 2"])

# %% [markdown]
# ## One person, four actions
#
# The identity should stay while the action changes. In the sheet, time runs to the right.

# %%
prompts = ["opens her mouth", "closes her eyes", "raises her eyebrows", "turns her head to the left"]
clips = [pipe(photo, f"a woman {words}", seed=0, size=192).frames for words in prompts]
titles = [words.split(" to ")[0] for words in prompts]
face_sheet(np.concatenate([clip[shown] for clip in clips]), columns=5, titles=titles)

# %% [markdown]
# "Left" is the person's own left, which is at the right of the picture. A turn is the hardest: it uncovers what the
# photo does not show, so heads turn by some 20 degrees and no more.
#
# ## A timeline
#
# Since the action is separate from the person, every moment can have its own. Write times into the prompt, or pass
# a list; both mean the same.

# %%
from iad import Action

timeline = [Action(0.0, 1.0, "opens her mouth"), Action(1.0, 2.0, "closes her eyes")]
told = pipe(photo, timeline=timeline, seed=0, size=128)
written = pipe(photo, "[0-1s] opens her mouth [1-2s] closes her eyes", seed=0, size=128)
print("the same clip:", np.array_equal(told.frames, written.frames))
times = [f"{k / told.fps:.2f} s" for k in range(0, 48, 6)]
face_sheet(told.frames[::6], times, columns=8)

# %% [markdown]
# ## Three dials
#
# `action_scale` strengthens or weakens what is done: at 0 she keeps still, above 1 it is exaggerated as far as a face
# can go. `identity_scale` weighs the person inside the denoiser; below 1 the drawing with her pixels fades out in step,
# for these pixels are she. We ask for the denoiser's rate here, 8 frames a second.

# %%
scales = (0.0, 0.5, 1.0, 1.5)
ask = {"prompt": "a woman opens her mouth", "seed": 0, "fps": 8}
by_action = [pipe(photo, action_scale=scale, size=128, **ask).frames[10] for scale in scales]
by_identity = [pipe(photo, identity_scale=scale, size=128, **ask).frames[10] for scale in scales]
labels = [f"{scale}" for scale in scales] * 2
face_sheet(np.stack(by_action + by_identity), labels, columns=4, size=128, titles=["action", "identity"])

# %% [markdown]
# Without identity it is nobody in particular, and nothing of her photo is drawn.
#
# The third, `detail_scale`, says how much of the drawing with the photo's pixels counts, from 0 to 1. Her photo, then
# the same frame at three settings:

# %%
by_detail = [pipe(photo, detail_scale=scale, size=384, **ask).frames[10] for scale in (0.0, 0.5, 1.0)]
compared = [np.asarray(photo.resize((384, 384))), *by_detail]
face_sheet(np.stack(compared), ["photo", "0", "0.5", "1"], columns=4, size=192, titles=["detail"])

# %% [markdown]
# At 0 you see what the identity and the action embedding alone carry: colours, outlines, where things are, and what
# the face does. At 1 every pixel is the photo's, or painted beside it. In between both are blended, which is for
# looking at the difference. The drawing is ours, not a part of the paper's method, so tutorials 2, 5 and 7 turn it off
# wherever they ask what the embeddings carry. Tutorial 5 opens it.
#
# ## A driving picture
#
# Instead of saying what she does, show it. Only the driver's *action* is taken, not their face; the prompt then
# says no more than who is there. A video works too: `action_reference="driver.mp4"`.

# %%
from iad.portraits.collection import load_collection

faces = load_collection()  # forty more people who do not exist, in nine actions
drivers = faces.crops[faces.find(person=12, action=["mouth open", "eyes closed", "turn left"], take=0)]
ask = {"prompt": "a woman", "seed": 0, "size": 128, "duration": 0.5}
driven = [pipe(photo, action_reference=driver, **ask).frames[-1] for driver in drivers]
face_sheet(np.stack([*drivers, *driven]), columns=3, size=128, titles=["driver", "she"])

# %% [markdown]
# What the driver does is read off the picture, as 57 weights of muscles and the pose of the head, and that is all that
# is taken. What the reader misses does not reach her.
#
# ## Saving
#
# The suffix decides: `.mp4`, `.gif`, or `.png` for a contact sheet. Every file says that it is AI-generated, by
# which model and with which settings; the photo is not in it. `label=True` also writes it into the picture.

# %%
from iad.media.provenance import verify

for name in ("laugh.mp4", "laugh.gif", "laugh.png"):
    path = result.save(folder / name, label=True)
    print(f"{name}, {path.stat().st_size / 1000:.0f} kB")
print(verify(folder / "laugh.mp4").summary)

# %%
for name, value in verify(folder / "laugh.mp4").settings.items():
    print(f"{name:<24} {value}")

# %% [markdown]
# With these settings, the same photo and the same machine anybody makes the same clip again. A note can be taken out
# or forged; a *signed* one cannot be forged. `verify` says which it is, and a signature needs a certificate of yours.
#
# ## Consent
#
# A face is not yours to animate because you have a picture of it.
#
# - **Ask first.** Use your own photo, or one of a person who agreed to *this* use. No children.
# - **Say what it is.** Leave the note in the file and the label in the picture. A clip of somebody doing what they
#   never did can hurt them also when it was meant as a joke.
# - **Embeddings are personal data too.** Faces can be rebuilt from them. The pipeline keeps neither the photo nor
#   its embedding; keep it so.
# - **Actions, not feelings.** The model moves a face. A smile is not a proof of joy, neither here nor in a photo.

# %% [markdown]
# ## Exercises
#
# **1.** Make a real person nod: Eileen Collins, astronaut, whose portrait NASA gave to the public domain and
# scikit-image brings along (`skimage.data.astronaut()`). How far does the likeness carry?
#
# <details>
# <summary>Answer</summary>
#
# ```python
# import skimage.data
#
# nod = pipe(skimage.data.astronaut(), "a woman nods", size=384, seed=0)
# face_sheet(nod.frames[::2], columns=4, size=192)
# ```
#
# The face is found and framed by itself. Hair, skin and backdrop are her photo's own. In the photo she smiles broadly,
# and nobody asked for a smile: look at what became of it, and how the mouth was closed over the teeth. With
# `detail_scale=0` most of the likeness goes. The denoiser saw no real person in training, the recogniser did. And note
# that she was not asked: for a study at home that is one thing, a clip to be shown around is another.
#
# </details>
#
# **2.** Ask for something that the model does not know, "a woman juggles". What happens, and where does it say so?
#
# <details>
# <summary>Answer</summary>
#
# `pipe(photo, "a woman juggles").notes` says that no facial action was recognised and that the face stays calm, and
# `scores["action"]` is not a number: where nothing was understood there is nothing to score. The model could have
# guessed the nearest action; a wrong action that looks right is worse than none.
#
# </details>
#
# **3.** Suppose that the identity score of a clip in which she smiles is lower than of one in which she does what the photo
# shows. Did the model lose her?
#
# <details>
# <summary>Answer</summary>
#
# Not necessarily. Recognisers see the expression too (tutorial 2), so a *true* picture of her smiling would also
# score below 1 against a photo with an open mouth. Tutorial 7 measures how far below. A score needs the score of
# the truth beside it.
#
# </details>
