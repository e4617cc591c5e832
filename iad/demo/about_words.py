"""What the About tab says. Entries of a card are parted by empty lines."""

from iad.demo.hardware import FULL_SIZE_GB

# From docs/results.md, 64 held-out people x 8 actions, with the finisher; a test compares.
RESULTS = {
    "iad": ("IaD", "94 %", "0.06", "0.72", "96 %"),
    "consisid": ("ConsisID’s recipe", "31 %", "0.76", "0.77", "96 %"),
    "id-animator": ("ID-Animator’s recipe", "31 %", "0.58", "0.78", "97 %"),
}
COLUMNS = (
    "Method",
    "Action seen",
    "Photo’s expression copied",
    "Likeness, FaceSim-Arc",
    "Right person of 64",
)
FACE_LEFT, FACE_KEPT, CHANCE, CLIP_SECONDS = "0.84", "0.35", "0.11", "0.75"

LEAD = """
<p class="lead">IaD splits what a face encoder sees in a photo into <b class="identity">who it is</b> and
<b class="action">what the face does</b>, and hands only the first to the video model. The second comes from
your words. So the smile in the photo stays in the photo. The idea is from the paper (arXiv 2606.22347), of
which we know the abstract; the rest is our own reading.</p>
"""
RESULTS_NOTE = f"""
<p>People whom training never saw, the photo always showing another action than the prompt. The three
methods share one base, data, steps and the finisher that brings the photo’s detail back; the two recipes
are our small versions, not the published systems. True renders of the same people reach 0.75 in
likeness; more is the gain of copying. Without the finisher IaD copies 0.02, shows 93 %, and its likeness is
0.59. A control with IaD’s references and action channel, but without the split, shows the action as often,
on twelve people, and copies 10 % of the expression without the finisher, where IaD copies none; what the
split adds besides is embeddings that can be read and swapped.
A probe reads the expression, one of nine, from the identity at {FACE_KEPT}, from the undivided embedding
at {FACE_LEFT} (chance {CHANCE}). All tables: docs/results.md.</p>
"""
CARDS = {
    "Honest limits": """
Who faces the camera is recognised; the finisher also keeps a little of the photo’s expression, so that broad
smiles, frowns and closed eyes may come out too slight.

Open mouths are soft inside; turns show double edges. On dark skin actions look slighter, and raised
brows too dark.

A scene named in the prompt is hardly heeded.

Far turned heads, very dark photos and children were not trained for. Results by group of people are not
measured.

Facial actions are not emotions, and the scores beside a clip are the model’s own opinion.
""",
    "Data and licences": """
Nobody in the training data exists: generated portraits (SFHQ, MIT) and rendered heads (ICT-FaceKit,
MIT), brought to life by us.

Portraits that might show minors were left out.

Code and weights: Apache-2.0. The sentence encoder, all-MiniLM-L6-v2: Apache-2.0.

The example faces do not exist either, but for the astronaut, a NASA photo in the public domain.
""",
    "Consent and privacy": """
Use photos only of people who agreed; the box at the top asks, and an upload is not looked at without.

Photos and clips are deleted within two hours, files to verify at once; embeddings
stay in your session's memory for half an hour at most.

No analytics, no outside request, no history. Other visitors cannot see yours.

The link in the address bar holds settings and prompt, never the photo.
""",
    "Every file says AI-generated": """
A label in the corner, which the app puts on, and a note inside the file: model, method, seed, prompt.

The digital source type of IPTC, trainedAlgorithmicMedia, for programs that look for it.

Signed Content Credentials (C2PA) where whoever runs this page has a certificate.

The Verify tab reads all three, and says what they prove.
""",
}
QUESTIONS = {
    "Why is it not my friend’s exact face?": """
mini has a few million parameters and learned on two CPU cores from people who do not exist. Skin, hair and
features come back from the photo, but the shape of the face is what so small a model drew: it drifts.
""",
    "How do 128 pixels become 384?": """
The model draws 128 pixels, softly: every pixel costs training and waiting on a CPU. A finisher then finds out
where in the photo each of them comes from, and takes the detail from there. It is ours, not the paper’s; with
*Photo detail* at 0 a clip shows what the two embeddings alone carry.
""",
    "Is the identity free of leaks?": f"""
No. A probe still reads the expression at {FACE_KEPT} where chance is {CHANCE}, and a little of the head’s
pose, and the action still tells a little of the person. It is far less than in the undivided embedding.
""",
    "Which hardware does it need?": f"""
mini needs none but a CPU: {CLIP_SECONDS} s for a clip on two cores, less than 1 GB of memory. The full-size
model, CogVideoX-5B, needs a CUDA GPU with about {FULL_SIZE_GB} GB, and minutes for a clip.
""",
    "Is this the authors’ code?": """
No. It is the first open implementation, by others, from the abstract.
""",
    "Can I tell a clip from a real video?": """
Of mini mostly: open mouths and turned heads are soft. Of larger models not for long; so label what you
make, and do not rely on notes alone.
""",
}
PYTHON = """from gradio_client import Client, handle_file

page = Client("{address}")
clip, report, *_ = page.predict(
    photo=handle_file("photo.jpg"), prompt="laughs", consent=True, api_name="/generate"
)
three = page.predict(
    photo=handle_file("photo.jpg"), prompt="nods", consent=True, api_name="/compare"
)
split = page.predict(
    files=[handle_file("photo.jpg")], prompts="smiling\\neyes closed", consent=True, api_name="/decouple"
)
said = page.predict(file=handle_file("clip.mp4"), api_name="/verify")
"""
ADDRESS = "http://127.0.0.1:7860"
MCP_ON = """
This page is an MCP server, too: connect to <code>/gradio_api/mcp/</code>; its tools are these
endpoints.
"""
MCP_OFF = """
As MCP tools: whoever runs the page installs <code>gradio[mcp]</code> and starts it again; the tools are
then at <code>/gradio_api/mcp/</code>.
"""
