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
# # 4 · The two losses
#
# **What you will learn**: what each term of the identity loss $\mathcal L_{ID}$ and of the text loss
# $\mathcal L_{TA}$ does when it acts alone, why none of them is enough, which lazy solutions each one forbids,
# and how the same terms behaved when `mini` was trained.
#
# **How long it takes**: about 40 minutes to read, half a minute to run. You need Python and a little linear
# algebra; a face is a point in the plane or in space until the last section.

# %%
import os
import sys
from math import log

import numpy as np
import torch

sys.path.insert(0, "..")  # the repository, so that `import iad` finds it
STEPS = 40 if os.environ.get("IAD_SMOKE") else 500  # a short run, for tests
torch.manual_seed(0)
print(STEPS, "steps for every little experiment")

# %% [markdown]
# The facial embedding $f$ is split into an identity part and an action part, $f = i + a$. The network chooses
# $a$; then $i = f - a$ follows. (In the finished model a third part, the residual, is taken out of $i$ afterwards, in
# closed form: tutorial 3. While the losses work there are two.) Two losses tell it how to choose:
#
# | | the paper says | our reading in `iad/decoupling.py` |
# |---|---|---|
# | $\mathcal L_{ID}$ | it enforces that $i$ and $a$ are orthogonal | **orthogonality**, and beside it *invariance, retention, agreement, independence, swap* and two reconstructions |
# | $\mathcal L_{TA}$ | it builds a one-to-one correspondence of action and prompt | **contrast**, and beside it *match* and *grounding* |
#
# We know the paper by its abstract only, and no formula from it. So every formula below is ours, and so are
# all terms in italics: they are there because the term in bold is not enough. You are about to see why.

# %% [markdown]
# ## 1. Orthogonality as a surface
#
# Take the smallest world: one face $f = (2, 0)$ in the plane, and let $a$ be any point of that plane. The term is
#
# $$\cos^2(i, a) = \frac{\big((f - a)\cdot a\big)^2}{\lVert f - a\rVert^2\,\lVert a\rVert^2}.$$
#
# A grid of 121 × 121 candidates for $a$:

# %%
import tutorial_figures as figures

from iad import decoupling as idea

f = torch.tensor([2.0, 0.0])
x, y = torch.meshgrid(torch.linspace(-0.6, 2.6, 121), torch.linspace(-1.6, 1.6, 121), indexing="xy")
a = torch.stack([x, y], dim=-1).flatten(0, 1)
i = f - a
print("candidates for a:", tuple(a.shape))

# %% [markdown]
# The library's `orthogonality` wants a batch of faces with several tokens each and returns one mean. `vmap` runs
# it on every candidate by itself, as a batch of one face with one token. It adds the cosine of every token and
# the cosine of the whole embedding; with one token both are the same number, so the surface is $2\cos^2$.

# %%
loss = torch.vmap(idea.orthogonality)(i[:, None, None], a[:, None, None]).view(121, 121)
surface = {"orthogonality of i = f - a": loss.numpy()}
span, marks = (-0.6, 2.6, -1.6, 1.6), {"0": (0, 0), "f": (2, 0)}
figures.draw_surfaces(surface, span=span, marks=marks, circle=(1, 0, 1))

# %% [markdown]
# The dark valley is not a point. It is the whole circle that has the line from $0$ to $f$ as its diameter:
# Thales' theorem says that from exactly there this line is seen under a right angle, so $a \perp f - a$.
# Now let 60 random points roll downhill, by gradient steps on this one term.

# %%
a = torch.randn(60, 2) * 0.8 + f / 2
walk = []
for _ in range(STEPS):
    a = a.detach().requires_grad_()
    loss = len(a) * idea.orthogonality((f - a)[:, None], a[:, None])  # a sum: each rolls by itself
    a = a - 0.03 * torch.autograd.grad(loss, a)[0]
    walk.append(a.detach())
walk = torch.stack(walk)
print("steps, points, coordinates:", tuple(walk.shape))

# %%
figures.draw_surfaces(surface, span=span, marks=marks, circle=(1, 0, 1), paths=walk.numpy())

