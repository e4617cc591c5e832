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
# # 6 · Injection and the video model
#
# Tutorials 2 to 5 made an identity embedding $i$ and an action embedding $a$. Here they meet the network that draws.
#
# **What you will learn**
#
# - what a video model is trained to do: noise, target, and why `mini` gets away with a single step;
# - how a new attention joins a trained network without disturbing it, and what its gradient looks like at the start;
# - you train such adapters yourself, on twelve clips, and ask for four that they never saw;
# - where each patch looks, what guidance does, and how an older recipe copies a smile;
# - the same adapters on CogVideoX-5B, by their shapes.
#
# It runs for about 3 minutes on two idle cores. You need linear algebra and a little PyTorch.

# %%
import importlib.util

if lacking := [name for name in ("iad", "order", "schematic") if importlib.util.find_spec(name) is None]:
    raise ModuleNotFoundError(f"{' and '.join(lacking)} not found: see notebooks/README.md, or make lab")

from order import explain_missing_names
from schematic import draw_schematic

explain_missing_names()

# %%
draw_schematic("identity", "text_action", "denoiser", "clip")

# %%
import os
import time

import matplotlib.cbook
import numpy as np
import skimage.data
import torch
from PIL import Image

from iad import IaDPipeline
from iad.plots import face_sheet
from iad.plots.style import SERIES, create_figure, to_picture

SMOKE, begun = bool(os.environ.get("IAD_SMOKE")), time.process_time()  # a short run, for tests
pipe = IaDPipeline.from_pretrained("mini", device="cpu")
_ = torch.manual_seed(0)
portraits = {"Eileen Collins": skimage.data.astronaut()}  # both pictures are in the public domain
portraits["Grace Hopper"] = np.asarray(Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg")))
faces = {name: pipe.find_face(photo) for name, photo in portraits.items()}
face_sheet(np.stack([face.image for face in faces.values()]), list(faces), columns=2, size=192)

# %% [markdown]
# ## 1 · Latents, noise and the target
#
# **The question.** What does a video model learn, before anybody speaks of identity?
#
# A model does not see pixels but **latents** $x_0$: an autoencoder turns each frame into fewer numbers, and back. (`mini` stacks the latents of
# two neighbouring frames in one **latent frame**.) In training, noise
# $\varepsilon \sim \mathcal N(0, 1)$ is mixed in. A **scheduler** says how much at each **timestep** $t = 0 \dots 999$, by one number
# $\bar\alpha_t$ that falls from about 1 to 0:
#
# $$x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon, \qquad
# v = \sqrt{\bar\alpha_t}\,\varepsilon - \sqrt{1-\bar\alpha_t}\,x_0 .$$
#
# The network sees $x_t$, $t$ and its conditions (the words, later $i$ and $a$), and is to say $v$, the *velocity*. From $v$ the clean
# latents follow: $x_0 = \sqrt{\bar\alpha_t}\,x_t - \sqrt{1-\bar\alpha_t}\,v$. First the schedule of CogVideoX by hand, beside diffusers':

# %%
from diffusers import CogVideoXDDIMScheduler

settings = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "snr_shift_scale": 1.0}
scheduler = CogVideoXDDIMScheduler(**settings, timestep_spacing="trailing")  # as CogVideoX-5B has it

beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2  # noise added at each step
root = (1 - beta).cumprod(0).sqrt()
root = (root - root[-1]) * root[0] / (root[0] - root[-1])  # so that nothing of x_0 is left at the last one
alpha_bar = root.square()
assert torch.allclose(alpha_bar.float(), scheduler.alphas_cumprod.float(), atol=1e-5)
print("alpha_bar at 0, 500, 999:", [round(alpha_bar[t].item(), 3) for t in (0, 500, 999)])

# %%
from iad.models.autoencoder import to_tensor, to_uint8

autoencoder = pipe.parts["autoencoder"]
pictures = to_tensor(faces["Eileen Collins"].image[None])
x_0 = autoencoder.encode(pictures)
noise = torch.randn_like(x_0)


def add_noise(t):
    """Return x_t and the velocity."""
    signal, other = alpha_bar[t].sqrt().float(), (1 - alpha_bar[t]).sqrt().float()
    return signal * x_0 + other * noise, signal * noise - other * x_0


