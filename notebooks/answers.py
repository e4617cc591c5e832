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
# To the exercises of the tutorials, one heading each. Try for yourself first. After the first two cells every tutorial's
# answers run without those of the others.

# %%
import importlib.util

if lacking := [name for name in ("iad", "order") if importlib.util.find_spec(name) is None]:
    raise ModuleNotFoundError(f"{' and '.join(lacking)} not found: see notebooks/README.md, or make lab")

from order import explain_missing_names

explain_missing_names()

# %%
import os

import numpy as np
import skimage.data
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image

from iad import IaDPipeline
from iad.installation import EXAMPLES
from iad.plots import face_sheet
from iad.plots.style import SERIES, create_figure, to_picture

SMOKE = bool(os.environ.get("IAD_SMOKE"))  # a short run, for tests
pipe = IaDPipeline.from_pretrained("mini", device="cpu")
astronaut = skimage.data.astronaut()  # Eileen Collins, and Grace Hopper: portraits in the public domain
with get_sample_data("grace_hopper.jpg") as file:
    hopper = np.asarray(Image.open(file).convert("RGB"))

# %% [markdown]
# ## 1 · Your first portrait
#
# ### 1.1 What a true change of expression costs

# %%
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
for seed in range(2 if SMOKE else 5):
    clip = pipe(hopper, "a woman smiles", seed=seed, size=128, fps=12)
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

# %% [markdown]
# ## 6 · Injection and the video model
#
# ### 6.1 The perfect network of a small world
#
# $p(x_t \mid x_0 = \pm 1) \propto \exp\big(-(x_t \mp \sqrt{\bar\alpha})^2 / 2(1 - \bar\alpha)\big)$. Both are equally likely before, so the odds of $+1$ after seeing $x_t$ are
# the quotient of the two, $\exp(2u)$ with $u = \sqrt{\bar\alpha}\,x_t / (1 - \bar\alpha)$. The mean is $p_+ - p_- = (e^{2u} - 1) / (e^{2u} + 1) = \tanh u$.

# %%
rng, alpha_bar = np.random.default_rng(0), 0.3
x_0 = rng.choice([-1.0, 1.0], 400_000)
x_t = np.sqrt(alpha_bar) * x_0 + np.sqrt(1 - alpha_bar) * rng.standard_normal(len(x_0))
for place in (-1.0, -0.3, 0.0, 0.5):
    near = np.abs(x_t - place) < 0.02
    theory = np.tanh(np.sqrt(alpha_bar) * place / (1 - alpha_bar))
    print(f"x_t near {place:+.1f}: mean of x_0 {x_0[near].mean():+.2f}, theory {theory:+.2f}")

# %% [markdown]
# ### 6.2 An action backwards

# %%
from iad.models.autoencoder import decode_latents, to_tensor, to_uint8
from iad.models.predicting import Conditions, Guidance, predict
from iad.performing import perform_prompt, track_to_code

preset, face = pipe.preset, pipe.find_face(EXAMPLES / "person-131.png")
silence = pipe.text_encoder.encode([""]).states
features = pipe.parts["encoder"](to_tensor(face.image[None]))
own = pipe.recognised.to_code(torch.from_numpy(track_to_code(face.track))[None])
identity = pipe.parts["decoupler"](features.vector, features.tokens, own).identity.detach()


# %%
@torch.no_grad()
def make_clip(action):
    conditions, guidance = Conditions(identity, action, None, silence, silence), Guidance(1.0, 1.0, 1.0, 1.0)
    made = {"preset": preset, "frames": preset.latent_frames}
    latents = predict(pipe.parts["transformer"], conditions, guidance, **made)
    return to_uint8(decode_latents(pipe.parts["autoencoder"], latents, preset.frames_per_latent)[0])


