"""What the About tab says. Entries of a card are parted by empty lines."""

from iad.demo.hardware import FULL_SIZE_GB

# FIGURES OF THIS EDITION, of docs/results.md: a row an arm (name, then a value a column), and the seconds of
# a clip on two cores. Empty until they are measured; a test compares them with the document.
RESULTS: dict[str, tuple[str, ...]] = {
    "iad": ("IaD", "91 %", "0.02", "0.74", "55 %"),
    "consisid": ("ConsisID’s recipe", "30 %", "0.61", "0.74", "79 %"),
    "id-animator": ("ID-Animator’s recipe", "24 %", "0.37", "0.73", "71 %"),
}
COLUMNS = (
    "Method",
    "Action seen",
    "Photo’s expression copied",
    "Likeness",
    "Right person",
)
CLIP_SECONDS = "1.87"

LEAD = """
<p class="lead">IaD splits what an encoder sees in a photo of a face into <b class="identity">who it is</b>,
<b class="action">what the face does</b>, and a rest, such as light. The first is kept, the second comes from
your words or from another face, the rest is left out. So the smile in the photo stays in the photo. The idea
is from <a href="https://arxiv.org/abs/2606.22347" target="_blank" rel="noreferrer">arXiv 2606.22347</a>, of
which we know the abstract; the rest is our own reading.</p>
"""
PARTS = (  # of the embedding: its colour, what it is, what becomes of it
    ("identity", "Who it is", "is kept"),
    ("action", "What the face does", "comes from the words instead"),
    ("residual", "The rest, such as light", "is left out"),
)
RESULTS_NOTE = """
<p>The method is judged on clips that nothing was drawn into: what the two embeddings alone carry, as in the
Compare tab, where two older recipes share base, data and steps with it. What a visitor sees is judged apart,
because drawing is not the method. All tables, with the commands that made them: docs/results.md.</p>
"""
CARDS = {
    "Honest limits": """
mini moves the photo’s own pixels with a head fitted to the face; what no photo shows is painted.

A photo holds one side of a face: profiles and far turns are beyond it, and what a turn uncovers is made up.

Teeth and tongue that the photo does not show are painted, not yours.

Something that covers the mouth or an eye stays there, and what it covers does not move.

A scene named in the prompt is not drawn; the photo’s own stays.

Very dark, very small and far turned faces may be refused; children were not trained for.

Facial actions are not emotions. The scores beside a clip are the model’s own opinion, unless they name
an outside judge.
""",
    "Data and licences": """
Nobody in the training data exists: generated portraits (SFHQ, MIT) and rendered heads (ICT-FaceKit,
MIT), brought to life by us.

Portraits that might show minors were left out.

Code and weights: Apache-2.0. The sentence encoder, all-MiniLM-L6-v2: Apache-2.0.

The example faces do not exist either, but for Eileen Collins (NASA) and Grace Hopper (US Navy), whose
photos are in the public domain.

Who somebody is, is told by a recogniser that others trained on real faces (dlib’s, CC0).
""",
    "Consent and privacy": """
Use photos only of people who agreed; the page asks once, and an upload is not looked at without.

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
    "Where do the pixels come from?": """
From your photo. A head is fitted to the face and moves the photo’s own pixels; under every clip stands how
many were painted instead. What moves how is decided by the two embeddings.
""",
    "What do the embeddings alone carry?": """
Set *Photo detail* to 0: then nothing is drawn, and a small denoiser makes the clip from the two embeddings,
128 pixels and 8 frames a second, softly. That is the method, and every claim about it is measured there.
""",
    "Is the identity free of leaks?": """
No. From the identity that the model is given, probes still read much of the expression and nearly all of
the pose that the undivided embedding tells. Into clips hardly any of that expression comes, of the pose some;
the action tells a little of the person. docs/results.md says how much.
""",
    "Which hardware does it need?": f"""
mini needs none but a CPU. The full-size model, CogVideoX-5B, needs a CUDA GPU with about {FULL_SIZE_GB} GB,
and minutes for a clip.
""",
    "Is this the authors’ code?": """
No. It is the first open implementation, by others, from the abstract.
""",
    "Can I tell a clip from a real video?": """
Not always, and of larger models not for long; so label what you make, and do not rely on notes alone.
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
endpoints. A photo is given by the address of an upload (<code>/gradio_api/upload</code>) or as
<code>data:image/jpeg;base64,…</code>; a clip comes back as an address.
"""
MCP_OFF = """
As MCP tools: whoever runs the page installs <code>mcp</code> and starts it again; the tools are
then at <code>/gradio_api/mcp/</code>.
"""