x_t, v = add_noise(600)
step = torch.tensor([600])
assert torch.allclose(x_t, scheduler.add_noise(x_0, noise, step), atol=1e-5)
assert torch.allclose(v, scheduler.get_velocity(x_0, noise, step), atol=1e-5)
assert torch.allclose(x_0, root[600].float() * x_t - (1 - alpha_bar[600]).sqrt().float() * v, atol=1e-5)
print(f"a frame has {pictures.numel()} numbers, its latents {x_0.numel()}: {tuple(x_0.shape)}")

# %%
shown = (0, 200, 400, 600, 800, 999)
drawn = torch.cat([autoencoder.decode(add_noise(t)[0]) for t in shown])
face_sheet(to_uint8(drawn.detach()), [f"t = {t}" for t in shown], columns=6, size=128)

# %% [markdown]
# At $t = 999$ nothing is left of the picture: $\bar\alpha = 0$, so $x_t = \varepsilon$ and $v = -x_0$. The network that is asked there
# has nothing but its conditions to go by.

# %%
x_last, v_last = add_noise(999)
assert torch.allclose(x_last, noise) and torch.allclose(v_last, -x_0)

# %% [markdown]
# ## 2 · When one step is enough
#
# **The question.** Why do models take 50 steps, and `mini` one?
#
# A network trained with squared error learns the *mean* of what may be right, $\mathrm E[x_0 \mid x_t, c]$. Take the smallest world: one
# number, $x_0 = -1$ (calm) or $+1$ (smiling), equally often. Then no training is needed, Bayes' rule gives the perfect network:
#
# $$\mathrm E[x_0 \mid x_t] = \tanh\!\Big(\frac{\sqrt{\bar\alpha_t}\,x_t}{1-\bar\alpha_t}\Big).$$
#
# A sampler (here DDIM, arXiv 2010.02502) goes from noise to data: at each step it splits $x_t$ into what the network takes for the picture and the noise
# that remains, and mixes both anew for the next, smaller $t$. The step by hand, beside diffusers':


# %%
def perfect(x, t):
    """Return E[x_0 | x_t] where x_0 is -1 or 1."""
    return torch.tanh(alpha_bar[t].sqrt() * x / (1 - alpha_bar[t]))


def sample(x, steps):
    """Return where the samples were at every step of DDIM."""
    times, path = np.arange(1000, 0, -1000 / steps).round().astype(int) - 1, [x]
    for t, then in zip(times, [*times[1:], None], strict=True):
        clean = perfect(x, t)
        rest = (x - alpha_bar[t].sqrt() * clean) / (1 - alpha_bar[t]).sqrt()
        a = 1.0 if then is None else alpha_bar[then]
        x = a**0.5 * clean + (1 - a) ** 0.5 * rest
        path.append(x)
    return torch.stack(path)


start = torch.randn(400, dtype=torch.float64)
scheduler.set_timesteps(10)
t, mine = scheduler.timesteps[0], sample(start, 10)
speed = (alpha_bar[t].sqrt() * start - perfect(start, t)) / (1 - alpha_bar[t]).sqrt()  # v of this x_0 and x_t
assert torch.allclose(scheduler.step(speed, t, start)[0].double(), mine[1], atol=1e-4)

# %%
figure, axes = create_figure(11, 2.8, columns=4, sharey=True)
path = sample(start[:40], 50)
axes[0, 0].plot(np.linspace(999, 0, 51), path, color=SERIES[0], alpha=0.4, linewidth=0.8)
axes[0, 0].set(title="40 samples, 50 steps", xlabel="timestep", ylabel="x", xlim=(999, 0))
for panel, steps in zip(axes[0, 1:], (1, 3, 50), strict=True):
    panel.hist(sample(start, steps)[-1].numpy(), bins=np.linspace(-1.6, 1.6, 33), orientation="horizontal")
    panel.set(title=f"results of {steps} step{'s'[: steps > 1]}", xlabel="samples of 400")
to_picture(figure)

