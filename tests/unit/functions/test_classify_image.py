"""classifyImage against a real HTTP server that behaves like SageMaker's runtime, well and badly."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

import pytest

Load = Callable[[str], ModuleType]
IMAGE = base64.b64encode(b"\xff\xd8\xff jpeg").decode()


class Endpoint(BaseHTTPRequestHandler):
    """Answers with what the test put into `answer`; keeps the request."""

    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"[]")
    seen: tuple[str, str, bytes] = ("", "", b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).seen = (self.path, self.headers["Content-Type"], body)
        status, headers, answer = self.answer
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def endpoint(load: Load, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Endpoint]]:
    load("classify_image").client.cache_clear()

    class Fresh(Endpoint):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Fresh) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("ENDPOINT_NAME", "vehicles")
        yield Fresh
        server.shutdown()


def refuse(code: str, status: int, **fields: Any) -> tuple[int, dict[str, str], bytes]:
    return status, {"x-amzn-errortype": code}, json.dumps({"Message": f"it says {code}", **fields}).encode()


def test_probabilities_score_and_model_come_onto_the_event(load: Load, endpoint: type[Endpoint]) -> None:
    endpoint.answer = (
        200, {"X-Amzn-SageMaker-Custom-Attributes": "ood=0.25,model=abc123"}, b"[0.03, 0.97]",
    )  # fmt: skip
    event = load("classify_image").handler({"image_data": IMAGE, "s3_key": "k"}, None)
    assert event == {
        "image_data": "",
        "s3_key": "k",
        "inferences": [0.03, 0.97],
        "ood": 0.25,
        "model": "abc123",
    }
    assert endpoint.seen == ("/endpoints/vehicles/invocations", "image/jpeg", b"\xff\xd8\xff jpeg")


def test_an_endpoint_of_the_built_in_algorithm_sends_no_attributes(
    load: Load, endpoint: type[Endpoint]
) -> None:
    endpoint.answer = (200, {}, b"[0.97, 0.03]")
    event = load("classify_image").handler({"image_data": base64.b64encode(b"GIF89a").decode()}, None)
    assert (event["ood"], event["model"]) == (0.0, "")
    assert endpoint.seen[1] == "application/x-image"


def test_a_photo_by_reference_is_read_from_s3(load: Load, endpoint: type[Endpoint], bucket: Any) -> None:
    bucket.put_object(Key="incoming/d/big.png", Body=b"\x89PNG" + b"x" * 200_000)
    endpoint.answer = (200, {}, b"[0.97, 0.03]")
    event = {"image_data": "", "s3_bucket": bucket.name, "s3_key": "incoming/d/big.png", "version_id": ""}
    load("classify_image").handler(event, None)
    assert endpoint.seen[1] == "image/png"
    assert len(endpoint.seen[2]) == 200_004


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_the_container_cannot_read_is_an_invalid_image(
    load: Load, endpoint: type[Endpoint], status: int
) -> None:
    endpoint.answer = refuse("ModelError", 424, OriginalStatusCode=status, OriginalMessage="not an image")
    handler = load("classify_image")
    with pytest.raises(handler.InvalidImage, match="cannot read the photo: not an image"):
        handler.handler({"image_data": IMAGE}, None)


def test_the_container_s_sentence_is_passed_on(load: Load, endpoint: type[Endpoint]) -> None:
    message = json.dumps({"error": "The content is not a picture."})
    endpoint.answer = refuse("ModelError", 424, OriginalStatusCode=415, OriginalMessage=message)
    handler = load("classify_image")
    with pytest.raises(handler.InvalidImage, match=r"read the photo: The content is not a picture\.$"):
        handler.handler({"image_data": IMAGE}, None)


@pytest.mark.parametrize(
    "answer",
    [
        refuse("ModelError", 424, OriginalStatusCode=500, OriginalMessage="boom"),
        refuse("ModelError", 424, OriginalStatusCode=429, OriginalMessage="busy"),
        refuse("ModelError", 424, OriginalStatusCode=0, OriginalMessage="timed out"),
        refuse("ModelNotReadyException", 429),
        refuse("ServiceUnavailable", 503),
        refuse("ValidationError", 400),  # the endpoint does not exist
        refuse("ThrottlingException", 400),
        (200, {}, b"<html>"),
        (200, {}, b'{"predictions": []}'),
        (200, {}, b'["a"]'),
        (200, {"X-Amzn-SageMaker-Custom-Attributes": "ood=high"}, b"[1, 0]"),
    ],
)
def test_anything_else_is_an_unavailable_endpoint(
    load: Load, endpoint: type[Endpoint], answer: tuple[int, dict[str, str], bytes]
) -> None:
    endpoint.answer = answer
    handler = load("classify_image")
    with pytest.raises(handler.EndpointUnavailable, match="Endpoint vehicles"):
        handler.handler({"image_data": IMAGE}, None)


def test_nobody_listening_is_an_unavailable_endpoint(
    load: Load, endpoint: type[Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://127.0.0.1:9")
    handler = load("classify_image")
    with pytest.raises(handler.EndpointUnavailable, match="did not answer"):
        handler.handler({"image_data": IMAGE}, None)
