"""A file says how it was made, shows when it was altered, and is signed when there is a certificate."""

import io
import json
import socket
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from certificates import SIGNER, write_chain
from made_up_broken import make_png_head
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import iad
from iad.cli import main
from iad.media import video
from iad.media.provenance import check_signing, draw_label, read_signature, sign, verify
from iad.media.provenance.record import GENERATOR, SOURCE_TYPE

MADE_BY = {
    "model": "mini", "arm": "iad", "seed": 3, "prompt": "Ada Lovelace smiles", "action_scale": 1.5,
    "detail_scale": 0.25,
}  # fmt: skip
SUFFIXES = (".mp4", ".gif", ".png")


@pytest.fixture(autouse=True)
def no_certificate(monkeypatch):
    for name in ("IAD_C2PA_CERT", "IAD_C2PA_KEY", "IAD_C2PA_ALG", "IAD_C2PA_TRUST"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def chain(tmp_path, monkeypatch):
    """Sign with a certificate that nobody trusts."""
    names = write_chain(tmp_path / "chain")
    for name in ("IAD_C2PA_CERT", "IAD_C2PA_KEY"):
        monkeypatch.setenv(name, names[name])
    return names


def _make_frames(count=6, size=64):
    y, x = np.mgrid[:size, :size] / size
    wave = [np.stack([x, y, 0.5 + 0.5 * np.sin(6 * x + 0.5 * k)], -1) for k in range(count)]
    return (np.stack(wave) * 255).astype(np.uint8)


def _save(path, **options):
    return video.save(path, _make_frames(), 8, metadata=MADE_BY, **options)


# What a file says


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("options", [{}, {"scale": 2, "label": True}])
def test_a_saved_file_is_recognised_with_its_settings(tmp_path, suffix, options):
    found = verify(_save(tmp_path / f"a{suffix}", **options))
    assert found.made_here and found.declared_generated and found.content == "unchanged"
    assert found.settings == MADE_BY and found.generator == GENERATOR
    assert found.signature == "none" and found.signer is None
    assert found.summary.startswith("Says that it was made with IaD and is unchanged")
    assert "anybody could have written" in found.summary


def test_the_container_is_described(tmp_path):
    path = _save(tmp_path / "a.mp4")
    assert verify(path).container == {
        "format": "mp4", "width": 64, "height": 64, "frames": 6, "fps": 8.0, "seconds": 0.75, "sound": False,
        "bytes": path.stat().st_size,
    }  # fmt: skip
    assert verify(_save(tmp_path / "a.gif")).container["frames"] == 6


def test_other_programs_read_that_it_is_generated(tmp_path):
    with Image.open(_save(tmp_path / "a.png")) as picture:
        assert SOURCE_TYPE in picture.info["XML:com.adobe.xmp"]
    data, boxes = _save(tmp_path / "a.mp4").read_bytes(), {}
    place = 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4])
        boxes[data[place + 4 : place + 8]] = data[place + 8 : place + size]
        place += size
    assert (
        boxes[b"uuid"].startswith(bytes.fromhex("be7acfcb97a942e8"))
        and SOURCE_TYPE.encode() in boxes[b"uuid"]
    )


def test_a_png_stays_valid_to_its_checksums(tmp_path):
    with Image.open(_save(tmp_path / "a.png")) as picture:
        picture.verify()


