"""A processing container: copies its input upper-cased to its output, or fails when told."""

import os
import sys
import time
from pathlib import Path

time.sleep(float(os.environ.get("SECONDS", 0)))
if "fail" in sys.argv:
    Path("/opt/ml/output/message").write_text("told to fail") if Path("/opt/ml/output").is_dir() else None
    sys.exit(3)
base = Path(os.environ["SAGEMAKER_BASE_DIR"]) / "processing"
for path in (base / "input").rglob("*"):
    if path.is_file():
        (base / "output" / path.name).write_text(path.read_text().upper())
print("processed", *sys.argv[1:])
