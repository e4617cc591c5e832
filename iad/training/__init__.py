"""Training of every part, stage by stage: autoencoder, encoder, decoupler, base and adapters."""

from pathlib import Path

STAGES = ("autoencoder", "encoder", "decoupler", "base", "adapters", "joint")


def run(
    stage: str,
    *,
    output: Path,
    preset: str = "mini",
    arm: str = "iad",
    data: Path | None = None,
    minutes: float = 10.0,
    resume: bool = False,
) -> Path:
    """Train one stage and return the folder of weights; `joint` trains base and adapters at once.

    Args:
        stage: one of `STAGES`.
        output: holds one folder a stage, and `weights/`.
        preset: a name in `iad.config.PRESETS`.
        arm: only "iad" so far.
        data: a pool of clips; `output / "clips"` by default.
        minutes: time budget of this run.
        resume: go on from the stage's last checkpoint, if there is one.

    Raises:
        ValueError: unknown stage or preset, an arm that cannot be trained yet, or a missing earlier stage.
        FileNotFoundError: there are no clips.
    """
    from iad.training.stages import Options, train

    if arm != "iad":
        raise ValueError(f"The arm {arm!r} cannot be trained yet; use 'iad'.")
    options = Options(data=data or output / "clips", output=output, minutes=minutes, resume=resume)
    return train(stage, preset=preset, options=options)
