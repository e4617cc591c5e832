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
# # 5 · Injection
#
# **What you will learn**: where identity and action enter the video model, why an untrained adapter changes nothing, which
# token looks where, what the strength dials and guidance do, how an older recipe copies the photo's expression, and
# what is done to the frames afterwards.
#
# **How long it takes**: about 45 minutes to read, three minutes to run.

# %%
import os
import sys

import numpy as np
import torch

sys.path.insert(0, "..")  # the repository, so that `import iad` finds it
SMOKE = bool(os.environ.get("IAD_SMOKE"))  # a short run, for tests
_ = torch.set_grad_enabled(False)

# %%
from iad import IaDPipeline
from iad.autoencoder import decode_latents, to_tensor, to_uint8, weigh_contrast
from iad.plots import face_sheet

pipe = IaDPipeline.from_pretrained("mini")
photo = "../examples/person-131.png"
face = pipe.find_face(photo)
face_sheet(face.image[None], ["he smiles"], columns=1, size=160)

# %% [markdown]
# This man does not exist; he was rendered. We want to see him open his mouth, and his smile must not come along.
#
# ## 1. What is injected
#
# The frozen encoder and the split turn the crop into 64 tokens $f = i + a$, one for every cell of an 8 × 8 grid over the
# picture. Only $i$ goes on. The photo's own $a$ is dropped here, and so are its pixels;
# what comes of them at the very end, when the denoiser is done, is the matter of section 11.

# %%
features = pipe.parts["encoder"](to_tensor(face.image[None]))
split = pipe.parts["decoupler"](features.vector, features.tokens)
print("identity tokens:", tuple(split.identity.shape), "(people, tokens, width)")

# %% [markdown]
# The action comes from the prompt instead. $T$ writes one short code for every *latent frame*, and the same matrix that
# expands the codes of faces expands these to tokens:

# %%
from iad.text import parse_prompt

frames = pipe.preset.latent_frames
segments = parse_prompt("opens his mouth", duration=pipe.preset.duration)
code = pipe.text_codes(segments, frames)
action = pipe.parts["decoupler"].expand(code)
print("codes:        ", tuple(code.shape), "(clips, latent frames, numbers)")
print("action tokens:", tuple(action.shape), "(clips, latent frames, tokens, width)")

# %% [markdown]
# So identity tokens are **the same for all frames**, and action tokens are **one set per frame**. This is what lets a
# timeline change the action in the middle of a clip while the person stays.
#
# ## 2. Where the tokens enter
#
# The denoiser is a CogVideoX transformer. Every second block ends with two more cross-attentions:
#
# $$x \leftarrow x + s_i\,\mathrm{CA}_i(x,\ i) + s_a\,\mathrm{CA}_a(x_k,\ a_k),$$
#
# where $x$ are all latents of the clip, $x_k$ those of latent frame $k$, and $s_i$, $s_a$ are the dials `identity_scale` and
# `action_scale`. The two are *decoupled*: neither sees the other's tokens.
#
# Identity has a second road: before the first block every patch is told the identity tokens of its own 2 × 2 cells, joined and
# put through a small network (`IdentityPatch`), so that nothing of them is averaged away. $s_i$ weighs this, too. Of
# the arms in section 10 only `iad` and the control `entangled` have it.

# %%
transformer = pipe.parts["transformer"]
for number, block in enumerate(transformer.transformer_blocks):
    parts = ", ".join(name for name, _ in block.named_children() if name.endswith("_attention"))
    print(f"block {number}: {parts or '-'}")

# %% [markdown]
# They sit *inside* the block, not between two blocks. A step cache skips whole blocks when little changes; an attention that
# stands between the blocks would go on adding while the block beside it is skipped.
#
# ## 3. An untrained adapter is exactly the base model
#
# The output layers of both attentions and of `IdentityPatch` start at zero. A fresh transformer with random weights, with and
# without tokens:

# %%
from iad.transformer import create_transformer

fresh = create_transformer(pipe.preset).eval()
shape = (1, frames, pipe.preset.latent_channels, pipe.preset.latent_size, pipe.preset.latent_size)
noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
words, silence = (pipe.text_encoder.encode([text]).states for text in ("opens his mouth", ""))
print("noisy latents:", tuple(noise.shape), " words:", tuple(words.shape))

