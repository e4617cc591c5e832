"""Where published weights come from: a folder as it is, or a repository of the model hub, fetched once.

In: a folder or a hub id. Out: a folder that was checked for being whole, by its names and by the headers of
its safetensors files. A download starts only where the disk has room for it, shows its progress on stderr,
and when it breaks off keeps the files that are finished.
"""

import json
import re
import shutil
from collections.abc import Sequence
from fnmatch import fnmatch
from math import prod
from pathlib import Path
from typing import Any

PIPELINE_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")  # never pickles
CONNECT_SECONDS = 5.0  # without this the hub's library retries an unreachable hub for half a minute
NAMED = 5  # missing files that a message names
GB = 10**9
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_WITHOUT_WEIGHTS = ("Tokenizer", "TokenizerFast", "Scheduler", "Extractor", "Processor", "ProcessorFast")
_WEIGHTS = ("*.safetensors", "*.bin", "*.ckpt", "*.pt")


def fetch_model(
    source: str | Path,
    *,
    revision: str | None = None,
    files: Sequence[str] | None = None,
    repo_type: str = "model",
    fetch: bool = True,
) -> Path:
    """Return the folder of a model, downloading it from the hub if it is named by its hub id.

    Args:
        source: a folder, or a hub id "owner/name".
        revision: commit of the hub's repository; None its newest.
        files: patterns of the files that are needed; None all of a diffusers pipeline in safetensors.
        repo_type: "model" or "space".
        fetch: whether to download what is not in the hub's cache.

    Raises:
        ValueError: no such folder or repository, a half-downloaded folder, too little room on the disk, or no
            way to the hub; in one sentence that says what to do.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        wanted = {"revision": revision, "allow_patterns": list(files or PIPELINE_FILES)}
        folder = _fetch(str(source), wanted | {"repo_type": repo_type}, fetch=fetch)
    check_folder(folder, files=files)
    return folder


def is_hub_id(source: str | Path) -> bool:
    """Tell whether something can be the name of a repository of the hub."""
    return _HUB_ID.fullmatch(str(source)) is not None


def _fetch(repo: str, wanted: dict[str, Any], *, fetch: bool) -> Path:
    """Return the hub's copy of a repository: from the cache, else downloaded where that is wanted."""
    if not is_hub_id(repo):
        raise ValueError(f"{repo!r} is neither a folder nor a hub id (owner/name); check the spelling.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(repo, local_files_only=True, **wanted))
        if not list_faults(folder, wanted["allow_patterns"]):
            return folder
    except LocalEntryNotFoundError:
        pass
    if not fetch:
        raise ValueError(f"{repo} is not on this machine; download it once by: hf download {repo}")
    _check_connection(repo)
    try:
        _check_room(repo, _missing_bytes(repo, wanted))
        return Path(snapshot_download(repo, **wanted))
    except ValueError:
        raise
    except Exception as error:  # the hub's own, and those of its HTTP library
        raise ValueError(_explain(error, repo, wanted["revision"])) from error


def _check_connection(repo: str) -> None:
    """Find out in seconds whether there is a hub."""
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=CONNECT_SECONDS)
    except OfflineModeIsEnabled as error:
        raise ValueError(
            f"{repo} is not on this machine and HF_HUB_OFFLINE forbids downloads; unset it once, or give the "
            "folder of a downloaded copy."
        ) from error
    except Exception as error:  # whatever the hub's HTTP library raises; it differs by version
        raise ValueError(
            f"{repo} is not on this machine and the hub cannot be reached; connect once, or give the folder "
            "of a downloaded copy."
        ) from error


def _missing_bytes(repo: str, wanted: dict[str, Any]) -> int:
    from huggingface_hub import snapshot_download
    from tqdm.auto import tqdm

    class Silent(tqdm):
        """A progress bar that is not seen."""

        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(*args, **kwargs | {"disable": True})

    planned = snapshot_download(repo, dry_run=True, tqdm_class=Silent, **wanted)
    return sum(file.file_size or 0 for file in planned if file.will_download)


