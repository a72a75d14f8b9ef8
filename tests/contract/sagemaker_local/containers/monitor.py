"""A monitoring container (model-monitor-byoc-containers.md): counts, finds a violation, measures."""

# ruff: noqa: SIM112 (AWS writes these names in lower case)

import json
import os
from pathlib import Path

data = Path(os.environ["dataset_source"])
records = [line for path in data.rglob("*.jsonl") for line in path.read_text().splitlines()]
result = Path(os.environ["output_path"])
(result / "statistics.json").write_text(json.dumps({"dataset": {"item_count": len(records)}}))
(result / "constraints_seen.json").write_text(Path(os.environ["baseline_constraints"]).read_text())
dimensions = [{"Name": "Endpoint", "Value": os.environ["sagemaker_endpoint_name"]}]
metric = {"MetricName": "feature_data_x", "Value": 1, "Dimensions": dimensions}
Path("/opt/ml/output/metrics/cloudwatch").write_text(json.dumps(metric))
Path("/opt/ml/output/message").write_text("CompletedWithViolations: 1 violation")