# %%
for name, model in {"fresh": fresh, "trained": transformer}.items():
    states = model.adapt(split.identity, action, frames=frames)
    step = torch.tensor([999])
    with_tokens = model(noise, words, step, attention_kwargs={"adapter": states}).sample
    without = model(noise, words, step).sample
    print(f"{name:8} largest difference {float((with_tokens - without).abs().max())}")

# %% [markdown]
# Exactly zero for the fresh one: training starts from the base model and departs from it only as far as it pays. And the
# trained one is the base again when both dials are at zero:

# %%
off = transformer.adapt(split.identity, action, frames=frames, identity_scale=0.0, action_scale=0.0)
with_tokens = transformer(noise, words, step, attention_kwargs={"adapter": off}).sample
print("dials at zero:", float((with_tokens - without).abs().max()))

# %% [markdown]
# ## 4. Keys and values are computed once
#
# Queries come from the latents and change with every denoising step. Keys and values come from the tokens, and
# **do not depend on the step**. `adapt` projects them once for the whole video, and what each patch is told of its cells as well:

# %%
keys, values = states.identity[0]
print("identity keys of one block:", tuple(keys.shape), "(clips, heads, tokens, width of a head)")
print("action keys of one block:  ", tuple(states.action[0][0].shape), "(frames, heads, tokens, width)")
count = sum(k.numel() + v.numel() for k, v in states.identity + states.action)
print(f"{len(states.identity)} adapted blocks, {count * 4 / 1e6:.1f} MB in all")

# %% [markdown]
# ## 5. A clip by hand
#
# That is all a clip needs: identity tokens, action tokens, words, noise. `sample` runs the denoiser, the autoencoder turns
# latents into pixels. (The two scales of `Guidance` are explained in section 9.)

# %%
from functools import partial

from iad.sampling import Conditions, Guidance, sample

own = pipe.preset.sampler
guidance = Guidance(own.guidance_scale, own.identity_guidance_scale, identity_scale=1.0, action_scale=1.0)
conditions = Conditions(split.identity, action, None, words, silence)
made = {"latents": noise, "steps": pipe.preset.sampler.steps, "stack": pipe.preset.frames_per_latent}
made["weigh"] = partial(weigh_contrast, pipe.parts["autoencoder"], stack=made["stack"])
latents = sample(transformer, pipe.scheduler, conditions, guidance, **made)
clip = to_uint8(decode_latents(pipe.parts["autoencoder"], latents, made["stack"])[0])
face_sheet(clip[::2], columns=8, titles=["by hand"])

# %% [markdown]
# The pipeline does the same and then *finishes* the frames with the photo's detail. `detail_scale=0` leaves that out, here and
# up to section 11: until then the question is what the embeddings alone carry.

# %%
plain = {"detail_scale": 0.0, "seed": 0}
result = pipe(photo, "opens his mouth", **plain)
print("the pipeline makes the same clip:", bool((result.frames == clip).all()))

# %% [markdown]
# ## 6. Which token looks where
#
# First the **reader**: 64 learned queries read $f$ from the encoder's tokens, in two layers. `read_where` (in
# `iad/evaluation/attention.py`) records their attention. The frame is the cell that a query belongs to; colour is where it looks.

# %%
from iad.evaluation.attention import read_where, watch_adapters
from iad.plots.attention import cell_box, overlay_attention

layers = read_where(pipe.parts["decoupler"], features.vector, features.tokens)
print("each layer:", tuple(layers[0].shape), "(people, heads, queries, places)")
queries = (9, 18, 27, 36, 43, 52, 60)
pictures = []
for weights in layers:
    maps = weights[0].mean(0).unflatten(1, (8, 8)).numpy()  # the mean over heads, on the encoder's grid
    pictures += [overlay_attention(face.image, maps[q], box=cell_box(q, 8)) for q in queries]

# %%
face_sheet(np.stack(pictures), columns=7, size=84, titles=["layer 1", "layer 2"])

# %% [markdown]
# A query is not tied to its own cell: what it needs of its own place comes by a second road (a small convolution over the
# cell), so attention is free to fetch what is *elsewhere*. Many queries look at eyes and brows although their own cell is far
# off, and nobody told them what an eye is.
#
# Now the **adapters**: latents of the clip (4 × 4 patches a frame) look at identity tokens and at action tokens. We make a clip
# and watch.

