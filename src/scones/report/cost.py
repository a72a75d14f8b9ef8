"""What a thousand check-ins cost on AWS, estimated from what the executions did here.

Prices are us-east-1 list prices without free tiers, as of 2026: https://aws.amazon.com/step-functions/pricing,
https://aws.amazon.com/lambda/pricing, https://aws.amazon.com/sagemaker/pricing. They change; see `PRICES`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scones.report.checkins import CheckIn

PRICES = {
    "standard_transition": 0.025 / 1000,
    "express_request": 1.00 / 1e6,
    "express_gb_second": 0.00001667,
    "lambda_request": 0.20 / 1e6,
    "lambda_gb_second": 0.0000166667,
    "s3_put": 0.005 / 1000,
    "s3_get": 0.0004 / 1000,
    "instance_hour": 0.115,
}
INSTANCE = "ml.m5.large"
LAMBDA_GB = 0.25
# Express is billed in blocks of 64 MB and 100 ms.
EXPRESS_GB, EXPRESS_STEP = 0.064, 0.1
# One image in; one claim check out, one read by the classifier, one capture write.
PUTS, GETS = 2, 2


@dataclass(frozen=True)
class Line:
    """One part of the bill: `dollars` per 1,000 check-ins with Standard and with Express workflows."""

    part: str
    basis: str
    dollars: tuple[float, float]


@dataclass(frozen=True)
class Bill:
    """The lines, and what they assume."""

    summary: str
    columns: tuple[str, str]
    rows: tuple[Line, ...]


def estimate_cost(checkins: Sequence[CheckIn]) -> Bill:
    """Cost per 1,000 check-ins (US dollars) with the transitions and durations that were measured.

    A transition is billed each time a state is executed; retries, which are billed too, are not known here,
    and each state is taken for one call of a function. The endpoint costs by the hour, whatever comes, so it
    is no part of the lines.
    """
    count = max(len(checkins), 1)
    tasks = sum(len(checkin.states) for checkin in checkins) / count
    seconds = sum(checkin.seconds for checkin in checkins) / count
    busy = sum(sum(checkin.states.values()) for checkin in checkins) / count
    express = PRICES["express_request"] + PRICES["express_gb_second"] * EXPRESS_GB * (
        math.ceil(seconds / EXPRESS_STEP) * EXPRESS_STEP
    )
    function = tasks * PRICES["lambda_request"] + busy * LAMBDA_GB * PRICES["lambda_gb_second"]
    storage = PUTS * PRICES["s3_put"] + GETS * PRICES["s3_get"]
    rows = (
        _count(
            "Step Functions",
            f"{tasks:.1f} transitions; {seconds:.2f} s",
            tasks * PRICES["standard_transition"],
            express,
        ),
        _count(
            "Lambda",
            f"{tasks:.1f} invocations, {busy:.2f} s at {LAMBDA_GB * 1024:.0f} MB",
            function,
            function,
        ),
        _count("S3", f"{PUTS} writes, {GETS} reads", storage, storage),
    )
    total = tuple(sum(row.dollars[i] for row in rows) for i in (0, 1))
    return Bill(
        f"Estimated from {len(checkins):,} executions of this run at list prices in us-east-1, without free "
        f"tiers. The endpoint comes on top: {INSTANCE} at ${PRICES['instance_hour']:.3f} an hour each.",
        ("Standard ($)", "Express ($)"),
        (*rows, Line("Total", "without the endpoint", (total[0], total[1]))),
    )


def _count(part: str, basis: str, standard: float, express: float) -> Line:
    return Line(part, basis, (standard * 1000, express * 1000))
