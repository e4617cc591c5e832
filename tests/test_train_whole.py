"""One command trains everything from a carried pack; broken off in every way, it ends in the same bits."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iad import IaDPipeline
from iad.checkpoint import is_sound, list_parts, load_part
from iad.cli import main
from iad.portraits import stills
from iad.portraits.morphable import find_head
from iad.portraits.photo import find_people, load_photo_people
from iad.training import packs
from iad.training.pool import load_pool
from iad.training.timetable import Amounts
from iad.training.whole import Background

pytestmark = pytest.mark.usefixtures("own_folders")
PEOPLE = 12
ARMS = ["iad", "consisid"]


@pytest.fixture
def own_folders(monkeypatch):
    """Unpacking points this process at a pack's folders; let that end with the test."""
    for variable in packs.FOLDERS:
        monkeypatch.setenv(variable, os.environ.get(variable, ""))


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """A pack of a few photo people, of whom one photo is broken."""
    try:
        head, people = find_head(), find_people()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("pack")
    with np.load(people / "fits.npz") as file:
        arrays = {name: file[name][:PEOPLE] for name in file.files}
    (folder / "people" / "photos").mkdir(parents=True)
    np.savez(folder / "people" / "fits.npz", **arrays)
    for record in load_photo_people(people)[:PEOPLE]:
        shutil.copyfile(record.path, folder / "people" / "photos" / record.path.name)
    broken = folder / "people" / "photos" / record.path.name
    broken.write_bytes(broken.read_bytes()[:3000])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IAD_PHOTO_PEOPLE", str(folder / "people"))
        patch.setenv("IAD_ICT_FACEKIT", str(head))
        assert main(["data", "pack", "--output", str(folder / "pack.zip")]) == 0
    return folder / "pack.zip"


def words_of(pack: Path, output: Path, *more: str) -> list[str]:
    words = ["train", "mini", "--preset", "tiny", "--steps", "3", "--device", "cpu", "--arm", *ARMS]
    return [*words, "--pack", str(pack), "--output", str(output), *more]