def _check_room(repo: str, needs_bytes: int) -> None:
    """Refuse a download that the disk has no room for."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE).expanduser()
    there = next(place for place in (cache, *cache.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needs_bytes > free:
        needs, has = needs_bytes / GB, free / GB
        raise ValueError(
            f"{repo} needs {needs:.1f} GB and the disk of {cache} has {has:.1f} GB free; make room, or set "
            "HF_HOME to a folder on a larger disk."
        )


def _explain(error: Exception, repo: str, revision: str | None) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    login = "run `hf auth login`"
    sentences = {
        GatedRepoError: f"{repo} asks for its licence to be accepted; do so on its page, then {login}.",
        RepositoryNotFoundError: f"The hub has no public repository {repo}; check the spelling, or {login}.",
        RevisionNotFoundError: f"{repo} has no revision {revision}; leave it out, or name another commit.",
    }
    for kind, sentence in sentences.items():
        if isinstance(error, kind) or isinstance(error.__cause__, kind):
            return sentence
    reason = str(error).strip().splitlines()
    said = f" ({reason[0].rstrip('.')})" if reason else ""
    return f"The download of {repo} broke off{said}; run the same command again, finished files are kept."


def check_folder(folder: Path, *, files: Sequence[str] | None = None) -> None:
    """Refuse a folder that holds only a part of its model.

    Raises:
        ValueError: a file is missing, cut short, or still being downloaded.
    """
    faults = list_faults(folder, files)
    if faults:
        named = ", ".join(faults[:NAMED]) + (", ..." if len(faults) > NAMED else "")
        count = "1 file is" if len(faults) == 1 else f"{len(faults)} files are"
        raise ValueError(
            f"The model folder {folder} is only half there: {count} missing or incomplete ({named}); "
            "download it again, or delete the folder and give the hub id."
        )


def count_parameters(folder: Path) -> dict[str, int]:
    """Return how many parameters each part of a model folder has; a folder without parts is the part ""."""
    parts = {"": folder} | {p.name: p for p in sorted(folder.iterdir()) if p.is_dir()}
    found = {name: [_count(file) for file in _weight_files(part)] for name, part in parts.items()}
    return {name: sum(counts) for name, counts in found.items() if counts}


def list_faults(folder: Path, files: Sequence[str] | None = None) -> list[str]:
    """List the files that a model folder lacks, or holds only in part."""

    def find(pattern: str) -> list[Path]:
        return [*folder.glob(pattern), *folder.glob(f"*/{pattern}")]

    faults = [*find("*.incomplete"), *folder.glob(".cache/huggingface/download/**/*.incomplete")]
    for index in find("*.index.json"):
        shards = {index.with_name(shard) for shard in read_json(index).get("weight_map", {}).values()}
        faults += sorted(shard for shard in shards if not shard.exists())
    faults += [path for path in find("*.safetensors") if _count_header(path) is None]
    exact = [name for name in files or () if not any(sign in name for sign in "*?[")]
    faults += [folder / name for name in exact if not (folder / name).exists()]
    named = [str(path.relative_to(folder)) for path in faults]
    if (folder / "model_index.json").exists():
        named += _list_missing_components(folder, files)
    return list(dict.fromkeys(named))


def read_json(path: Path) -> dict[str, Any]:
    """Read a file of settings.

    Raises:
        ValueError: it is missing, or holds something else.
    """
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path} is missing or unreadable; the folder is no whole copy of a model, download it again."
        ) from error
    return found if isinstance(found, dict) else {}


def check_kind(folder: Path, wanted: str) -> None:
    """Refuse a folder that holds another pipeline of diffusers than this class.

    Raises:
        ValueError: it holds another, or none.
    """
    kind = read_json(folder / "model_index.json").get("_class_name", "pipeline of an unknown kind")
    if kind != wanted:
        raise ValueError(f"{folder} holds a {kind}, not a {wanted}; give the folder or hub id of one.")


def _list_missing_components(folder: Path, files: Sequence[str] | None) -> list[str]:
    """List what a diffusers folder names and lacks; parts that `files` leaves out are not needed."""
    faults = []
    for name, kind in read_json(folder / "model_index.json").items():
        if name.startswith("_") or not isinstance(kind, list) or not all(kind) or not _wanted(name, files):
            continue
        here, light = folder / name, str(kind[1]).endswith(_WITHOUT_WEIGHTS)
        if not here.is_dir() or not any(here.iterdir()):
            faults.append(f"{name}/")
        elif not light and not _weight_files(here) and not any(here.glob("*.index.json")):
            faults.append(f"{name}/*.safetensors")
    return faults


def _wanted(component: str, files: Sequence[str] | None) -> bool:
    # a pattern without a folder is of any depth
    folders = [pattern.split("/")[0] if "/" in pattern else pattern[:1] for pattern in files or "*"]
    return any(fnmatch(component, folder) for folder in folders)


def _weight_files(folder: Path) -> list[Path]:
    """Return the files that a loader would read: the shards of an index, or the one without a variant."""
    for index in sorted(folder.glob("*.safetensors.index.json")):
        shards = set(read_json(index).get("weight_map", {}).values())
        return [folder / shard for shard in sorted(shards) if (folder / shard).exists()]
    for pattern in _WEIGHTS:
        found = sorted(folder.glob(pattern))
        if found:
            return [path for path in found if path.name.count(".") == 1] or found[:1]
    return []


def _count(path: Path) -> int:
    counted = _count_header(path) if path.suffix == ".safetensors" else None
    return path.stat().st_size // 4 if counted is None else counted  # a pickle: at least so many


def _count_header(path: Path) -> int | None:
    """Count the numbers in a safetensors file; None if it is cut short or something else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except SafetensorError:
        return None
