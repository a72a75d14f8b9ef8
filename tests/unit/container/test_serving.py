"""The serving program over real HTTP, with a real process and a real ONNX model."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from scones.container.application import MOST_BYTES
from scones.container.pool import InferencePool, Overloaded
from scones.container.serving import read_options
from scones.errors import DataError, ModelError, UsageError
from scones.model.artifact import CALIBRATION, EMBEDDINGS, GRAPH, LABELS, encode_json, write_artifact
from scones.model.novelty import Reference, dump_reference

RED_IS_BICYCLE = 0.02  # logit for each unit of mean red over mean blue


def build_graph() -> bytes:
    """A model that tells red pictures from blue ones: mean colour as embedding, a softmax over red - blue."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "sides"], ["embedding"], keepdims=0),
        helper.make_node("MatMul", ["embedding", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    weights = np.array([[1, -1], [0, 0], [-1, 1]], np.float32) * RED_IS_BICYCLE
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", "height", "width", 3])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 3]),
        ],
        [
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array(np.array([1, 2], np.int64), "sides"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def draw(colour: tuple[int, int, int], kind: str = "PNG", side: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, kind)
    return buffer.getvalue()


def write_model(folder: Path) -> str:
    points = np.eye(3, dtype=np.float32)[np.arange(20) % 3]
    reference = Reference(np.zeros(3, np.float32), np.eye(3, dtype=np.float32), points, np.arange(20) % 2)
    files = {
        GRAPH: build_graph(),
        LABELS: encode_json(["bicycle", "motorcycle"]),
        CALIBRATION: encode_json({"temperature": 1.0, "ood": {"limit": 2.0}}),
        EMBEDDINGS: dump_reference(reference),
    }
    return write_artifact(folder, files, {"classes": ["bicycle", "motorcycle"]})


@dataclass(frozen=True)
class Served:
    """A running serving program."""

    process: subprocess.Popen[str]
    port: int
    digest: str

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return response.status, response, response.read()
        finally:
            connection.close()

    def classify(self, body: bytes, content_type: str = "image/png") -> tuple[int, object]:
        status, _, answer = self.ask("POST", "/invocations", body, content_type=content_type)
        return status, json.loads(answer)


def launch(base: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scones.container", "serve"],
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(base), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start(base: Path, **environment: str) -> Served:
    digest = write_model(base / "model")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = launch(base, SAGEMAKER_BIND_TO_PORT=str(port), **environment)
    served = Served(process, port, digest)
    deadline = time.monotonic() + 60
    while True:
        try:
            if served.ask("GET", "/ping")[0] == 200:
                return served
        except OSError:
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = start(tmp_path_factory.mktemp("container"))
    yield served
    served.process.kill()
    served.process.communicate()


def test_a_picture_gets_its_probabilities_score_and_model(served: Served) -> None:
    status, response, body = served.ask("POST", "/invocations", draw((200, 0, 0)), content_type="image/png")
    assert (status, response.headers["content-type"]) == (200, "application/json")
    probabilities = json.loads(body)
    assert probabilities[0] > 0.99
    assert sum(probabilities) == pytest.approx(1)
    attributes = response.headers["x-amzn-sagemaker-custom-attributes"]
    match = re.fullmatch(r"ood=([01]\.\d{4}),model=([0-9a-f]{64})", attributes)
    assert match
    assert match[2] == served.digest


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("image/png", "PNG"),
        ("image/jpeg", "JPEG"),
        ("application/x-image", "JPEG"),
        ("IMAGE/PNG; a=b", "PNG"),
    ],
)
def test_every_documented_content_type_is_taken(served: Served, content_type: str, kind: str) -> None:
    status, probabilities = served.classify(draw((0, 0, 200), kind), content_type)
    assert status == 200
    assert isinstance(probabilities, list)
    assert probabilities[1] > 0.99


def test_batch_transform_gets_json_lines(served: Served) -> None:
    _, response, body = served.ask(
        "POST", "/invocations", draw((200, 0, 0)), content_type="image/png", accept="application/jsonlines"
    )
    assert response.headers["content-type"] == "application/jsonlines"
    assert json.loads(body)["prediction"][0] > 0.99
    limits = json.loads(served.ask("GET", "/execution-parameters")[2])
    assert limits["BatchStrategy"] == "SINGLE_RECORD"


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it is 60,000 pixels square."""
    header = bytearray(draw((0, 0, 0)))
    header[16:24] = (60_000).to_bytes(4) * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4)
    return bytes(header)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (b"", "image/png", 400, "empty"),
        (b"no image", "image/png", 400, "."),
        (draw((1, 2, 3))[:-40], "image/png", 400, "."),
        (draw((1, 2, 3), "JPEG", 64)[:-200], "image/jpeg", 400, "."),
        (bomb(), "image/png", 400, "."),
        (draw((1, 2, 3)), "text/csv", 415, "text/csv"),
        (draw((1, 2, 3)), "", 415, "missing"),
    ],
    ids=["empty", "text", "cut png", "cut jpeg", "bomb", "wrong type", "no type"],
)
def test_bad_input_is_refused_with_the_reason(
    served: Served, body: bytes, content_type: str, status: int, words: str
) -> None:
    answered, error = served.classify(body, content_type)
    assert answered == status
    assert isinstance(error, dict)
    assert words in error["error"]


@pytest.mark.parametrize("chunked", [False, True])
def test_an_oversized_body_is_refused(served: Served, chunked: bool) -> None:
    body = bytes(MOST_BYTES + 1)
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    try:
        parts = (body[start : start + 65536] for start in range(0, len(body), 65536))
        headers = {"content-type": "image/png"}
        connection.request(
            "POST", "/invocations", parts if chunked else body, headers, encode_chunked=chunked
        )
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # it may stop listening before all is sent
    finally:
        connection.close()
    assert served.classify(draw((200, 0, 0)))[0] == 200


def test_unknown_paths_and_methods_are_refused(served: Served) -> None:
    assert served.ask("GET", "/models")[0] == 404
    assert served.ask("GET", "/invocations")[0] == 405
    assert served.ask("POST", "/ping", b"")[0] == 405


def test_many_at_once_each_get_their_own_answer(served: Served) -> None:
    pictures = [
        draw((200, 0, 0), side=8 + n % 3) if n % 2 else draw((0, 0, 200), side=8 + n % 3) for n in range(64)
    ]
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(served.classify, pictures))
    for number, (status, probabilities) in enumerate(answers):
        assert status == 200
        assert isinstance(probabilities, list)
        assert probabilities[0 if number % 2 else 1] > 0.99
    page = served.ask("GET", "/metrics")[2].decode()
    counted = re.search(r'scones_responses_total\{status="200"\} (\d+)', page)
    assert counted
    assert int(counted[1]) >= 64


def test_sigterm_answers_what_is_in_flight_and_ends_with_0(tmp_path: Path) -> None:
    served = start(tmp_path)
    photo = draw((200, 0, 0), "PNG", 1500)  # takes a while to decode
    with ThreadPoolExecutor(4) as clients:
        answers = [clients.submit(served.classify, photo) for _ in range(4)]
        time.sleep(0.1)
        served.process.send_signal(signal.SIGTERM)
        output, _ = served.process.communicate(timeout=30)
    assert served.process.returncode == 0, output
    assert [answer.result()[0] for answer in answers] == [200] * 4


def test_a_missing_or_damaged_model_ends_the_program_with_the_reason(tmp_path: Path) -> None:
    process = launch(tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "The model cannot be served." in output
    write_model(tmp_path / "model")
    (tmp_path / "model" / GRAPH).write_bytes(b"no graph")
    process = launch(tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "The model cannot be served." in output
    assert "Traceback" not in output


def test_options_come_from_sagemakers_variables() -> None:
    assert read_options({}).host == "0.0.0.0"
    assert read_options({"SAGEMAKER_BASE_DIR": "/opt/ml"}).host == "127.0.0.1"  # mounted for one process here
    options = read_options({"SAGEMAKER_BASE_DIR": "/tmp/x", "SAGEMAKER_MODEL_SERVER_WORKERS": "3"})
    assert (options.host, options.port, options.threads) == ("127.0.0.1", 8080, 3)
    with pytest.raises(UsageError, match="SAGEMAKER_BIND_TO_PORT is '70000'"):
        read_options({"SAGEMAKER_BIND_TO_PORT": "70000"})


class Scripted:
    """A predictor that blocks until told to go on, and fails where a picture says so."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.batches: list[int] = []

    def decode(self, content: bytes) -> bytes:
        if content == b"bad":
            raise DataError("no picture")
        return content

    def infer(self, images: list[bytes]) -> list[object]:
        self.go.wait(10)
        self.batches.append(len(images))
        if b"crash" in images:
            raise RuntimeError("the runtime broke")
        return [image.decode() for image in images]


def test_the_queue_is_bounded_and_waiting_images_are_inferred_together() -> None:
    async def go() -> None:
        predictor = Scripted()
        pool = InferencePool(predictor, threads=1, limit=10)
        asking = [asyncio.ensure_future(pool.predict(b"%d" % n)) for n in range(10)]
        await asyncio.sleep(0)  # each has asked
        with pytest.raises(Overloaded):
            await pool.predict(b"one too many")
        predictor.go.set()
        assert [(await each).answer for each in asking] == [str(n) for n in range(10)]
        assert sum(predictor.batches) == 10
        assert 1 < max(predictor.batches) <= 8
        pool.close()

    asyncio.run(go())


def test_a_failure_belongs_to_its_own_request_and_health_is_truthful() -> None:
    async def go() -> None:
        predictor = Scripted()
        pool = InferencePool(predictor, threads=1, limit=10, stuck_after=0.5)
        asking = [asyncio.ensure_future(pool.predict(each)) for each in (b"first", b"crash", b"last", b"bad")]
        await asyncio.sleep(0.8)
        assert not pool.is_healthy()  # stuck
        predictor.go.set()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert [getattr(each, "answer", type(each)) for each in outcomes] == [
            "first",
            ModelError,
            "last",
            DataError,
        ]
        assert pool.is_healthy()  # it answered the last one
        with pytest.raises(ModelError, match="the runtime broke"):
            await pool.predict(b"crash")
        assert not pool.is_healthy()
        pool.close()

    asyncio.run(go())
