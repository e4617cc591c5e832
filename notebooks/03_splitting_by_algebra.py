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
# # 3 · Decoupling, step by step
#
# Tutorial 2 showed that a face embedding knows the smile. Here we take the smile out, first with a pencil, then
# with a network.
#
# **What you will learn**
#
# - the split $f = i + a$ in closed form: a scatter matrix, its eigenvectors, one projection;
# - why orthogonal parts obey Pythagoras, and what their shares mean;
# - what the learned split does differently, and on which column the pencil wins.
#
# It takes about 3 minutes on two cores. You need eigenvectors and projections.

# %%
import os
import sys

sys.path.insert(0, "..")  # the repository, so that `import iad` finds it
SEEDS, RANKS = (0, 1), (2, 4, 8, 16, 32)
if os.environ.get("IAD_SMOKE"):
    SEEDS, RANKS = (0,), (8,)  # fewer repetitions in tests

# %%
import torch

from iad import IaDPipeline
from iad.evaluation.samples import encode
from iad.portraits.collection import load_collection

faces = load_collection()
pipe = IaDPipeline.from_pretrained("mini", device="cpu")
encoded = encode(pipe.parts["encoder"], faces.crops)
f = encoded.embedding
f.shape

# %% [markdown]
# To keep the matrices small we begin with the encoder's recognition vector, 256 numbers that were trained to
# tell people apart, for 720 faces: 40 people × 9 actions × 2 takes. The recipe works on any embedding.
#
# Half of the people serve to find the split. The other half are strangers, on whom it is judged.

# %%
from iad.evaluation.probes import halve

taught, judged = (torch.from_numpy(half) for half in halve(faces.person, seed=0))
person = torch.from_numpy(faces.person)
x = f[taught]
x.shape, len(person[taught].unique())

# %% [markdown]
# ## Step 1: what changes within a person
#
# Take one person's 18 embeddings and subtract their mean. Who it is is the same in all 18, so what is left is
# what the *action* (and the pose) changed. Do it for everybody:
#
# $$d_n = f_n - \bar f_{\,\text{person}(n)}.$$

# %%
means = torch.stack([x[person[taught] == p].mean(0) for p in person[taught].unique()])
index = person[taught].unique(return_inverse=True)[1]
within = x - means[index]
between = means - x.mean(0)
within.shape, between.shape

# %%
print(f"variation within people   {within.pow(2).sum(1).mean():6.1f}")
print(f"variation between people  {between.pow(2).sum(1).mean():6.1f}")
print(f"all of it                 {(x - x.mean(0)).pow(2).sum(1).mean():6.1f}")

# %% [markdown]
# The two add up to the whole: the first Pythagoras of this tutorial, known to statisticians as the analysis of
# variance.
#
# ## Step 2: the directions of action
#
# The *within-person scatter* $S = \frac1N \sum_n d_n d_n^\top$ collects these changes in a 256 × 256 matrix. Its
# eigenvectors are the directions in which faces of one person differ, strongest first.

# %%
scatter = within.T @ within / len(within)
strength, directions = torch.linalg.eigh(scatter)
strength, directions = strength.flip(0), directions.flip(1)  # largest first
scatter.shape, strength[:4]

# %%
from tutorial_figures import strength_of_directions

apart = torch.linalg.eigvalsh(between.T @ between / len(between)).flip(0).clamp(min=0)
curves = {"within people": strength.clamp(min=0).numpy(), "between people": apart.numpy()}
strength_of_directions(curves, taken=8)

# %% [markdown]
# The curve falls fast, then has a long tail: every smile is a little different, and so is every head's pose. We
# show nine actions, and nine points span at most eight directions around their mean, so we take **eight** as the
# action subspace, with basis $B = [b_1 \dots b_8]$ and $B^\top B = 1$.

# %%
B = directions[:, :8]
print(B.shape)
print("orthonormal:", torch.allclose(B.T @ B, torch.eye(8), atol=1e-5))
print(f"they hold {strength[:8].sum() / strength.sum():.0%} of what varies within people")

