"""Guards the real points: fetched once, checked, found in a folder; and the laws published on them.

A server on loopback stands in for the network.

    pytest tests/scaling/test_chinchilla.py
"""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from course_lib.runtime import CourseError
from course_lib.scaling import chinchilla, load_chinchilla_points, optimal, published_laws

HEADER = "x,y,color,Model Size,Training FLOP,hex_color,loss\n"
ROWS = [f"1,2,#faebdd,{1e9 * k},{6e19 * k},#faebdd,{2 + 0.1 * k}\n" for k in (3, 9, 1, 8, 2, 7)]
CONTENT = (HEADER + "".join(ROWS)).encode()


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Where the loader looks: serves `server.content` and counts requests. No folder is set."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.requests += 1
            self.send_response(server.status)
            self.end_headers()
            self.wfile.write(server.content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.status, server.requests = CONTENT, 200, 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(chinchilla, "URL", f"http://127.0.0.1:{server.server_port}/points.csv")
    monkeypatch.setattr(chinchilla, "DIGEST", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COURSE_DATA_DIR", raising=False)
    yield server
    server.shutdown()
    server.server_close()


def test_points_are_fetched_once_and_the_runs_of_highest_loss_dropped(server):
    runs = load_chinchilla_points(drop_worst=2)
    assert runs.params.tolist() == [3e9, 1e9, 2e9, 7e9], "the order of the file, without 9 and 8"
    assert runs.tokens == pytest.approx([1e10] * 4)
    assert runs.loss == pytest.approx([2.3, 2.1, 2.2, 2.7])
    assert len(load_chinchilla_points(drop_worst=0).loss) == 6
    assert server.requests == 1


def test_a_download_that_is_not_the_published_file_is_refused_and_not_kept(server, tmp_path):
    server.content = CONTENT[:-10]
    with pytest.raises(CourseError, match="SHA-256 differs"):
        load_chinchilla_points()
    assert [f for f in (tmp_path / "cache").rglob("*") if f.is_file()] == []
    server.content = CONTENT
    assert len(load_chinchilla_points(0).loss) == 6


def test_a_damaged_cache_is_fetched_again(server, tmp_path):
    load_chinchilla_points()
    (file,) = (f for f in (tmp_path / "cache").rglob("*") if f.is_file())
    file.write_bytes(b"torn")
    assert len(load_chinchilla_points(0).loss) == 6
    assert server.requests == 2
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("how", ["missing", "no server"])
def test_without_the_network_one_line_says_what_to_do(server, monkeypatch, how):
    server.status = 404
    if how == "no server":
        server.shutdown()
        server.server_close()
    with pytest.raises(CourseError, match="set COURSE_DATA_DIR") as caught:
        load_chinchilla_points()
    assert "\n" not in str(caught.value)


def test_a_folder_comes_first_and_needs_no_network(server, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path))
    (tmp_path / chinchilla.NAME).write_bytes(CONTENT)
    assert len(load_chinchilla_points(0).loss) == 6
    assert server.requests == 0
    (tmp_path / chinchilla.NAME).write_bytes(CONTENT + b"\n")
    with pytest.raises(CourseError, match="remove or replace"):
        load_chinchilla_points()


def test_a_folder_without_the_file_or_an_empty_name_is_passed_over(server, monkeypatch, tmp_path):
    for folder in ("", str(tmp_path)):
        monkeypatch.setenv("COURSE_DATA_DIR", folder)
        assert len(load_chinchilla_points(0).loss) == 6


def test_the_real_points(points):
    assert len(points.loss) == 240
    assert points.loss.max() < 3.5
    assert 5e7 < points.params.min() < points.params.max() < 2e10


def test_published_laws_are_whole_and_their_exponents_are_the_published_ones():
    laws = published_laws()
    assert set(laws) == {"hoffmann", "hoffmann-unrounded", "besiroglu"}
    assert laws["hoffmann-unrounded"].a == pytest.approx(0.46, abs=0.005)  # table 2
    assert laws["besiroglu"].a == pytest.approx(0.513, abs=0.001)
    for law in laws.values():
        assert "2022" in law.source or "2024" in law.source
    for name, interval in laws["besiroglu"].intervals.items():
        assert interval.low < getattr(laws["besiroglu"], name) < interval.high


def test_the_replication_recommends_chinchillas_own_ratio_and_the_original_does_not():
    """Besiroglu et al. 2024: about 20 tokens per parameter at Chinchilla's compute, against 70."""
    ratio = {
        name: best.tokens / best.params
        for name, law in published_laws().items()
        for best in [optimal(5.76e23, law)]
    }
    assert 15 < ratio["besiroglu"] < 25
    assert ratio["hoffmann"] > 60
