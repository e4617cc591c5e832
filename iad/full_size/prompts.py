"""A sentence -> the prompt in the manner that a published system was made for.

ConsisID "works well with long and well-described prompts": its authors let GPT-4o write short ones out, we
put them into a fixed text of the same build that adds nothing but a plain portrait. ID-Animator's page adds
words to every prompt, and to what shall not be seen. IaD's base hears the sentence as it is.
"""

LONG = 40  # words; a prompt of so many is left as it was written
QUALITY = " 8k uhd, high quality, medium shot"  # what ID-Animator's page adds
NEGATIVE_PROMPT = (
    "semi-realistic, cgi, 3d, render, sketch, cartoon, drawing, anime, text, close up, cropped, out of "
    "frame, worst quality, low quality, jpeg artifacts, ugly, duplicate, morbid, mutilated, extra "
    "fingers, mutated hands, poorly drawn hands, poorly drawn face, mutation, deformed, blurry, "
    "dehydrated, bad anatomy, bad proportions, extra limbs, cloned face, disfigured, gross proportions, "
    "malformed limbs, missing arms, missing legs, extra arms, extra legs, fused fingers, too many "
    "fingers, long neck long shots, full body"
)

_WRITTEN_OUT = (
    "The video captures one person, head and shoulders, facing the camera: {prompt}. The face is clearly "
    "visible and evenly lit, and every movement of the eyes, the brows and the mouth can be seen as the "
    "expression changes. Soft daylight brings out the texture of skin and hair. The background is calm and "
    "slightly out of focus, and the camera stays where it is. The overall atmosphere of the video is natural "
    "and lifelike."
)


def write_long_prompt(prompt: str) -> str:
    """Write a short prompt out for ConsisID; a long one stays as it is."""
    prompt = prompt.strip()
    return prompt if len(prompt.split()) >= LONG else _WRITTEN_OUT.format(prompt=prompt.rstrip("."))


def add_quality(prompt: str) -> str:
    """Add to a prompt what ID-Animator's page adds."""
    return prompt + QUALITY
