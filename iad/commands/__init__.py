"""What each command of the command line does, one file a family.

In come parsed arguments, out comes the command's JSON report. Whatever can be wrong with the words is found
before a model is loaded, and everything heavy is imported by the command that needs it.
"""

from iad.commands.data import download, examples, pack, prepare, preview, render
from iad.commands.decouple import decouple, verify
from iad.commands.evaluate import accept, evaluate
from iad.commands.generate import batch, demo, generate
from iad.commands.train import train

__all__ = [
    "accept", "batch", "decouple", "demo", "download", "evaluate", "examples", "generate", "pack",
    "prepare", "preview", "render", "train", "verify",
]  # fmt: skip