# %% [markdown]
# ## Step 3: project
#
# With the mean $\mu$ of all faces taken off, the part inside the subspace is the action, what is left is the
# identity:
#
# $$a = B B^\top (f - \mu), \qquad i = (f - \mu) - a.$$
#
# That is the whole method: no training.

# %%
centred = f - x.mean(0)
a = centred @ B @ B.T
i = centred - a
print("f = i + a:", torch.allclose(i + a, centred, atol=1e-5))
print("largest |cos(i, a)|:", f"{torch.nn.functional.cosine_similarity(i, a).abs().max():.1e}")

# %% [markdown]
# The library does the same. Is it the same to the last digits?

# %%
from iad.models.closed_form import fit_closed_form

closed = fit_closed_form(x, person[taught], rank=8)
i_library, a_library = closed.split(f)
print("largest difference:", f"{(i - i_library).abs().max():.1e}")
assert torch.allclose(i, i_library, atol=1e-3)
assert torch.allclose(a, a_library, atol=1e-3)

# %% [markdown]
# ## Look at it
#
# Strangers only, none of whom helped to find $B$. Each point is a face. To the right goes the strongest
# direction of action, upwards the direction in which *people* differ most.

# %%
from tutorial_figures import scatter_faces

up = torch.linalg.eigh((i[taught].T @ i[taught]).double())[1][:, -1].float()
plane = torch.stack([B[:, 0], up], dim=1)
rows = torch.from_numpy(faces.find(action=["smile", "mouth open", "pucker", "frown"]))
rows = rows[judged[rows]]
panels = {"f": centred[rows] @ plane, "i": i[rows] @ plane, "a": a[rows] @ plane}
panels = {name: points.numpy() for name, points in panels.items()}
names = [faces.actions[k] for k in sorted(set(faces.action[rows]))]
label = torch.from_numpy(faces.action[rows]).unique(return_inverse=True)[1].numpy()
scatter_faces(panels, label, names, axes=("strongest action direction", "strongest person direction"))

# %% [markdown]
# In the middle the action direction is gone: every stranger has fallen onto a vertical line, people stay apart.
# On the right people have fallen together, and what is left is where an action lies.
#
# ## Pythagoras
#
# Since $i \perp a$, the squares add up: $\lVert f\rVert^2 = \lVert i\rVert^2 + \lVert a\rVert^2$, and
# $\lVert i\rVert^2 / \lVert f\rVert^2$ can be read as a share: how much of this embedding is person, how much is
# action. (Here and below $f$ means the embedding with its mean taken off.)

# %%
from tutorial_figures import pythagoras

n = faces.find(person=int(person[judged][0]), action=["mouth open", "neutral"], take=0)
pythagoras({faces.actions[faces.action[k]]: (i[k].numpy(), a[k].numpy()) for k in n})

# %%
share = a.pow(2).sum(1) / centred.pow(2).sum(1)
for k, name in enumerate(faces.actions):
    mine = judged & torch.from_numpy(faces.action == k)
    print(f"{name:<14} action's share {share[mine].mean():.1%}")

# %% [markdown]
# A share is a ratio of lengths, not a quality mark. That $i \perp a$ proves nothing either: any projection
# gives that, also one onto eight random directions. What counts is what readers find in the parts. So: probes,
# as in tutorial 2, on people who helped neither to find $B$ nor to teach the probe about themselves.

# %%
from iad.evaluation.probes import Fold, measure, probe

fold = [Fold(taught.numpy(), judged.numpy(), seed=0, control=True)]
random = torch.linalg.qr(torch.randn(256, 8, generator=torch.Generator().manual_seed(0)))[0]
tried = {"f": centred, "i, 8 random directions": centred - centred @ random @ random.T, "i": i, "a": a}
found = {name: measure(rows, faces, fold, kinds=("linear",)) for name, rows in tried.items()}

# %%
from tutorial_figures import probe_bars

guess = {"expression": 1 / 9, "pose": 0.0, "person": 1 / 20}
probe_bars(found, chance=guess)