# %%
with watch_adapters(transformer) as looks:
    pipe(photo, "opens his mouth", **plain)
print(len(looks.identity), "adapted blocks, each with weights of shape")
print(tuple(looks.identity[0].shape), "(rows, heads, frames, patches, tokens)")

# %%
frame, patches = 4, (0, 1, 5, 6, 9, 10, 13)
pictures = []
for recorded in (looks.identity, looks.action):
    for weights in (recorded[0], recorded[-1]):
        maps = weights[0, :, frame].mean(0).unflatten(1, (8, 8)).numpy()
        pictures += [overlay_attention(face.image, maps[p], box=cell_box(p, 4)) for p in patches]
titles = ["identity, first block", "identity, last block", "action, first block", "action, last block"]
face_sheet(np.stack(pictures), columns=7, size=84, titles=titles)

# %% [markdown]
# **Identity** attention stays under its own patch, nearly always: in the last block the last of these patches looks at the mouth, too.
# This is a prior that we built in, not a discovery: every head starts with a penalty that grows with the squared distance to a
# token's cell, and training may change its strength. What became of it:

# %%
for block in transformer.transformer_blocks:
    if block.index is not None:
        print("focus of the heads:", [round(value, 2) for value in block.identity_focus.tolist()])

# %% [markdown]
# It began at 4 and has hardly moved. **Action** attention has no such prior, and it goes all over the picture: which patch needs
# which action token had to be learned.
#
# And the second road of identity? It carries little: with the output of `IdentityPatch` set to zero and nothing trained anew, the
# clips of four people changed by about one grey level of 255 in the mean, and their likeness by 0.01 at most. In these weights the
# attentions bring nearly everything.
#
# If identity tokens carry places, a person can be *assembled*. Tokens of the upper half from one face, of the lower half from another; watch the
# seam:

# %%
from iad.collection import load_collection

faces = load_collection()
pair = faces.crops[faces.find(person=[4, 22], action="neutral", take=0)]
read = pipe.parts["encoder"](to_tensor(pair))
identities = pipe.parts["decoupler"](read.vector, read.tokens).identity
upper, lower = identities
mixed = torch.cat([upper[:32], lower[32:]])  # rows 1 to 4 of the grid, rows 5 to 8

# %%
pictures = [*pair]
for tokens in (upper, lower, mixed):
    conditions = Conditions(tokens[None], action, None, words, silence)
    latents = sample(transformer, pipe.scheduler, conditions, guidance, **made)
    pictures.append(to_uint8(decode_latents(pipe.parts["autoencoder"], latents, made["stack"])[0])[10])
labels = ["photo 1", "photo 2", "clip of 1", "clip of 2", "1 over 2"]
face_sheet(np.stack(pictures), labels, columns=5, size=128)

# %% [markdown]
# ## 7. Two roads for the action
#
# The words reach the denoiser twice: as text tokens, as in every text-to-video model, and as action tokens. Which of them
# decides? Let them contradict each other. Rows are the words, columns are the action tokens.

# %%
prompts = ["keeps a calm face", "opens the mouth", "closes the eyes", "raises the eyebrows"]
prompts = prompts[: 2 if SMOKE else 4]
seconds = pipe.preset.duration
told = [pipe.text_codes(parse_prompt(prompt, duration=seconds), frames) for prompt in prompts]
heard = [pipe.text_encoder.encode([prompt]).states for prompt in prompts]

# %%
pictures = []
for states in heard:
    for code in told:
        tokens = pipe.parts["decoupler"].expand(code)
        conditions = Conditions(split.identity, tokens, None, states, silence)
        latents = sample(transformer, pipe.scheduler, conditions, guidance, **made)
        pictures.append(to_uint8(decode_latents(pipe.parts["autoencoder"], latents, made["stack"])[0])[10])

# %%
titles = [f"words: {prompt}" for prompt in prompts]
face_sheet(np.stack(pictures), [*prompts] * len(prompts), columns=len(prompts), size=84, titles=titles)

# %% [markdown]
# How much does a picture change along a row, and how much along a column?

