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
# how the clips that a visitor sees are drawn.
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
from iad.models.autoencoder import decode_latents, to_tensor, to_uint8
from iad.plots import face_sheet

pipe = IaDPipeline.from_pretrained("mini", device="cpu")
photo = "../examples/person-131.png"
face = pipe.find_face(photo)
face_sheet(face.image[None], ["he smiles"], columns=1, size=160)

# %% [markdown]
# This man does not exist; he was rendered. We want to see him open his mouth, and his smile must not come along.
#
# ## 1. What is injected
#
# The frozen encoder and the split turn the crop into 64 tokens $f = i + a + r$, one for every cell of an 8 × 8 grid over the
# picture. What his face does was read when it was found: a *track*, 57 weights of muscles and the pose of the head. It says what $a$
# is. Only $i$ goes on. The photo's own $a$ and the residual $r$ are dropped here, and so are its pixels; what is drawn with them
# is the matter of section 11.

# %%
from iad.performing import track_to_code

features = pipe.parts["encoder"](to_tensor(face.image[None]))
own_code = pipe.recognised.to_code(torch.from_numpy(track_to_code(face.track))[None])
split = pipe.parts["decoupler"](features.vector, features.tokens, own_code)
print("identity tokens:", tuple(split.identity.shape), "(people, tokens, width)")

# %% [markdown]
# The action comes from the prompt instead. $T$ makes of the words a track over time, in the same 60 numbers. At every *latent frame*
# it is turned to a code, and the same matrix that expands the codes of faces expands these to tokens:

# %%
from iad.performing import perform_prompt

frames, stack = pipe.preset.latent_frames, pipe.preset.frames_per_latent
ask = {"seconds": pipe.preset.duration, "fps": pipe.preset.fps, "seed": 0}
said = perform_prompt(pipe.parts["performer"], pipe.text_encoder, "opens his mouth", **ask)
code = torch.from_numpy(track_to_code(said.track[::stack]))[None]
action = pipe.expand(code)
print("tracks:       ", tuple(code.shape), "(clips, latent frames, numbers)")
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
from iad.models.transformer import create_transformer

fresh = create_transformer(pipe.preset).eval()
shape = (1, frames, pipe.preset.latent_channels, pipe.preset.latent_size, pipe.preset.latent_size)
noise = torch.zeros(shape)  # the mean of the noise that a sampler would begin from
words, silence = (pipe.text_encoder.encode([text]).states for text in ("opens his mouth", ""))
print("latents:", tuple(noise.shape), " words:", tuple(words.shape))

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
# Queries come from the latents; in a sampler, as the full-size model is, they change with every denoising step. Keys and values come
# from the tokens, and **do not depend on the step**. `adapt` projects them once for the whole video, and what each patch is told of
# its cells as well:

# %%
keys, values = states.identity[0]
print("identity keys of one block:", tuple(keys.shape), "(clips, heads, tokens, width of a head)")
print("action keys of one block:  ", tuple(states.action[0][0].shape), "(frames, heads, tokens, width)")
count = sum(k.numel() + v.numel() for k, v in states.identity + states.action)
print(f"{len(states.identity)} adapted blocks, {count * 4 / 1e6:.1f} MB in all")

# %% [markdown]
# ## 5. A clip by hand
#
# That is all a clip needs: identity tokens, action tokens, words. They almost determine it, so mini's denoiser is no sampler: it
# *predicts* the clip in one step, at the timestep where the published model begins from pure noise, and begins from zeros, the mean of
# that noise. `predict` runs it, the autoencoder turns latents into pixels. (The two scales of `Guidance` are explained in section 9.)

# %%
from iad.models.predicting import Conditions, Guidance, predict

own = pipe.preset.sampler
guidance = Guidance(own.guidance_scale, own.identity_guidance_scale, identity_scale=1.0, action_scale=1.0)
conditions = Conditions(split.identity, action, None, words, silence)
made = {"preset": pipe.preset, "frames": frames}
latents = predict(transformer, conditions, guidance, **made)
clip = to_uint8(decode_latents(pipe.parts["autoencoder"], latents, stack)[0])
face_sheet(clip[::2], columns=8, titles=["by hand"])

# %% [markdown]
# The pipeline does the same where it is asked for what the embeddings alone carry: `detail_scale=0`, here and up to section 11.

