"""LitServe: dynamic batching, a worker process for each core. Images travel as base64, as in its examples."""

from __future__ import annotations

import base64
import os
import sys
from typing import Any

import litserve
from classifier import Classifier
from fastapi import Response


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.classifier = Classifier()

    def decode_request(self, request: dict[str, str]) -> Any:
        return self.classifier.decode(base64.b64decode(request["image"]))

    def batch(self, inputs: list[Any]) -> list[Any]:
        return list(inputs)

    def predict(self, batch: list[Any]) -> list[list[float]]:
        return self.classifier.infer(batch)

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:
        return output

    def encode_response(self, output: list[float]) -> Response:
        return Response(str(output), media_type="application/json")


if __name__ == "__main__":
    server = litserve.LitServer(
        Api(max_batch_size=8, batch_timeout=0.0, api_path="/invocations"),
        accelerator="cpu",
        workers_per_device=int(os.environ["WORKERS"]),
        fast_queue=False,
    )
    server.run(port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False, log_level="warning")