# %% [markdown]
# Random directions change nothing; eight *chosen* ones take most of the action out. And what about the person?
# Verification accepts or refuses pairs of pictures by their cosine; at the *equal error rate* as many strangers
# are accepted as own people are refused. Lower is better.

# %%
for name, report in found.items():
    print(f"{name:<24} equal error rate {report['equal_error_rate']['value']:.2%}")

# %% [markdown]
# Taking the action out costs recognition little or nothing: the smile was no help to it. But look at $a$: it still
# knows people well, since the directions in which *one* person changes are directions in which people also differ.
# More directions clean $i$ further, and give $a$ more of the person:

# %%
for rank in RANKS:
    split = fit_closed_form(x, person[taught], rank=rank).split(f)
    read = [probe(part, faces, fold, kinds=("linear",)) for part in split]
    left, told = (r["expression"]["linear"]["value"] for r in read)
    print(f"rank {rank:2}: expression from i {left:.2f}, from a {told:.2f};", end=" ")
    print(f"person from a {read[1]['person']['linear']['value']:.2f}")

# %% [markdown]
# ## The learned split
#
# A projection is linear and knows nothing of words. The learned split reads tokens from the whole grid of the
# encoder. A short *code* says what the face does, in `mini` the 60 numbers that a reader sees in it; unfolded it is the
# action $a$. The last step of training is the closed form once more, on $f - a$: the directions in which one person
# still varies (light, framing, blur) become a third part, the *residual* $r$, which is given to nobody. What stays is
# the identity,
#
# $$i = f - a - r.$$
#
# Two losses make it true: $L_{ID}$ keeps the parts apart, $L_{TA}$ ties the code to words (tutorial 4). It was trained
# on hundreds of other people, never on these.

# %%
from iad.evaluation.samples import split_faces

parts = split_faces(pipe, faces.crops, local=True)  # the tokens of which the denoiser is given i
print({name: tuple(rows.shape) for name, rows in parts.items()})
whole = parts["identity"] + parts["action"] + parts["residual"]
print("f = i + a + r:", torch.allclose(parts["facial"], whole, atol=1e-3))

# %%
mean = {name: rows[taught].mean(0) for name, rows in parts.items()}
i_learned, a_learned = (parts[name] - mean[name] for name in ("identity", "action"))
cosine = torch.nn.functional.cosine_similarity(i_learned, a_learned)
print(f"cos(i, a): mean {cosine.mean():+.3f}, from {cosine.min():+.3f} to {cosine.max():+.3f}")
k = faces.find(person=int(person[judged][0]), action="mouth open", take=0)[0]
pythagoras({"by hand": (i[k].numpy(), a[k].numpy()), "learned": (i_learned[k].numpy(), a_learned[k].numpy())})

# %% [markdown]
# By hand the angle is right to the last digit, and there is no third part. Learned, it is only as right as training
# made it, and so the shares that `pipe.decouple` gives are of $\lVert i\rVert^2 + \lVert a\rVert^2 + \lVert r\rVert^2$,
# whatever the angles: they add up to one. Which is
# better? Angles do not say. For a fair table both start from the same $f$, the 8192 numbers that the
# learned split reads; the closed form is fitted on the people who teach, in every division anew.

# %%
from iad.evaluation.leakage import create_closed_form, make_part
from iad.evaluation.probes import create_folds

folds = create_folds(faces.person, SEEDS)
by_hand = create_closed_form(parts["facial"], faces, 8)
i_form, a_form = (make_part(by_hand, parts["facial"], part) for part in (0, 1))
rows = {"f": parts["facial"], "i, by hand": i_form, "i, learned": parts["identity"]}
rows |= {"a, by hand": a_form, "a, learned (code)": parts["code"]}
table = {name: probe(make, faces, folds, kinds=("linear",)) for name, make in rows.items()}
probe_bars(table, chance=guess)