# %%
grid = np.stack(pictures).reshape(len(prompts), len(prompts), *pictures[0].shape).astype(float)
print(f"other action tokens, same words: {grid.std(axis=1).mean():.2f} grey levels")
print(f"other words, same action tokens: {grid.std(axis=0).mean():.2f} grey levels")

# %% [markdown]
# ## 8. The dials
#
# `identity_scale` and `action_scale` multiply what the two attentions add. Down: identity; across: action.

# %%
dial = (0.0, 1.0) if SMOKE else (0.0, 0.5, 1.0, 2.0)
pictures, labels = [], []
for who in dial:
    for what in dial:
        result = pipe(photo, "opens his mouth", identity_scale=who, action_scale=what, **plain)
        pictures.append(result.frames[10])
        labels.append(f"{result.scores['identity'].mean():.2f} | {result.scores['action']:.2f}")

# %%
titles = [f"identity x {who:g}" for who in dial]
print("across: action x", *dial, "   below each: likeness to the photo | match with the prompt")
face_sheet(np.stack(pictures), labels, columns=len(dial), size=96, titles=titles)

# %% [markdown]
# - With identity at 0 somebody appears, but nobody in particular: the average of what the base has seen.
# - With action at 0 the words' first road, the text tokens, takes over: the denoiser still hears "opens his mouth". With his
#   identity at 1 it opens less.
# - Beyond 1 both exaggerate: identity at 2 brings hard contrast, action at 2 spots on the cheeks. Training saw 1 (and 0 now and
#   then), nothing else, so likeness does not go on rising. Identity at 2 even lowers the match with the prompt: the mouth opens less.
#
# ## 9. Guidance
#
# A dial weighs an input. *Guidance* weighs a **difference of outputs**. Three rows are denoised side by side: *told* hears everything,
# *free* is the same person without words and action, *nobody* has no identity either:
#
# $$v = v_{\text{nobody}} + g_i\,(v_{\text{free}} - v_{\text{nobody}}) + g\,(v_{\text{told}} - v_{\text{free}}).$$
#
# $g$ = `guidance_scale`, $g_i$ = `identity_guidance_scale`. At $g = g_i = 1$ only *told* is left, and one row is enough.
#
# Two things are ours. $g$ exaggerates shapes, and contrast goes with brightness: what makes a brow on light skin makes a black bar on
# dark skin. So the plain colour of a patch is left as it is, and in patches darker than one half shapes count less
# (`weigh_contrast`). And $g$ counts in full only where the words change little: a closed eye is a few patches and bears being
# exaggerated; a turned head changes every patch, and what lies beyond it is no head turned further but two heads in one. So in every
# latent frame $g - 1$ is divided by $\sqrt{1 + (\rho / 0.12)^2}$, where $\rho$ is the root mean square of
# $v_{\text{told}} - v_{\text{free}}$ in that frame: for a closed eye about 0.1, for a turned head 0.3, for a tilted one 0.5.

# %%
for words_scale, person_scale in ((1.0, 1.0), (2.5, 1.0), (2.5, 1.2)):
    print(words_scale, person_scale, "->", Guidance(words_scale, person_scale, 1.0, 1.0).rows, "rows")

# %%
across, down = ((1.0, 3.0), (1.0, 2.0)) if SMOKE else ((1.0, 2.5, 4.0, 8.0), (1.0, 1.2, 2.0))
pictures, labels = [], []
for person_scale in down:
    for words_scale in across:
        scales = {"guidance_scale": words_scale, "identity_guidance_scale": person_scale}
        result = pipe(photo, "opens his mouth", **scales, **plain)
        pictures.append(result.frames[10])
        labels.append(f"{result.scores['identity'].mean():.2f} | {result.scores['action']:.2f}")

# %%
print("across: words x", *across)
titles = [f"person x {scale:g}" for scale in down]
face_sheet(np.stack(pictures), labels, columns=len(across), size=96, titles=titles)

# %% [markdown]
# Guidance exaggerates what distinguishes one row from another, errors included: of the person contrast and colours, of the words,
# at 4 and more, a hard mouth and a glowing chin. Both numbers fall then, although the mouth opens wider. `mini` uses 2.5 and 1.2.

# %% [markdown]
# ## 10. Why an older recipe copies expressions
#
# ConsisID's recipe shows the denoiser two things of the photo: the **crop's latents**, joined to the noisy latents of the first
# frame, and **entangled tokens**, which are $f$ instead of $i$. We trained that recipe on the same base (`arm="consisid"`).
# The man in the photo smiles; we ask for something else.

