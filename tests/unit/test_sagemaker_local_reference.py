"""The reference page names exactly the operations that there are."""

from __future__ import annotations

import re
from pathlib import Path

from sagemaker_local.api.operations import OPERATIONS
from sagemaker_local.protocol import load_model
from sagemaker_local.scalable import METHODS

PAGE = Path(__file__).parents[2] / "docs/reference/sagemaker-local.md"


def test_the_page_lists_what_there_is() -> None:
    text = PAGE.read_text(encoding="utf-8")
    listed = re.search(r"^SageMaker: (.*?)\.$", text, re.DOTALL | re.MULTILINE)
    assert listed is not None
    assert sorted(listed[1].replace("\n", " ").split(", ")) == sorted(OPERATIONS)
    scaling = re.search(r"^Application Auto Scaling: (.*?)\.$", text, re.DOTALL | re.MULTILINE)
    assert scaling is not None
    assert sorted(scaling[1].replace("\n", " ").split(", ")) == sorted(METHODS)


def test_every_operation_is_one_of_sagemakers() -> None:
    assert set(OPERATIONS) <= set(load_model("sagemaker").operation_names)
    assert set(METHODS) <= set(load_model("application-autoscaling").operation_names)
