"""What the Compare tab says."""

HEADINGS = {
    "iad": ("IaD", "Only the identity part of the photo goes in; the action comes from the words."),
    "consisid": ("ConsisID’s recipe", "The face crop itself goes in, with its expression."),
    "id-animator": ("ID-Animator’s recipe", "The undivided face tokens go in, without the crop."),
}
INTRODUCTION = """
<p>All three share one base model, data, training steps and prompt. They differ in what of the photo reaches
the model. Nothing is drawn with the photo’s pixels here, because drawing is not the method: the clips are the
denoiser’s own, small and soft, and show what the embeddings alone carry. Choose a photo whose expression is
<em>not</em> what you ask for: whoever copies the photo gives itself away. These are our small
re-implementations of the two recipes, not the published systems.</p>
"""
FULL_HEADINGS = {
    "iad": ("IaD on {model}", "Only the identity part of the photo goes in, in every second block."),
    "consisid": ("ConsisID", "The published system, built on the same CogVideoX-5B."),
    "id-animator": ("ID-Animator", "The published system, on AnimateDiff: 16 frames of 512 × 512 pixels."),
}
FULL_INTRODUCTION = """
<p>The published systems with their own weights, each with the settings of its authors: the same photo, words
and seed. They differ in base model, data and size, so this shows what each makes, not which idea is better;
for that, compare the recipes on mini.</p>
"""
FINISHED_NOTE = """
<p class="quiet"><b>A finished example:</b> {name} ({credit}) smiles in the photo, and the prompt says
“{prompt}”. Watch who keeps the photo’s smile. Press <b>Make three clips</b> for your own.</p>
"""
LEGEND = """
<p class="quiet">Cosines of what a recogniser and the reader see in the frames: 1 is the same, 0 unrelated; a
dash where nothing was understood or found. Little should be copied,
unless the photo shows what you asked for. What independent judges say is in the project’s results.</p>
"""
COLUMNS = ("Method", "Likeness to the photo", "Action asked for", "Photo’s own action copied", "Seconds")