# %%
prompts = ("opens his mouth", "closes his eyes", "raises his eyebrows")[: 1 if SMOKE else 3]
arms = ("iad", "consisid")
clips = {(prompt, arm): pipe(photo, prompt, arm=arm, **plain) for prompt in prompts for arm in arms}
pictures = [result.frames[k] for result in clips.values() for k in (1, 6, 11)]
titles = [f"{arm}: {prompt}" for prompt, arm in clips]
face_sheet(np.stack(pictures), columns=3, size=84, titles=titles)

# %%
print(f"{'':32}{'likeness':>9}{'prompt':>9}{'copied':>9}")
for (prompt, arm), result in clips.items():
    means = [np.mean(result.scores[key]) for key in ("identity", "action", "copied")]
    print(f"{arm:10}{prompt:22}" + "".join(f"{mean:9.2f}" for mean in means))

# %% [markdown]
# `copied` is the cosine of the action that the clip shows with the action of the photo. IaD's is lower in every row, but not
# zero. The recipe is *better* at likeness, and that is part of the same fault: likeness is measured against the photo, and who
# copies the smile is liker to it.
#
# Why does it copy? Because training rewarded it. Its reference is a frame **of the very clip** that it must make, so
# the expression in the reference is nearly always the right one. The way through the pixels is the shortest: the crop's latents
# lie at the same place as the latents to make.
#
# Crop or tokens: which of the two does it here? Take them apart. For people of the collection we have a smiling and a calm
# picture, so tokens can come from one and the crop from the other.

# %%
arm = pipe.baseline("consisid")
smiling = faces.crops[faces.find(action="smile", take=0)][: 2 if SMOKE else 8]
calm = faces.crops[faces.find(action="neutral", take=0)][: len(smiling)]
tokens, crops = {}, {}
for name, pictures in {"smiling": smiling, "calm": calm}.items():
    read = pipe.parts["encoder"](to_tensor(pictures))
    tokens[name] = arm.reader.read(read.vector, read.tokens)
    crops[name] = pipe.parts["autoencoder"].encode(to_tensor(pictures))
print("tokens:", tuple(tokens["calm"].shape), " crops:", tuple(crops["calm"].shape))

# %%
shown, decoder = {}, pipe.parts["autoencoder"]
for who in tokens:
    for crop in (*crops, "no"):
        pictures = []
        for k in range(len(smiling)):
            latent = 0 * crops["calm"][k] if crop == "no" else crops[crop][k]
            conditions = Conditions(tokens[who][k : k + 1], None, latent[None], words, silence)
            latents = sample(arm.transformer, pipe.scheduler, conditions, guidance, **made)
            pictures.append(to_uint8(decode_latents(decoder, latents, made["stack"])[0]))
        shown[f"{who} tokens, {crop} crop"] = np.stack(pictures)

# %% [markdown]
# How much of the smile is in a clip? The encoder reads expression coefficients. We measure along the line from the calm pictures (0)
# to the smiling ones (1).

# %%
encoder = pipe.parts["encoder"]
start = encoder(to_tensor(calm)).coefficients.mean(0)
line = encoder(to_tensor(smiling)).coefficients.mean(0) - start
for name, clip in shown.items():
    for where, part in (("first frames", clip[:, :2]), ("later frames", clip[:, 4:])):
        found = encoder(to_tensor(part.reshape(-1, *part.shape[2:]))).coefficients.mean(0)
        print(f"{name:30} {where}: {float((found - start) @ line / (line @ line)):6.2f}")

# %%
pictures = [clip[0, k] for clip in shown.values() for k in (0, 6, 12)]
face_sheet(np.stack(pictures), columns=3, size=84, titles=list(shown))