# %% [markdown]
# One step gives everybody 0: half a smile that nobody has. Fifty steps give a calm or a smiling face, never a half.
#
# But tell the network the answer as a condition, $c$ = "smiles". Then $\mathrm E[x_0 \mid x_t, c] = 1$ at every $t$, and the first step is
# the last. This is `mini`: person and action, told by $i$ and $a$, almost determine the clip, so it was trained at $t = 999$ alone and
# *predicts* the clip from zeros, the mean of the noise. What is **not** told comes out as a mean. Tell it nothing of the person, and you see
# the mean of everybody. (`read_identity` below: a reader gives the face's *track*, expression weights and angles of the head as in tutorial 7; the **code** made of it
# says which action the split takes off.)

# %%
from iad.models.autoencoder import decode_latents
from iad.models.predicting import Conditions, Guidance, predict
from iad.performing import perform_prompt, track_to_code

preset = pipe.preset
frames, stack = preset.latent_frames, preset.frames_per_latent
silence = pipe.text_encoder.encode([""]).states


def read_identity(face):
    """Return the identity tokens of a face; its action and its residual are dropped here."""
    features = pipe.parts["encoder"](to_tensor(face.image[None]))
    code = pipe.recognised.to_code(torch.from_numpy(track_to_code(face.track))[None])
    return pipe.parts["decoupler"](features.vector, features.tokens, code).identity.detach()


def say_action(prompt):
    """Return the action tokens that T makes of words, one set a latent frame."""
    ask = {"seconds": preset.duration, "fps": preset.fps, "seed": 0}
    track = perform_prompt(pipe.parts["performer"], pipe.text_encoder, prompt, **ask).track
    return pipe.expand(torch.from_numpy(track_to_code(track[::stack]))[None]).detach()


# %%
transformer = pipe.parts["transformer"]
GUIDED = preset.sampler.guidance_scale, preset.sampler.identity_guidance_scale  # see section 8


@torch.no_grad()
def make_clip(identity, action, prompt="", *, words=GUIDED[0], person=GUIDED[1], who=1.0):
    """Return the 16 frames that the denoiser predicts."""
    said = pipe.text_encoder.encode([prompt]).states
    conditions = Conditions(identity, action, None, said, silence)
    guidance = Guidance(words, person, identity_scale=who, action_scale=1.0)
    latents = predict(transformer, conditions, guidance, preset=preset, frames=frames)
    return to_uint8(decode_latents(autoencoder, latents, stack)[0])


identities = {name: read_identity(face) for name, face in faces.items()}
eyes = say_action("closes the eyes")
collins = identities["Eileen Collins"]
print("identity:", tuple(collins.shape), "(people, tokens, width)")
print("action:", tuple(eyes.shape), "(clips, latent frames, tokens, width)")
clips = [make_clip(collins, eyes, who=scale)[9] for scale in (0.0, 0.5, 1.0)]
face_sheet(np.stack(clips), ["identity x 0", "x 0.5", "x 1"], columns=3, size=192)

# %% [markdown]
# That is the whole of `mini`'s denoiser. The pipeline, asked for what the embeddings alone carry (`detail_scale=0`), makes the same clip:

# %%
clip = make_clip(collins, eyes, "closes the eyes")
result = pipe(portraits["Eileen Collins"], "closes the eyes", detail_scale=0, seed=0)
apart = np.abs(result.frames.astype(int) - clip).max()
assert apart <= 2
print("the pipeline's clip and ours differ by", apart, "of 255 grey levels at most")

# %% [markdown]
# ## 3 · Two attentions inside a block
#
# **The question.** How do $i$ and $a$ get into a transformer that was trained without them?
#
# Every second block of `mini`, and of CogVideoX-5B, ends with two more cross-attentions. Queries come from the latents $x$, keys and
# values from the tokens:
#
# $$x \leftarrow x + s_i\,\mathrm{CA}_i(x,\ i) + s_a\,\mathrm{CA}_a(x_k,\ a_k), \qquad
# \mathrm{CA}(x, z) = W_o\,\mathrm{softmax}\!\Big(\frac{q(x)\,k(z)^\top}{\sqrt e} + b\Big)\,v(z).$$
#
# All latents see the identity tokens; the latents $x_k$ of frame $k$ see the action tokens $a_k$ of that frame. So a person is the same in
# all frames, and an action has its own time. $s_i$, $s_a$ are dials, $e$ is the width of a head of the attention, $b$ a bias (section 6). One attention by hand:

