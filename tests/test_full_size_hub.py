"""Models are fetched once and whole; what hinders that is said in a sentence."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hub_server import COMMIT, Hub, serve

from iad.full_size.hub import check_folder, count_parameters, fetch_model

ROOT = Path(__file__).parents[1]
MEGABYTE = 2**20
FETCH = """
import sys
from iad.full_size.hub import fetch_model
repo, revision = sys.argv[1:]
try:
    print(fetch_model(repo, revision=revision))
except ValueError as error:
    sys.exit(str(error))
"""


def tensors(numbers: int) -> bytes:
    """Return a safetensors file of float32 zeros."""
    entry = {"dtype": "F32", "shape": [numbers], "data_offsets": [0, 4 * numbers]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "w": entry}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4 * numbers)


def write_model(folder: Path) -> Path:
    """Write a diffusers folder: two shards of a transformer, a VAE, a tokenizer and an absent part."""
    parts = {
        "_class_name": "X",
        "transformer": ["diffusers", "T"],
        "vae": ["diffusers", "V"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "safety_checker": [None, None],
        "requires_safety_checker": False,
    }
    shards = [f"model-0000{k}-of-00002.safetensors" for k in (1, 2)]
    files = {
        "model_index.json": json.dumps(parts).encode(),
        "transformer/model.safetensors.index.json": json.dumps(
            {"weight_map": {"a": shards[0], "b": shards[1]}}
        ).encode(),
        "transformer/config.json": b"{}",
        **{f"transformer/{name}": tensors(1000) for name in shards},
        "vae/diffusion_pytorch_model.safetensors": tensors(50),
        "vae/diffusion_pytorch_model.fp16.safetensors": tensors(50),
        "tokenizer/tokenizer_config.json": b"{}",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model")


def test_a_whole_folder_is_taken_as_it_is_and_weighed_once(model):
    assert fetch_model(model) == model
    assert count_parameters(model) == {
        "transformer": 2000,  # both shards
        "vae": 50,  # not its half-precision twin as well
    }


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda m: (m / "transformer/model-00002-of-00002.safetensors").unlink(), "model-00002-of"),
        (lambda m: (m / "vae/x.safetensors.incomplete").touch(), "vae/x.safetensors.incomplete"),
        (lambda m: (m / "tokenizer/tokenizer_config.json").unlink(), "tokenizer/"),
        (lambda m: [p.unlink() for p in (m / "vae").iterdir()], "vae/"),
        (
            lambda m: (m / "vae/diffusion_pytorch_model.safetensors").write_bytes(tensors(50)[:-9]),
            "vae/diffusion_pytorch_model.safetensors",
        ),
        (
            lambda m: (m / "vae/diffusion_pytorch_model.safetensors").write_text("version https://git-lfs"),
            "vae/diffusion_pytorch_model.safetensors",
        ),
    ],
)
def test_half_a_folder_is_refused_by_name(model, damage, named):
    damage(model)
    with pytest.raises(ValueError, match="1 file is missing or incomplete") as refusal:
        check_folder(model)
    assert named in str(refusal.value)
    assert "download it again, or delete the folder" in str(refusal.value)


def test_at_most_five_missing_files_are_named(model):
    for k in range(8):
        (model / f"vae/{k}.incomplete").touch()
    with pytest.raises(ValueError, match="8 files are missing") as refusal:
        check_folder(model)
    assert str(refusal.value).count(".incomplete") == 5


def test_only_the_files_asked_for_are_needed(model):
    [p.unlink() for p in (model / "vae").iterdir()]
    check_folder(model, files=["transformer/*", "tokenizer/*", "model_index.json"])
    with pytest.raises(ValueError, match="vae"):
        check_folder(model, files=["*.safetensors"])


def test_a_file_asked_for_by_its_name_is_missed(model):
    with pytest.raises(ValueError, match=r"1 file is missing or incomplete \(faces/eva.pt\)"):
        check_folder(model, files=["*.json", "*.safetensors", "faces/eva.pt"])


@pytest.mark.parametrize("source", ["no/such/folder", "/nowhere", "model", "../x", "a b/c"])
def test_what_is_neither_folder_nor_hub_id_is_said(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="neither a folder nor a hub id"):
        fetch_model(source)


def start_fetch(hub_url: str, home: Path, repo="owner/model", *, revision=COMMIT, **variables):
    """Fetch in a process of its own, for the hub's library reads its settings when imported."""
    env = os.environ | {"HF_ENDPOINT": hub_url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"} | variables
    command = [sys.executable, "-c", FETCH, repo, revision]
    return subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def refuse(*args, **kwargs) -> str:
    """Return the one sentence that a fetch ends with."""
    process = start_fetch(*args, **kwargs)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in said
    return said.strip()


@pytest.fixture
def hub(model):
    files = {str(p.relative_to(model)): p.read_bytes() for p in model.rglob("*") if p.is_file()}
    with serve(Hub("owner/model", files | {"README.md": b"not needed", "old.bin": b"a pickle"})) as hub:
        yield hub


def test_a_hub_id_is_downloaded_once(hub, tmp_path):
    out, err = start_fetch(hub.url, tmp_path).communicate(timeout=30)
    folder = Path(out.strip())
    assert count_parameters(folder)["transformer"] == 2000
    assert not (folder / "README.md").exists()
    assert not (folder / "old.bin").exists()
    assert "100%" in err  # the progress bar
    assert "dry-run" not in err
    hub.asked.clear()
    again, _ = start_fetch(hub.url, tmp_path).communicate(timeout=30)
    assert again == out
    assert hub.asked == []  # a pinned revision that is here asks nobody


def test_a_killed_download_keeps_what_is_finished(hub, tmp_path):
    name = "vae/diffusion_pytorch_model.safetensors"
    hub.files[name], hub.stall = tensors(MEGABYTE), MEGABYTE
    first = start_fetch(hub.url, tmp_path)
    wanted, end = len(hub.files) - 2, time.monotonic() + 20
    while sum(p.is_file() for p in tmp_path.glob("hub/*/snapshots/*/**/*")) < wanted - 1:
        assert time.monotonic() < end
        time.sleep(0.05)
    first.kill()
    first.communicate()
    hub.stall = None
    hub.asked.clear()
    out, _ = start_fetch(hub.url, tmp_path).communicate(timeout=30)
    assert (Path(out.strip()) / name).read_bytes() == hub.files[name]
    assert [line for line in hub.asked if "GET /owner" in line] == [
        f"GET /owner/model/resolve/{COMMIT}/{name}"
    ]


def test_what_keeps_a_download_away_is_said_in_one_sentence(hub, tmp_path):
    assert "check the spelling" in refuse(hub.url, tmp_path, "owner/modle")
    assert "has no revision" in refuse(hub.url, tmp_path, revision="f" * 40)
    hub.size = 10**15
    said = refuse(hub.url, tmp_path)
    assert said.startswith("owner/model needs ") and "000.0 GB and the disk" in said
    assert "GB free; make room" in said
    hub.gated = True
    assert "licence" in refuse(hub.url, tmp_path)
    assert "HF_HUB_OFFLINE forbids" in refuse(hub.url, tmp_path, HF_HUB_OFFLINE="1")


def test_an_unreachable_hub_is_said_in_seconds(tmp_path):
    begun = time.monotonic()
    assert "the hub cannot be reached; connect once" in refuse("http://127.0.0.1:9", tmp_path)
    assert time.monotonic() - begun < 8