# %% [markdown]
# Every point finds the circle, and each another place on it: the nearest. The loss is zero in all of them. How
# large is the share of the action, $\lVert a\rVert^2 / (\lVert i\rVert^2 + \lVert a\rVert^2)$?

# %%
share = walk[-1].pow(2).sum(1) / (walk[-1].pow(2).sum(1) + (f - walk[-1]).pow(2).sum(1))
radius = (walk[-1] - f / 2).norm(dim=1)
print(f"distance to f/2: median {radius.median():.3f}; the circle has 1")
print(f"share of the action: from {share.min():.2f} to {share.max():.2f}")

# %% [markdown]
# Anything between (almost) nothing and (almost) everything. In more dimensions it is worse: in space the
# solutions fill a sphere, and in the 8,192 dimensions of `mini` a sphere of 8,191 dimensions.

# %%
tip = torch.tensor([2.0, 0.0, 0.0])
a = torch.randn(150, 3) + tip / 2
for _ in range(STEPS):
    a = a.detach().requires_grad_()
    loss = len(a) * idea.orthogonality((tip - a)[:, None], a[:, None])
    a = a - 0.03 * torch.autograd.grad(loss, a)[0]
figures.draw_sphere(a.detach().numpy(), tip=tip.numpy(), title="All of these have cos(i, a) = 0")

# %% [markdown]
# Also $a = 0$ lies on the sphere, where nothing is split at all. And in high dimensions even *random* vectors are
# nearly orthogonal, so a small cosine proves nothing:

# %%
i, a = torch.randn(2, 1000, 512)
cosine = torch.cosine_similarity(i, a, dim=1)
print(f"mean |cos| of random pairs in 512 dimensions: {cosine.abs().mean():.3f}")

# %% [markdown]
# ## 2. A building of faces
#
# Orthogonality looks at one face. All other terms compare faces. So we need several: 4 people × 3 actions, as
# points in space. Think of a building with four pillars and three floors: **who** says which pillar, **what the face
# does** says which floor. A little noise makes it less perfect.

# %%
from loss_table import as_table, identity_terms, label_rows, move_points

pillar = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]])
floor = torch.tensor([0.5, 1.25, 2.0])
f = torch.zeros(4, 3, 3)  # people, actions, coordinates
f[..., :2], f[..., 2] = pillar[:, None], floor
f = f + 0.15 * torch.randn(f.shape)
person, action = label_rows(4, 3)
print("people, actions, coordinates:", tuple(f.shape))

# %%
look = {"colours": person.numpy(), "shapes": action.numpy()}
box = {"limits": [(-1.7, 1.7), (-1.7, 1.7), (-0.8, 2.4)]}
figures.draw_motion({"f: colour = person, shape = action": f.flatten(0, 1)[None].numpy()}, columns=1, **look)

# %% [markdown]
# What we hope for: all $i$ of one person in one place (four points on one floor), all $a$ of one action in one
# place (three points on one line). `identity_terms` (in `loss_table.py`) rolls the table to find for every face
# *the same person in another action* and *another person in the same action*, and hands these pairs to the functions of
# `iad/decoupling.py`:
#
# | term | compares | is zero when |
# |---|---|---|
# | orthogonality | $i$ and $a$ of one face | they are perpendicular, or one vanishes |
# | invariance | $i$ of one person in two actions | the action has left $i$ |
# | retention | $i$ of all people | each $i$ finds its own person among all others |
# | agreement | $a$ of two people doing the same | the person has left $a$ |
# | independence | $a$ and the list of who is who | nothing in $a$ goes along with the person |
# | swap | $i$ of one face + $a$ of another | the sum is the face that it should be |

# %%
start = 0.6 * torch.randn(f.shape)
for name, value in identity_terms(as_table(f, start)).items():
    print(f"{name:14} {value:6.3f}")

# %% [markdown]
# ## 3. Each term alone
#
# The twelve $a$ are free and start at random. `move_points` lets them go where one single term draws them. Above
# each pair: where the $i$ went; beside it: where the $a$ went. Hollow marks are the start, full marks the end.