# %%
block = next(block for block in transformer.transformer_blocks if block.index is not None)
layer = block.identity_attention
x, z = torch.randn(1, 16, layer.to_q.in_features), collins + block.identity_slots


def attend(x, z):
    """Return CA(x, z) without a bias."""
    key, value = layer.to_kv(layer.context_norm(z)).chunk(2, dim=-1)
    query = layer.to_q(layer.norm(x))
    q, k, v = (part.unflatten(-1, (layer.heads, -1)).transpose(1, 2) for part in (query, key, value))
    q, k = layer.q_norm(q), layer.k_norm(k)
    weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
    return layer.to_out((weights @ v).transpose(1, 2).flatten(2))


assert torch.allclose(attend(x, z), layer(x, z), atol=1e-4)
for number, block in enumerate(transformer.transformer_blocks):
    names = [name for name, _ in block.named_children() if name.endswith("_attention")]
    print(f"block {number}: {', '.join(names) or '-'}")

# %% [markdown]
# Keys and values do not depend on $x$ nor on the timestep. `transformer.adapt` computes them once a clip, whatever number of steps follows.
#
# Identity has a second road in `mini`: before the first block each patch is told the tokens of its own cells (`IdentityPatch`).
#
# ## 4 · Beginning at zero
#
# $W_o$ begins at zero, so an untrained adapter *is* the base model, bit for bit, and training departs from it only as far as it pays.
# Does zero not stop the gradient? Write $y = x + W_o h$, with $h = h(W_q, W_{kv})$:
#
# $$\frac{\partial L}{\partial W_o} = \frac{\partial L}{\partial y}\,h^\top \ne 0, \qquad
# \frac{\partial L}{\partial h} = W_o^\top\,\frac{\partial L}{\partial y} = 0 .$$
#
# At the first step only $W_o$ learns; from the second on all do.

# %%
from iad.models.adapters import is_adapter_key
from iad.models.transformer import create_transformer

base = {key: value for key, value in transformer.state_dict().items() if not is_adapter_key(key)}
last = torch.tensor([999])


def begin():
    """Return the base of mini, which is frozen, with new adapters."""
    model = create_transformer(preset)
    model.load_state_dict(base, strict=False)
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(is_adapter_key(key))
    return model


# %%
def predict_latents(model, identity, action):
    """Predict clean latents in one step from zeros: at the last timestep v = -x_0."""
    rows = len(identity)
    states = model.adapt(identity, action, frames=frames)
    zeros = torch.zeros(rows, frames, preset.latent_channels, preset.latent_size, preset.latent_size)
    words = silence.expand(rows, -1, -1)
    return -model(zeros, words, last.expand(rows), attention_kwargs={"adapter": states}).sample


fresh = begin()
with torch.no_grad():
    nothing = -fresh(torch.zeros(1, frames, preset.latent_channels, 8, 8), silence, last).sample
    assert torch.equal(predict_latents(fresh, collins, eyes), nothing)

# %%
gradients, fresh = {}, begin()
optimizer = torch.optim.SGD([p for p in fresh.parameters() if p.requires_grad], 1e-2)
for number in (1, 2):
    optimizer.zero_grad()
    predict_latents(fresh, collins, eyes).square().mean().backward()
    for name in ("to_q", "to_kv", "to_out"):
        weight = getattr(fresh.transformer_blocks[0].identity_attention, name).weight
        gradients[name, number] = weight.grad.norm().item()
        print(f"step {number}: |gradient of {name:6}| {gradients[name, number]:.1e}")
    optimizer.step()
assert gradients["to_q", 1] == gradients["to_kv", 1] == 0 < min(gradients["to_out", 1], gradients["to_kv", 2])

# %% [markdown]
# **Where it fails alone.** Set the values to zero as well, "to be twice as safe". Now $h = 0$ and $W_o = 0$: each gradient has the other as a
# factor, and nothing ever learns.

