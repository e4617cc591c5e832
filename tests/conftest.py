"""What every test shares: one thread, no network, and shapes that are checked at every call."""

import os

# Two spinning OpenMP threads on a busy machine are forty times slower than one. Torch, where a test needs it,
# takes its number of threads from here.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

from jaxtyping import install_import_hook

install_import_hook("iad", "shape_checks.check")
