"""A training container that does what its hyperparameters say; it follows the contract of /opt/ml."""

import json
import os
import signal
import sys
import time
from pathlib import Path

base = Path(os.environ["SAGEMAKER_BASE_DIR"])
parameters = json.loads((base / "input/config/hyperparameters.json").read_text())
channels = json.loads((base / "input/config/inputdataconfig.json").read_text())


def report_stop(number, frame):
    print("got SIGTERM", flush=True)
    if parameters.get("on_stop") != "ignore":
        (base / "model/stopped").write_text("yes")
        sys.exit(0)


signal.signal(signal.SIGTERM, report_stop)
files = {
    name: sorted(
        str(p.relative_to(base / "input/data" / name)) for p in (base / "input/data" / name).rglob("*")
    )
    for name in channels
}
print("files", json.dumps(files))
for epoch in range(int(parameters.get("epochs", 1))):
    print(f"Epoch[{epoch}] Validation-accuracy={0.5 + 0.1 * epoch:.6f}", flush=True)
    time.sleep(float(parameters.get("seconds", 0)))
if parameters.get("child") == "yes":
    import subprocess

    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(f"child {child.pid}", flush=True)
    time.sleep(600)
if parameters.get("checkpoint") == "yes":
    saved = base / "checkpoints/epoch"
    saved.write_text(str(int(saved.read_text()) + 1 if saved.exists() else 1))
if "failure" in parameters:
    (base / "output/failure").write_text(parameters["failure"])
    sys.exit(int(parameters.get("code", 1)))
(base / "model/model.json").write_text(json.dumps({"files": files, "parameters": parameters}))
environment = {
    key: value for key, value in os.environ.items() if key.startswith(("SM_", "TRAINING_", "AWS_", "MY_"))
}
(base / "output/data/environment.json").write_text(json.dumps(environment))
print("done")