# %%
plain = {"detail_scale": 0.0, "seed": 0}
result = pipe(photo, "opens his mouth", **plain)
apart = np.abs(result.frames.astype(int) - clip).max()
print("the pipeline makes the same clip, up to", apart, "of 255 grey levels")

# %% [markdown]
# ## 6. Which token looks where
#
# First the **reader**: 64 learned queries read $f$ from the encoder's tokens, in two layers. `read_where` (in
# `tutorial_figures.py`) records their attention. The frame is the cell that a query belongs to; colour is where it looks.

# %%
from tutorial_figures import cell_box, overlay_attention, read_where, watch_adapters

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
from iad.portraits.collection import load_collection

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
    latents = predict(transformer, conditions, guidance, **made)
    pictures.append(to_uint8(decode_latents(pipe.parts["autoencoder"], latents, stack)[0])[10])
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
tracks = [perform_prompt(pipe.parts["performer"], pipe.text_encoder, p, **ask).track for p in prompts]
told = [torch.from_numpy(track_to_code(track[::stack]))[None] for track in tracks]
heard = [pipe.text_encoder.encode([prompt]).states for prompt in prompts]

# %%
pictures = []
for states in heard:
    for code in told:
        tokens = pipe.expand(code)
        conditions = Conditions(split.identity, tokens, None, states, silence)
        latents = predict(transformer, conditions, guidance, **made)
        pictures.append(to_uint8(decode_latents(pipe.parts["autoencoder"], latents, stack)[0])[10])

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
# `identity_scale` and `action_scale` multiply what the two attentions add. Down: identity; across: action. (`action_scale` is the
# denoiser's here; where the clip is drawn it scales the track.)

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
# - With action at 0 the words' first road, the text tokens, takes over: the denoiser still hears "opens his mouth".
# - Beyond 1 both exaggerate. Training saw 1 (and 0 now and then), nothing else, so neither number need go on rising.
#
# ## 9. Guidance
#
# A dial weighs an input. *Guidance* weighs a **difference of outputs**. Three rows are denoised side by side: *told* hears everything,
# *free* is the same person without words and action, *nobody* has no identity either:
#
# $$v = v_{\text{nobody}} + g_i\,(v_{\text{free}} - v_{\text{nobody}}) + g\,(v_{\text{told}} - v_{\text{free}}).$$
#
# $g$ = `guidance_scale`, $g_i$ = `identity_guidance_scale`. At $g = g_i = 1$ only *told* is left, and one row is enough.

# %%
for words_scale, person_scale in ((1.0, 1.0), (1.6, 1.0), (1.6, 1.2)):
    print(words_scale, person_scale, "->", Guidance(words_scale, person_scale, 1.0, 1.0).rows, "rows")

# %%
across, down = ((1.0, 3.0), (1.0, 2.0)) if SMOKE else ((1.0, 1.6, 3.0, 6.0), (1.0, 1.5, 2.0))
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
# Guidance exaggerates what distinguishes one row from another, errors included: of the person contrast and colours, of the words
# hard edges, and of a turned head a second one beside the first: what *free* would show is taken away where it stands. `mini` uses 1.6
# and 1.

# %% [markdown]
# ## 10. Why an older recipe copies expressions
#
# ConsisID's recipe shows the denoiser two things of the photo: the **crop's latents**, joined to the latents of the first
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
# `copied` says how well the clip, read anew, does what the *photo* does; 1 is exactly that, below 0 the opposite. Compare the two arms
# row by row. Who copies is also liker to the photo: likeness is measured against it, smile and all.
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
            latents = predict(arm.transformer, conditions, guidance, **made)
            pictures.append(to_uint8(decode_latents(decoder, latents, stack)[0]))
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
# every second block, while the crop is joined to the first latent frame alone and the others have one step to hear of
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
# One photo and a few prompts are an anecdote; `docs/results.md` has the tables over 64 people (and twelve for the controls).
# What they say: references that show another action are the first half of the cure, a channel of its own for the action is
# the second; a control with both but without the split shows the action as often and still copies 10 % of the photo's
# expression, where IaD copies none (twelve people). What the split adds besides are embeddings that can be read and exchanged, as in section 6 and 7 of this page.

