"""Receives a file over HTTP, taking up where an earlier attempt was cut off."""

from __future__ import annotations

import http.client
import shutil
import ssl
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from scones import __version__
from scones.data.collection import Progress
from scones.errors import DataError

TIMEOUT = 20.0  # seconds without a byte
MOST_BYTES = 1 << 30
_CHUNK = 1 << 18


class Interrupted(Exception):
    """The connection failed or was cut; trying again may help."""


class _KeepEncrypted(HTTPRedirectHandler):
    """Follows redirects, but not from https to http."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if req.type == "https" and not newurl.startswith("https:"):
            raise DataError(f"{req.host} redirects to a connection that is not encrypted.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_url(request: Request, timeout: float) -> Any:
    """Send a request; raises DataError for answers that are final, Interrupted for what may pass."""
    request.add_header("User-Agent", f"scones/{__version__}")
    try:
        return build_opener(_KeepEncrypted).open(request, timeout=timeout)
    except HTTPError as error:
        with error:
            if error.code >= 500 or error.code in (408, 416, 429):
                raise Interrupted(f"the server answered {error.code}") from error
            raise DataError(
                f"{request.host} answered {error.code} ({error.reason}).", "Check the URL."
            ) from error
    except URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise DataError(
                f"{request.host} has no valid certificate: {error.reason.verify_message}."
            ) from error
        raise Interrupted(f"{request.host} does not answer: {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Interrupted(f"{request.host} does not answer: {error or type(error).__name__}") from error


def receive(url: str, part: Path, size: int, progress: Progress) -> None:
    """Download to `part`, continuing what is there if the server's file is still the same one.

    `size` is the expected number of bytes, 0 if not known. Raises Interrupted when cut, DataError for what
    will not get better, OSError when `part` cannot be written.
    """
    validator = part.with_name(f"{part.name}.validator")
    request = Request(url)
    if part.is_file() and validator.is_file():
        request.add_header("Range", f"bytes={part.stat().st_size}-")
        request.add_header("If-Range", validator.read_text())
    try:
        response = open_url(request, TIMEOUT)
    except Interrupted:
        if request.has_header("Range"):  # a refusal of the range is cured by starting anew
            validator.unlink()
        raise
    with response:
        resumed = response.status == 206
        start = part.stat().st_size if resumed else 0
        total = start + int(response.headers.get("Content-Length") or 0)
        _check_length(url, total, size, part)
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        if tag and not tag.startswith("W/"):
            validator.write_text(tag)
        _copy(response, part, start, total, size or MOST_BYTES, progress)
    validator.unlink(missing_ok=True)


def _check_length(url: str, total: int, size: int, part: Path) -> None:
    host = Request(url).host
    if size and total and total != size:
        raise DataError(f"{host} offers {total:,} bytes where {size:,} were expected.", "Check the URL.")
    if total > MOST_BYTES:
        raise DataError(
            f"{host} offers {total:,} bytes; no archive of CIFAR-100 is so large.", "Check the URL."
        )
    free = shutil.disk_usage(part.parent).free
    if total > free:
        raise DataError(
            f"The download needs {total / 1e6:,.0f} MB, and {part.parent} has {free / 1e6:,.0f} MB left.",
            "Make room there, or set another place with SCONES_CACHE_DIR.",
        )


def _copy(response: Any, part: Path, start: int, total: int, most: int, progress: Progress) -> None:
    done = start
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        while chunk := _read(response):
            done += len(chunk)
            if done > most:
                raise DataError(f"The server sends more than the {most:,} bytes expected.", "Check the URL.")
            file.write(chunk)
            progress("Downloading", done, total)
    if done < total:
        raise Interrupted(f"the connection was cut after {done:,} of {total:,} bytes")


def _read(response: Any) -> bytes:
    try:
        data: bytes = response.read(_CHUNK)
        return data
    except (OSError, http.client.HTTPException) as error:
        raise Interrupted(f"the connection was cut: {error or type(error).__name__}") from error
