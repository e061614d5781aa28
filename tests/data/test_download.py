"""A download is resumed, checked, and believed only when whole; the server is on this host."""

from __future__ import annotations

import hashlib
import runpy
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from frivolous.data import cifar10
from frivolous.data.files import cifar10_files
from frivolous.data.files.download import Remote, fetch
from frivolous.errors import FrivolousError

making = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("making.py"))))
CONTENT = bytes(range(256)) * 8000


class Server:
    """Serves one file; ``ranges`` lists what was asked for; it may lie about lengths."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.most: int | None = None
        self.knows_ranges = True
        self.ranges: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                server.ranges.append(asked)
                begin = int(asked[6:-1]) if asked and server.knows_ranges else 0
                if begin >= len(server.content):
                    self.send_error(416)
                    return
                body = server.content[begin:]
                self.send_response(206 if begin else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: server.most])

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/data.bin"

    def remote(self) -> Remote:
        return Remote(self.url, hashlib.sha256(self.content).hexdigest(), "data.bin")

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    yield made
    made.stop()


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    path = fetch(server.remote(), tmp_path / "new")
    assert path.read_bytes() == CONTENT
    assert fetch(server.remote(), tmp_path / "new") == path
    assert server.ranges == [None]
    assert [entry.name for entry in path.parent.iterdir()] == ["data.bin"]


def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.most = 1_000_000
    message = "ended after 1,000,000 of 2,048,000 bytes; run again to fetch the rest"
    with pytest.raises(FrivolousError, match=message):
        fetch(server.remote(), tmp_path)
    assert not (tmp_path / "data.bin").exists()
    server.most = None
    assert fetch(server.remote(), tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000000-"]


def test_a_server_without_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.knows_ranges = False
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:5000])
    assert fetch(server.remote(), tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_whole_needs_no_more(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    assert fetch(server.remote(), tmp_path).read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_the_file_set_aside(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"another file" * 100)
    with pytest.raises(
        FrivolousError, match="has the SHA-256 .*, not .*; it was set aside as .*bad"
    ):
        fetch(server.remote(), tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["data.bin.bad"]
    assert fetch(server.remote(), tmp_path).read_bytes() == CONTENT


def test_without_a_network_it_says_what_to_do(tmp_path: Path) -> None:
    stopped = Server()
    remote = stopped.remote()
    stopped.stop()
    message = "cannot download http.*Is there a network. Otherwise copy data.bin into"
    with pytest.raises(FrivolousError, match=message):
        fetch(remote, tmp_path)


def test_an_address_that_is_gone(server: Server, tmp_path: Path) -> None:
    server.content = b""
    with pytest.raises(FrivolousError, match="cannot download http.* Is there a network"):
        fetch(Remote(server.url, "0", "data.bin"), tmp_path)


def test_a_place_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        FrivolousError, match="cannot write .*; free space or name another `folder` .--data-dir."
    ):
        fetch(server.remote(), tmp_path / "file" / "below")


def test_cifar10_is_fetched_on_request_only_if_it_is_not_there(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making.packed(tmp_path / "made.tar.gz", "cifar-10-batches-bin", making.binary_files())
    server.content = (tmp_path / "made.tar.gz").read_bytes()
    digest = hashlib.sha256(server.content).hexdigest()
    remote = Remote(server.url, digest, "cifar-10-binary.tar.gz")
    monkeypatch.setattr(cifar10_files, "ARCHIVE", remote)
    for _ in range(2):
        splits = cifar10(
            folder=tmp_path / "data", train=400, validation=200, download=True, cache=tmp_path / "c"
        )
    assert len(splits.test) == 200
    assert server.ranges == [None]
