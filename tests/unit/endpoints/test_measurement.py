"""What is published of a variant's invocations: values, of which CloudWatch can tell percentiles."""

from __future__ import annotations

from sagemaker_local.endpoints.measurement import MOST_VALUES, VariantMeasurement


def test_latencies_are_published_as_values_with_counts() -> None:
    measurement = VariantMeasurement()
    for milliseconds in range(1, 1001):
        measurement.begin()
        measurement.end(200, milliseconds / 1000, (milliseconds + 1) / 1000, instances=3)
    data = measurement.take([{"EndpointName": "bikes"}])
    latency = [datum for datum in data if datum["MetricName"] == "ModelLatency"]
    assert sum(sum(datum["Counts"]) for datum in latency) == 1000
    assert all(len(datum["Values"]) == len(datum["Counts"]) <= MOST_VALUES for datum in data)
    values = sorted(
        value
        for datum in latency
        for value, count in zip(datum["Values"], datum["Counts"], strict=True)
        for _ in range(int(count))
    )
    assert abs(values[500] - 500_000) <= 25_000
    assert abs(values[950] - 950_000) <= 47_500
    [share] = [datum for datum in data if datum["MetricName"] == "InvocationsPerInstance"]
    assert (share["Values"], share["Counts"]) == ([1 / 3], [1000])
    assert measurement.take([{}]) == []
