"""Training of every part, stage by stage; each stage's module says what it learns from.

`iad.training.stages.train` trains one stage, `iad.training.whole` all of them. The stages, in order, stand in
`iad.training.timetable`:

- geometry: the compact head that draws, made and not learned (`iad.training.compact_geometry`)
- performing: words -> track; needs no face (`iad.training.performer_stage`)
- autoencoder: frames <-> latents
- encoder: face -> embedding and tokens; frozen from then on
- reader: face -> landmarks, coefficients, pose, what is covered
- refiner: what geometry draws of a mouth -> what is there (`iad.training.refiner_stage`)
- decoupler: the split, by L_ID and L_TA
- recogniser: the split of the recogniser's token, and what a track is as a code, in closed form
- base, then adapters, or joint: the denoiser
- scorers: judges that never take part in conditioning
- ablations: the decoupler without one term of its losses at a time
"""

from iad.training.timetable import STAGES

__all__ = ["STAGES"]
