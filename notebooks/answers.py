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
# # Answers
#
# To the exercises of the tutorials, one heading each. Try for yourself first. Every answer is code that runs alone,
# after the first cell.

# %%
import os

import numpy as np
import torch

from iad.plots.style import SERIES, create_figure, to_picture

SMOKE = bool(os.environ.get("IAD_SMOKE"))  # a short run, for tests

# %% [markdown]
# ## 1 · Your first portrait
#
# ### 1.1 What a true change of expression costs

# %%
from iad import IaDPipeline
from iad.installation import EXAMPLES

pipe = IaDPipeline.from_pretrained("mini", device="cpu")
for number in ("003", "099", "187"):
    files = [EXAMPLES / "pairs" / f"person-{number}-{action}.png" for action in ("smile", "eyes-closed")]
    one, other = (pipe.decouple(file).recognised for file in files)
    print(f"person {number}: {one @ other / np.linalg.norm(one) / np.linalg.norm(other):.2f}")

# %% [markdown]
# The same person, rendered twice, and no model in between: still below 1. A recogniser sees the expression, too (tutorial 2), so a
# clip that obeys scores lower than one that copies. A score needs the score of the truth beside it.
#
# ### 1.2 When a take begins
#
# Distance to the first frame, and the first time at which it is above a third of its largest value.

# %%
from matplotlib.cbook import get_sample_data
from PIL import Image

with get_sample_data("grace_hopper.jpg") as file:
    photo = np.asarray(Image.open(file).convert("RGB"))
for seed in range(2 if SMOKE else 5):
    clip = pipe(photo, "a woman smiles", seed=seed, size=128, fps=12)
    way = np.abs(clip.frames - clip.frames[:1].astype(float)).mean((1, 2, 3))
    print(f"seed {seed}: begins after {(way > way.max() / 3).argmax() / clip.fps:.2f} s")

# %% [markdown]
# Takes begin at other times. A blink deceives this measure: it moves pixels, too. Better look at the mouth only.
#
# ## 2 · What a face embedding tells
#
# ### 2.1 The gradient of the probe
#
# With $P$ the predicted and $Y$ the true probabilities, a row for each picture: the derivative of $-\log\operatorname{softmax}$ with respect to the logits is
# $P - Y$, the logits are $XW^\top$, so
# $$\nabla_W L = \tfrac1n (P - Y)^\top X + \tfrac{1}{nC}\, W .$$

# %%
torch.manual_seed(0)
x, y, W, C = torch.randn(50, 6), torch.randint(0, 4, (50,)), torch.randn(4, 6, requires_grad=True), 10.0
loss = torch.nn.functional.cross_entropy(x @ W.T, y) + W.square().sum() / (2 * C * len(x))
by_autograd = torch.autograd.grad(loss, W)[0]
P, Y = (x @ W.T).softmax(1), torch.nn.functional.one_hot(y, 4)
by_hand = (P - Y).T @ x / len(x) + W / (C * len(x))
assert torch.allclose(by_autograd, by_hand, atol=1e-6)
print("largest difference", f"{(by_autograd - by_hand).abs().max():.0e}")

# %% [markdown]
# ### 2.2 A probe on random numbers

# %%
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(0)
x, y = rng.standard_normal((720, 128)), rng.integers(0, 9, 720)
probe = LogisticRegression(C=1e4, max_iter=2000).fit(x[:360], y[:360])
for name, rows in {"what taught it": slice(0, 360), "new rows": slice(360, 720)}.items():
    print(f"on {name}: {probe.score(x[rows], y[rows]):.0%}")

# %% [markdown]
# 129 numbers for each of nine classes and 40 rows to fit in each: there is nearly always a plane that separates them. Only rows that did not teach count.
#
# ### 2.3 One stranger in a thousand

# %%
def rates(same, different):
    both = np.sort(np.concatenate([same, different]))
    refused = 1 - np.searchsorted(np.sort(same), both, "right") / len(same)
    accepted = np.searchsorted(np.sort(different), both, "right") / len(different)
    k, strict = np.abs(refused - accepted).argmin(), np.searchsorted(accepted, 1e-3, "right") - 1
    return (refused[k] + accepted[k]) / 2, both[strict], refused[strict]


same = 0.35 + 0.08 * rng.standard_normal(100_000)
normal, heavy = rng.standard_normal(100_000), rng.standard_t(5, 100_000) / 1.3
for name, tail in {"bell curve": normal, "heavy tails": heavy}.items():
    eer, threshold, refused = rates(same, 0.65 + 0.08 * tail)
    print(f"{name:12} EER {eer:.1%}; at 1 in 1000: below {threshold:.2f}, {refused:.1%} of one's own refused")