def start(words: list[str]) -> subprocess.Popen:
    """Start the command on a machine that has nothing but the pack."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("IAD_")}
    return subprocess.Popen([sys.executable, "-m", "iad", *words], env=bare, start_new_session=True)


@pytest.fixture(scope="module")
def whole(pack, tmp_path_factory):
    """What an uninterrupted run left."""
    output = tmp_path_factory.mktemp("whole") / "runs"
    process = start(words_of(pack, output, "--shards", str(output / "carried")))
    assert process.wait() == 0
    return output


@pytest.mark.slow
def test_one_command_makes_weights_that_make_a_clip(whole, photo):
    folder = whole / "tiny"
    assert all(is_sound(folder, part) for part in list_parts(folder))
    assert all(path.stat().st_size < 9.5e6 for path in folder.glob("*.safetensors"))
    pipeline = IaDPipeline.from_pretrained(folder)
    assert set(pipeline.arms) == set(ARMS) and "recogniser" in pipeline.parts
    result = pipeline(reference=photo, prompt="she smiles", num_frames=4, size=128)
    assert result.frames.shape == (4, 128, 128, 3) and result.frames.std() > 1  # it learned nothing yet
    card = (folder / "README.md").read_text()
    assert "python -m iad train mini --preset tiny --steps 3" in card and "Seed 0, 3 steps a stage" in card
    assert "| joint | 3 |" in card and "| scorers | 3, 3, 3 |" in card
    assert list((whole / "encoder" / "pictures").glob("*.png"))


@pytest.mark.slow
def test_the_result_can_be_carried_away(whole, tmp_path):
    files = sorted((whole / "carried").iterdir())
    assert len(files) <= packs.MOST_SHARDS
    assert all(file.stat().st_size <= packs.SHARD_BYTES for file in files)
    (tmp_path / "all.zip").write_bytes(b"".join(file.read_bytes() for file in files))
    shutil.unpack_archive(tmp_path / "all.zip", tmp_path)
    kept = {p.name: p.read_bytes() for p in (whole / "tiny").glob("*.safetensors")}
    assert kept == {p.name: p.read_bytes() for p in (tmp_path / "tiny").glob("*.safetensors")}


@pytest.mark.slow
def test_broken_off_by_a_full_disk_and_killed_it_ends_in_the_same_bits(pack, whole, tmp_path, capfd):
    output = tmp_path / "runs"
    clips = shutil.copytree(whole / "clips", tmp_path / "clips")
    words = words_of(pack, output, "--data", str(clips), "--resume")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    packs.unpack(pack, output / "pack")  # larger than what may be written next
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, hard))
    try:
        assert main(words) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    told = capfd.readouterr().err
    assert f"There is no space left for {output}" in told and "--resume goes on" in told
    finished = json.loads((output / "training.json").read_text())["finished"]
    assert finished and "joint" not in finished
    process = start(words)
    while not (output / "joint" / "checkpoint" / "state.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert "joint" not in json.loads((output / "training.json").read_text())["finished"]
    dates = {stage: (output / stage).stat().st_mtime_ns for stage in ("encoder", "reader")}
    assert start(words).wait() == 0
    assert dates == {stage: (output / stage).stat().st_mtime_ns for stage in dates}  # not repeated
    for part in list_parts(whole / "tiny"):
        mine, theirs = load_part(whole / "tiny", part), load_part(output / "tiny", part)
        assert all((mine[key] == theirs[key]).all() for key in mine), part


@pytest.mark.slow
def test_data_grows_beside_a_training_and_ends_with_it(pack, tmp_path, monkeypatch):
    packs.unpack(pack, tmp_path / "pack")
    for variable, place in packs.FOLDERS.items():
        monkeypatch.setenv(variable, str(tmp_path / "pack" / place))
    amounts = Amounts(clips=10_000, least=4, groups=1, people=2)
    with Background(tmp_path / "clips", amounts, seed=0, size=128, minutes=60) as background:
        background.wait_for("encoder")
        assert len(load_pool(tmp_path / "clips", held_out=None)) >= 4
        background.wait_for("reader")
        assert (tmp_path / "clips" / "stills" / "stills.npz").exists()
        workers = list_children(background.process.pid)
    assert not background.process.is_alive()
    until = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < until:
        time.sleep(0.2)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def list_children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_stills_are_written_row_by_row_so_that_a_full_disk_is_an_error(tmp_path):
    rows = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    with stills._Rows(tmp_path / "stills.npy", (8, 8, 3)) as file:
        file.append(rows[:2])
        file.append(rows[2:])
    np.testing.assert_array_equal(np.load(tmp_path / "stills.npy", mmap_mode="r"), rows)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        full = stills._Rows(tmp_path / "full.npy", (8, 8, 3))
        with pytest.raises(OSError, match="too large"), full:
            for _ in range(100):
                full.append(rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_another_training_in_the_folder_is_left_alone(tmp_path, capsys):
    facts = {"preset": "tiny", "seed": 1, "steps": 3, "arms": ARMS, "finished": {}, "calls": []}
    (tmp_path / "training.json").write_text(json.dumps(facts))
    words = ["train", "mini", "--preset", "tiny", "--steps", "3", "--output", str(tmp_path), "--arm", *ARMS]
    for more, complaint in (
        ([], "holds a training already; add --resume"),
        (["--resume"], "has seed 1"),
        (["--resume", "--seed", "1", "--pack", str(tmp_path / "no.zip")], "no pack"),
        (["--resume", "--seed", "1", "--pack", str(tmp_path / "training.json")], "no readable pack"),
    ):
        assert main([*words, *more]) == 2
        assert complaint in capsys.readouterr().err
    assert not list(tmp_path.glob("*/"))


def test_how_long_must_be_said_and_where(tmp_path, capsys):
    for words, complaint in (
        (["mini"], "--minutes"),
        (["encoder", "--pause", "2"], "only training everything"),
        (["mini", "--minutes", "1", "--without", "swap"], "--ablations"),
        (["mini", "--minutes", "1", "--device", "tpu"], "Unknown device"),
        (["mini", "--minutes", "1", "--device", "cuda"], "no GPU"),
    ):
        assert main(["train", *words, "--output", str(tmp_path / "runs")]) == 2
        assert complaint in capsys.readouterr().err


def test_a_pack_brings_photos_without_the_broken_one_and_the_encoder(pack, tmp_path, monkeypatch):
    packs.unpack(pack, tmp_path / "pack")
    records = load_photo_people()
    assert len(records) == PEOPLE and records[0].path.suffix == ".webp"
    assert np.asarray(Image.open(records[0].path)).shape == records[0].load_photo().shape == (256, 256, 3)
    assert not records[-1].path.exists()

    from iad.config import PRESETS
    from iad.text import load_text_encoder

    carried = load_text_encoder(PRESETS["mini"].text).encode(["a woman smiles", "he winks"])
    monkeypatch.delenv("IAD_MINILM")
    own = load_text_encoder(PRESETS["mini"].text).encode(["a woman smiles", "he winks"])
    a, b = (x.states[x.mask].flatten() for x in (carried, own))
    assert (a @ b) / (a.norm() * b.norm()) > 0.998