def test_a_note_without_a_record_is_reported_as_such(tmp_path):
    path = _save(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"ai_generated", b"xx_xxxxxxxxx"))
    found = verify(path)
    assert not found.made_here and found.declared_generated and found.settings == {}
    assert "AI-generated, but not by what" in found.summary


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm", ".gif", ".png"])
def test_a_file_without_a_word_proves_nothing(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix in (".gif", ".png"):
        Image.fromarray(_make_frames()[0]).save(path)
    else:
        _reencode(_save(tmp_path / "whole.mp4"), path, words=False)
    found = verify(path)
    assert not (found.made_here or found.declared_generated or found.settings)
    assert found.content == "unknown" and found.container["format"] == suffix[1:]
    assert found.summary.startswith("Says nothing about its making, which proves nothing.")


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("a.txt", b"words", "another kind"),
        ("a.mp4", b"words" * 20, "another kind"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(50), "damaged"),
        ("a.png", make_png_head(30_000, 30_000), "more than 40 megapixels; give a smaller one"),
        ("a.png", make_png_head(9000, 9000), "more than 40 megapixels; give a smaller one"),
        ("a.gif", b"GIF89a", "damaged"),
        ("a.mp4", b"\0\0\0\x18ftypisom" + bytes(60), "damaged"),
        ("a.mp4", b"", "empty"),
    ],
)
def test_what_cannot_be_verified_is_told_in_a_sentence(tmp_path, name, data, complaint):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=complaint):
        verify(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no file"):
        verify(tmp_path / "absent.mp4")


def test_sound_alone_is_no_picture(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        container.mux(stream.encode(_make_silence()))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match="no picture"):
        verify(tmp_path / "a.mp4")


def test_what_a_stranger_wrote_is_cut_short(tmp_path):
    words = {"ai_generated": True, "a": "x" * 10_000, "b": [1], "c": float("nan"), "d": 1, "e": None}
    words |= {f"k{n}": n for n in range(99)}
    for comment in (json.dumps(words), "[" * 100_000, '{"ai_generated": ' + "1" * 6000 + "}"):
        note = PngInfo()
        note.add_itxt("Comment", comment)
        Image.fromarray(_make_frames()[0]).save(tmp_path / "a.png", pnginfo=note)
        found = verify(tmp_path / "a.png")
        if "k0" in comment:
            assert len(found.settings) == 40 and len(found.settings["a"]) == 1000 and found.settings["d"] == 1
            assert not {"b", "c", "e"} & set(found.settings) and found.content == "unknown"
        else:
            assert not found.made_here


# Unchanged or altered


def _make_silence():
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
    frame.rate = 8000
    return frame


def _remux(source, target, *, leave_out=0, stretch=1, sound=False):
    """Copy a video's packets, words included, as an editor does that cuts without encoding anew."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        for key, value in old.metadata.items():
            new.metadata[key] = value
        stream = new.add_stream_from_template(old.streams.video[0])
        extra = new.add_stream("aac", rate=8000) if sound else None
        packets = [packet for packet in old.demux(video=0) if packet.dts is not None]
        for packet in packets[: len(packets) - leave_out]:
            packet.pts, packet.dts, packet.stream = packet.pts * stretch, packet.dts * stretch, stream
            new.mux(packet)
        if extra:
            new.mux(extra.encode(_make_silence()))
            new.mux(extra.encode())
    return target


def _reencode(source, target, *, words=True):
    frames, fps = video.read_video(source, 99)
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        if words:
            new.metadata["comment"] = old.metadata["comment"]
        stream = new.add_stream("libvpx-vp9" if target.suffix == ".webm" else "libx264", rate=int(fps))
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        for frame in frames:
            new.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        new.mux(stream.encode())
    return target


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_another_container_alters_nothing(tmp_path, suffix):
    found = verify(_remux(_save(tmp_path / "a.mp4"), tmp_path / f"b{suffix}"))
    assert found.made_here and found.content == "unchanged" and found.settings == MADE_BY


@pytest.mark.parametrize(
    "alter",
    [
        lambda a, b: _remux(a, b, leave_out=2),
        lambda a, b: _remux(a, b, stretch=2),
        lambda a, b: _remux(a, b, sound=True),
        lambda a, b: _reencode(a, b),
        lambda a, b: _reencode(a, b.with_suffix(".webm")),
        lambda a, b: b if b.write_bytes(a.read_bytes().replace(b'"seed": 3', b'"seed": 4')) else None,
    ],
    ids=["cut", "slowed", "sound added", "encoded anew", "as webm", "another seed"],
)
def test_an_altered_video_is_found_out(tmp_path, alter):
    found = verify(alter(_save(tmp_path / "a.mp4"), tmp_path / "b.mp4"))
    assert found.made_here and found.content == "altered"
    assert found.summary.startswith("Says that it was made with IaD, but was altered since.")


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_an_altered_picture_is_found_out(tmp_path, suffix):
    with Image.open(_save(tmp_path / f"a{suffix}")) as picture:
        comment = picture.info.get("Comment") or picture.info["comment"]
        altered = picture.convert("RGB")
    altered.putpixel((3, 3), (255, 0, 255))
    note = PngInfo()
    note.add_itxt("Comment", comment if isinstance(comment, str) else comment.decode())
    altered.save(tmp_path / f"b{suffix}", pnginfo=note, comment=comment)
    assert verify(tmp_path / f"b{suffix}").content == "altered"


def test_a_file_of_an_earlier_version_is_recognised(tmp_path):
    note = PngInfo()
    note.add_itxt("Comment", json.dumps({"statement": video.STATEMENT, "ai_generated": True, "seed": 1}))
    Image.fromarray(_make_frames()[0]).save(tmp_path / "a.png", pnginfo=note)
    found = verify(tmp_path / "a.png")
    assert found.made_here and found.settings == {"seed": 1} and found.content == "unknown"
    assert "cannot be told" in found.summary


# Signatures


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_signed_file_names_its_signer(tmp_path, suffix, chain, monkeypatch):
    path = _save(tmp_path / f"a{suffix}")
    found = verify(path)
    assert (found.signature, found.signer, found.content) == ("signer unknown", SIGNER, "unchanged")
    assert "nobody vouches" in found.summary
    monkeypatch.setenv("IAD_C2PA_TRUST", chain["IAD_C2PA_TRUST"])
    found = verify(path)
    assert found.signature == "valid" and found.summary.startswith("Made with IaD and is unchanged since.")
    assert video.read_metadata(path)["seed"] == 3  # what was there before stays readable


def _forge(path, old, new):
    """Change a file's comment, and a png's checksum with it."""
    data = path.read_bytes()
    place = data.index(old, data.index(b'"statement"'))
    data = data[:place] + new + data[place + len(old) :]
    if path.suffix == ".png":
        chunk = data.rindex(b"iTXt", 0, place)
        end = chunk + 4 + int.from_bytes(data[chunk - 4 : chunk])
        data = data[:end] + zlib.crc32(data[chunk:end]).to_bytes(4) + data[end + 4 :]
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_changed_word_breaks_the_signature(tmp_path, suffix, chain, monkeypatch):
    monkeypatch.setenv("IAD_C2PA_TRUST", chain["IAD_C2PA_TRUST"])
    path = _save(tmp_path / f"a{suffix}")
    _forge(path, b"Ada", b"Eve")
    found = verify(path)
    assert (found.signature, found.content) == ("broken", "altered")
    assert found.summary.startswith("Says that") and "do not rely" in found.summary


def test_a_signature_alone_shows_an_altered_picture(tmp_path, chain):
    path = tmp_path / "a.gif"
    Image.fromarray(_make_frames()[0]).save(path)
    path.write_bytes(sign(path.read_bytes(), "image/gif", MADE_BY))
    found = verify(path)
    assert found.made_here and found.settings["seed"] == 3 and found.content == "unchanged"
    data = bytearray(path.read_bytes())
    data[20] ^= 255  # a colour
    path.write_bytes(data)
    found = verify(path)
    assert not found.made_here and (found.signature, found.content) == ("broken", "altered")
    assert found.summary.startswith("Its signature is broken.")


def test_the_manifest_says_generated_and_holds_no_words_about_a_person(tmp_path, chain):
    import c2pa

    data = _save(tmp_path / "a.mp4").read_bytes()
    text = c2pa.Reader("video/mp4", io.BytesIO(data)).json()
    manifest = next(iter(json.loads(text)["manifests"].values()))
    assert "Ada" not in text and "prompt" not in text and "thumbnail" not in text
    assert manifest["claim_generator_info"][0]["name"] == "iad"
    actions = next(a["data"] for a in manifest["assertions"] if a["label"].startswith("c2pa.actions"))[
        "actions"
    ]
    assert actions[0]["action"] == "c2pa.created" and actions[0]["digitalSourceType"] == SOURCE_TYPE
    said = read_signature(io.BytesIO(data), "video/mp4")
    assert said.generated and said.generator == GENERATOR
    assert said.settings == {key: value for key, value in MADE_BY.items() if key != "prompt"}


def _sign_as_another(path, chain, *, agent=None, source_type=SOURCE_TYPE, elsewhere=None):
    """Sign a picture as another program would, or leave the manifest at an address."""
    import c2pa

    Image.fromarray(_make_frames()[0]).save(path)
    pair = (Path(chain[name]).read_bytes() for name in ("IAD_C2PA_CERT", "IAD_C2PA_KEY"))
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo("es256", *pair, None))
    created = {"action": "c2pa.created", "digitalSourceType": source_type}
    actions = {"label": "c2pa.actions", "data": {"actions": [created]}}
    manifest = {
        "claim_generator_info": [agent or {"name": "Camera", "version": "2"}],
        "assertions": [actions],
    }
    offline = {"verify": {"verify_after_sign": False, "remote_manifest_fetch": False}}
    builder = c2pa.Builder(manifest, c2pa.Context.from_dict(offline, signer=signer))
    if elsewhere:
        builder.set_no_embed()
        builder.set_remote_url(elsewhere)
    target = io.BytesIO()
    with path.open("rb") as source:
        builder.sign("image/png", source, target)
    path.write_bytes(target.getvalue())
    return path


def test_an_expired_certificate_makes_the_signer_unknown_not_the_file_altered(tmp_path, monkeypatch):
    end = time.time() + 8
    names = write_chain(tmp_path / "chain", days=(-1, 8 / 86400))
    for name, path in names.items():
        monkeypatch.setenv(name, path)
    path = _save(tmp_path / "a.gif")
    assert verify(path).signature == "valid"
    time.sleep(max(0, end + 1.5 - time.time()))
    found = verify(path)
    assert (found.signature, found.content) == ("signer unknown", "unchanged")


def test_another_makers_signature_is_not_ours(tmp_path, chain):
    path = _sign_as_another(tmp_path / "a.png", chain, source_type=SOURCE_TYPE.replace("trainedA", "a"))
    found = verify(path)
    assert not found.made_here and not found.declared_generated and found.generator == "Camera 2"
    assert found.summary.startswith("Names another maker than IaD: Camera 2.")
    assert verify(_sign_as_another(path, chain)).declared_generated


def test_a_trusted_signer_of_something_else_does_not_vouch_for_the_note(tmp_path, chain, monkeypatch):
    path = _sign_as_another(tmp_path / "a.png", chain)
    monkeypatch.setenv("IAD_C2PA_TRUST", chain["IAD_C2PA_TRUST"])
    note = PngInfo()
    note.add_itxt("Comment", json.dumps({"ai_generated": True, "seed": 1}))
    monkeypatch.setattr(
        Image.Image,
        "save",
        lambda self, target, save=Image.Image.save: save(self, target, "PNG", pnginfo=note),
    )
    found = verify(_sign_as_another(path, chain))
    assert found.made_here and found.signature == "valid" and found.summary.startswith("Says that")


# Certificates that are of no use


def _spoil(chain, name, data):
    Path(chain[name]).write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda c, m: m.delenv("IAD_C2PA_KEY"), "IAD_C2PA_CERT is set but IAD_C2PA_KEY is not"),
        (lambda c, m: m.delenv("IAD_C2PA_CERT"), "IAD_C2PA_KEY is set but IAD_C2PA_CERT is not"),
        (
            lambda c, m: m.setenv("IAD_C2PA_CERT", "absent.pem"),
            "IAD_C2PA_CERT names, 'absent.pem', cannot be read",
        ),
        (lambda c, m: m.setenv("IAD_C2PA_ALG", "rsa"), "IAD_C2PA_ALG is 'rsa'; choose one of es256"),
        (lambda c, m: m.setenv("IAD_C2PA_ALG", "ps256"), "cannot sign"),
        (lambda c, m: _spoil(c, "IAD_C2PA_CERT", b"words"), "cannot sign"),
        (lambda c, m: _spoil(c, "IAD_C2PA_KEY", b"words"), "cannot sign"),
        (lambda c, m: [m.setenv(k, v) for k, v in _make_old(c).items()], "cannot sign"),
        (lambda c, m: m.setitem(sys.modules, "c2pa", None), "install it"),
    ],
    ids=["no key", "no certificate", "absent", "algorithm", "other key", "cert", "key", "expired", "no c2pa"],
)
def test_a_useless_certificate_stops_the_work_before_it_begins(
    tmp_path, chain, monkeypatch, capsys, spoil, complaint
):
    spoil(chain, monkeypatch)
    with pytest.raises(ValueError, match=complaint):
        check_signing()
    with pytest.raises(ValueError, match=complaint):
        _save(tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()
    monkeypatch.setitem(vars(iad), "IaDPipeline", None)  # the work would fail otherwise
    words = [
        "generate",
        "--reference",
        "absent.jpg",
        "--prompt",
        "smiles",
        "--output",
        str(tmp_path / "b.mp4"),
    ]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert complaint in said and len(said.splitlines()) == 1 and "PRIVATE KEY" not in said


def _make_old(chain):
    names = write_chain(Path(chain["IAD_C2PA_CERT"]).parent / "old", days=(-8, -1))
    return {name: names[name] for name in ("IAD_C2PA_CERT", "IAD_C2PA_KEY")}


def test_trusted_roots_that_are_none_are_complained_about(tmp_path, chain, monkeypatch):
    path = _save(tmp_path / "a.mp4")
    monkeypatch.setenv("IAD_C2PA_TRUST", chain["IAD_C2PA_KEY"])
    with pytest.raises(ValueError, match="IAD_C2PA_TRUST names holds no certificates"):
        verify(path)


def test_without_c2pa_files_are_saved_and_signatures_not_judged(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = verify(_save(tmp_path / "a.mp4"))
    assert (
        found.signature == "unchecked" and found.content == "unchanged" and "not be checked" in found.summary
    )


# No network


@pytest.fixture
def listener():
    """Listen where the certificate and the file point to, and count who comes."""
    came = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                came.append(connection.recv(99))
                connection.close()

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/", came


def test_signing_and_verifying_ask_nobody(tmp_path, listener, monkeypatch):
    address, came = listener
    names = write_chain(tmp_path / "chain", ocsp=address)
    for name, path in names.items():
        monkeypatch.setenv(name, path)
    assert verify(_save(tmp_path / "a.mp4")).signature == "valid"  # and nobody was asked about a revocation

    path = _sign_as_another(tmp_path / "b.png", names, elsewhere=f"{address}manifest.c2pa")
    assert verify(path).signature == "unchecked"  # its manifest lies elsewhere
    assert came == []


# The label


@pytest.mark.parametrize("size", [128, 384])
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_the_label_stands_in_a_corner_and_can_be_read(size, shade):
    frames = np.full((2, size, size, 3), shade, np.uint8)
    labelled = draw_label(frames)
    assert (frames == shade).all() and labelled.shape == frames.shape
    changed = (labelled != frames).any((0, 3))
    rows, columns = np.nonzero(changed)
    assert rows.min() > 0.85 * size and columns.max() < 0.55 * size  # unobtrusive
    corner = labelled[0, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].mean(-1)
    assert corner.max() - np.median(corner) > 100  # letters against their ground
    assert corner.shape[0] >= 12  # no smaller than can be read
    assert np.array_equal(labelled[0], labelled[1])


def test_the_label_fits_any_frame():
    for height, width in ((16, 16), (64, 40), (33, 200)):
        frames = np.zeros((1, height, width, 3), np.uint8)
        assert draw_label(frames).shape == frames.shape


def test_the_label_survives_in_the_file(tmp_path):
    plain, _ = video.read_video(_save(tmp_path / "a.mp4", scale=6), 1)
    labelled, _ = video.read_video(_save(tmp_path / "b.mp4", scale=6, label=True), 1)
    difference = np.abs(labelled[0].astype(int) - plain[0]).max(-1)
    assert difference[-40:, :150].max() > 80 and difference[:300].max() < 12


# The command line


def test_the_command_line_verifies(tmp_path, capsys):
    path = _save(tmp_path / "a.mp4")
    assert main(["verify", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["made_here"] and report["settings"] == MADE_BY and report["content"] == "unchanged"
    assert main(["verify", str(path)]) == 0
    said = capsys.readouterr().out
    assert "unchanged" in said and "seed: 3" in said
    (tmp_path / "a.txt").write_text("words")
    assert main(["verify", str(tmp_path / "a.txt")]) == 2
    assert "another kind" in capsys.readouterr().err


def test_verifying_loads_no_model():
    heavy = ["torch", "av", "c2pa"]
    program = f"import sys, iad.media.provenance; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