def say(prompt):
    ask = {"seconds": preset.duration, "fps": preset.fps, "seed": 0}
    track = perform_prompt(pipe.parts["performer"], pipe.text_encoder, prompt, **ask).track
    return pipe.expand(torch.from_numpy(track_to_code(track[:: preset.frames_per_latent]))[None]).detach()


opens, nods = say("opens the mouth"), say("nods")
rows = [make_clip(tokens)[::3] for action in (opens, nods) for tokens in (action, action.flip(1))]
titles = ["opens the mouth", "backwards", "nods", "backwards"]
face_sheet(np.concatenate(rows), columns=6, size=160, titles=titles)

# %% [markdown]
# Latents of frame $k$ see the action tokens of frame $k$ alone, so the action runs backwards: the mouth begins open and closes. A nod backwards is nearly a nod. The identity tokens
# are the same for all frames, so their order does not matter.
#
# ### 6.3 Without focus

# %%
blocks = [block for block in pipe.parts["transformer"].transformer_blocks if block.index is not None]
kept = [block.identity_focus.data.clone() for block in blocks]
clips = {"as trained": make_clip(opens)}
for block in blocks:
    block.identity_focus.data.zero_()
clips["without focus"] = make_clip(opens)
for block, focus in zip(blocks, kept, strict=True):
    block.identity_focus.data.copy_(focus)  # as it was
for name, clip in clips.items():
    likeness = [pipe.parts["encoder"](to_tensor(frame[None])).vector for frame in (face.image, clip[9])]
    print(f"{name:14} cosine of the encoder's vectors {torch.cosine_similarity(*likeness).item():.2f}")
shown = np.stack([face.image, *(clip[9] for clip in clips.values())])
face_sheet(shown, ["photo", *clips], columns=3, size=192)

# %% [markdown]
# Training never had to find the places by what the tokens say, because the bias names them. The maps of tutorial 6 show a prior that the model leans on, not a discovery that it made.
#
# ## 7 · Geometry
#
# ### 7.1 Linear where the camera is known
#
# With $R$, $s$, $t$ fixed the landmarks are linear in the weights $w$: $M w = \ell - \bar\ell$, a column of $M$ being a shape, turned, scaled and dropped to the picture. The costs are more
# rows, $c\,w = 0$.

# %%
from iad.geometry.fit import fit_head

head = pipe.geometry
shapes = np.concatenate([head.identity, head.expression])[:, head.landmarks].astype(float)
SMILE = len(head.identity) + np.array([head.expression_names.index(f"mouthSmile_{side}") for side in "LR"])


def build(marks, cost_people, cost_muscles):
    """Return M and the right side, in eye distances, then the costs and zeros."""
    fit, eyes = fit_head(head, marks), np.linalg.norm(marks[36:42].mean(0) - marks[42:48].mean(0))
    flat = lambda points: (fit.scale * points @ fit.rotation.T)[..., :2] * (1, -1)  # noqa: E731
    rest = marks - flat(head.neutral[head.landmarks]) - fit.translation * (1, -1)
    matrix = flat(shapes).reshape(len(shapes), -1).T / eyes
    costs = np.repeat((cost_people, cost_muscles), (len(head.identity), len(head.expression)))
    return matrix, rest.ravel() / eyes, costs


smiling = pipe.find_face(astronaut).landmarks.astype(float)
matrix, rest, costs = build(smiling, 0.05, 0.16)
w = np.linalg.lstsq(np.r_[matrix, np.diag(costs)], np.r_[rest, 0 * costs], rcond=None)[0]
print(f"missed by {np.abs(matrix @ w - rest).mean():.1%}, iad's solver {fit_head(head, smiling).error:.1%}")
print(f"smile {w[SMILE].mean():.2f}; lowest weight of a muscle {w[len(head.identity) :].min():.2f}")

# %% [markdown]
# The error is lower than with bounds, since muscles may pull backwards here, which none can.
#
# ### 7.2 Two photos of one person
#
# One $\alpha$, two $\beta$: the unknowns are $(\alpha, \beta_1, \beta_2)$, and each photo has rows of its own. The second photo is a frame of a clip in which she keeps calm.