# %% [markdown]
# The equal error rate is one point of a curve. Two recognisers may nearly share it and differ in the tail, where a door is locked.
#
# ## 3 · Splitting by algebra
#
# ### 3.1 Within plus between
#
# $\sum_n \lVert f_n - \mu\rVert^2 = \sum_n \lVert d_n + (\bar f_{p(n)} - \mu)\rVert^2 = \sum_n \lVert d_n\rVert^2 + \sum_n \lVert \bar f_{p(n)} - \mu\rVert^2
# + 2 \sum_p (\bar f_p - \mu)^\top \sum_{n \in p} d_n$, and the last sum is zero because $\bar f_p$ is the *mean*: the differences to a mean add up to nothing. With any other
# point in its place, a median say, the mixed term stays.

# %%
f, person = torch.randn(60, 5), torch.arange(60) // 6
for name, centre in (("mean", f.view(10, 6, 5).mean(1)), ("median", f.view(10, 6, 5).median(1).values)):
    d, between = f - centre[person], centre[person] - f.mean(0)
    share = (d.square().sum() + between.square().sum()) / (f - f.mean(0)).square().sum()
    print(f"{name:7} within + between = {share:.4f} of all")

# %% [markdown]
# ### 3.2 Everybody smiles in their own way

# %%
def directions_needed(people, own, share=0.95):
    """Directions that hold `share` of what varies within people; `own`: how much is the person's own."""
    generator = torch.Generator().manual_seed(0)
    common, theirs = (torch.randn(n, 9, 128, generator=generator) for n in (1, people))
    d = common + own * theirs
    d = (d - d.mean(1, keepdim=True)).flatten(0, 1)
    strength = torch.linalg.svdvals(d).square()
    return int((strength.cumsum(0) < share * strength.sum()).sum()) + 1


counts = [2, 5, 10, 20, 40]
figure, axes = create_figure(6.4, 2.8)
for own, colour in zip((0.0, 0.3, 1.0), SERIES, strict=False):
    needed = [directions_needed(people, own) for people in counts]
    axes[0, 0].plot(counts, needed, "o-", color=colour, label=f"own part {own}")
axes[0, 0].set(title="Directions that hold 95 % of what varies within people", ylim=(0, None))
axes[0, 0].set(xlabel="people", ylabel="directions")
axes[0, 0].legend()
to_picture(figure)

# %% [markdown]
# Without an own part eight directions (or fewer) hold everything, however many people there are. With one, each new person brings up to eight new directions.
#
# ### 3.3 What whitening saves

# %%
generator = torch.Generator().manual_seed(0)
label = torch.randint(0, 2, (20_000,), generator=generator).double()
noise = torch.randn(20_000, 2, generator=generator).double() * torch.tensor([0.3, 10.0])  # the second is loud
x = noise + label[:, None] * torch.tensor([1.0, 1.0])
x, z = x - x.mean(0), (label - label.mean())[:, None]
direction = torch.nn.functional.normalize((x.T @ z / len(x))[:, 0], dim=0)
plain = x - x @ direction[:, None] * direction
spread, basis = torch.linalg.eigh(x.T @ x / len(x))
whiten, colour = basis * spread**-0.5 @ basis.T, basis * spread**0.5 @ basis.T
u = torch.nn.functional.normalize(whiten @ (x.T @ z / len(x)), dim=0)
leace = x - x @ whiten @ u @ u.T @ colour
for name, erased in {"plain projection": plain, "LEACE": leace}.items():
    left = (erased.T @ z / len(x)).abs().max()
    change = (erased - x).square().sum(1).mean()
    print(f"{name:17} covariance with the label left {left:.0e}; mean squared change {change:6.2f}")

# %% [markdown]
# Both erase the label for every linear probe. The plain projection drags the loud direction along, because the means differ in it a little; LEACE knows
# that a difference there is small against the noise and hardly touches it.
#
# ## 4 · The two losses
#
# ### 4.1 Why points near 0 start off sideways
#
# Let $a = \varepsilon n$ with $\lVert n\rVert = 1$ and $\varepsilon$ small. Then $f - a \approx f$ and $\cos^2(f - a, a) \approx (f \cdot n)^2 / \lVert f\rVert^2$: it
# depends on the direction $n$ only, not on the length. So along $a$ the gradient stays bounded; across, it is $2\,(f\cdot n)\,(f - (f \cdot n)\,n) / (\lVert f\rVert^2 \varepsilon)$, which grows
# without bound as $\varepsilon \to 0$. A point near 0 first turns about 0 at full speed.

# %%
tip, n = torch.tensor([2.0, 0.0]), torch.tensor([0.6, 0.8])
for size in (0.3, 0.1, 0.03, 0.01):
    a = (size * n).requires_grad_()
    gradient = torch.autograd.grad(torch.cosine_similarity(tip - a, a, dim=0) ** 2, a)[0]
    across = gradient - gradient @ n * n
    theory = 2 * (tip @ n) * (tip - tip @ n * n).norm() / (4 * size)
    print(f"|a| = {size:<5} along a {gradient @ n:7.3f}   across {across.norm():8.3f}   theory {theory:8.3f}")

# %% [markdown]
# ### 4.2 Retention by distances

