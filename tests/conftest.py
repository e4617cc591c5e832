"""What every test shares: one thread, no network, shapes checked at every call."""

import os

# Two spinning OpenMP threads on a busy machine are forty times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)
install_import_hook("iad", "shape_checks.check")
