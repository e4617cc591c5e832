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
# # 2 · What a face embedding leaks
#
# An embedding that says *who* somebody is should not care *what* their face is doing. It does. This is where
# the whole project starts.
#
# **What you will learn**
#
# - how to ask an embedding what it knows: a *probe*, judged on people it has never met;
# - why every probe needs two companions, chance and shuffled labels;
# - that a facial embedding knows the smile, and what a video generator then does with it;
# - what is left in the parts of the split: identity, action, and a residual that nobody is given.
#
# It takes about 3 minutes on two cores. Linear algebra: projections, nothing more.

# %%
import os
import sys

sys.path.insert(0, "..")  # the repository, so that `import iad` finds it
SEEDS = (0,) if os.environ.get("IAD_SMOKE") else (0, 1)  # fewer repetitions in tests

# %% [markdown]
# ## The faces
#
# Forty people who do not exist, rendered, each with nine facial actions in two takes. The model has never seen
# them in training. For every picture we know the person, the action, and 60 numbers that made it: 57 weights
# of the muscles (ARKit's names, such as `jawOpen`) and the pitch, yaw and roll of the head.

# %%
from iad.portraits.collection import load_collection

faces = load_collection()
print("crops ", faces.crops.shape, faces.crops.dtype)
print("tracks", faces.tracks.shape)
print("people", faces.people)

# %%
from iad.plots import face_sheet

rows = faces.find(person=[0, 12, 8], take=0)
face_sheet(faces.crops[rows], faces.actions * 3, titles=["person 0", "person 12", "person 8"])

# %% [markdown]
# ## The embedding
#
# A frozen face encoder looks at each crop; learned queries read 64 tokens from what it says. Flattened, these
# tokens are the *facial embedding* $f$. The same call already splits it in three, $f = i + a + r$. Forget the parts
# for a moment and look at $f$ alone. (`mini` adds one more token, a recogniser's, by which persons are compared. The
# denoiser is not given it, so `local=True` leaves it out here.)

# %%
from iad import IaDPipeline
from iad.evaluation.samples import split_faces

pipe = IaDPipeline.from_pretrained("mini", device="cpu")
parts = split_faces(pipe, faces.crops, local=True)
f = parts["facial"]
f.shape

# %% [markdown]
# Does it know who it looks at? Give every face to its nearest neighbour (cosine, mean taken off) among the
# pictures that show *another* action. If the neighbour is the same person, the embedding recognises people.

# %%
import numpy as np

from iad.evaluation.probes import cosines

alike = cosines(f, f.mean(0))
other_action = faces.action[:, None] != faces.action[None]
nearest = np.where(other_action, alike, -1).argmax(1)
print(f"the neighbour is the same person: {(faces.person[nearest] == faces.person).mean():.0%}")

# %% [markdown]
# As it should be. Now the same question with the answer taken away: look only among **strangers**. Whom does
# the embedding think a face resembles, when the person themself is not there?

# %%
stranger = faces.person[:, None] != faces.person[None]
nearest = np.where(stranger, alike, -1).argmax(1)
same = faces.action[nearest] == faces.action
print(f"the nearest stranger does the same thing: {same.mean():.0%}")
print(f"a stranger picked blindly would:          {1 / len(faces.actions):.0%}")

# %% [markdown]
# Here are some of them: in each row a face, then the four strangers nearest to it. A green frame marks the
# same facial action.

# %%
queries = ((0, "smile"), (12, "mouth open"), (8, "frown"))
asked = [faces.find(person=p, action=a, take=0)[0] for p, a in queries]
order = np.argsort(-np.where(stranger, alike, -1)[asked], axis=1)[:, :4]
shown = np.concatenate([np.array(asked)[:, None], order], axis=1).ravel()
truth = np.repeat(faces.action[asked], 5)
frames = ["#009e73" if faces.action[k] == t else "" for k, t in zip(shown, truth, strict=True)]
labels = [faces.actions[faces.action[k]] for k in shown]
face_sheet(faces.crops[shown], labels, columns=5, frames=frames, titles=["smile", "mouth open", "frown"])

# %% [markdown]
# Skin, hair and light decide much of who is near whom, so most frames are not green. But what the face *does*
# is in there too. How much, exactly? Neighbours are a blunt instrument. A probe is a sharper one.
#
# ## A probe
#
# A **probe** is a small reader that is taught to tell the action from the embedding: here multinomial logistic
# regression,
#
# $$p(\text{action} \mid f) = \operatorname{softmax}(W^\top f + b).$$
#
# The embedding is frozen; only $W$ and $b$ learn. If the probe succeeds, the information was there. One trap:
# if the same person is among the pictures that teach *and* the pictures that judge, the probe may recognise
# the person and remember. So people are divided, not pictures.