# %%
alone, panels = {}, {}
for name in ("orthogonality", "invariance", "retention", "agreement", "independence", "swap"):
    alone[name] = move_points(f, start, weights={name: 1.0}, steps=STEPS)
    panels[f"{name}: i"] = alone[name].identity.flatten(1, 2).numpy()
    panels[f"{name}: a"] = alone[name].action.flatten(1, 2).numpy()
figures.draw_motion(panels, columns=4, **look, **box)

# %% [markdown]
# - **Orthogonality** moves every face a little way to its own sphere. Neither people nor actions come together.
# - **Invariance** draws the $i$ of each person to one point: four points. It does not care what $a$ becomes.
# - **Retention** turns the $i$ of the four people away from each other. It does not ask them to be *equal* within a
#   person, only to be told apart.
# - **Agreement** draws the $a$ of each action to one point: three points. It does not care about $i$.
# - **Independence** scatters $a$ until nothing in it goes along with the person. Any noise will do.
# - **Swap** is the strongest: an $i$ and an $a$ that can be exchanged must hold the person and the action.
#
# The same in numbers. A row is the term that acted, a column is a term that was measured at the end.

# %%
print(" " * 14 + "".join(f"{name[:11]:>13}" for name in alone))
for name, motion in alone.items():
    print(f"{name:14}" + "".join(f"{motion.terms[other][-1]:13.3f}" for other in alone))

# %% [markdown]
# Read the table by rows: the entry on the diagonal got small, most others stayed large. Only the row of *swap* pulls
# *invariance* and *agreement* down with it. Look at its entry for *orthogonality*, though.
#
# ## 4. Together
#
# Invariance, agreement and swap fix the split up to one thing: move all $i$ by a constant $c$ and all $a$ by
# $-c$, and none of the three notices. What all faces have in common belongs to nobody. **Here orthogonality earns
# its place**: of all these solutions it takes one in which the parts stand at right angles.

# %%
weights = {
    "invariance, agreement, swap": dict.fromkeys(("invariance", "agreement", "swap"), 1.0),
    "all six": dict.fromkeys(alone, 1.0),
}
panels = {}
for name, chosen in weights.items():
    motion = move_points(f, start, weights=chosen, steps=STEPS)
    panels[f"{name}: i"] = motion.identity.flatten(1, 2).numpy()
    panels[f"{name}: a"] = motion.action.flatten(1, 2).numpy()
    print(f"{name:28}", {term: round(float(values[-1]), 3) for term, values in motion.terms.items()})

# %%
figures.draw_motion(panels, columns=2, **look, **box)

# %% [markdown]
# In the lower row the four people stand on the ground and the three actions climb a line above it: pillars and floors
# are found again, though no term was told of pillars or floors. What is left of each term is the noise that
# we added to $f$.

# %% [markdown]
# ## 5. Lazy solutions
#
# A network looks for the cheapest way out. Write the cheap ways down and let every term judge them:
#
# 1. *nothing is action*: $a = 0$, so $i = f$;
# 2. *everyone is average*: $i$ is the mean of all faces, $a$ the rest;
# 3. *a name tag*: $a$ is another constant vector for each person;
# 4. *noise*: $a$ is random;
# 5. the *building*: the split that we hope for.

# %%
lazy = {
    "nothing is action": torch.zeros_like(f),
    "everyone average": f - f.mean((0, 1)),
    "a name tag": torch.randn(4, 1, 3).expand_as(f),
    "noise": torch.randn(f.shape),
    "the building": torch.cat([torch.zeros(4, 3, 2), floor.expand(4, 3)[..., None]], dim=-1),
}

# %%
judged = {name: identity_terms(as_table(f, a)) for name, a in lazy.items()}
print(" " * 18 + "".join(f"{term[:12]:>14}" for term in judged["noise"]))
for name, terms in judged.items():
    print(f"{name:18}" + "".join(f"{value:14.3f}" for value in terms.values()))