# %%
calm = pipe(astronaut, "keeps a calm face", size=384, fps=8, duration=1, seed=0).frames[4]
second, people, zeros = pipe.find_face(calm).landmarks.astype(float), len(head.identity), np.zeros
for cost in (0.16, 0.5, 1.5):
    (one, y1, costs), (two, y2, _) = build(smiling, 0.05, cost), build(second, 0.05, cost)
    alone = np.linalg.lstsq(np.r_[one, np.diag(costs)], np.r_[y1, 0 * costs], rcond=None)[0]
    muscles = one.shape[1] - people
    both = np.r_[
        np.c_[one, zeros((len(one), muscles))],
        np.c_[two[:, :people], zeros((len(two), muscles)), two[:, people:]],
        np.diag(np.r_[costs, costs[people:]]),
    ]
    joint = np.linalg.lstsq(both, np.r_[y1, y2, zeros(len(costs) + muscles)], rcond=None)[0]
    missed = [np.abs(one @ w - y1).mean() for w in (alone, joint[: len(costs)])]
    smiles = [w[SMILE].mean() for w in (alone, joint)]
    print(f"cost {cost:<4}: by one photo smile {smiles[0]:.2f}, missed by {missed[0]:.1%};", end=" ")
    print(f"by two {smiles[1]:.2f}, {missed[1]:.1%}")

# %% [markdown]
# It does not come back. Every expression has its price in its own photo, and a second photo makes the first one's smile no cheaper; it tells of the shape alone. What the dear fit does not
# call a smile it mostly leaves unexplained, as the errors say. Pairs decide where they enter as a *demand* (invariance, tutorial 4) and not against a price.
#
# ### 7.3 Somebody else's track

# %%
from iad.geometry.drawing import adapt, fit_photo

fitted, _ = fit_photo(head, astronaut, pipe.find_face(astronaut))
borrowed = pipe.find_face(hopper).track[None].astype(np.float32)
drawn = fitted.render(adapt(fitted, borrowed), size=320).frames[0]
shown = [Image.fromarray(picture).resize((320, 320)) for picture in (pipe.find_face(hopper).image, drawn)]
face_sheet(np.stack([np.asarray(p) for p in shown]), ["the track's", "the photo's"], columns=2, size=240)

# %% [markdown]
# It is the person of the photo: no number of the track says what anybody looks like. Yet what counts as "calm" differs between people. Where the reader takes a feature for an
# expression, a mouth that hangs at rest for a frown say, the track hands it over; so the 60 numbers carry something of the person there.
#
# ## 8 · Train it yourself
#
# ### 8.1 Naming is not removing
#
# Two people × two actions, $f = (\text{person}, \text{action})$. Let $a$ be the second number times $s$. The contrastive loss normalises, so it is the same for every $s$; what is left in $i$ is not.

# %%
from iad.decoupling import invariance, text_contrast

f = torch.tensor([[p, a] for p in (-1.0, 1.0) for a in (-1.0, 1.0)])
which = torch.tensor([0, 1, 0, 1])
said = torch.tensor([[0.0, -1.0], [0.0, 1.0]])[which][:, None]
for s in (0.1, 0.5, 1.0):
    action = f * torch.tensor([0.0, s])
    contrast = text_contrast(action[:, None], said, which[:, None] == which)
    left = invariance((f - action)[:, None], (f - action)[[1, 0, 3, 2]][:, None])
    print(f"a = {s} of the action: contrast {contrast:.3f}, invariance {left:.3f}")

# %% [markdown]
# *Invariance* (and *swap*) of $\mathcal L_{ID}$ ask for $s = 1$; $\mathcal L_{TA}$ does not care.
#
# ### 8.2 Shares
#
# $|f|^2 = |i|^2 + |a|^2 + |r|^2 + 2\,(i\cdot a + i\cdot r + a\cdot r)$. They add up where the three mixed terms cancel, and where the parts are pairwise orthogonal in particular.

