"""MLflow: a pyfunc model behind its scoring server, a worker process for each core. Images are base64."""

from __future__ import annotations

import base64
import os
import sys
from typing import Any

import mlflow.pyfunc
from classifier import Classifier


class Model(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    def load_context(self, context: Any) -> None:
        self.classifier = Classifier(context.artifacts["graph"])

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        images = [self.classifier.decode(base64.b64decode(each)) for each in model_input["image"]]
        return self.classifier.infer(images)


if __name__ == "__main__":
    mlflow.pyfunc.save_model(
        sys.argv[1],
        python_model=Model(),
        artifacts={"graph": os.environ["MODEL"]},
        code_paths=[os.path.join(os.path.dirname(__file__), "classifier.py")],
        pip_requirements=[],
    )