# %%
from iad.evaluation.probes import halve

taught, judged = halve(faces.person, seed=0)
print("people who teach:", len(set(faces.person[taught])), " pictures:", taught.sum())
print("people who judge:", len(set(faces.person[judged])), " pictures:", judged.sum())
print("in both:         ", len(set(faces.person[taught]) & set(faces.person[judged])))

# %% [markdown]
# 360 pictures and 8192 numbers each: far too many directions for so few rows. The rows that teach are turned
# to principal components first; the rows that judge are turned in the same way.

# %%
import torch

from iad.evaluation.probes import fit_components, teach_and_ask

teach, judge = torch.from_numpy(taught), torch.from_numpy(judged)
components = fit_components(f[teach])
x, y = components(f[teach]), components(f[judge])
told = teach_and_ask(x, faces.action[taught], y, groups=faces.person[taught])
x.shape, f"right: {(told == faces.action[judged]).mean():.0%}"

# %% [markdown]
# Two companions say whether that is much.
#
# - **Chance**: nine actions, equally often, so guessing gets 1/9.
# - **Shuffled labels**: teach the same probe on labels in random order. If it still did well on the judges,
#   something would be wrong with our division, not with the embedding.

# %%
mixed = np.random.default_rng(0).permutation(faces.action[taught])
nonsense = teach_and_ask(x, mixed, y, groups=faces.person[taught])
print(f"taught on the truth       {(told == faces.action[judged]).mean():.2f}")
print(f"taught on shuffled labels {(nonsense == faces.action[judged]).mean():.2f}")
print(f"chance                    {1 / len(faces.actions):.2f}")

# %% [markdown]
# So the embedding leaks, on people whom the probe has never met. What does the probe mix up? Each row below is
# what a face really does, each column what the probe says.

# %%
from tutorial_figures import confusion_table

confusion_table(faces.action[judged], told, faces.actions, title="Read from f, on strangers")

# %% [markdown]
# ## What a generator does with it
#
# Hand such an embedding to a video model as "the person", and the model gets the expression for free. In
# training, where the reference picture often comes from the clip itself, copying it even pays. Three models on
# one base, one reference, one sentence:
#
# - `consisid` follows ConsisID's recipe: the face crop and the undivided embedding go in;
# - `id-animator` follows ID-Animator's: no crop, but the undivided embedding;
# - `iad` gets the identity $i$ only, and the action from the sentence.
#
# `detail_scale=0` leaves out the drawing with the photo's own pixels, which only `iad` has (tutorial 5). The frames
# are softer so, and show what the embeddings alone carry.

# %%
reference = faces.crops[faces.find(person=12, action="mouth open", take=0)[0]]
arms = ("consisid", "id-animator", "iad")
made = [pipe(reference, "a man closes his eyes", arm=arm, detail_scale=0, seed=0) for arm in arms]
shown = np.concatenate([np.stack([reference, *result.frames[2::3]]) for result in made])
face_sheet(shown, ["reference", "", "", "", "", ""] * 3, columns=6, titles=arms)

# %% [markdown]
# Whose mouth is open, and whose eyes are shut? One person and one sentence prove nothing; tutorial 7 counts,
# and says what else differs between the three recipes besides the split.
#
# ## The parts
#
# Now the split: $f = i + a + r$. The *identity* $i$ is what stays of the person, the *action* $a$ what the face does,
# and the *residual* $r$ what else changes within a person: light, framing, blur. $r$ goes into neither and is given to
# nobody. The same questions to all, over several divisions of the people, with 95 % intervals over people. For the
# action we ask its *code*, which alone reaches the video model: in `mini` the 60 numbers that a reader sees in the
# face, from which $a$ is unfolded. Three questions:
#
# 1. *Which facial action?* To strangers, as above.
# 2. *Where does the head point?* Numbers instead of classes; $R^2 = 1$ is perfect, $0$ is always saying the mean.
# 3. *Who is it?* The probe learns the judges from some of their actions and must know them in the others.

# %%
from iad.evaluation.probes import create_folds, probe

folds = create_folds(faces.person, SEEDS)
parts_by_name = {"f": f, "i": parts["identity"], "a": parts["code"], "r": parts["residual"]}
found = {name: probe(rows, faces, folds, kinds=("linear",)) for name, rows in parts_by_name.items()}

