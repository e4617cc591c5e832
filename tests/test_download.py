"""Files come whole or not at all, the head's arrays bit for bit, and every portrait under its own number."""

import http.server
import os
import threading
from itertools import combinations
from operator import attrgetter
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from iad.portraits import download as room
from iad.portraits.download import (
    DIGESTS,
    EXPRESSIONS,
    HEAD,
    IDENTITIES,
    PORTRAITS,
    PROMPTED_PORTRAITS,
    Cell,
    build_head,
    cut_figure,
    cut_people,
    digest_of,
    download,
    download_head,
    read_cells,
    read_obj,
)
from iad.portraits.fetching import SpoiltError, fetch_files
from iad.portraits.morphable import load_head
from iad.portraits.photo import load_photo_people

RNG = np.random.default_rng(0)


class Server:
    """A web server on this machine; `faults` maps a path to what to do wrong with it, once for each entry."""

    def __init__(self, root):
        self.root, self.asked, self.measured, self.faults = root, [], [], {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                outer.measured.append(unquote(self.path)[1:])
                self.answer(body=False)

            def do_GET(self):
                outer.asked.append(unquote(self.path)[1:])
                self.answer(body=True)

            def answer(self, *, body):
                path = unquote(self.path)[1:]
                fault = outer.faults.get(path, []).pop(0) if body and outer.faults.get(path) else None
                file = outer.root / path
                if fault == "busy" or not file.is_file():
                    self.send_error(503 if fault else 404)
                    return
                data = file.read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if body:
                    self.wfile.write(data[: len(data) // 2] if fault == "cut short" else data)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def put(self, path, data):
        """Place a file."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path / "server")
    yield made
    made.http.shutdown()
    made.http.server_close()


# Fetching


def test_fetches_what_is_missing_only(server, tmp_path, capsys):
    server.put("a b/c%.txt", b"one")
    server.put("d.txt", b"three")
    files = {tmp_path / "here" / "c": "a b/c%.txt", tmp_path / "here" / "d": "d.txt"}
    fetch_files(files, what="Some text", server=server.url)
    assert (tmp_path / "here" / "c").read_bytes() == b"one"
    assert "Some text: 2 files, 0.0 MB to fetch." in capsys.readouterr().err
    (tmp_path / "here" / "d").unlink()
    fetch_files(files, what="Some text", server=server.url)
    assert server.asked.count("a b/c%.txt") == 1
    assert server.asked.count("d.txt") == 2
    assert "1 more are here already" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["busy", "cut short"])
def test_tries_again(server, tmp_path, fault):
    server.put("file", b"x" * 1000)
    server.faults["file"] = [fault] * 3
    fetch_files({tmp_path / "file": "file"}, what="It", server=server.url, pause=0.01)
    assert (tmp_path / "file").read_bytes() == b"x" * 1000


def test_what_stays_cut_short_leaves_nothing(server, tmp_path):
    server.put("file", b"x" * 1000)
    server.faults["file"] = ["cut short"] * 4
    with pytest.raises(
        ConnectionError, match="check the connection and run the command again, finished files"
    ):
        fetch_files({tmp_path / "file": "file"}, what="It", server=server.url, pause=0.01)
    assert not (tmp_path / "file").exists()


def test_no_network_is_said(tmp_path):
    with pytest.raises(ConnectionError, match="Could not reach http://127.0.0.1:9/x; check the connection"):
        fetch_files({tmp_path / "x": "x"}, what="It", server="http://127.0.0.1:9", pause=0.01)


def test_a_missing_file_is_asked_for_once(server, tmp_path):
    with pytest.raises(ConnectionError, match="answered 404"):
        fetch_files({tmp_path / "x": "x"}, what="It", server=server.url, pause=0.01)
    assert server.measured == ["x"]


# The head


def obj_of(vertices, uv, polygons):
    lines = ["# made up", "mtllib nothing.mtl"]
    lines += [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in vertices] + [f"vt {u:.9g} {v:.9g}" for u, v in uv]
    lines += ["f " + " ".join(f"{a + 1}/{b + 1}" for a, b in polygon) for polygon in polygons]
    return ("\n".join(lines) + "\n").encode()


QUAD_AND_TRIANGLE = [[(0, 3), (1, 2), (2, 1), (3, 0)], [(0, 0), (1, 1), (4, 2)]]


def put_head(server):
    neutral = RNG.normal(0, 5, (5, 3)).round(4)
    uv = RNG.uniform(0, 1, (4, 2)).round(4)
    shapes = {name: neutral + RNG.normal(0, 0.1, (5, 3)).round(4) for name in (*IDENTITIES, *EXPRESSIONS)}
    for name, vertices in {"generic_neutral_mesh": neutral, **shapes}.items():
        server.put(f"{HEAD}/FaceXModel/{name}.obj", obj_of(vertices, uv, QUAD_AND_TRIANGLE))
    server.put(f"{HEAD}/LICENSE", b"MIT")
    return neutral, shapes


def test_head_becomes_arrays(server, tmp_path):
    neutral, shapes = put_head(server)
    made = download_head(tmp_path / "ict", server=server.url, digests={})
    with np.load(made) as arrays:
        np.testing.assert_array_equal(arrays["faces"], [[0, 1, 2], [0, 2, 3], [0, 1, 4]])
        np.testing.assert_array_equal(arrays["neutral"], neutral.astype(np.float32))
        np.testing.assert_allclose(arrays["identity"][7], shapes["identity007"] - neutral, atol=3e-4)
        jaw = list(arrays["expression_names"]).index("jawOpen")
        np.testing.assert_allclose(arrays["expression"][jaw], shapes["jawOpen"] - neutral, atol=3e-4)
        assert arrays["identity"].shape == (100, 5, 3)
        assert arrays["expression"].dtype == np.float16
        digests = {name: digest_of(arrays[name]) for name in arrays}
    assert sorted(path.name for path in made.parent.iterdir()) == ["LICENSE", "ict_facekit.npz"]
    asked = len(server.asked)
    assert download_head(tmp_path / "ict", server=server.url, digests=digests) == made
    assert len(server.asked) == asked
    download_head(tmp_path / "again", server=server.url, digests=digests)


def test_another_head_is_refused(server, tmp_path):
    put_head(server)
    with pytest.raises(SpoiltError, match="another `neutral` than expected, and did when it was fetched"):
        download_head(tmp_path / "ict", server=server.url)
    assert not (tmp_path / "ict" / "ict_facekit.npz").exists()
    assert server.asked.count(f"{HEAD}/FaceXModel/generic_neutral_mesh.obj") == 2


@pytest.mark.parametrize("name", ["generic_neutral_mesh", "jawOpen", "identity003"])
def test_a_spoilt_mesh_is_fetched_once_more(server, tmp_path, name):
    put_head(server)
    with np.load(download_head(tmp_path / "first", server=server.url, digests={})) as known:
        digests = {key: digest_of(known[key]) for key in known}
    spoils = (lambda data: data[: len(data) // 3]), (lambda data: data.replace(b"v ", b"v 1"))
    for count, spoil in enumerate(spoils):
        path = tmp_path / str(count) / "FaceXModel" / f"{name}.obj"
        path.parent.mkdir(parents=True)
        path.write_bytes(spoil((server.root / HEAD / "FaceXModel" / path.name).read_bytes()))
        made = download_head(tmp_path / str(count), server=server.url, digests=digests)
        with np.load(made) as arrays:
            assert {key: digest_of(arrays[key]) for key in digests} == digests


def test_a_damaged_head_is_made_again(server, tmp_path):
    put_head(server)
    made = download_head(tmp_path, server=server.url, digests={})
    whole = made.read_bytes()
    for broken in (b"", whole[: len(whole) // 2], whole[:400] + bytes(200) + whole[600:]):
        made.write_bytes(broken)
        with pytest.raises(ValueError, match="ict_facekit.npz is damaged; make it again with `python -m iad"):
            load_head(made)
        download_head(tmp_path, server=server.url, digests={})
        with np.load(made) as arrays:
            assert arrays["identity"].shape == (100, 5, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<html>404</html> v 1 2\nv 1 2 x\n", "not a readable OBJ"),
        (b"v 1 2 3\n", "has 1 vertices instead of 5"),
    ],
)
def test_a_damaged_mesh_is_named(server, tmp_path, data, message):
    put_head(server)
    server.put(f"{HEAD}/FaceXModel/jawOpen.obj", data)
    with pytest.raises(ValueError, match=f"jawOpen.obj.* {message}"):
        download_head(tmp_path / "ict", server=server.url, digests={})


def test_offsets_round_as_in_the_known_head(tmp_path):
    """The known head's differences were taken in single precision; in double, this one rounds otherwise."""
    neutral, shape, known = "8.36153", "8.35782", np.float16(-0.003711700439453125)  # vertex 56 of identity 0
    for name in (*IDENTITIES, *EXPRESSIONS):
        (tmp_path / f"{name}.obj").write_text(f"v {shape} 0 0\n")
    (tmp_path / "generic_neutral_mesh.obj").write_text(f"v {neutral} 0 0\n")
    assert build_head(tmp_path)["identity"][0, 0, 0] == known
    assert np.float16(float(shape) - float(neutral)) != known


@pytest.mark.skipif(
    not os.environ.get("IAD_ICT_FACEKIT"), reason="needs the head: `python -m iad data download` fetches it"
)
def test_known_head_survives_being_written_as_obj(tmp_path):
    with np.load(os.environ["IAD_ICT_FACEKIT"]) as arrays:
        known = {name: arrays[name] for name in DIGESTS}
    assert {name: digest_of(array) for name, array in known.items()} == DIGESTS
    polygons, faces, index = [], known["faces"], 0
    while index < len(faces):  # join fans to the quads that they were
        here, after = faces[index], faces[min(index + 1, len(faces) - 1)]
        quad = here[0] == after[0] and here[2] == after[1]
        polygons.append([(v, v) for v in (*here, after[2])[: 4 if quad else 3]])
        index += 2 if quad else 1
    path = tmp_path / "mesh.obj"
    path.write_bytes(obj_of(known["neutral"], np.zeros((1, 2)), polygons))
    vertices, triangles = read_obj(path)
    assert digest_of(vertices) == DIGESTS["neutral"]
    assert digest_of(triangles) == DIGESTS["faces"]


# The portraits


def made_up_portrait(seed):
    """Draw smooth colours with a bright oval."""
    rng = np.random.default_rng(seed)
    photo = cv2.resize(rng.uniform(30, 220, (9, 9, 3)), (256, 256), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    photo[(x / 0.5) ** 2 + (y / 0.7) ** 2 < 1] += 40
    return np.clip(photo, 0, 255).astype(np.uint8)


GUTTER, TITLE = (12, 40), 60


def made_up_figure(photos, *, columns, side):
    """Lay photos out as matplotlib does: titles above the cells, gutters."""
    cells = [cell_of(number, "", columns=columns, side=side) for number in range(len(photos))]
    picture = np.full((cells[-1].top + side + 10, columns * (side + GUTTER[0]) + 17, 3), 13, np.uint8)
    for cell, photo in zip(cells, photos, strict=True):
        place = np.s_[cell.top : cell.top + side, cell.left : cell.left + side]
        picture[place] = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)
        cv2.putText(picture, "image", (cell.left + 20, cell.top - 8), 0, 0.45, (255, 255, 255), 1)
    return picture


def cell_of(number, name, *, columns, side, first=0):
    """Say where a made-up figure shows a portrait, the `first` of which is the upper left one."""
    row, column = divmod(number - first, columns)
    return Cell(number, name, 10 + (side + GUTTER[0]) * column, TITLE + (side + GUTTER[1]) * row, side)


def png(picture):
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()


def test_a_damaged_figure_is_named(tmp_path):
    cell, path = Cell(1, "f.jpg", 10, 60, 200), tmp_path / "f.jpg"
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(SpoiltError, match="f.jpg is not a whole picture, and did when it was fetched again"):
        cut_figure(path, [cell], tmp_path)
    path.write_bytes(png(made_up_portrait(0))[:-2000])
    with pytest.raises(SpoiltError, match="f.jpg is not a whole picture"):
        cut_figure(path, [cell], tmp_path)
    path.write_bytes(png(np.zeros((259, 400, 3), np.uint8)))
    with pytest.raises(ValueError, match="f.jpg is smaller than expected, and"):
        cut_figure(path, [cell], tmp_path)
    assert not list(tmp_path.glob("0001*"))


def test_table_of_portraits_is_sound():
    cells = read_cells()
    numbers = [cell.number for cell in cells]
    assert len(set(numbers)) == len(numbers) == 1243
    assert numbers == sorted(numbers)
    assert all(c.figure.startswith(("SFHQ_", "textual_search_")) and c.figure.endswith(".jpg") for c in cells)
    for one, other in combinations(cells, 2):
        if one.figure == other.figure:
            (upper, lower), (left, right) = (sorted((one, other), key=attrgetter(k)) for k in ("top", "left"))
            apart = max(lower.top - upper.top - upper.side, right.left - left.left - left.side)
            assert apart >= 0, (one, other)


def put_figures(server):
    """Serve one figure of each repository, six portraits each; of every figure two are in the table."""
    places = {
        "SFHQ_sample_2x3.jpg": f"{PORTRAITS}/images",
        "textual search.jpg": f"{PROMPTED_PORTRAITS}/figures",
    }
    cells, photos = [], {}
    for start, (name, place) in zip((0, 10), places.items(), strict=True):
        drawn = [made_up_portrait(seed) for seed in range(start, start + 6)]
        server.put(f"{place}/{name}", png(made_up_figure(drawn, columns=3, side=300)))
        for seed in (start + 1, start + 4):
            cells.append(cell_of(seed, name, columns=3, side=300, first=start))
            photos[seed] = drawn[seed - start]
    server.put(f"{PROMPTED_PORTRAITS}/LICENSE.txt", b"MIT")
    return cells, photos


def test_figures_become_numbered_photos(server, tmp_path):
    cells, photos = put_figures(server)
    assert cut_people(tmp_path, cells, server=server.url) == [1, 4, 11, 14]
    assert sorted(path.name for path in (tmp_path / "photos").iterdir()) == [
        "0001.jpg", "0004.jpg", "0011.jpg", "0014.jpg",
    ]  # fmt: skip
    for number, photo in photos.items():
        written = cv2.imread(str(tmp_path / "photos" / f"{number:04d}.jpg"))[..., ::-1]
        assert written.shape == (256, 256, 3)
        assert np.abs(written.astype(int) - photo).mean() < 3


def test_spoilt_figures_are_fetched_once_more(server, tmp_path):
    cells, photos = put_figures(server)
    (tmp_path / "figures").mkdir()
    for cell in cells:
        (tmp_path / "figures" / cell.figure).write_bytes(b"<html>busy</html>")
    assert cut_people(tmp_path, cells, server=server.url) == sorted(photos)
    assert len([path for path in server.asked if "LICENSE" not in path]) == 2
    server.put(f"{PORTRAITS}/images/{cells[0].figure}", b"<html>gone</html>")
    (tmp_path / "figures" / cells[0].figure).unlink()
    with pytest.raises(SpoiltError, match="is not a whole picture"):
        cut_people(tmp_path, cells, server=server.url)
    assert server.asked.count(f"{PORTRAITS}/images/{cells[0].figure}") == 3


def test_whole_download_writes_fits_once(server, tmp_path, monkeypatch):
    from test_fit import HEAD as TINY
    from test_fit import landmarks_of, made_up_fit

    cells, _ = put_figures(server)
    landmarks = landmarks_of(TINY, made_up_fit()).astype(np.float32)
    monkeypatch.setattr(room, "read_cells", lambda: cells)
    monkeypatch.setattr(room, "download_head", lambda folder, **_: folder)
    monkeypatch.setattr(room, "load_head", lambda path: TINY)
    monkeypatch.setattr(
        room, "find_face", lambda photo, landmarker: type("Found", (), {"landmarks": landmarks})
    )
    assert download(tmp_path, server=server.url) == tmp_path
    assert not (tmp_path / "people" / "fits.npz").exists()
    asked = len(server.asked)
    download(tmp_path, landmarker=lambda crop: landmarks, server=server.url)
    with np.load(tmp_path / "people" / "fits.npz") as fits:
        assert fits["id"].tolist() == [1, 4, 11, 14]
    download(tmp_path, landmarker=lambda crop: landmarks, server=server.url)
    assert len(server.asked) == asked
    assert not (tmp_path / "people" / "figures").exists()
    for photo in ((tmp_path / "people" / "photos" / f"{number:04d}.jpg") for number in (4, 11)):
        whole = photo.read_bytes()
        photo.write_bytes(whole[: len(whole) // 2])
        download(tmp_path, server=server.url)  # of one figure alone: the fits stay
        assert photo.read_bytes() == whole
    assert len(server.asked) == asked + 2
    fits = tmp_path / "people" / "fits.npz"
    fits.write_bytes(fits.read_bytes()[:-300])
    with pytest.raises(ValueError, match="fits.npz is damaged"):
        load_photo_people(tmp_path / "people")
    download(tmp_path, landmarker=lambda crop: landmarks, server=server.url)
    assert [record.number for record in load_photo_people(tmp_path / "people")] == [1, 4, 11, 14]
