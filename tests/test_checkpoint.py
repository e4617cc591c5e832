"""Weights on disk: whole, checked, bit for bit."""

import json

import pytest
import torch

from iad import IaDPipeline, checkpoint
from iad.models.parts import create_parts, load_parts, split_parts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    IaDPipeline.create("tiny").save_pretrained(folder)
    return folder


def test_round_trip_is_bit_exact(folder):
    made, loaded = IaDPipeline.create("tiny"), IaDPipeline.from_pretrained(folder)
    assert loaded.preset == made.preset
    for key, value in made.parts.state_dict().items():
        assert torch.equal(value, loaded.parts.state_dict()[key]), key


def test_base_and_adapters_are_separate_files(folder):
    files = checkpoint.read_manifest(folder)["files"]
    assert {"base.safetensors", "adapters-iad.safetensors"} <= set(files)
    assert not set(checkpoint.load_part(folder, "base")) & set(checkpoint.load_part(folder, "adapters-iad"))


def test_large_parts_are_sharded_and_old_shards_go(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARD_SIZE", "1KB")
    state = {f"w{i}": torch.full((200,), float(i)) for i in range(5)}
    checkpoint.save_part(tmp_path, "base", state)
    assert len(list(tmp_path.glob("base-*.safetensors"))) == 5
    assert all(torch.equal(v, state[k]) for k, v in checkpoint.load_part(tmp_path, "base").items())
    checkpoint.save_part(tmp_path, "base", {"w": torch.zeros(2)})
    assert [p.name for p in tmp_path.glob("*.safetensors")] == ["base.safetensors"]


def test_half_precision_is_stored_and_widened(tmp_path):
    checkpoint.save_part(tmp_path, "encoder", {"w": torch.tensor([1 / 3])}, half=True)
    loaded = checkpoint.load_part(tmp_path, "encoder")["w"]
    assert loaded.dtype == torch.float32 and torch.equal(loaded, torch.tensor([1 / 3]).half().float())


def test_altered_missing_and_misfit_weights_are_named(tmp_path):
    IaDPipeline.create("tiny").save_pretrained(tmp_path)
    file = tmp_path / "encoder.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"encoder\.safetensors was altered"):
        IaDPipeline.from_pretrained(tmp_path)
    file.unlink()
    with pytest.raises(ValueError, match=r"encoder\.safetensors is missing"):
        IaDPipeline.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no folder of IaD weights"):
        checkpoint.load_preset(tmp_path / "nowhere")


def test_weights_of_another_shape_are_refused(tmp_path):
    pipeline = IaDPipeline.create("tiny")
    for name, state in split_parts(pipeline.parts).items():
        checkpoint.save_part(tmp_path, name, {k: v[..., :1].clone() for k, v in state.items() if v.ndim})
    with pytest.raises(ValueError, match=r"do not fit this model: \d+ keys"):
        load_parts(create_parts(pipeline.preset), tmp_path)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="did you mean 'mini'"):
        IaDPipeline.from_pretrained("mimi")


def test_manifest_is_json_without_code(folder):
    manifest = json.loads((folder / checkpoint.MANIFEST).read_text())
    assert all(len(digest) == 64 for digest in manifest["files"].values())
