"""Where published weights come from: a folder as it is, or a repository of the model hub, fetched once.

In: a folder or a hub id. Out: a folder that was checked for being whole. A download starts only where the
disk has room for it, shows its progress on stderr, and when it breaks off keeps the files that are finished.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iad.full_size.folder import check_folder, list_faults

PIPELINE_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")  # never pickles
CONNECT_SECONDS = 5.0  # without this the hub's library retries an unreachable hub for half a minute
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_BYTES_IN_GB = 1e9


def fetch_model(
    source: str | Path,
    *,
    revision: str | None = None,
    files: Sequence[str] | None = None,
    needs_bytes: int | None = None,
    repo_type: str = "model",
) -> Path:
    """Return the folder of a model, downloading it from the hub if it is named by its hub id.

    Args:
        source: a folder, or a hub id "owner/name".
        revision: commit of the hub's repository; None its newest.
        files: patterns of the files that are needed; None all of a diffusers pipeline in safetensors.
        needs_bytes: size of these files, if known; None asks the hub.
        repo_type: "model" or "space".

    Raises:
        ValueError: no such folder or repository, a half-downloaded folder, too little room on the disk, or no
            way to the hub; in one sentence that says what to do.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        wanted = {"revision": revision, "allow_patterns": list(files or PIPELINE_FILES)}
        folder = _fetch(str(source), wanted | {"repo_type": repo_type}, needs_bytes)
    check_folder(folder, files=files)
    return folder


def is_hub_id(source: str | Path) -> bool:
    """Tell whether something can be the name of a repository of the hub."""
    return _HUB_ID.fullmatch(str(source)) is not None


def _fetch(repo: str, wanted: dict[str, Any], needs_bytes: int | None) -> Path:
    """Return the hub's copy of a repository: from the cache, else downloaded."""
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
    _check_connection(repo)
    try:
        _check_room(repo, needs_bytes or _missing_bytes(repo, wanted))
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

    planned = snapshot_download(repo, dry_run=True, tqdm_class=_silent_bar(), **wanted)
    return sum(file.file_size or 0 for file in planned if file.will_download)


def _silent_bar() -> type:
    from tqdm.auto import tqdm

    class Silent(tqdm):
        """A progress bar that is not seen."""

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs | {"disable": True})

    return Silent


def _check_room(repo: str, needs_bytes: int) -> None:
    """Refuse a download that the disk has no room for."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE).expanduser()
    there = next(place for place in (cache, *cache.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needs_bytes > free:
        needs, has = needs_bytes / _BYTES_IN_GB, free / _BYTES_IN_GB
        raise ValueError(
            f"{repo} needs {needs:.1f} GB and the disk of {cache} has {has:.1f} GB free; make room, or set "
            "HF_HOME to a folder on a larger disk."
        )


def _explain(error: Exception, repo: str, revision: str | None) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    causes = (error, error.__cause__)
    if any(isinstance(cause, GatedRepoError) for cause in causes):
        return f"{repo} asks for its licence to be accepted; do so on its page, then run `hf auth login`."
    if any(isinstance(cause, RepositoryNotFoundError) for cause in causes):
        return f"The hub has no public repository {repo}; check the spelling, or run `hf auth login`."
    if any(isinstance(cause, RevisionNotFoundError) for cause in causes):
        return f"The repository {repo} has no revision {revision}; leave it out, or name another commit."
    reason = str(error).strip().splitlines()
    said = f" ({reason[0].rstrip('.')})" if reason else ""
    return f"The download of {repo} broke off{said}; run the same command again, finished files are kept."