# %% [markdown]
# ## 11. What a visitor sees: geometry draws
#
# All frames on this page are soft, and no token could help: the latents keep 24 numbers of a patch of 16 × 16 pixels, and the
# autoencoder cannot draw what is not in them. So the clips of the app come another way. A compact head is *fitted* to the 68
# landmarks of the photo. $T$'s track moves it, 24 times a second, and every pixel of a frame is looked up in the photo where the
# moved head says. **This is ours and no part of the paper's method**, and no network takes part in it but the reader, who finds the
# landmarks.

# %%
from iad.geometry.drawing import draw, enlarge, fit_photo
from iad.media.photos import load_image

fitted, notes = fit_photo(pipe.geometry, load_image(photo), face)
print(f"landmarks missed by {fitted.error:.1%} of the eye distance;", *notes)
said = perform_prompt(pipe.parts["performer"], pipe.text_encoder, "opens his mouth", seed=0)
drawn = draw(fitted, said.track, size=384)
print("frames:", drawn.frames.shape, {name: f"{share:.1%}" for name, share in drawn.made_of.items()})

# %%
source = fitted.render(said.track[[30]], size=384).source[0]  # of each pixel
where = np.array([[200, 200, 200], [120, 170, 220], [226, 125, 56]], np.uint8)[source]
alone = pipe(photo, "opens his mouth", detail_scale=0, seed=0).frames[[10]]
panels = [enlarge(alone, 384)[0], drawn.frames[0], drawn.frames[30], where]
labels = ["embeddings alone", "drawn, first frame", "drawn, 1.25 s", "where from"]
face_sheet(np.stack(panels), labels, columns=4, size=192)

# %% [markdown]
# In the last picture grey is the photo, looked up; blue was filled from elsewhere in the photo, orange was painted, as are teeth that
# the photo does not show. So who decides what?
#
# | | decides in the drawn clip | decides with `detail_scale=0` |
# |---|---|---|
# | who it is | the photo's pixels and the fitted head | the identity embedding $i$ |
# | what the face does | the track of $T$ or of a driver | the same track, as action tokens |
# | the photo's own action | taken back by the fit, as far as it saw it | dropped with $a$ |
#
# The likeness of a drawn clip says nothing of $i$; it would be there without any embedding. What it shows of decoupling is the
# action's half: the track is all that is taken of a driver or a sentence. And pixels bring the photo's own face along: wherever
# the fit missed a smile, its folds stay. The same sentence, drawn from the photo in which he smiles:

# %%
smiles = faces.crops[faces.find(person=[4, 8, 12, 22], action="smile", take=0)][: 1 if SMOKE else 4]
print(f"{'':16}{'likeness':>9}{'prompt':>9}{'copied':>9}")
for scale in (0.0, 1.0):
    asked = {"detail_scale": scale, "size": 256, "fps": 8}
    scores = [pipe(crop, "opens the mouth", **asked).scores for crop in smiles]
    means = [np.mean([np.mean(s[key]) for s in scores]) for key in ("identity", "action", "copied")]
    print(f"detail_scale {scale:g}  " + "".join(f"{mean:9.2f}" for mean in means))

# %% [markdown]
# Compare the columns: likeness is the pixels', and `copied` is their price. So a drawn clip is for looking at, and
# `docs/results.md` keeps both apart: the *method* is measured with `detail_scale=0`, the *product* as it is drawn.

# %% [markdown]
# ## Exercises
#
# **1.** Give every latent frame the action tokens in reverse order, `action.flip(1)`, and predict by hand as in section 5. What do you
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
# **3.** Whose clip is it if the embeddings are of one person and the photo of another? Draw `said.track` on a stranger, say
# `faces.crops[faces.find(person=4, action="neutral", take=0)[0]]`, and predict by hand with his $i$. Which of the two pictures knows $i$?
#
# <details><summary>Answer</summary>
#
# ```python
# crop = faces.crops[faces.find(person=4, action="neutral", take=0)[0]]
# stranger, _ = fit_photo(pipe.geometry, crop, pipe.find_face(crop))
# face_sheet(draw(stranger, said.track, size=192).frames[::6], columns=8)
# ```
#
# The drawing is the stranger's, sharp, and it has no place where $i$ could enter: geometry draws whoever is in the photo. The clip by
# hand is his, soft, and no pixel of a photo went into it. Whoever wants to know what an identity embedding is worth has to look at
# the second.
#
# </details>