# %%
dead = begin()
for block in dead.transformer_blocks:
    if block.index is not None:
        for layer in (block.identity_attention, block.action_attention):
            torch.nn.init.zeros_(layer.to_kv.weight)
predict_latents(dead, collins, eyes).square().mean().backward()
weight = dead.transformer_blocks[0].identity_attention.to_out.weight
assert weight.grad.norm() == 0
print("gradient of to_out with zero values:", weight.grad.norm().item())

# %% [markdown]
# ## 5 · Train the adapters yourself
#
# **The question.** What do the adapters learn, and do they learn $i$ and $a$ *apart*?
#
# Four portraits (two of them of people who do not exist), four actions, sixteen clips. The true clips are drawn by geometry from the photos
# (tutorial 7), as those are on which `mini` was trained. **Twelve teach; the four on the diagonal are kept out.** Each person and each action is
# seen in three clips, but never this person with this action. The loss is section 1's at $t = 999$:
#
# $$L = \lVert \hat x_0(i, a) - x_0 \rVert^2 .$$

# %%
from iad.installation import EXAMPLES
from iad.models.autoencoder import encode_frames

people = list(portraits.values())
people += [np.asarray(Image.open(EXAMPLES / f"person-{k}.png").convert("RGB")) for k in ("131", "187")]
actions = ["opens the mouth wide", "closes the eyes", "raises the eyebrows", "turns the head to the left"]
SIDE = 2 if SMOKE else 4
people, actions = people[:SIDE], actions[:SIDE]
who = torch.cat([read_identity(pipe.find_face(photo)) for photo in people])
what = torch.cat([say_action(prompt) for prompt in actions])
targets = {}
for p, photo in enumerate(people):
    for a, prompt in enumerate(actions):
        true = pipe(photo, prompt, size=128, fps=preset.fps, seed=0).frames
        targets[p, a] = encode_frames(autoencoder, to_tensor(true)[None], stack)[0].detach()
taught, kept_out = [pair for pair in targets if pair[0] != pair[1]], [(k, k) for k in range(SIDE)]
print(len(taught), "clips teach,", len(kept_out), "are kept out; latents", tuple(targets[0, 0].shape))

# %%
STEPS, BATCH = (6, 2) if SMOKE else (160, 4)
torch.manual_seed(0)
fresh = begin()
trainable = [p for p in fresh.parameters() if p.requires_grad]
optimizer, rng, log = torch.optim.AdamW(trainable, 1e-3), np.random.default_rng(0), []
learn, all_of_them = (sum(p.numel() for p in some) / 1e6 for some in (trainable, fresh.parameters()))
print(f"{learn:.1f} M of {all_of_them:.1f} M numbers learn")


def measure(model, pairs):
    """Return the loss over these clips."""
    p, a = map(list, zip(*pairs, strict=True))
    true = torch.stack([targets[pair] for pair in pairs])
    return (predict_latents(model, who[p], what[a]) - true).square().mean()


for step in range(STEPS + 1):
    if step % 10 == 0:
        with torch.no_grad():
            log.append((step, measure(fresh, taught).item(), measure(fresh, kept_out).item()))
    loss = measure(fresh, [taught[k] for k in rng.choice(len(taught), BATCH, replace=False)])
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trainable, 1.0)
    optimizer.step()

# %%
steps, on_taught, on_kept = zip(*log, strict=True)
figure, axes = create_figure(6.5, 2.8)
axes[0, 0].plot(steps, on_taught, label="the clips that teach")
axes[0, 0].plot(steps, on_kept, label="the clips kept out")
axes[0, 0].set(xlabel="step", ylabel="loss", yscale="log", title="Squared error of the latents")
axes[0, 0].legend()
display(to_picture(figure))
print(f"kept out: {on_kept[0]:.2f} at the start, {on_kept[-1]:.2f} after {steps[-1]} steps")


# %%
@torch.no_grad()
def draw(latents):
    """Return one frame of each clip, in the middle of the action."""
    return to_uint8(decode_latents(autoencoder, latents, stack))[:, 9]


