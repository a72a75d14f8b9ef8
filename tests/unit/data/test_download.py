"""Downloads from a server that misbehaves in every way a network can."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scones.data import download, sources, transfer
from scones.data.collection import ignore_progress
from scones.data.download import Official, fetch_archive, is_reachable
from scones.errors import DataError, UsageError

CONTENT = bytes(range(256)) * 4096  # 1 MiB


@dataclass
class Site:
    """What the server does; `cuts` are the bytes after which it drops each coming connection."""

    url: str = ""
    content: bytes = CONTENT
    status: int = 200
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    tag: str = '"one"'
    delay: float = 0
    location: str = ""
    length: int | None = None
    requests: list[str] = field(default_factory=list)


def make_handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            site.requests.append(asked)
            time.sleep(site.delay)
            start = self.start_body(asked)
            stop = start + site.cuts.pop(0) if site.cuts else len(site.content)
            if self.command == "GET" and site.status in (200, 206):
                self.wfile.write(site.content[start:stop])

        do_HEAD = do_GET

        def start_body(self, asked: str) -> int:
            same = site.ranges and self.headers.get("If-Range") == site.tag
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and same else 0
            self.send_response(206 if start and site.status == 200 else site.status)
            if site.location:
                self.send_header("Location", site.location)
            if site.tag:
                self.send_header("ETag", site.tag)
            length = site.length if site.length is not None else len(site.content) - start
            self.send_header("Content-Length", str(length if site.status == 200 else 0))
            self.end_headers()
            return start

        def log_message(self, *_: object) -> None:
            """Silent."""

    return Handler


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(download, "PAUSE", 0.001)
    monkeypatch.setattr(transfer, "TIMEOUT", 2.0)
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(site))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}/dir/cifar.tar.gz"
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(site: Site, cache: Path, sha256: str = "", official: Official | None = None) -> Path:
    source = "cifar100" if official else site.url
    return fetch_archive(source, cache, sha256, ignore_progress, *([official] if official else []))[0]


def official_of(site: Site, content: bytes = CONTENT) -> Official:
    return Official(site.url, len(content), hashlib.md5(content).hexdigest())


def test_downloads_once(site: Site, tmp_path: Path) -> None:
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert len(site.requests) == 1
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".gz", ".sha256"]


def test_describes_where_it_is_from(site: Site, tmp_path: Path) -> None:
    _, description = fetch_archive(f"{site.url}?X-Amz-Signature=secret", tmp_path, "", ignore_progress)
    assert description["url"] == site.url
    assert description["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert "secret" not in str(description)


def test_no_secret_is_told(site: Site, tmp_path: Path) -> None:
    for url in ("https://user:secret@example.org/x", "https:///secret"):
        with pytest.raises(UsageError, match="no user name or password") as used:
            fetch_archive(url, tmp_path, "", ignore_progress)
        assert "secret@" not in used.value.message
    site.status = 404
    with pytest.raises(DataError) as refused:
        fetch_archive(f"{site.url}?X-Amz-Signature=secret", tmp_path, "", ignore_progress)
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("cuts", [[300_000], [1, 1, 1], [100_000, 200_000, 300_000, 0]])
def test_resumes_after_a_cut_connection(site: Site, tmp_path: Path, cuts: list[int]) -> None:
    site.cuts = list(cuts)
    assert fetch(site, tmp_path, official=official_of(site)).read_bytes() == CONTENT
    expected = [sum(cuts[: count + 1]) for count in range(len(cuts))]
    assert site.requests == ["", *(f"bytes={start}-" for start in expected)]


def test_resumes_in_another_process(site: Site, tmp_path: Path) -> None:
    site.cuts = [200_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match="cut after 200,000 of 1,048,576 bytes"):
        fetch(site, tmp_path)
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.requests[-1] == "bytes=200000-"


@pytest.mark.parametrize("way", ["no ranges", "no tag", "changed"])
def test_starts_anew_where_resuming_would_mix_files(site: Site, tmp_path: Path, way: str) -> None:
    site.cuts = [300_000, 0, 0, 0, 0]
    site.ranges, site.tag = way != "no ranges", "" if way == "no tag" else '"one"'
    with pytest.raises(DataError, match="could not be downloaded"):
        fetch(site, tmp_path)
    if way == "changed":
        site.content, site.tag = CONTENT[::-1], '"two"'
    assert fetch(site, tmp_path).read_bytes() == site.content


@pytest.mark.parametrize(
    ("status", "expected", "requests"),
    [(404, "answered 404", 1), (403, "answered 403", 1), (500, "server answered 500", 5), (503, "503", 5)],
)
def test_errors_of_the_server(site: Site, tmp_path: Path, status: int, expected: str, requests: int) -> None:
    site.status = status
    with pytest.raises(DataError, match=expected):
        fetch(site, tmp_path)
    assert len(site.requests) == requests
    assert not list(tmp_path.glob("*.gz"))


def test_a_server_that_hangs(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "TIMEOUT", 0.05)
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    site.delay = 0.3
    with pytest.raises(DataError, match="timed out"):
        fetch(site, tmp_path)


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.001)
    with pytest.raises(DataError, match=r"does not answer: .*refused") as caught:
        fetch(Site(url="http://127.0.0.1:9/cifar.tar.gz"), tmp_path)
    assert "--source sample" in caught.value.hint


def test_a_wrong_checksum(site: Site, tmp_path: Path) -> None:
    wrong = Official(site.url, len(CONTENT), "0" * 32)
    with pytest.raises(DataError, match=r"has the MD5 .* not 00000"):
        fetch(site, tmp_path, official=wrong)
    with pytest.raises(DataError, match=r"has the SHA-256 .* not 1111"):
        fetch(site, tmp_path, sha256="1" * 64)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".sha256"]
    assert fetch(site, tmp_path, sha256=hashlib.sha256(CONTENT).hexdigest().upper()).is_file()


def test_a_wrong_size_is_refused_before_the_download(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="offers 1,048,576 bytes where 7 were expected"):
        fetch(site, tmp_path, official=Official(site.url, 7, ""))
    site.length = 1 << 40
    with pytest.raises(DataError, match="no archive of CIFAR-100 is so large"):
        fetch(site, tmp_path)


def test_a_server_that_sends_more_than_it_says(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MOST_BYTES", 500_000)
    monkeypatch.setattr(transfer, "_check_length", lambda *_: None)
    with pytest.raises(DataError, match="more than the 500,000 bytes"):
        fetch(site, tmp_path)


def test_a_damaged_cache_is_fetched_again(site: Site, tmp_path: Path) -> None:
    path = fetch(site, tmp_path)
    path.write_bytes(CONTENT[:-1] + b"?")
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert len(site.requests) == 2


def test_a_full_disk(site: Site, tmp_path: Path) -> None:
    name = hashlib.sha256(site.url.encode()).hexdigest()[:16] + "-cifar.tar.gz.part"
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(DataError, match="cannot be used: No space left on device"):
        fetch(site, tmp_path)


def test_a_cache_that_is_no_folder(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"The cache .* cannot be used"):
        fetch(site, tmp_path / "file")


def test_many_processes_share_the_cache(site: Site, tmp_path: Path) -> None:
    site.delay = 0.2
    code = (
        "import sys; from pathlib import Path; from scones.data.download import fetch_archive as f; "
        "from scones.data.collection import ignore_progress as i; "
        "sys.exit(f(sys.argv[1], Path(sys.argv[2]), '', i)[1]['bytes'] != 1 << 20)"
    )
    command = [sys.executable, "-c", code, site.url, str(tmp_path)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(site.requests) == 1


def test_plain_http_needs_a_checksum(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can be altered on the way") as caught:
        fetch_archive("http://example.org/cifar.tar.gz", tmp_path, "", ignore_progress)
    assert "--sha256" in caught.value.hint


def test_redirects(site: Site, tmp_path: Path) -> None:
    site.status, site.location = 302, "file:///etc/passwd"
    with pytest.raises(DataError, match="answered 302"):
        fetch(site, tmp_path)


def test_paths_and_file_urls(tmp_path: Path) -> None:
    path = tmp_path / "my archive.tar.gz"
    path.write_bytes(CONTENT)
    for source in (str(path), path.as_uri()):
        assert fetch_archive(source, tmp_path, "", ignore_progress)[0] == path
        with pytest.raises(DataError, match="SHA-256"):
            fetch_archive(source, tmp_path, "2" * 64, ignore_progress)
    with pytest.raises(DataError, match="There is no archive"):
        fetch_archive((tmp_path / "none").as_uri(), tmp_path, "", ignore_progress)


def collect(source: str, cache: Path, official: Official) -> str:
    kind: str = sources.collect(
        source,
        ("bicycle", "motorcycle"),
        seed=0,
        cache_dir=cache,
        sha256="",
        skip_unreadable=False,
        progress=ignore_progress,
        official=official,
    ).source["kind"]
    return kind


def test_auto_takes_cifar_if_its_host_answers(
    site: Site, tmp_path: Path, make_archive: Callable[..., Path]
) -> None:
    site.content = make_archive().read_bytes()
    official = official_of(site, site.content)
    assert collect("auto", tmp_path / "cache", official) == "cifar100"
    site.status = 500  # and from now on from the cache
    assert collect("auto", tmp_path / "cache", official) == "cifar100"


@pytest.mark.parametrize("delay", [0.0, 5.0])
def test_the_decision_is_quick(site: Site, delay: float) -> None:
    site.delay = delay
    start = time.monotonic()
    assert is_reachable(site.url, 0.3) == (delay == 0)
    assert time.monotonic() - start < 2
    assert not is_reachable("http://127.0.0.1:9/", 0.3)
    site.delay = 0