# %% [markdown]
# - $a = 0$ satisfies orthogonality, agreement and independence *perfectly*. **Invariance** and **swap** refuse it.
# - A constant $i$ satisfies invariance perfectly. **Retention** refuses it: with nothing to tell persons apart,
#   all candidates are equally likely. Agreement, independence and swap refuse it as well, for now the person sits in $a$.
# - A name tag is refused by **agreement** and **independence**, and $i$ still holds the action, which **invariance** sees.
# - Noise may pass **independence**; nearly everything else refuses it.
#
# One more lazy way would be to shrink: if everything becomes tiny, all squared differences do. `relative_error`
# divides by the spread of the batch, so shrinking does not pay:

# %%
i, j = torch.randn(2, 64, 8)
for scale in (1.0, 0.1, 0.01):
    squared, relative = (scale * (i - j)).pow(2).mean(), idea.relative_error(scale * i, scale * j)
    print(f"scale {scale:<5}  mean squared {squared:.6f}   relative {relative:.4f}")

# %% [markdown]
# What a table of points cannot show: in the real model $f$ itself is *read* from the face by a network, and a
# network could read nothing. Therefore $\mathcal L_{ID}$ has two more terms of ours: **picture** ($f$ must hold the picture
# that it was read from) and **portrait** ($i$ must hold the same person's calm portrait).

# %% [markdown]
# ## 6. The text loss: contrast
#
# $\mathcal L_{TA}$ ties the action to the prompt. A network $T$ turns words into codes $t$; the face gives codes $a$. The
# contrastive loss compares every face with every text of the batch and asks each to find its own:
#
# $$\mathcal L = -\tfrac12 \operatorname{mean}_k\Big[\log\operatorname{softmax}_j \frac{a_k\cdot t_j}{\tau} +
# \log\operatorname{softmax}_j \frac{t_k\cdot a_j}{\tau}\Big]$$
#
# with unit vectors and a **temperature** $\tau$. Three faces with actions at three corners; two texts are right, the
# third may stand anywhere in the plane. The loss as a surface over its place:

# %%
corner = torch.tensor([[0.0, 1.0], [-0.87, -0.5], [0.87, -0.5]])
x, y = torch.meshgrid(torch.linspace(-1.5, 1.5, 81), torch.linspace(-1.5, 1.5, 81), indexing="xy")
told = corner.repeat(81 * 81, 1, 1)
told[:, 0] = torch.stack([x, y], dim=-1).flatten(0, 1)
shown = corner.expand_as(told)
same = torch.eye(3, dtype=torch.bool)
print("candidates, texts, coordinates:", tuple(told.shape))

# %%
contrast = torch.vmap(idea.text_contrast, in_dims=(0, 0, None, None))
panels = {}
for temperature in (0.05, 0.1, 0.5, 2.0):
    values = contrast(shown[:, :, None], told[:, :, None], same, temperature)
    panels[f"temperature {temperature}"] = values.view(81, 81).numpy()
marks = {"a0": corner[0].tolist(), "a1": corner[1].tolist(), "a2": corner[2].tolist()}
figures.draw_surfaces(panels, span=(-1.5, 1.5, -1.5, 1.5), marks=marks, shared=False)

# %% [markdown]
# The low ground is a whole sector, wide open towards $a_0$: contrast asks for a *direction*, not for a place. (The sector begins
# between the other two because codes are first centred on the mean of their batch: what all share tells none apart.)
# Compare the scales beside the panels, too. A **cold** loss (small $\tau$) punishes a confusion severely and is flat as soon as the right
# one is merely nearest. A **warm** one never rests and never gets low, not even for perfect texts:

# %%
for temperature in (0.05, 0.1, 0.5, 2.0):
    perfect = idea.text_contrast(corner[:, None], corner[:, None], same, temperature)
    blind = idea.text_contrast(corner[:, None], torch.zeros(3, 1, 2), same, temperature)
    print(f"temperature {temperature:<4}  perfect texts {perfect:.3f}   texts that say nothing {blind:.3f}")
print(f"log 3 = {log(3):.3f}")

# %% [markdown]
# A text network that ignores the words gives all texts one code, and pays $\log 3$: the price of guessing among three.
# That is the trivial solution that contrast forbids.
#
# ## 7. Contrast and match
#
# Contrast knows directions only. **Match** (ours) asks that $t$ lies *on* $a$, because the adapters will be fed
# with $t$ in place of $a$. Two faces for each of three actions; the three texts start at random:

# %%
which = torch.arange(3).repeat_interleave(2)
shown = 1.5 * corner[which] + 0.15 * torch.randn(6, 2)
same = which[:, None] == which[None]  # two faces that do the same are positives of each other
start = 0.5 * torch.randn(3, 2)
print(same.int())

# %%
panels = {}
for name, (first, second) in {"contrast": (1, 0), "match": (0, 1), "both": (1, 1)}.items():
    t, walk = start, []
    for _ in range(STEPS):
        t = t.detach().requires_grad_()
        told = t[which][:, None]
        loss = first * idea.text_contrast(shown[:, None], told, same)
        loss = loss + second * idea.text_match(shown[:, None], told)
        t = t - 0.03 * torch.autograd.grad(loss, t)[0]
        walk.append(t.detach())
    panels[f"{name}: {loss:.2f}"] = torch.stack(walk).numpy()

# %%
named = {f"a{k}": shown[which == k].mean(0).tolist() for k in range(3)}  # the middle of two faces
number = np.arange(3)
figures.draw_motion(panels, colours=number, shapes=number, columns=3, marks=named, limits=[(-2, 2)] * 2)

# %% [markdown]
# Contrast turns the texts until each points to its own action, and leaves them at whatever distance they have; what
# remains of it is the price of two faces that are equally right. Match brings each text between its two faces. In training $a$ moves as well, so that both could meet in one point; *relative error* (again)
# and contrast keep the actions apart, and a third term of ours, **grounding**, holds both to the true expression
# coefficients.
#
# ## 8. Why "in order"
#
# A nod is not a look down, though both show the same faces. So the codes are compared latent frame by latent frame.
# Two clips, the same two actions in the opposite order, and two that keep to one action:

# %%
smile, blink = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
clips = torch.stack(
    [
        torch.stack([smile, smile, blink, blink]),  # smiles, then blinks
        torch.stack([blink, blink, smile, smile]),  # blinks, then smiles
        torch.stack([smile, smile, smile, smile]),
        torch.stack([blink, blink, blink, blink]),
    ]
)
print("clips, latent frames, code:", tuple(clips.shape))

# %%
same = torch.eye(4, dtype=torch.bool)
mean = clips.mean(1, keepdim=True)
print(f"frame by frame, perfect texts:  {idea.text_contrast(clips, clips, same):.3f}")
print(f"mean over frames, perfect texts: {idea.text_contrast(mean, mean, same):.3f}")
print(f"log(4) / 2 = {log(4) / 2:.3f}")

# %% [markdown]
# With the mean over frames the first two clips are the same clip. Worse, they lie in the very middle of the other two and
# point nowhere: for two clips of four all that is left is a guess among four. No training can remove that loss.

# %% [markdown]
# ## 9. The real thing
#
# Enough of points. The training of `mini` left a log of every term on real embeddings; 64 tokens of 128 numbers a
# face, read from pictures of hundreds of people.

# %%
import json

from iad.checkpoint import WEIGHTS
from iad.plots.charts import Trace, draw_curves
from iad.plots.style import SERIES

lines = (WEIGHTS / "mini" / "logs" / "decoupler.jsonl").read_text().splitlines()
log_lines = [json.loads(line) for line in lines]
steps = np.array([line["step"] for line in log_lines])
print(f"{len(steps)} lines, steps {steps[0]} to {steps[-1]}")

# %%
traces = []
for term, colour in zip(alone, SERIES, strict=False):
    values = np.array([line[term] for line in log_lines])
    print(f"{term:14} {values[:3].mean():7.3f} -> {values[-3:].mean():7.3f}")
    if values.min() > 0:  # what crosses zero has no place on a logarithmic axis
        traces.append(Trace(term, steps, values, colour))
draw_curves(traces, title="L_ID on faces", across="step", log=True)

# %% [markdown]
# Compare with the points. *Orthogonality* falls at once and far: it is the easiest of all, as the sphere promised. *Invariance*,
# *agreement* and *swap*, which compare faces, go down slowly and not to zero: real faces are no perfect building. *Independence*
# may go a little below zero, for on a small batch HSIC without its diagonal is zero on average only.
#
# The text loss of the same run:

# %%
traces = []
for term, colour in zip(("contrast", "match", "grounding"), SERIES, strict=False):
    values = np.array([line[term] for line in log_lines])
    traces.append(Trace(term, steps, values, colour))
    print(f"{term:10} {values[:3].mean():7.3f} -> {values[-3:].mean():7.3f}")
draw_curves(traces, title="L_TA on faces", across="step", log=True)

# %% [markdown]
# ## 10. Take a term away
#
# `python -m iad train ablations` trains ten splits side by side, from the same weights and on the same batches, each without
# some terms. A term that is switched off is still measured. What `mini` ships:

# %%
folder = WEIGHTS / "mini" / "ablations"
runs = {}
for path in sorted(folder.iterdir()):
    runs[path.name] = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
print(json.loads((folder / "full" / "ablation.json").read_text())["steps"], "steps each:", ", ".join(runs))

# %%
shown = ("full", "without-orthogonality", "orthogonality-only")
for term in ("orthogonality", "invariance"):
    traces = [
        Trace(name, [line["step"] for line in runs[name]], [line[term] for line in runs[name]], colour)
        for name, colour in zip(shown, SERIES, strict=False)
    ]
    display(draw_curves(traces, title=term, across="step"))

# %% [markdown]
# The run *orthogonality-only* is what the abstract of the paper alone would give: its cosine is as good as that of
# the full loss. Whether the action has left the identity, the second panel says.
#
# All runs and all terms, the mean over the last third of each log:

# %%
print(" " * 22 + "".join(f"{term[:12]:>14}" for term in alone))
for name, run in runs.items():
    late = run[-len(run) // 3 :]
    means = [sum(line[term] for line in late) / len(late) for term in alone]
    print(f"{name:22}" + "".join(f"{mean:14.3f}" for mean in means))

# %% [markdown]
# Read it by columns: a term should be largest in the rows that go without it. Where it is not, there are three reasons to think of:
# another term does its work too (swap and invariance help each other, as with the points); the term had little to do
# (to tell the few people of a batch apart is easy for any $i$, so *retention* is small everywhere); or one seed and this
# number of steps are not enough. Such runs show directions, not results; held-out probes decide, and
# `docs/results.md` has them.

# %% [markdown]
# ## Exercises
#
# **1.** In section 3, start from the building itself instead of from noise: `start = torch.cat([torch.zeros(4, 3, 2),
# floor.expand(4, 3)[..., None]], dim=-1)`. Which terms leave the points where they are, which let them wander off, and do those gain
# anything by it?
#
# <details><summary>Answer</summary>
#
# *Agreement* is exactly zero there and does not move a point. *Orthogonality*, *invariance* and *swap* move them a little, to make up for the
# noise in $f$. *Retention* and *independence* let them wander far, though their loss was as good as it gets and hardly changes: they are
# flat there, and Adam turns even tiny gradients into full steps. What a term does not ask for, it leaves to chance.
#
# </details>
#
# **2.** Retention compares the mean-centred $i$ by their *direction*. Put the four pillars on one line,
# `pillar = torch.tensor([[-3.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [3.0, 0.0]])`, and let retention act alone. What happens to the people?
#
# <details><summary>Answer</summary>
#
# On a line there are two directions only, so −3 and −1 look the same to a cosine. Retention bends the line: it moves
# people sideways until four directions differ. A cosine cannot count along a ray. In 8,192 dimensions there is
# room for everyone to have a direction.
#
# </details>
#
# **3.** In section 7, set the temperature of the contrast to 2.0 and give it all the weight. The loss stays high. Are the texts wrong?
#
# <details><summary>Answer</summary>
#
# No. With unit vectors the logits lie between $-1/\tau$ and $1/\tau$; at $\tau = 2$ even a perfect match gets hardly more
# than its equal share, so the loss has a floor far above zero (section 6 printed it). The directions are right
# all the same. A contrastive loss can be compared with itself only at the same temperature and the same batch size.
#
# </details>