grid = [(p, a) for p in range(SIDE) for a in range(SIDE)]
made = draw(predict_latents(fresh, who[[p for p, _ in grid]], what[[a for _, a in grid]]))
frame = [SERIES[1] if p == a else "" for p, a in grid]
print("what your adapters draw; framed: never seen together in training")
face_sheet(made, actions * SIDE, columns=SIDE, size=128, frames=frame)

# %%
truth = draw(torch.stack([targets[pair] for pair in kept_out]))
own = np.stack([made[grid.index(pair)] for pair in kept_out])
swapped = draw(predict_latents(fresh, who.roll(1, 0), what))  # the same actions, each by the next person
titles = ["the truth", "your adapters", "another person"]
face_sheet(np.concatenate([truth, own, swapped]), columns=SIDE, size=128, titles=titles)

# %% [markdown]
# From the mean face to four persons, in so few steps. And the framed ones? "Person right, action missing" would already be a small error, so
# compare with that: with the true clips of the same person in the *other* actions.

# %%
with torch.no_grad():
    told = predict_latents(fresh, who, what)  # person k, action k
nearer = 0
for k, (person, action) in enumerate(kept_out):
    true = targets[person, action]
    others = np.mean([(targets[person, a] - true).square().mean().item() for a in range(SIDE) if a != action])
    error = (told[k] - true).square().mean().item()
    nearer += error < others
    print(f"{actions[action]:26} your clip misses by {error:.2f}, the person's other clips by {others:.2f}")
print(f"{nearer} of {SIDE} are nearer to the truth than the person's other clips are")

# %% [markdown]
# So person and action, which came by different roads, can be put together anew, where what is asked for can be put together: a closed lid is much
# alike in everybody. How *this* hair looks from the side is in no other clip, and there it falls apart; and a mouth that should open wide hardly does. Three people teach an action here, hundreds
# taught it to `mini`.
#
# ## 6 · Where does a patch look?
#
# The weights of the attention, of the shipped `mini`, recorded by a hook while a clip is made. Latents are cut into 4 × 4 patches a frame, tokens
# lie on 8 × 8 cells; the white square is the patch that looks.

# %%
seen, adapted = {}, [block for block in transformer.transformer_blocks if block.index is not None]


def watch(road, block):
    """Keep the queries of one attention while a clip is made."""
    layer = getattr(block, f"{road}_attention")
    return layer.q_norm.register_forward_hook(lambda module, inputs, q: seen.update({(road, block.index): q}))


hooks = [watch(road, block) for road in ("identity", "action") for block in adapted]
clip = make_clip(collins, eyes, words=1.0, person=1.0)
for hook in hooks:
    hook.remove()
states = transformer.adapt(collins, eyes, frames=frames)

# %%
maps = {}
for (road, k), q in seen.items():
    key = getattr(states, road)[k][0]
    logits = q @ key.transpose(-1, -2) / q.shape[-1] ** 0.5  # (1, heads, 8 frames x 16 patches, 64 cells)
    if road == "identity":
        logits = logits + adapted[k].focus_bias(frames)
        weights = logits.softmax(-1)[0].unflatten(1, (frames, 16))[:, 4]
    else:  # here each latent frame is a row of its own
        weights = logits.softmax(-1)[4]
    maps[road, k] = weights.mean(0).unflatten(-1, (8, 8)).detach().numpy()

# %%
square = np.array([[0, 32, 32, 0, 0], [0, 0, 32, 32, 0]])
patches = {"hair": 1, "right eye": 5, "left eye": 6, "mouth": 9}
figure, axes = create_figure(7.0, 3.9, rows=2, columns=4)
for row, road in zip(axes, ("identity", "action"), strict=True):
    for panel, (name, patch) in zip(row, patches.items(), strict=True):
        panel.imshow(clip[9])
        heat = maps[road, len(adapted) - 1][patch]
        panel.imshow(heat, extent=(0, 128, 128, 0), cmap="inferno", alpha=0.55, interpolation="bicubic")
        y, x = divmod(patch, 4)
        panel.plot(32 * x + square[0], 32 * y + square[1], color="white")
        panel.set(title=f"{road}: {name}", xticks=[], yticks=[])
        panel.grid(False)
