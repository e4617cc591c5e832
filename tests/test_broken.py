"""Broken and hostile files end in one sentence of ours, within bounds, and leave nothing half written."""

import copy
import hashlib
import json
import pickle
import resource
import shutil
import struct
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up import make_pool
from made_up_broken import (
    complain,
    damage,
    encode_pictures,
    encode_videos,
    make_record,
    write_gif,
    write_jpegs,
)
from PIL import Image
from safetensors.torch import save

from iad import IaDPipeline, checkpoint, cli
from iad.batch.lines import read_requests
from iad.checks import explain
from iad.config import PRESETS
from iad.geometry.driving import read_driver
from iad.media.photos import load_image
from iad.media.provenance import verify
from iad.media.video import read_video, stream_video
from iad.media.video import save as save_video
from iad.text import Action, parse_prompt
from iad.training import stages
from iad.training.encoder_stages import EncoderStage
from iad.training.footage import CAPTIONS, read_captions
from iad.training.footage_clips import Clips
from iad.training.full_size_run import read_facts
from iad.training.loop import STATE, fit, read_arrays, read_progress
from iad.training.pool import load_pool
from iad.training.timetable import LoopConfig, Options

SPARE = 400_000_000  # bytes that an input may take

# A few made-up inputs of a kind in every run, and many where somebody asks for them.
EXAMPLES = pytest.mark.parametrize("examples", [40, pytest.param(20_000, marks=pytest.mark.soak)])


def fuzz(strategy, check, examples):
    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=examples < 1000,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def run(value):
        check(value)

    run()