# %% [markdown]
# Read it in pairs. Where the number follows the *tokens* whatever the crop shows, the tokens carry the smile; where it follows the *crop*,
# the crop does. Here it is the tokens: calm ones leave no smile, even beside a smiling crop, and smiling ones bring more than half
# of it, even beside a calm crop, which takes a little off the first frames alone. In the published system it is mostly the
# crop: without it, ConsisID's own ablation says, hardly any likeness is left. In `mini` the tokens reach every frame directly, in
# every second block, while the crop is joined to the first latent frame alone and the others have one denoising step to hear of
# it. The lesson is the same on both roads:
# **whatever shows the photo whole will copy its expression**, if training lets it. IaD closes both: no pixels go
# into the denoiser, and of the tokens only $i$.
#
# One more honest comparison. Two controls share IaD's training references (*another* picture of the same person):
# `consisid-cross` keeps crop and $f$, `entangled` keeps $f$ and has IaD's action tokens and its `IdentityPatch`.

# %%
print(f"{'':16}{'likeness':>9}{'prompt':>9}{'copied':>9}   mean over {len(prompts)} prompts")
for arm_name in ("iad", "consisid", "consisid-cross", "entangled"):
    scores = [pipe(photo, prompt, arm=arm_name, **plain).scores for prompt in prompts]
    means = [np.mean([np.mean(s[key]) for s in scores]) for key in ("identity", "action", "copied")]
    print(f"{arm_name:16}" + "".join(f"{mean:9.2f}" for mean in means))

# %% [markdown]
# On this photo IaD copies least and both controls a little more, with about the same likeness. But one photo and a few prompts
# are an anecdote; `docs/results.md` has the tables over 64 people (and twelve for the controls).
# What they say: references that show another action are the first half of the cure, a channel of its own for the action is
# the second; a control with both but without the split shows the action as often and still copies 10 % of the photo's
# expression, where IaD copies none (twelve people). What the split adds besides are embeddings that can be read and exchanged, as in section 6 and 7 of this page.

# %% [markdown]
# ## 11. After the denoiser: the finisher
#
# All frames on this page are soft, and no token could help: the latents keep 24 numbers of a patch of 16 × 16 pixels, and the
# autoencoder cannot draw what is not in them. So `mini` has one more part, the *finisher* (`iad/finishing.py`). It sees the frame
# $x$, the photo and both action codes, and finds for every pixel $p$
#
# - a *motion* $u$: where in the photo to look this pixel up,
# - a *mask* $m$ from 0 to 1: how far to believe what is found there,
# - a little colour $c$:
#
# $$y(p) = x(p) + m(p)\,\big(\text{photo}(p + u(p)) - x(p)\big) + c(p).$$
#
# **This is ours and no part of the paper's method.** It is trained last, on what the trained denoiser makes (`python -m iad train
# finisher`), and nothing of it reaches the denoiser. All arms are finished alike, those without an action channel without the codes.

# %%
from iad.faces import crop as cut
from iad.photos import load_image