to_picture(figure)

# %% [markdown]
# Identity attention stays under its own patch. That is no discovery but was built in: the bias $b$ falls with the squared distance from a
# patch to a token's cell, by a *focus* that training may change. Action attention has no bias and goes where it learned to go. How much a
# head spreads its look is its entropy; $e^{\text{entropy}}$ counts cells:

# %%
for (road, k), heat in sorted(maps.items()):
    flat = heat.reshape(16, -1)
    cells = np.exp(-(flat * np.log(flat + 1e-12)).sum(1)).mean()
    print(f"{road:8} block {k}: a patch looks at {cells:4.1f} of 64 cells")
print("focus, 4 at the start of training:", [round(f, 1) for b in adapted for f in b.identity_focus.tolist()])

# %% [markdown]
# ## 7 · Two roads for the action
#
# The words reach the denoiser twice: as text tokens, like in every text-to-video model, and through $T$ as action tokens. Let the two
# contradict each other and see whom it believes.

# %%
says = ["keeps a calm face", "opens the mouth", "closes the eyes"][: 2 if SMOKE else 3]
tokens = [say_action(prompt) for prompt in says]
grid = np.stack([[make_clip(collins, token, words)[9] for token in tokens] for words in says])
labels, titles = ([f"{what}: {s}" for s in says] for what in ("tokens", "words"))
face_sheet(grid.reshape(-1, 128, 128, 3), labels * len(says), columns=len(says), size=144, titles=titles)

# %%
across, down = grid.astype(float).std(1).mean(), grid.astype(float).std(0).mean()
assert across > down
print(f"other action tokens change a pixel by {across:.1f} grey levels, other words by {down:.1f}")

# %% [markdown]
# ## 8 · Guidance
#
# A dial weighs an input. **Guidance** weighs a *difference of outputs*. Three rows are predicted side by side: *told* hears everything, *free* is
# the same person left alone, *nobody* has no identity either:
#
# $$v = v_{\text{told}} + (g-1)\,(v_{\text{told}} - v_{\text{free}}) + (g_i-1)\,(v_{\text{free}} - v_{\text{nobody}}) .$$

# %%
told, free, nobody = torch.randn(3, 1, frames, 48, 8, 8)
hand = told + (1.6 - 1) * (told - free) + (1.2 - 1) * (free - nobody)
assert torch.allclose(Guidance(1.6, 1.2, 1.0, 1.0).combine(torch.cat([told, free, nobody])), hand, atol=1e-5)

# %%
words, person = ((6.0,), (3.0,)) if SMOKE else ((1.0, 1.6, 2.5, 6.0), (1.0, 1.2, 1.6, 3.0))
shown = [make_clip(collins, eyes, "closes the eyes", words=g, person=1.0)[9] for g in words]
shown += [make_clip(collins, eyes, "closes the eyes", words=1.0, person=g)[9] for g in person]
print(f"mini's own scales: g = {GUIDED[0]}, g_i = {GUIDED[1]}")
labels = [f"x {g:g}" for g in words + person]
face_sheet(np.stack(shown), labels, columns=len(words), size=128, titles=["words, g", "person, g_i"])

# %% [markdown]
# Guidance exaggerates what distinguishes one row from the other, errors included: hard edges from the words, contrast and colour
# from the person. It was invented for models that sample; for one that predicts it is a way to ask for more.
#
# ## 9 · Why an older recipe copies the smile
#
# Eileen Collins beams in her photo. We ask for closed eyes. Three arms, the same base, data and steps:
#
# - **ConsisID's recipe** (arXiv 2411.17440) shows the denoiser the latents of the face crop, and the undivided tokens of $f$;
# - **ID-Animator's recipe** (arXiv 2404.15275) shows it the undivided tokens, through a few learned queries;
# - both were trained with a reference **out of the very clip** that they had to make, as published. IaD's reference shows another action.