# %%
from tutorial_figures import probe_bars

probe_bars(found, chance={"expression": 1 / 9, "pose": 0.0, "person": 1 / 20})

# %% [markdown]
# Read it column by column. A perfect split would put $i$ on the dashed line in the first two panels and $a$ on
# it in the third. This one is far from perfect: whatever stands to the right of the dashed line and of the small
# diamond still leaks. What $r$ knows was taken out of $i$ and not given to $a$. How much is left, as a share of what $f$ gives away, is the *normalised leakage*,
#
# $$\frac{\text{probe} - \text{chance}}{\text{probe on } f - \text{chance}}.$$
#
# (`docs/results.md` asks other people, half of them made from photographs, with more pictures each, and gets other
# numbers. Leakage is a property of an embedding *and* of whom you ask.)

# %%
from iad.evaluation.probes import normalised_leakage

for question, part, chance in (("expression", "i", 1 / 9), ("pose", "i", 0.0), ("person", "a", 1 / 20)):
    read, raw = found[part][question]["linear"]["value"], found["f"][question]["linear"]["value"]
    print(f"{question} from {part}: {normalised_leakage(read, chance=chance, raw=raw):.2f}")

# %% [markdown]
# And the picture that goes with it: the nearest strangers again, of one smile, by $f$ and by each part.
# By $i$ they should resemble the person whatever they do; by $a$ they should smile, whoever they are.

# %%
query = faces.find(person=0, action="smile", take=0)[0]
sheets = [query]
for rows in parts_by_name.values():
    near = np.where(stranger[query], cosines(rows, rows.mean(0))[query], -1)
    sheets += [query, *np.argsort(-near)[:6]]
frames = ["#009e73" if faces.action[k] == faces.action[query] else "" for k in sheets[1:]]
labels = [faces.actions[faces.action[k]] for k in sheets[1:]]
face_sheet(faces.crops[sheets[1:]], labels, columns=7, frames=frames, titles=list(parts_by_name))

# %%
for name, rows in parts_by_name.items():
    nearest = np.where(stranger, cosines(rows, rows.mean(0)), -1).argmax(1)
    same = (faces.action[nearest] == faces.action).mean()
    print(f"by {name} the nearest stranger does the same thing: {same:.0%}")

# %% [markdown]
# ## What to remember
#
# - Ask an embedding with a probe, and divide people, not pictures.
# - A number without chance and shuffled labels beside it says nothing.
# - A low cosine between two vectors is no proof that they know different things; what a reader finds is.
# - A probe finds only what it can express. What a linear probe misses, a network may still read.
#
# Tutorial 3 makes a split by hand, in a few lines, and puts it beside the learned one.

# %% [markdown]
# ## Exercises
#
# **1.** Twenty people taught the probe. Does it need so many? Let only 2, 5 or 10 of them teach.
#
# <details>
# <summary>Answer</summary>
#
# ```python
# few = taught & np.isin(faces.person, np.unique(faces.person[taught])[:5])
# ```
#
# and `few` in place of `taught`. Two people are enough to be far above chance; more people are better, and the
# curve has not levelled off at twenty. So our numbers are lower bounds: with more people to learn from, a reader
# would find more.
#
# </details>
#
# **2.** In this collection a person keeps clothes and backdrop in all 18 pictures. Does that flatter the third
# panel, "Who is it?"? Find out.
#
# <details>
# <summary>Answer</summary>
#
# Paint over what is not face, `crops = faces.crops.copy()`, then
# `crops[:, :16] = crops[:, :, :24] = crops[:, :, 104:] = 128`, split and measure again. Where the number stays,
# it is the face that is known; where it falls, part of it was the backdrop. With the first edition's weights $f$ and
# $i$ still knew everybody, and something unexpected happened: $i$ gave away more of the action than before. Grey
# borders are nothing that the split met in training, and outside of what it was trained on nothing is promised.
#
# </details>
#
# **3.** Is a *network* better at reading the action from $i$ than a line? Call `probe` with
# `kinds=("linear", "mlp")` for $i$ and compare.
#
# <details>
# <summary>Answer</summary>
#
# `probe(parts["identity"], faces, folds[:2], kinds=("linear", "mlp"))["expression"]` gives both. With 20 people
# to learn from, the small network is usually no better: it has more ways to be wrong and too few people to
# learn from. That does not show that nothing non-linear is left; with more people it may win. A probe gives a
# lower bound of what can be read, never an upper one.
#
# </details>
