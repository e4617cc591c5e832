"""mini on another device than the CPU: the same clips, and what happens where there is none or no memory.

On a CPU by the CUDA emulation of `spaces` (tests/zero_gpu.py): a tensor of the path that is made on another
device than its module is an error there, as on a GPU.
"""

import numpy as np
import pytest
import torch
from made_up import ASTRONAUT
from zero_gpu import compare_devices, rehearse

from iad import IaDPipeline

HERE = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}


@pytest.fixture(scope="module")
def made(photo):
    """Give what was made on the CPU, on CUDA, on the CPU again, and on CUDA without memory."""
    return rehearse(compare_devices, photo)


@pytest.mark.slow
def test_everything_computes_on_the_device_and_comes_out_the_same(made):
    devices = {name: result.pop("devices") for name, result in made.items()}
    notes = {name: result.pop("notes") for name, result in made.items()}
    assert devices == {"before": ["cpu"], "cuda": ["cuda:0"], "after": ["cpu"], "full": ["cpu"]}
    assert made["before"] == made["cuda"] == made["after"] == made["full"]
    assert notes.pop("full")[-1].startswith("The GPU's memory did not suffice, so this was made on the CPU")
    assert not any(notes.values())


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("cuda", "There is no CUDA device on this machine"),
        ("mps", "There is no MPS device on this machine"),
        ("cpu:1", "There is no CPU device 1"),
        ("gpu", "Unknown device 'gpu'; choose auto, cpu, cuda or mps"),
        ("cuda:first", "Unknown device 'cuda:first'"),
    ],
)
def test_a_device_that_is_not_there_is_one_sentence(device, words):
    if HERE.get(device):
        pytest.skip("this machine has one")
    with pytest.raises(ValueError, match=words):
        IaDPipeline.from_pretrained("mini", device=device)
    with pytest.raises(ValueError, match=words):
        IaDPipeline.create("tiny").to(device)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_cuda_draws_what_the_cpu_draws():
    asked = {"seed": 3, "detail_scale": 0.5, "size": 128, "duration": 1.0}
    cpu, cuda = (
        IaDPipeline.from_pretrained("mini", device=device)(ASTRONAUT, "a woman smiles", **asked).frames
        for device in ("cpu", "cuda")
    )
    assert np.abs(cpu.astype(float) - cuda).mean() < 0.5  # grey levels; convolutions round to TF32 there