finisher = pipe.parts["finisher"]
soft = pipe(photo, "opens his mouth", **plain).frames[[10]]
code = pipe.text_codes(segments, frames)[0, [10 // pipe.preset.frames_per_latent]]
change = finisher.look(to_tensor(soft), to_tensor(face.image[None]), code, split.code)
large = to_tensor(cut(load_image(photo), face.affine, 256)[None])
finished = finisher.compose(to_tensor(soft), large, change)
print("motion:", tuple(change.motion.shape), " mask:", tuple(change.mask.shape))
print("photo: ", tuple(large.shape), " finished:", tuple(finished.shape))

# %% [markdown]
# Motion and mask are found in 128 pixels and carried out in the size of the photo. That is how `size=384` makes larger clips.

# %%
from iad.finishing import resize, warp
from iad.plots.style import create_figure, to_picture

moved = to_uint8(warp(large, resize(change.motion, 256)))[0]
mask = to_uint8(resize(change.mask, 256).expand(1, 3, 256, 256))[0]
panels = {"photo": to_uint8(large)[0], "without": soft[0], "motion": to_uint8(0.3 * large + 0.7)[0]}
panels |= {"photo, moved": moved, "mask": mask, "finished": to_uint8(finished)[0]}
figure, axes = create_figure(10.8, 2.1, columns=6)
for axis, (title, panel) in zip(axes[0], panels.items(), strict=True):
    axis.imshow(panel)
    axis.set_title(title)
    axis.axis("off")

# %%
y, x = np.mgrid[8:256:14, 8:256:14]
arrows = 128 * change.motion[0, :, y // 2, x // 2].numpy()  # from half a picture to its pixels
axes[0, 2].quiver(x, y, *arrows, angles="xy", scale_units="xy", scale=1, color="#e27d38", width=0.008)
to_picture(figure)

# %% [markdown]
# An arrow begins at a pixel of the frame and ends where in the photo that pixel is looked up: those on the chin point up, for
# the jaw has dropped since. Moved along the arrows, the photo has the head and the chin of the frame, but no open mouth, only
# lips pulled out of shape: the photo never showed one. There the mask is black, and the mouth stays as the denoiser drew it. It is
# nearly white along brows, lids and the outline of the face, where a soft edge becomes a sharp one. In between it is grey: a
# mixture of both.
#
# Sharper, then. But section 10 closed the road of the pixels, and here is a small door in it. What comes through? Four people who
# smile, two prompts, judged by the pipeline's own scores as above:

# %%
smiles = faces.crops[faces.find(person=[4, 8, 12, 22], action="smile", take=0)][: 1 if SMOKE else 4]
wanted = ("opens the mouth", "closes the eyes")
print(f"{'':24}{'likeness':>9}{'prompt':>9}{'copied':>9}")
for arm_name in ("iad", "consisid"):
    for scale in (0.0, 1.0):
        ask = {"arm": arm_name, "detail_scale": scale}
        scores = [pipe(crop, prompt, **ask).scores for crop in smiles for prompt in wanted]
        means = [np.mean([np.mean(s[key]) for s in scores]) for key in ("identity", "action", "copied")]
        print(f"{arm_name:10}detail_scale {scale:g}" + "".join(f"{mean:9.2f}" for mean in means))

# %% [markdown]
# For both arms likeness goes up, the match with the prompt goes down a little, and more is copied; for IaD that is no trifle. The
# reason is plain: pixels of the photo bring the photo's own face, which pulls back, and the smile is one of its details. A mask of
# one half leaves half of every fold of the cheek. What sets the arms apart is there as before, finished or not. (The level of
# `copied` differs from face to face; compare rows of one table only.)
#
# So a finished clip is for looking at. Whoever asks what the embeddings carry, as this page did, sets `detail_scale=0`.

# %% [markdown]
# ## Exercises
#
# **1.** Give every latent frame the action tokens in reverse order, `action.flip(1)`, and sample by hand as in section 5. What do you
# expect of "opens his mouth", and of "nods"?
#
# <details><summary>Answer</summary>
#
# Latents of frame $k$ look at the action tokens of frame $k$ only, so the action runs backwards: the mouth starts open and closes. A nod
# backwards is nearly a nod. The words still say "opens", but section 7 showed who decides.
#
# </details>
#
# **2.** Set `block.identity_focus.data.zero_()` for all adapted blocks, make the attention maps of section 6 again, and the clip. What
# remains of the person?
#
# <details><summary>Answer</summary>
#
# Without the penalty every patch looks at many tokens at once (in the first block at 17, counted by the entropy of its weights, and
# at 1 before), for training never had to find the places by content. The clip, made with `detail_scale=0`, falls apart into dim
# patches with visible seams, and hardly anything remains: likeness 0.18 in place of 0.88. `IdentityPatch` still tells each patch
# its own cells, and does not save it. It is a prior that the model leans on.
#
# </details>
#
# **3.** Hand the finisher the wrong photo: his soft frame, and the picture of a stranger, say `faces.crops[faces.find(person=4,
# action="neutral", take=0)]`. Who comes out, and what does that say of who decides about the person?
#
# <details><summary>Answer</summary>
#
# ```python
# stranger = to_tensor(faces.crops[faces.find(person=4, action="neutral", take=0)])
# theirs = pipe.parts["encoder"](stranger)
# own = pipe.parts["decoupler"](theirs.vector, theirs.tokens).code
# mixed = to_uint8(finisher(to_tensor(soft), stranger, code, own))
# ```
#
# It is still he, in some of the stranger's skin. Ask the encoder: his soft frame was 0.88 like him and 0.41 like person 4, the
# mixed one is 0.75 and 0.50. The finisher believes a photo only where it fits the frame: the mean of the mask falls from 0.73, with
# his own photo, to 0.36. So the denoiser decides who it is, and it knows that from $i$ alone; the finisher adds what fits. But it
# pulls, and to whom: to whoever is in the photo.
#
# </details>
