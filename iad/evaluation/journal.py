"""Measurements on disk, one line of JSON each, so that an interrupted run goes on where it stopped."""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SETTINGS = "settings.json"


class Journal:
    """A file of records, each with a `key`; what is written is on disk before `add` returns.

    Args:
        path: made when the first record comes.
    """

    def __init__(self, path: Path):
        self.path = path
        self.records: dict[str, dict[str, Any]] = {}
        if path.exists():
            self._read()

    def _read(self) -> None:
        whole = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break  # the last run stopped while it wrote this line
                record = json.loads(line)
                self.records[record["key"]] = record
                whole += len(line)
        if whole < self.path.stat().st_size:
            with self.path.open("rb+") as file:
                file.truncate(whole)

    def sorted(self) -> list[dict[str, Any]]:
        """List the records by key: in an order that does not tell which worker was faster."""
        return [self.records[key] for key in sorted(self.records)]

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Write records, after all others."""
        records = list(records)
        with self.path.open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
            file.flush()
        self.records |= {record["key"]: record for record in records}


def start_folder(folder: Path, settings: Mapping[str, Any]) -> list[str]:
    """Make a folder ready for a run with these settings; return which settings an older run had otherwise.

    An older run's measurements are moved to `folder/earlier`, and it is said so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = json.loads(json.dumps(settings))
    path = folder / SETTINGS
    changed = []
    if path.exists():
        older = json.loads(path.read_text())
        changed = [key for key in sorted({*older, *settings}) if older.get(key) != settings.get(key)]
    if changed:
        shutil.rmtree(folder / "earlier", ignore_errors=True)
        (folder / "earlier").mkdir()
        for old in [item for item in folder.iterdir() if item.name != "earlier"]:
            old.rename(folder / "earlier" / old.name)
        names = ", ".join(changed)
        print(
            f"Another run left measurements in {folder} with another setting of {names}; starting anew "
            f"(the old ones are in {folder / 'earlier'}).",
            file=sys.stderr,
        )
    path.write_text(json.dumps(settings, indent=1))
    return changed
