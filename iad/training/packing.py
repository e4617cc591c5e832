"""What a training leaves -> a folder to use and to publish: float16 weights, checksums, logs and a card.

`write_shards` also writes that folder as a few files of bounded size, to be carried away from a machine that
lets nothing larger out; `cat NAME.zip.* > NAME.zip` joins them.
"""

import json
import math
import platform
import shutil
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any

from safetensors import safe_open

from iad import checkpoint
from iad.checkpoint import write_whole
from iad.training.loop import get_device
from iad.training.plan import PLAN
from iad.training.state import read_progress

SHARD_BYTES, MOST_SHARDS = 16 * 2**20, 8
LOG_LINES = 300  # of each stage, at most
REPOSITORY = Path(__file__).parents[2]


def describe_call(command: str) -> dict[str, Any]:
    """Say what is known of this call: command, code, date and machine."""
    return {
        "command": command,
        "commit": find_commit(),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "hardware": describe_hardware(),
    }


def find_commit() -> str:
    """Return the commit of the code that runs, with a plus where it was changed since; or "unknown"."""

    def ask(*words: str) -> str:
        words = ("git", "-C", str(REPOSITORY), *words)
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(ask("rev-parse", "--show-toplevel")) != REPOSITORY:
            return "unknown"
        return ask("rev-parse", "HEAD") + ("+" if ask("status", "--porcelain", "-uno", "--", "iad") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def describe_hardware() -> str:
    """Name the GPU, if there is one, and the processor with the cores that this process may use."""
    import torch

    from iad.training.rendering import count_cores

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    cpu = f"{count_cores()} cores of {models[0] if models else platform.machine() or 'a CPU'}"
    return f"{torch.cuda.get_device_name()}, {cpu}" if get_device().type == "cuda" else f"{cpu}, no GPU"


def pack(output: Path, folder: Path, journal: dict[str, Any]) -> Path:
    """Write what there is of a training's weights, halved, to `folder`, with logs and a card; returns it."""
    weights = output / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    if (weights / checkpoint.MANIFEST).exists():
        checkpoint.save_preset(folder, checkpoint.load_preset(weights))
        for part in checkpoint.list_parts(weights):
            if checkpoint.is_sound(weights, part):
                checkpoint.save_part(folder, part, checkpoint.load_part(weights, part), half=True)
        shutil.copyfile(checkpoint.WEIGHTS / "mini" / "GEOMETRY_LICENSE", folder / "GEOMETRY_LICENSE")
    _copy_logs(output, folder)
    for name in ("clips", "stills"):
        journal.setdefault("data", {})[name] = _count(output, name)
    write_whole(folder / "README.md", write_card(output, folder, journal).encode())
    return folder


def _copy_logs(output: Path, folder: Path) -> None:
    for log in sorted(output.glob("*/log.jsonl")) + sorted(output.glob("scorers/*/log.jsonl")):
        lines = log.read_text().splitlines(keepends=True)
        kept = lines[:: max(1, math.ceil(len(lines) / LOG_LINES))]
        (folder / "logs").mkdir(exist_ok=True)
        name = "-".join(log.parent.relative_to(output).parts)
        write_whole(folder / "logs" / f"{name}.jsonl", "".join(kept).encode())
    if (output / "ablations").is_dir():
        shutil.copytree(output / "ablations", folder / "ablations", dirs_exist_ok=True)


def _count(output: Path, kind: str) -> int:
    if kind == "clips":
        return sum(len(path.read_text().splitlines()) for path in (output / "clips").glob("*.jsonl"))
    path = output / "clips" / "stills" / "stills.npz"
    if not path.exists():
        return 0
    import numpy as np

    with np.load(path) as file:
        return len(file["person"])


def write_card(output: Path, folder: Path, journal: dict[str, Any]) -> str:
    """Write the model card from the journal and the logs alone."""
    stages = [_describe_stage(output, name, journal["finished"].get(name)) for name in PLAN]
    calls = [
        f"- {call['date']}, {call['minutes']:g} minutes, commit `{call['commit']}`, {call['hardware']}: "
        f"`{call['command']}`"
        for call in journal["calls"]
    ]
    bound = f"{journal['steps']} steps a stage" if journal["steps"] else f"{journal['minutes']:g} minutes"
    data = journal["data"]
    return "\n".join([
        "---", "license: apache-2.0", "tags: [video, portrait, identity-action-decoupling]", "---", "",
        f"# {journal['preset']}", "",
        "Weights of IaD video portraits, written by the commands below and by nothing else. "
        "`IaDPipeline.from_pretrained` reads this folder.", "",
        "## Training", "",
        f"Seed {journal['seed']}, {bound}, arms {', '.join(journal['arms'])}; "
        f"{data['clips']} clips and {data['stills']} stills were made for it.", "",
        *calls, "",
        f"All calls together took {sum(call['minutes'] for call in journal['calls']):.1f} minutes.", "",
        "| stage | steps | minutes | last loss | |", "|---|---|---|---|---|",
        *(row for row in stages if row), "",
        "## Files", "", "| file | million numbers |", "|---|---|",
        *(f"| `{path.name}` | {_count_numbers(path) / 1e6:.2f} |" for path in _list_files(folder)), "",
        "float16 safetensors; `manifest.json` holds the preset and the checksums, `logs/` the losses. "
        "`geometry` is made from ICT-FaceKit, (c) 2020 USC Institute for Creative Technologies, MIT: "
        "GEOMETRY_LICENSE. Nobody in the training data exists. Use it only for people who agreed.", "",
    ])  # fmt: skip


def _list_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _count_numbers(path: Path) -> int:
    with safe_open(path, framework="np") as file:
        return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118


def _describe_stage(output: Path, name: str, finished: dict[str, Any] | None) -> str:
    found = [*(output / name).glob("checkpoint"), *(output / name).glob("*/checkpoint")]
    folders = sorted(path.parent for path in found)
    if not (finished or folders):
        return ""
    reached = [read_progress(folder) for folder in folders]
    minutes = sum(seconds for _, seconds in reached) / 60 or (finished or {}).get("minutes", 0)
    steps, losses = ", ".join(str(step) for step, _ in reached), ", ".join(map(_last_loss, folders))
    note = finished.get("note", "") if finished else "unfinished"
    return f"| {name} | {steps} | {minutes:.3g} | {losses} | {note} |"


def _last_loss(folder: Path) -> str:
    lines = (folder / "log.jsonl").read_text().splitlines() if (folder / "log.jsonl").exists() else []
    return f"{json.loads(lines[-1])['total']:.4g}" if lines else "–"


def write_shards(folder: Path, output: Path) -> list[Path]:
    """Write a folder as at most 8 files of at most 16 MiB, `NAME.zip.001` and so on; returns them.

    Raises:
        ValueError: it is larger than that.
    """
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob(f"{folder.name}.zip*"):
        old.unlink()
    archive = output / f"{folder.name}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            file.write(path, Path(folder.name) / path.relative_to(folder))
    size, files = archive.stat().st_size, []
    if size > SHARD_BYTES * MOST_SHARDS:
        archive.unlink()
        raise ValueError(
            f"{folder} has {size / 2**20:.0f} MiB packed, more than {MOST_SHARDS} files of 16 MiB hold; copy "
            "the folder itself."
        )
    with archive.open("rb") as file:
        for number in range(1, math.ceil(size / SHARD_BYTES) + 1):
            files.append(output / f"{archive.name}.{number:03d}")
            files[-1].write_bytes(file.read(SHARD_BYTES))
    archive.unlink()
    return files
