"""How much nearer to the truth the refiner brings drawn mouths, on people whom training never saw.

    python -m tests.benchmarks.refining [--people 200] [--picture sheet.png]

Held-out photo people perform something else, the picture of that is made to do what the photo shows, and that
is compared with the photo, before and after the refiner: mean absolute error of colours from 0 to 1.
"""

import argparse

import numpy as np
import torch
from einops import rearrange

from iad import IaDPipeline
from iad.geometry.head import load_geometry
from iad.geometry.refining import INSIDE
from iad.media.video import save_picture
from iad.portraits.captions import load_people_words
from iad.portraits.clips import is_held_out
from iad.portraits.photo import load_photo_people
from iad.training.refiner_stage import make_pairs, run

LIPS = 0.3  # what the channel of lips is more than on them and between them
OPEN = 0.01  # share of a look between the lips of a mouth that is open


def main() -> None:
    """Print the errors, and draw photo, drawn, repaired and true mouths side by side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--picture")
    options = parser.parse_args()
    parts, labelled = IaDPipeline.from_pretrained("mini", device="cpu").parts, load_people_words()
    records = [r for r in load_photo_people() if r.number in labelled and is_held_out(r.number)]
    pairs = make_pairs(load_geometry(), parts["reader"], records, people=options.people)
    rows = {
        name: rearrange(torch.from_numpy(getattr(pairs, name)), "b h w c -> b c h w").float() / 255
        for name in ("looks", "photos", "truths")
    }
    rows["conditions"] = torch.from_numpy(pairs.conditions)
    with torch.inference_mode():
        change = torch.cat([
            run(parts["refiner"], {name: x[k : k + 32] for name, x in rows.items()})
            for k in range(0, len(pairs), 32)
        ])  # fmt: skip
    before, truth, lips = rows["looks"][:, :3], rows["truths"], rows["looks"][:, 3:4]
    inside, within = (lips > INSIDE).float(), (lips > LIPS).float()
    opened = inside.mean((1, 2, 3)) > OPEN
    print(f"{len(pairs)} pairs of {len(set(pairs.person))} people")
    for title, chosen in (("mouths that open", opened), ("mouths that close", ~opened)):
        for name, where in (("inside", inside), ("lips", within - inside), ("skin", 1 - within)):
            errors = [
                ((x - truth).abs().mean(1, keepdim=True) * where)[chosen].sum((1, 2, 3))
                / where[chosen].sum((1, 2, 3)).clamp(min=1)
                for x in (before, before + change)
            ]
            first, last = (float(error.mean()) for error in errors)
            better = float((errors[1] < errors[0]).float().mean())
            print(f"{title} ({int(chosen.sum())}), {name}: {first:.4f} -> {last:.4f}, better in {better:.0%}")
    if options.picture:
        shown = np.random.default_rng(0).permutation(len(pairs))[:30]
        columns = torch.stack([x[shown, :3] for x in (rows["photos"], before, before + change, truth)])
        sheet = rearrange(columns, "k (b three) c h w -> (b h) (three k w) c", three=3).clamp(0, 1) * 255
        save_picture(options.picture, sheet.round().byte().numpy())


if __name__ == "__main__":
    main()
