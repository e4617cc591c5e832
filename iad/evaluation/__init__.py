"""How good a model is on people it has never seen: suites `action`, `leakage`, `real` and `speed`.

In comes a model, out come `report.json` and `report.md` (`report`). Where what lives:

    action    a plan lists clips of `people`; `action_clips` makes them by a `cached_pipeline` (or by a warp)
              and reads them into a journal; of it `metrics` make a `summary` for `action_page`. `action`
              runs all.
    leakage   `samples` are faces and their embeddings, which `probes` ask; `crossing` swaps identity and
              action; `leakage_page`. `leakage` splits by algebra, too, and runs all.
    real      faces as they are, of `material`, judged by MediaPipe's `mesh`: `agreement` of what is read,
              `asked` actions, `driven` clips, `cases` that failed once; `real_page`. `real` runs all.
    speed     one file.
    judges    `own_judges`, `outside` (dlib, InsightFace, Inception, CLIP); all intervals by `intervals`.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SUITES = ("action", "leakage", "real", "speed")


def run(
    suite: str,
    *,
    model: str = "mini",
    arms: Sequence[str] | None = None,
    workers: int = 1,
    output: str | Path,
    people: int = 64,
    seeds: int = 3,
    quick: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Run a suite, or "all" of them, and write `report.json` and `report.md`.

    Args:
        suite: a name from `SUITES`, or "all".
        model: a preset or a weights folder.
        arms: whose clips the suite `action` compares; None takes those of the paper and the fair control.
        workers: processes.
        output: a folder; what lies there from an interrupted run with the same settings is used.
        people: held-out people; the suite `real` reads so many photos, and animates up to a quarter of them.
        seeds: how often each measurement is repeated.
        quick: a small version of the suite `real`, in under a minute.
        options: `ablations`, a folder for the suite `leakage`, and further settings of the suite `action`:
            see `iad.evaluation.action.run_action` and `iad.evaluation.people.Plan`.

    Raises:
        ValueError: an unknown suite, arm or model.
        FileNotFoundError: data of the people is missing.
    """
    from iad.evaluation.outside import ACCEPT
    from iad.evaluation.report import write_report

    if suite not in (*SUITES, "all"):
        raise ValueError(f"Unknown suite {suite!r}; choose one of {', '.join(SUITES)}, all.")
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    chosen = SUITES if suite == "all" else (suite,)
    options |= {"arms": arms, "workers": workers}
    settings = {"people": people, "seeds": seeds, "quick": quick, "options": options}
    reports = {name: _run_one(name, str(model), output, **settings) for name in chosen}
    pages = {name: (output / f"{name}.md").read_text() for name in chosen if (output / f"{name}.md").exists()}
    command = (
        (f"{ACCEPT}=1 " if os.environ.get(ACCEPT) == "1" and "action" in chosen else "")
        + f"python -m iad evaluate --suite {suite} --model {model} --people {people} --seeds {seeds}"
        f" --workers {workers} --output {output}"
        + (f" --arms {' '.join(arms)}" if arms else "")
        + (" --quick" if quick else "")
        + (f" --ablations {options['ablations']}" if options.get("ablations") else "")
        + (" --tune" if options.get("tune") else "")
        + (f" --detail-scale {options['detail_scale']:g}" if "detail_scale" in options else "")
    )
    return write_report(output, reports, command=command, pages=pages)


def _run_one(
    name: str, model: str, output: Path, *, people: int, seeds: int, quick: bool, options: dict[str, Any]
) -> dict[str, Any]:
    if name == "action":
        from iad.evaluation.action import run_action

        options = {key: value for key, value in options.items() if key != "ablations"}
        return run_action(model=model, output=output, people=people, seeds=seeds, **options)
    if name == "speed":
        from iad.evaluation.speed import run_speed

        return run_speed(model, output=output)
    from iad.pipeline import IaDPipeline

    pipe = IaDPipeline.from_pretrained(model, device="cpu")
    if name == "real":
        from iad.evaluation.real import QUICK, choose_amounts, run_real

        return run_real(pipe, output=output, amounts=QUICK if quick else choose_amounts(people), model=model)
    from iad.evaluation.leakage import run_leakage

    head = "tiny" if model == "tiny" else "ict"
    options = {"seeds": range(seeds), "head": head, "ablations": options.get("ablations")}
    return run_leakage(pipe, output=output, people=people, **options)