# %%
arms = ("iad", "consisid", "entangled") if SMOKE else ("iad", "consisid", "id-animator", "entangled")
ask = {"prompt": "closes her eyes", "detail_scale": 0, "seed": 0}
results = {arm: pipe(portraits["Eileen Collins"], arm=arm, **ask) for arm in arms}
picks = [4, 8, 12]
photo = faces["Eileen Collins"].image[None]
rows = [np.concatenate([photo, result.frames[picks]]) for result in results.values()]
times = ["photo", *(f"{k / preset.fps:.1f} s" for k in picks)] * len(arms)
face_sheet(np.concatenate(rows), times, columns=4, size=128, titles=list(arms))

# %%
for arm, result in results.items():
    likeness, shown, copied = (np.mean(result.scores[key]) for key in ("identity", "action", "copied"))
    print(f"{arm:12} likeness {likeness:.2f}   eyes closed {shown:.2f}   photo's expression {copied:.2f}")
copied, alike = ({arm: np.mean(results[arm].scores[key]) for arm in arms} for key in ("copied", "identity"))
assert max(copied, key=copied.get) == max(alike, key=alike.get) == "consisid"
least = min(("iad", "entangled"), key=copied.get)
print(f"the least is copied, on this photo, by: {least}")

# %% [markdown]
# *copied* is how well the clip, read anew, does what the photo does. Whoever copies also scores a higher *likeness*, which is measured against
# the photo, smile and all (tutorial 9). In training the copiers were right to copy: their reference nearly always showed what they had to make.
#
# Beware of the easy conclusion. `entangled` is a control: IaD's references and action channel, but the undivided $f$ instead of $i$. It does about as
# well, so most of the cure lies in the *recipe*. What the split adds is small, and one photo cannot decide it: tutorial 9 asks how many people it
# takes, and `docs/results.md` has the tables over 64.
#
# ## 10 · The same adapters on CogVideoX-5B, by shape
#
# Nothing above is special to `mini`. On PyTorch's *meta* device a network has shapes but no numbers, so the real size costs nothing:

# %%
from iad.config import get_preset
from iad.full_size.sizes import Scale

large = get_preset("cogvideox-5b")
giant = Scale(torch.device("meta"), large).build("IaD")
count = {"base": 0, "adapters": 0}
for key, parameter in giant.named_parameters():
    count["adapters" if is_adapter_key(key) else "base"] += parameter.numel()
patches = large.latent_frames * (large.height // 16) * (large.width // 16)  # 16 pixels a patch
print(f"base {count['base'] / 1e9:.2f} billion, adapters {count['adapters'] / 1e6:.0f} million:", end=" ")
print(f"{count['adapters'] / count['base']:.1%}")
print(f"{large.frames} frames of {large.width} x {large.height} pixels make {patches} patches")

# %%
sizes = large.decoupler.queries, large.decoupler.dim
identity, action = (torch.empty(1, *more, *sizes, device="meta") for more in ((), (large.latent_frames,)))
states = giant.adapt(identity, action, frames=large.latent_frames)
layer = giant.transformer_blocks[0].identity_attention
for name in ("to_q", "to_kv", "to_out"):
    print(f"{name:7}{tuple(getattr(layer, name).weight.shape)}")
numbers = sum(k.numel() + v.numel() for k, v in states.identity + states.action)
print(f"{len(states.identity)} adapted blocks; keys and values: {numbers * 2 / 1e6:.0f} MB in bfloat16")
print(f"each patch attends to {patches + large.text.tokens} tokens as before, and to {2 * sizes[0]} more")

# %% [markdown]
# Nobody has trained adapters of that size yet: what this section shows is that they fit, and what they would weigh.

# %%
print(f"{time.process_time() - begun:.0f} seconds of CPU in all")

# %% [markdown]
# ## Exercises
#
# Answers, with their output, are in [answers.ipynb](answers.ipynb).
#
# **6.1** Derive the formula of `perfect` in section 2: write down $p(x_t \mid x_0 = \pm 1)$, apply Bayes' rule and take the mean.
#
# **6.2** Implement the reversal: give every latent frame the action tokens in reverse order. What do you expect of "opens the mouth", and what
# of "nods"? Why does the person not change?
#
# **6.3** Set the focus of all heads of `mini` to zero (`block.identity_focus`) and make the clip of section 2 again. How much of the
# person is left, by the cosine of the encoder's vectors, and what does that say of the attention maps?