# %%
for name, photo in {"Collins": astronaut, "Hopper": hopper}.items():
    parts = pipe.decouple(photo)
    f, i, a = (np.asarray(getattr(parts, part), np.float64) for part in ("facial", "identity", "action"))
    r = f - i - a
    squares = sum(x @ x for x in (i, a, r))
    mixed = 2 * (i @ a + i @ r + a @ r)
    assert np.isclose(squares + mixed, f @ f)
    print(f"{name}: the squares add up to {squares / (f @ f):.1%} of |f|²")

# %% [markdown]
# ### 8.3 The wrong line

# %%
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from iad.evaluation.samples import encode
from iad.portraits.collection import load_collection

faces = load_collection()
some = faces.find(person=range(8 if SMOKE else 20))
vector = encode(pipe.parts["encoder"], faces.crops[some]).vector.numpy()
person, action, take = faces.person[some], faces.action[some], faces.take[some]
for name, teaches in {"other takes": take == 0, "other people": person % 2 == 0}.items():
    reader = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    right = reader.fit(vector[teaches], action[teaches]).score(vector[~teaches], action[~teaches])
    print(f"asked about {name:12}: {right:.0%} right")

# %% [markdown]
# In the other take stand the same people, before the same backdrop. The probe may remember what *each of them* looks like when smiling, instead of what a smile is. Visitors are strangers.
#
# ## 9 · Judge it
#
# ### 9.1 Copy nothing
#
# Show everybody the same fixed picture. A constant has no covariance with anything, so *copied* is exactly 0; FaceSim is that of a stranger, and the action is right by chance.

# %%
from iad.evaluation.metrics import copied

rng = np.random.default_rng(0)
z = rng.standard_normal((3, 8, 57))
constant = np.broadcast_to(rng.standard_normal(57), z.shape)
print(f"copied: {copied(constant, z, z):+.3f}; by the photo itself {copied(z, z, z):+.3f}")

# %% [markdown]
# ### 9.2 How many people
#
# The variance of a share from $n$ people is $p(1-p)/n$, of a difference of two independent ones twice that. The difference is seen in half of the cases if $\delta = 1.96 \sqrt{2p(1-p)/n}$, so
# $n = 2p(1-p)\,(1.96/\delta)^2$. To see it in 80 % of them, 1.96 becomes 1.96 + 0.84.

# %%
p, gap = 0.9, 0.05
for wanted, factor in (("half", 1.96), ("80 %", 2.8)):
    n = round(2 * p * (1 - p) * (factor / gap) ** 2)
    one, two = (rng.binomial(n, q, 20_000) / n for q in (p - gap / 2, p + gap / 2))
    seen = np.abs(two - one) > 1.96 * np.sqrt((one * (1 - one) + two * (1 - two)) / n)
    print(f"{n} people, meant to see it in {wanted}: seen in {seen.mean():.0%} of 20,000 trials")

# %% [markdown]
# ### 9.3 The right person

# %%
from iad.evaluation.own_judges import load_scorers

judges, people = load_scorers(), range(2 if SMOKE else 6)
gallery = judges.embed(faces.crops[faces.find(action="neutral", take=1)], "arc")  # everybody, the same action
right = {"iad": 0, "the photo": 0}
for k in people:
    reference = faces.crops[faces.find(person=k, action="smile", take=0)[0]]
    made = pipe(reference, "closes the eyes", detail_scale=0, seed=0).frames
    for name, frames in (("iad", made), ("the photo", reference[None])):
        right[name] += int((judges.embed(frames, "arc").mean(0) @ gallery.T).argmax() == k)
print({name: f"{hits} of {len(people)}" for name, hits in right.items()}, "found among", len(gallery))

# %% [markdown]
# Everybody in the gallery shows the same action, so an expression that was copied brings a clip nearer to all of them or to none. Who it is decides.
