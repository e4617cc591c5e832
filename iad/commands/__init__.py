"""What each command of the command line does, one file a family.

In come parsed arguments, out comes the command's JSON report. Whatever can be wrong with the words is found
before a model is loaded, and everything heavy is imported by the command that needs it.
"""

from iad.commands.accept import accept
from iad.commands.batch import batch
from iad.commands.data import download, examples, pack, prepare, preview, render
from iad.commands.decouple import decouple
from iad.commands.demo import demo
from iad.commands.evaluate import evaluate
from iad.commands.generate import generate
from iad.commands.train import train
from iad.commands.verify import verify

__all__ = [
    "accept", "batch", "decouple", "demo", "download", "evaluate", "examples", "generate", "pack",
    "prepare", "preview", "render", "train", "verify",
]  # fmt: skip