@contextmanager
def bounded(kind: int, most: int):
    """Set a limit of the system on this process."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


def little_memory():
    return bounded(resource.RLIMIT_AS, int(Path("/proc/self/statm").read_text().split()[0]) * 4096 + SPARE)


# Weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    IaDPipeline.create("tiny").save_pretrained(folder)
    return folder


@pytest.fixture
def folder(weights, tmp_path):
    return Path(shutil.copytree(weights, tmp_path / "copy"))


def _set(place, value):
    def change(manifest):
        at = manifest
        *path, last = place.split(".")
        for key in path:
            at = at[key]
        at[last] = value
        return manifest

    return change


def _without(key):
    return lambda manifest: {k: v for k, v in manifest.items() if k != key}


@pytest.mark.parametrize(
    "change",
    [
        *(lambda _, value=value: value for value in ([], None, {}, "words", 3)),
        _without("preset"), _without("files"),
        *(_set("files", value) for value in ([1], None, "words", {"a": 3}, {"../a.safetensors": "0"})),
        *(_set("preset", value) for value in ([1], None, "words", {})),
        _set("preset.other", 1), _set("preset.decoupler.other", 1), _set("preset.decoupler", [1]),
        _set("preset.name", 3), _set("preset.base", {}), _set("preset.text.name", "bert"),
        *(
            _set(f"preset.{field}", value)
            for field in ("size", "fps", "decoupler.dim", "transformer.layers", "sampler.timesteps")
            for value in (-3, 0, 10**9, "words", None, 1.5, [1], True)
        ),
        *(_set("preset.encoder.channels", value) for value in ([1], [-1, 2, 3], [10**6] * 3, [8] * 5000, {})),
        _set("preset.sampler.guidance_scale", float("nan")),
    ],
)  # fmt: skip
def test_a_manifest_of_anything_ends_in_a_sentence(folder, change):
    manifest = json.loads((folder / checkpoint.MANIFEST).read_text())
    (folder / checkpoint.MANIFEST).write_text(json.dumps(change(manifest)))
    assert complain(lambda: IaDPipeline.from_pretrained(folder))


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe\0", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b" " * 2_000_000 + b"{}"]
)
def test_a_manifest_that_is_no_json_ends_in_a_sentence(folder, data):
    (folder / checkpoint.MANIFEST).write_bytes(data)
    assert "no readable manifest.json" in complain(lambda: checkpoint.load_preset(folder))


@pytest.mark.parametrize(
    "sizes",
    [{"decoupler.dim": 8192}, {"encoder.channels": [8192] * 3}, {"transformer.heads": 8192, "frames": 512}],
)
def test_sizes_that_the_weights_do_not_have_are_never_allocated(folder, sizes):
    manifest = json.loads((folder / checkpoint.MANIFEST).read_text())
    for place, value in sizes.items():
        _set(f"preset.{place}", value)(manifest)
    (folder / checkpoint.MANIFEST).write_text(json.dumps(manifest))
    with little_memory():
        words = complain(lambda: IaDPipeline.from_pretrained(folder))
    assert "do not fit this model" in words


class _Evil:
    def __reduce__(self):
        return (pytest.fail, ("a pickle ran",))


def _make_shard(header: bytes, body: bytes = b"", *, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + body


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "damaged"),
        (b"junk" * 100, "damaged"),
        (pickle.dumps(_Evil()), "damaged"),
        (_make_shard(b"{}", length=2**62), "damaged"),
        (_make_shard(b" " * 30_000_000), "damaged"),
        (_make_shard(b"[]"), "damaged"),
        (_make_shard(b'{"a":{"dtype":"F32","shape":[9,99999999],"data_offsets":[0,4]}}', b"123"), "damaged"),
        (_make_shard(b"{}"), "do not fit"),
    ],
)
def test_a_shard_of_anything_ends_in_a_sentence_though_its_digest_agrees(folder, data, complaint):
    (folder / "encoder.safetensors").write_bytes(data)
    manifest = json.loads((folder / checkpoint.MANIFEST).read_text())
    manifest["files"]["encoder.safetensors"] = hashlib.sha256(data).hexdigest()
    (folder / checkpoint.MANIFEST).write_text(json.dumps(manifest))
    with little_memory():
        assert complaint in complain(lambda: IaDPipeline.from_pretrained(folder))


def _list_places(values, path=()):
    """List the keys that lead to every value of nested objects."""
    for key in values if isinstance(values, dict) else ():
        yield (*path, key)
        yield from _list_places(values[key], (*path, key))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ANYTHING = st.recursive(SCALARS, lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=5), x))


@EXAMPLES
def test_any_preset_is_read_or_refused(examples):
    kinds = [PRESETS[name].to_dict() for name in ("tiny", "cogvideox-5b")]
    changes = st.sampled_from(kinds).flatmap(
        lambda values: st.tuples(st.just(values), st.sampled_from(list(_list_places(values))), ANYTHING)
    )

    def check(change):
        values, (*path, last), value = change
        values = at = copy.deepcopy(values)
        for key in path:
            at = at[key]
        at[last] = value
        complain(lambda: checkpoint.preset_from_dict(values))

    fuzz(changes, check, examples)


@pytest.mark.parametrize("part", ["base", "encoder"])
def test_weights_that_a_full_disk_cuts_short_leave_the_old_ones(folder, part):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with bounded(resource.RLIMIT_FSIZE, 2000), pytest.raises(OSError, match="could not be written"):
        checkpoint.save_part(folder, part, {"w": torch.ones(10_000)})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# Training


def _train(output, pool, *, steps, resume):
    stage = EncoderStage(PRESETS["tiny"], pool, batch_size=2)
    return fit(stage, LoopConfig(output=output, max_steps=steps, resume=resume))


def test_a_broken_checkpoint_ends_in_a_sentence_that_names_it(tmp_path):
    pool = load_pool(make_pool(tmp_path / "clips"))
    _train(tmp_path, pool, steps=1, resume=False)
    state = tmp_path / STATE
    whole = state.read_bytes()
    for data in (b"", b"junk" * 99, whole[:8], whole[: len(whole) // 2], save({"a": torch.zeros(2)})):
        state.write_bytes(data)
        assert state.name in complain(lambda: read_progress(tmp_path))
    assert state.name in complain(lambda: _train(tmp_path, pool, steps=2, resume=True))
    assert "no checkpoint of a full-size model" in complain(lambda: read_facts(tmp_path))
    state.write_bytes(whole)
    _train(tmp_path, pool, steps=2, resume=True)
    assert read_progress(tmp_path)[0] == 2


def test_the_seed_decides_the_first_weights(tmp_path):
    found = []
    for number, seed in enumerate((3, 3, 4)):
        torch.rand(number + 1)  # whatever was drawn before
        output = tmp_path / str(number)
        options = Options(data=make_pool(tmp_path / "clips"), output=output, max_steps=1, seed=seed)
        stages.train("autoencoder", preset="tiny", options=options)
        found.append(checkpoint.load_part(output / "weights", "autoencoder"))
    same, other = (all(torch.equal(found[0][k], again[k]) for k in again) for again in found[1:])
    assert same and not other


@pytest.mark.parametrize("data", [b"", b"junk", b"PK\3\4 junk", b"\x93NUMPY junk"])
def test_what_can_be_made_again_counts_as_missing_where_it_is_damaged(tmp_path, data):
    (tmp_path / "a.npz").write_bytes(data)
    assert read_arrays(tmp_path / "a.npz") is None and read_arrays(tmp_path / "absent.npz") is None
    np.savez(tmp_path / "a.npz", a=np.ones(3))
    assert read_arrays(tmp_path / "a.npz")["a"].tolist() == [1, 1, 1]
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    assert read_arrays(tmp_path / "a.npz") is None


@pytest.mark.parametrize("name", ["index.jsonl", "settings.json"])
@pytest.mark.parametrize("data", ["", "junk", "[]", "3\n", '{"shot": {}}', '{"face": "clip"}'])
def test_prepared_clips_with_a_broken_index_end_in_a_sentence(tmp_path, name, data):
    shot = {"references": 1, "face_size": 64}
    (tmp_path / "settings.json").write_text(json.dumps({"face": "clip", "shot": shot}))
    (tmp_path / "index.jsonl").write_text(json.dumps({"person": "a", "segments": [], "clip": "a"}) + "\n")
    (tmp_path / name).write_text(data)
    assert complain(lambda: Clips(tmp_path, PRESETS["cogvideox-5b"]))


# Videos


def _find_nobody(picture):
    raise ValueError("No face.")


def _read_all(path):
    """Read a video in every way, as visitors and training do."""
    yield lambda: read_video(path, 16)
    yield lambda: read_video(path, 98, fps=8, largest=48)
    yield lambda: read_driver(path, find=_find_nobody, follow=lambda *_: None)
    yield lambda: verify(path)


def test_a_frame_of_two_years_is_no_list_of_frames(tmp_path):
    path = write_jpegs(tmp_path / "a.mkv", [64] * 3, [0, 2**26, 2**26 + 1], unit=1)
    with little_memory():
        assert len(read_video(path, 98, fps=8)[0]) == 98
        assert len(list(stream_video(path))) == 3
        for call in _read_all(path):
            complain(call)


def test_frames_beyond_4k_are_refused_before_they_are_decoded(tmp_path):
    path = write_jpegs(tmp_path / "a.mkv", [5000] * 2)
    with little_memory():
        for call in list(_read_all(path))[:3]:
            assert "more than 10 megapixels" in complain(call)


def test_a_size_that_changes_midway_goes_on_in_the_first(tmp_path):
    path = write_jpegs(tmp_path / "a.mkv", [64, 64, 96, 128, 64])
    assert read_video(path, 16)[0].shape == (5, 64, 64, 3)
    assert read_video(path, 4, fps=48, largest=32)[0].shape == (4, 32, 32, 3)
    grown = write_jpegs(tmp_path / "b.mkv", [64, 64, 5000])
    assert "more than 10 megapixels" in complain(lambda: read_video(grown, 16))


def test_more_frames_a_second_than_any_camera_takes_are_refused(tmp_path):
    path = write_jpegs(tmp_path / "a.mkv", [64] * 800, [k // 2 for k in range(800)], unit=1000)
    assert "more than 300 frames a second" in complain(lambda: list(stream_video(path)))


def test_an_unknown_codec_is_said(tmp_path):
    path = write_jpegs(tmp_path / "a.mkv", [64] * 3)
    path.write_bytes(path.read_bytes().replace(b"V_MJPEG", b"V_OTHER"))
    for call in _read_all(path):
        assert "coded in a manner that is not known" in complain(call)


@pytest.mark.parametrize("cut", range(8, 60, 4))
def test_a_gif_cut_anywhere_is_read_or_refused(tmp_path, cut):
    path = write_gif(tmp_path / "a.gif", cut=cut)
    for call in _read_all(path):
        complain(call)


def test_a_million_pictures_hold_nobody_up(tmp_path):
    path = write_gif(tmp_path / "a.gif", frames=1_200_000, comment=make_record(seal="sha256:0"))
    begun = time.process_time()
    assert "too many pictures" in complain(lambda: verify(path))
    assert time.process_time() - begun < 10
    assert verify(write_gif(tmp_path / "b.gif", frames=100)).container["frames"] == 100


def test_commands_to_the_terminal_fake_no_verdict(tmp_path, capsys):
    evil = "\x1b[2K\r\x1b[1Aa.gif: Made with IaD and is unchanged since.\n  \u202e\ud800\x07"
    words = make_record(generator=evil, prompt=evil, seed=10**4000, **{evil: evil})
    path = write_gif(tmp_path / "a\x1b[1Ab.gif", comment=words)
    assert cli.main(["verify", str(path)]) == 0
    out = capsys.readouterr().out
    assert all(letter.isprintable() or letter == "\n" for letter in out)
    assert [line[:2] for line in out.splitlines()[1:]] == ["  "] * (len(out.splitlines()) - 1)
    assert not any(line.startswith("a.gif: Made") for line in out.splitlines())
    assert cli.main(["verify", str(tmp_path / "\x1b[1Aabsent")]) == 2
    assert "\x1b" not in capsys.readouterr().err


# Photos


def test_notes_of_the_camera_that_cannot_be_read_do_no_harm(tmp_path):
    start = b"MM\0*\0\0\0\x08"
    for number, exif in enumerate((b"junk", start + b"\0\1", start + b"\xff\xff" + b"\1\x12" * 9)):
        for kind in ("JPEG", "PNG", "WEBP"):
            path = tmp_path / f"{number}.{kind.lower()}"
            Image.new("RGB", (64, 80), "red").save(path, kind, exif=b"Exif\0\0" + exif)
            assert load_image(path).shape == (80, 64, 3), (kind, exif)


@pytest.mark.parametrize("orientation", range(10))
def test_the_camera_was_held_in_any_way(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8))
    picture.save(tmp_path / "a.png", exif=exif)
    ways = {
        2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1],
        5: lambda x: x.swapaxes(0, 1), 6: lambda x: x[::-1].swapaxes(0, 1),
        7: lambda x: x[::-1, ::-1].swapaxes(0, 1), 8: lambda x: x.swapaxes(0, 1)[::-1],
    }  # fmt: skip
    expected = ways.get(orientation, lambda x: x)(np.asarray(picture))
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), expected)


def test_the_largest_photo_takes_little_beside_itself(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (7200, 5500)).save(path)
    with little_memory():  # the decoded picture, the array, and a third of them to spare
        assert load_image(path).shape == (5500, 7200, 3)


# Bytes of anything


def damaged(files):
    share = st.floats(0, 1, exclude_max=True)
    edits = st.lists(st.tuples(share, st.integers(0, 255)), max_size=12)
    return st.builds(damage, st.sampled_from(files), edits, st.none() | share)


@EXAMPLES
def test_any_picture_is_read_or_refused(tmp_path, examples):
    def check(data):
        (tmp_path / "a.jpg").write_bytes(data)
        complain(lambda: load_image(tmp_path / "a.jpg"))

    fuzz(damaged(encode_pictures()) | st.binary(max_size=200), check, examples)


@EXAMPLES
def test_any_video_is_read_or_refused(tmp_path, examples):
    def check(data):
        (tmp_path / "a.mp4").write_bytes(data)
        for call in _read_all(tmp_path / "a.mp4"):
            complain(call)

    fuzz(damaged(encode_videos()) | st.binary(max_size=200), check, examples)


@EXAMPLES
def test_any_manifest_is_read_or_refused(weights, tmp_path, examples):
    def check(data):
        (tmp_path / checkpoint.MANIFEST).write_bytes(data)
        complain(lambda: checkpoint.load_preset(tmp_path))

    whole = (weights / checkpoint.MANIFEST).read_bytes()
    fuzz(damaged([whole]) | ANYTHING.map(json.dumps).map(str.encode), check, examples)


REQUEST = b'{"reference": "a.jpg", "prompt": "[0-1s] smiles [1-2s] nods", "seed": 3, "fps": 24.5}'
CAPTION = b'{"video": "a.mp4", "caption": "a woman laughs", "person": "p", "timeline": [[0, 1, "smiles"]]}'


def lines_like(line):
    """Make up lines: bytes of one damaged, a value of one replaced, or anything at all."""
    values = json.loads(line)
    other = st.tuples(st.sampled_from([*values, "other"]), ANYTHING).map(lambda pair: values | dict([pair]))
    return damaged([line]) | (other | ANYTHING).map(json.dumps).map(str.encode)


@EXAMPLES
def test_any_line_of_requests_is_read_or_refused(tmp_path, examples):
    def check(line):
        (tmp_path / "a.jsonl").write_bytes(line + b"\n" + REQUEST)
        complain(lambda: read_requests(tmp_path / "a.jsonl", duration=10.0))

    fuzz(lines_like(REQUEST), check, examples)


@EXAMPLES
def test_any_line_of_captions_is_read_or_refused(tmp_path, examples):
    (tmp_path / "a.mp4").write_bytes(b"")

    def check(line):
        (tmp_path / CAPTIONS).write_bytes(line)
        complain(lambda: read_captions(tmp_path, duration=2.0))

    fuzz(lines_like(CAPTION), check, examples)


@EXAMPLES
def test_any_words_are_heard_or_refused(examples):
    words = st.text(st.characters(), max_size=60)
    fuzz(words, lambda prompt: complain(lambda: parse_prompt(prompt)), examples)


# Words and disks


def test_half_a_letter_is_no_prompt():
    for call in (
        lambda: parse_prompt("she \ud800 smiles"),
        lambda: parse_prompt("[0-1s] she smiles [1-2s] nods \udcff"),
        lambda: Action(0, 1, "\udfff"),
    ):
        assert "no text" in complain(call)


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".png"])
def test_a_disk_that_fills_up_while_a_clip_is_made_leaves_nothing(tmp_path, suffix):
    frames = np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), dtype=np.uint8)
    with bounded(resource.RLIMIT_FSIZE, 2000):
        words = complain(lambda: save_video(tmp_path / f"a{suffix}", frames, 8))
    assert "could not be written" in words and not list(tmp_path.iterdir())


def test_what_the_system_says_of_a_file_becomes_a_sentence():
    with pytest.raises(OSError) as found:
        Path("/dev/full").write_bytes(b"a")
    assert explain(found.value) == (
        "A file cannot be used (No space left on device); check its path, its rights and the disk's space."
    )
    assert explain(MemoryError()).startswith("The memory does not suffice; ")
    with pytest.raises(OSError) as found:
        Path("x" * 5000).is_dir()
    assert len(explain(found.value)) < 400
