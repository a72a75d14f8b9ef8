"""Endpoints as their callers see them, with real processes behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from dataclasses import replace
from operator import mul

import pytest

from sagemaker_local.endpoints import EndpointError, EndpointFleet, InvokeError, VariantSpec

from .conftest import ARGV, Place, specify


async def ask(fleet: EndpointFleet, body: str = "", name: str = "bikes", **headers: str) -> str:
    dashed = {key.replace("_", "-"): value for key, value in headers.items()}
    return (await fleet.invoke(name, body.encode(), dashed)).body.decode()


def test_an_endpoint_answers_with_its_model_and_goes_away(place: Place) -> None:
    source = place.put_model("s3://models/a/model.tar.gz", "first")

    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(specify(model_source=source, instance_count=2, environment={"COLOUR": "red"}))
        result = await fleet.invoke("bikes", b"", {"content-type": "text/plain"})
        assert (result.body, result.content_type) == (b"first", "application/json")
        assert (result.variant, result.custom_attributes) == ("AllTraffic", "seen=yes")
        assert await ask(fleet, "env COLOUR") == "red"
        assert await ask(fleet, "env AWS_SECRET_ACCESS_KEY") == ""
        [status] = fleet.describe("bikes").variants
        assert (status.current_count, status.desired_count, fleet.describe("bikes").state) == (
            2,
            2,
            "InService",
        )
        await fleet.delete("bikes")
        with pytest.raises(InvokeError, match="bikes of account 123456789012 not found") as caught:
            await ask(fleet)
        assert (caught.value.code, caught.value.status) == ("ValidationError", 400)
        with pytest.raises(KeyError):
            fleet.describe("bikes")

    place.run(test)
    assert ("/aws/sagemaker/Endpoints/bikes", "container starts") in {
        (group, line) for group, _, line in place.logs
    }
    assert {stream.split("/")[0] for _, stream, _ in place.logs} == {"AllTraffic"}
    assert not list((place.folder / "state" / "endpoints").iterdir())


def test_containers_see_only_the_headers_that_sagemaker_passes_on(place: Place) -> None:
    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(specify())
        seen = json.loads(
            await ask(
                fleet,
                "headers",
                content_type="image/png",
                accept="application/json",
                authorization="secret",
                x_amzn_sagemaker_custom_attributes="bay=7",
                x_amzn_sagemaker_target_variant="AllTraffic",
            )
        )
        assert seen.keys() == {
            "host", "content-length", "content-type", "accept", "x-amzn-sagemaker-custom-attributes",
        }  # fmt: skip

    place.run(test)


def test_a_containers_error_becomes_a_model_error_with_its_words(place: Place) -> None:
    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(specify())
        for status, side in ((500, "server"), (415, "client"), (503, "server")):
            with pytest.raises(InvokeError) as caught:
                await ask(fleet, f"status {status}")
            error = caught.value
            assert (error.code, error.status, error.body["OriginalStatusCode"]) == ("ModelError", 424, status)
            assert error.body["OriginalMessage"] == "the container's own words"
            assert error.body["Message"] == (
                f'Received {side} error ({status}) from primary with message "the container\'s own words". '
                "See https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logEventViewer:"
                "group=/aws/sagemaker/Endpoints/bikes in account 123456789012 for more information."
            )
            assert error.body["LogStreamArn"].endswith("log-group:/aws/sagemaker/Endpoints/bikes")

    place.run(test)


def test_slow_and_oversized_requests_and_answers_are_refused(place: Place) -> None:
    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(specify())
        with pytest.raises(InvokeError, match=r"Received server error \(0\).*Your invocation timed out"):
            await ask(fleet, "sleep 5")
        with pytest.raises(InvokeError, match="exceeded 1000 bytes") as caught:
            await ask(fleet, "x" * 1001)
        assert caught.value.status == 413
        with pytest.raises(InvokeError, match="more than 1000 bytes"):
            await ask(fleet, "large 1001")
        assert await ask(fleet, "large 1000") == "x" * 1000
        with pytest.raises(InvokeError, match="CustomAttributes"):
            await ask(fleet, x_amzn_sagemaker_custom_attributes="é")
        with pytest.raises(InvokeError, match="InferenceId"):
            await ask(fleet, x_amzn_sagemaker_inference_id="")

    place.run(test, invocation_s=0.5, payload_bytes=1000, stop_s=0.2)


def test_variants_share_requests_by_weight_and_can_be_targeted(place: Place) -> None:
    variants = tuple(
        VariantSpec(name, ARGV, weight=weight) for name, weight in (("heavy", 3.0), ("light", 1.0))
    )
    spec = replace(specify(), variants=variants)

    async def count(fleet: EndpointFleet) -> int:
        results = [await fleet.invoke("bikes", b"", {}) for _ in range(400)]
        return sum(result.variant == "heavy" for result in results)

    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(spec)
        assert 250 <= await count(fleet) <= 350  # 300 expected, sd 9
        target = {"x-amzn-sagemaker-target-variant": "light"}
        assert (await fleet.invoke("bikes", b"", target)).variant == "light"
        with pytest.raises(InvokeError, match="Variant none not found"):
            await fleet.invoke("bikes", b"", {"x-amzn-sagemaker-target-variant": "none"})
        await fleet.set_weights_and_capacities("bikes", {"heavy": (0.0, None), "light": (None, 2)})
        assert await count(fleet) == 0
        assert [each.current_count for each in fleet.describe("bikes").variants] == [1, 2]

    place.run(test)


async def press(fleet: EndpointFleet, stop: asyncio.Event, failures: list[Exception]) -> int:
    """Invoke without a pause until told to stop; the number of answers."""
    answered = 0
    while not stop.is_set():
        try:
            await ask(fleet, "sleep 0.005")
            answered += 1
        except InvokeError as error:
            failures.append(error)
            await asyncio.sleep(0.01)  # an error may come without any wait
    return answered


async def wait_for_workers(fleet: EndpointFleet, count: int) -> None:
    deadline = time.monotonic() + 30
    while fleet.describe("bikes").variants[0].current_count != count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("count", [1, 2])
def test_a_killed_worker_is_replaced_and_no_request_fails(place: Place, count: int) -> None:
    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(specify(instance_count=count))
        stop, failures = asyncio.Event(), []
        pressing = [asyncio.ensure_future(press(fleet, stop, failures)) for _ in range(4)]
        os.kill(int(await ask(fleet, "pid")), signal.SIGKILL)
        await asyncio.sleep(0.1)
        await wait_for_workers(fleet, count)
        stop.set()
        assert min(await asyncio.gather(*pressing)) > 0
        assert not failures

    place.run(test)


def test_without_a_worker_requests_are_refused_after_a_while(place: Place) -> None:
    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(specify())
        os.kill(int(await ask(fleet, "pid")), signal.SIGKILL)
        with pytest.raises(InvokeError, match="No instance of production variant AllTraffic") as caught:
            await ask(fleet)
        assert (caught.value.code, caught.value.status) == ("ServiceUnavailable", 503)

    place.run(test, unavailable_s=0.3, backoff_s=30)


def test_a_request_that_kills_its_worker_gets_one_more_chance_only(place: Place) -> None:
    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(specify())
        with pytest.raises(InvokeError, match="closed the connection before it answered"):
            await ask(fleet, "exit 7")
        assert await ask(fleet) == "no model"

    place.run(test)


def test_an_update_under_load_fails_no_request(place: Place) -> None:
    first = place.put_model("s3://models/1/model.tar.gz", "first")
    second = place.put_model("s3://models/2/model.tar.gz", "second")

    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(specify(model_source=first))
        stop, failures = asyncio.Event(), []
        pressing = [asyncio.ensure_future(press(fleet, stop, failures)) for _ in range(4)]
        await asyncio.sleep(0.1)
        await fleet.update(specify(model_source=second))
        assert await ask(fleet) == "second"
        with pytest.raises(EndpointError):
            await fleet.update(specify(environment={"MODE": "exit"}))
        assert await ask(fleet) == "second"
        await fleet.set_weights_and_capacities("bikes", {"AllTraffic": (None, 3)})
        await fleet.set_weights_and_capacities("bikes", {"AllTraffic": (None, 1)})
        await asyncio.sleep(0.1)
        stop.set()
        assert min(await asyncio.gather(*pressing)) > 0
        assert not failures
        assert fleet.describe("bikes").variants[0].current_count == 1

    place.run(test)


def test_a_request_in_flight_survives_the_deletion(place: Place) -> None:
    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(specify())
        asking = asyncio.ensure_future(ask(fleet, "sleep 0.5"))
        await asyncio.sleep(0.1)
        await fleet.delete("bikes")
        assert await asking == "no model"

    place.run(test)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("exit", "exited with code 1; it last said: no such model: cannot go on"),
        ("unhealthy", "/ping did not answer 200 within 1 s"),
        ("hang", "/ping did not answer 200 within 1 s"),
        ("silent", "/ping did not answer 200 within 1 s"),
    ],
)
def test_a_container_that_gets_not_ready_fails_with_the_reason(place: Place, mode: str, reason: str) -> None:
    async def test(fleet: EndpointFleet) -> None:
        with pytest.raises(EndpointError, match="did not pass the ping health check") as caught:
            await fleet.start(specify(environment={"MODE": mode}, instance_count=2))
        assert reason in caught.value.reason
        with pytest.raises(KeyError):
            fleet.describe("bikes")

    place.run(test, startup_s=1 if mode != "exit" else 30, ping_timeout_s=0.3)
    assert not list((place.folder / "state" / "endpoints").iterdir())


def test_a_program_that_does_not_exist_fails_with_the_reason(place: Place) -> None:
    async def test(fleet: EndpointFleet) -> None:
        with pytest.raises(EndpointError, match=r"cannot be started.*No such file"):
            await fleet.start(specify(argv=("/no/such/program",)))

    place.run(test)


def test_a_worker_that_hangs_is_replaced(place: Place) -> None:
    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(specify())
        before = await ask(fleet, "pid")
        await ask(fleet, "touch hang")
        deadline = time.monotonic() + 20
        while (after := await ask(fleet, "pid")) == before and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        assert after != before

    place.run(test, ping_timeout_s=0.2, failed_pings=2)


def test_a_container_that_ignores_sigterm_is_killed(place: Place) -> None:
    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(specify(environment={"MODE": "stubborn"}))
        start = time.monotonic()
        await fleet.delete("bikes")
        assert 0.3 <= time.monotonic() - start < 3

    place.run(test, stop_s=0.3)


def test_missing_and_damaged_models_fail_with_the_reason(place: Place) -> None:
    place.locate("s3://models/broken.tar.gz").parent.mkdir(parents=True)
    place.locate("s3://models/broken.tar.gz").write_bytes(b"\x1f\x8bnot an archive")

    async def test(fleet: EndpointFleet) -> None:
        for source, words in (
            ("s3://models/none.tar.gz", "Could not access model data at s3://models/none.tar.gz"),
            (place.folder / "none.tar.gz", "Could not access model data"),
            ("s3://models/broken.tar.gz", "Failed to extract model data archive from URL"),
        ):
            with pytest.raises(EndpointError, match=words):
                await fleet.start(specify(model_source=source))

    place.run(test)


def test_metrics_carry_cloudwatchs_names_and_dimensions(place: Place) -> None:
    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(specify(instance_count=2))
        for body in ("", "", "", "status 400"):
            with contextlib.suppress(InvokeError):
                await ask(fleet, body)
        await asyncio.sleep(0.5)

    place.run(test)
    sums: dict[tuple[str, str, bool], float] = {}
    for namespace, data in place.metrics:
        dimensions = {each["Name"]: each["Value"] for each in data["Dimensions"]}
        assert (dimensions["EndpointName"], dimensions["VariantName"]) == ("bikes", "AllTraffic")
        key = namespace, data["MetricName"], "EndpointConfigName" in dimensions
        values, counts = data.get("Values", [data.get("Value")]), data.get("Counts", [1])
        sums[key] = sums.get(key, 0) + sum(map(mul, values, counts))
    for of_config in (False, True):
        assert sums["AWS/SageMaker", "Invocations", of_config] == 4
        assert sums["AWS/SageMaker", "InvocationsPerInstance", of_config] == 2
        assert sums["AWS/SageMaker", "Invocation4XXErrors", of_config] == 1
        assert sums["AWS/SageMaker", "Invocation5XXErrors", of_config] == 0
        assert sums["AWS/SageMaker", "InvocationModelErrors", of_config] == 1
        assert sums["AWS/SageMaker", "ModelLatency", of_config] > 0
    assert sums["/aws/sagemaker/Endpoints", "MemoryUtilization", False] > 0
