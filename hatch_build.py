"""What the package needs, read from the requirement files when it is built: nothing is written twice.

A line `# [name]` begins what the extra `name` brings; what stands before the first one comes always. In come
the files and the extras of pyproject.toml, out come the wheel's dependencies.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

FILES = ("requirements.txt", "requirements-dev.txt")


class Requirements(MetadataHookInterface):
    """Fills in the dependencies and the extras."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add them to what pyproject.toml says."""
        extras = {"": []} | {name: list(needs) for name, needs in self.config["extras"].items()}
        for file in FILES:
            name = ""
            for line in Path(self.root, file).read_text().splitlines():
                if heading := re.match(r"# \[(\w+)\]", line):
                    name = heading[1]
                elif need := line.partition("#")[0].strip():
                    extras.setdefault(name, []).append(need)
        metadata["dependencies"] = extras.pop("")
        metadata["optional-dependencies"] = extras