# %%
columns = (("expression", "i", min), ("pose", "i", min), ("expression", "a", max), ("pose", "a", max))
for question, half, best in (*columns, ("person", "a", min)):
    read = {name: r[question]["linear"]["value"] for name, r in table.items() if name.startswith(half)}
    better = best(read, key=read.get)
    numbers = ", ".join(f"{name.split(', ')[1]} {value:.2f}" for name, value in read.items())
    print(f"{question:>10} from {half}: {numbers:<42} better: {better.split(', ')[1]}")

# %% [markdown]
# Do not expect one winner. Pose is nearly linear in the embedding: it is what a projection removes best, and the
# pencil was fitted on twenty people of exactly the kind that it is judged on. The network was trained on other people,
# photographs among them, and its $i$ has to serve a video model besides. And neither $i$ is clean as long as a line
# reads the expression from it above chance.
#
# The other half is another matter. The action *by hand* is what eight directions of $f$ hold, and these hold much of
# the person, too. The code says what the face does in numbers that mean the same for everybody. And only the code can be
# reached from a sentence, so only with it can you write "smiles".
#
# Two things the picture cannot show. First, each reader here is linear: what it cannot read may still be there.
# Second, clips: a control model that gets the undivided $f$, but references in other actions and the same action
# channel, makes clips nearly as good as ours (`docs/results.md`, row `entangled`). What the split adds besides is
# what you see here: embeddings that can be read, compared and swapped.

# %% [markdown]
# ## What to remember
#
# - Within-person scatter → strongest eigenvectors → project out: a split in five lines, on any encoder.
# - Orthogonality is cheap and gives shares that add up to one. Independence is dear and needs probes.
# - What within-person directions hold, between-person directions hold too, a little: no linear split is clean.
# - Closed form or learned: ask which half you need, and what it must be good for.

# %% [markdown]
# ## Exercises
#
# **1.** The closed form knows that pictures 1 to 18 show one person. What if nobody tells it? Fit it with the
# labels of the *actions* in place of the persons, and look at both halves.
#
# <details>
# <summary>Answer</summary>
#
# `fit_closed_form(x, torch.from_numpy(faces.action)[taught], rank=8)` takes the directions in which faces of one
# *action* differ: the strongest directions of the person. Measured as above, its "action" now knows every
# person and next to nothing of the action. Its "identity" still knows the action, and every person too: eight
# directions are enough for what nine actions share, not for all that tells forty people apart. The method does
# not know what a person is; it removes whatever varies inside the groups that you give it.
#
# </details>
#
# **2.** Fit the split with two people, then five, ten and twenty. How many does it need?
#
# <details>
# <summary>Answer</summary>
#
# ```python
# few = taught & (person <= person[taught].unique()[4])
# closed = fit_closed_form(f[few], person[few], rank=8)
# ```
#
# The expression that strangers leak from $i$ falls with every person added; in the first edition 0.36, 0.31, 0.24,
# 0.21. Two people already help, because the directions of a smile are shared by faces; that is why a split that
# was found on some people serves others.
#
# </details>
#
# **3.** Make a calm stranger smile by arithmetic: add to their $f$ the $a$ of *another* person's smile, less the
# $a$ of that person's calm face. Are you now nearer to the stranger's true smile? Then use the *average* smile
# and the average calm face of the people who teach.
#
# <details>
# <summary>Answer</summary>
#
# ```python
# calm, smile = (faces.find(person=21, action=name, take=0)[0] for name in ("neutral", "smile"))
# mean_a = [a[faces.find(action=name)][taught[faces.find(action=name)]].mean(0) for name in ("smile", "neutral")]
# made = centred[calm] + mean_a[0] - mean_a[1]
# (made - centred[smile]).norm() / (centred[calm] - centred[smile]).norm()
# ```
#
# Below 1 means nearer. When this was written: 0.65 with the average smile, over all strangers, and 0.75 with one
# other person's, which carries that person's way of smiling. Leave out the subtraction, so that the stranger's own
# $a$ is exchanged for the other's, and you are farther off than before (1.35): the $a$ made by hand holds part of
# the person. Averaging over many people is the simplest independence loss there is.
#
# </details>