# %%
torch.manual_seed(0)
start = torch.stack([torch.linspace(-2.5, 2.5, 6), 0.1 * torch.randn(6)], dim=1)
print(f"at first  spread along the line {start[:, 0].std():.2f}, across {start[:, 1].std():.2f}")
for name in ("cosine", "distance"):
    i = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([i], 0.03)
    for _ in range(400):
        other = i + 0.05 * torch.randn(6, 2)  # another picture of each person
        unit = [torch.nn.functional.normalize(x - x.mean(0), dim=1) for x in (i, other)]
        logits = unit[0] @ unit[1].T if name == "cosine" else -torch.cdist(i, other).square()
        loss = torch.nn.functional.cross_entropy(logits / 0.1, torch.arange(6))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    spread, side = i.detach().std(0)
    print(f"{name:9} loss {loss:.3f}; spread along the line {spread:.2f}, across {side:.2f}")

# %% [markdown]
# The cosine has to bend the line, for on a line there are two directions only. The distance bends it less and makes it longer: it knows a cheaper way, to move
# everybody further apart. Length alone lowers the loss. Therefore the library compares directions, and leaves length to the reconstructions.
#
# ### 4.3 Two on average
#
# For $x$ and $y$ constant plus independent noise of variance $\sigma^2$ each: $\mathbb E\,(x - y)^2 = 2\sigma^2$, and both variances are $\sigma^2$; the quotient is 2, whatever $\sigma$
# is, as long as it is large against the $10^{-6}$ in the denominator.

# %%
for sigma in (10, 1, 0.1):
    x, y = 3 + sigma * torch.randn(2, 10_000, 4)
    print(f"σ = {sigma:<4} {(x - y).square().mean() / ((x.var(0).mean() + y.var(0).mean()) / 2 + 1e-6):.3f}")

# %% [markdown]
# ## 5 · IaD from scratch
#
# ### 5.1 Copying or obeying
#
# If the words name the action exactly, then $t$ is a function of the pose and so is $f$ of the same clip. Let $D(f, t)$ be any minimiser that reads the pose from $t$. The
# same network with the pose taken from $f$ in place of $t$ gives the same output on every training pair, so the same loss: $\mathcal L_{diff}$ cannot choose, only initialisation
# and optimiser do. In the notebook the tie is broken by the *takes*: $f$ knows how strongly, the words do not, and so the loss prefers $f$. A linear model with a little weight decay shows both:

# %%
pose = torch.randn(5000, 1)
face = pose + 0.05 * torch.randn(5000, 1)  # the same clip
for vague in (0.05, 0.3, 1.0):
    words = pose + vague * torch.randn(5000, 1)
    both = torch.cat([words, face], dim=1)
    weights = torch.linalg.solve(both.T @ both + 1e-3 * len(both) * torch.eye(2), both.T @ pose)[:, 0]
    print(f"words vague by {vague:<4}: obeyed {weights[0]:.2f}, copied {weights[1]:.2f}")

# %% [markdown]
# ### 5.2 The sampler's step
#
# At time $u$: $x_u = (1-u)\,x + u\,\varepsilon$. Take the guess for $x$; then $\varepsilon = (x_u - (1-u)\,\text{guess}) / u$. At the next time $v$:
# $$x_v = (1-v)\,\text{guess} + v\,\varepsilon = \text{guess}\,\Big(1 - v - \tfrac{v}{u} + v\Big) + \tfrac vu\, x_u = \text{guess} + \tfrac vu\,(x_u - \text{guess}).$$
# With $u = k/n$ and $v = (k-1)/n$ the factor is $(k-1)/k$. With one step $k = 1$, the factor is 0 and the result is the first guess, made from pure noise: for a squared loss
# that is the *mean* of all pictures that fit, and noise enters only as far as the network still listens to it.

# %%
x, noise, u, v = torch.randn(10), torch.randn(10), 0.75, 0.5
x_u = (1 - u) * x + u * noise
assert torch.allclose(x + v / u * (x_u - x), (1 - v) * x + v * noise, atol=1e-6)
print("a perfect guess stays on the straight line from noise to picture")

# %% [markdown]
# ### 5.3 Resample people
#
# Pictures of one person are alike in what goes wrong. Made-up scores of two models that do not differ: 40 people with 14 pictures each, the person's own share large. How
# often does a 95 % interval of the difference exclude zero? It should in 5 %.

# %%
def excludes_zero(rng, by_person):
    people, pictures = 40, 14
    own = 0.05 * rng.standard_normal((2, people, 1))  # each model has its own good and bad people
    first, second = own + 0.05 * rng.standard_normal((2, people, pictures))
    difference = (first - second).mean(1) if by_person else (first - second).ravel()
    drawn = difference[rng.integers(0, len(difference), (200, len(difference)))].mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return not low <= 0 <= high


times = 60 if SMOKE else 400
for name, by_person in {"pictures": False, "people": True}.items():
    rng = np.random.default_rng(0)
    wrong = np.mean([excludes_zero(rng, by_person) for _ in range(times)])
    print(f"resampling {name:9} a difference is claimed in {wrong:.0%} of {times} times")
