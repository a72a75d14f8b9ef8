"""The private names of ministack that we stand on exist and are what we take them for.

When one of these fails after an upgrade, local_cloud must be looked at before the pin is moved.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# Run in a fresh interpreter: ministack reads its settings when it is imported.
PROBE = """
import importlib, inspect, json, sys
from pathlib import Path
from local_cloud import emulator
from local_cloud.cloud import Cloud, Credentials, Places

places = Places(Path(sys.argv[1]))
places.make()
emulator.configure(Cloud(places, 4566, Credentials("AKIAEXAMPLE", "secret")))

from ministack import app
from ministack.core import iam_actions, iam_evaluator, persistence, responses, router
from ministack.core.responses import AccountRegionScopedDict, AccountScopedDict
from local_cloud.durability import _find_store

told = {"auth": app.AUTH, "persist": persistence.PERSIST_STATE}
told["services"] = {name: app.SERVICE_REGISTRY[name]["module"] for name in emulator.SERVICES}
told["stores"] = {}
for name in emulator.SERVICES.values():
    module = importlib.import_module(f"ministack.services.{name}")
    for store in module.get_state() or {}:
        found = _find_store(module, store)
        told["stores"][f"{name}.{store}"] = isinstance(found, (AccountScopedDict, AccountRegionScopedDict))
from ministack.services import dynamodb, s3
told["s3"] = [s3.S3_PERSIST, s3.DATA_DIR, str(inspect.signature(s3._atomic_write))]
told["writers"] = sorted(
    name for name, function in inspect.getmembers(s3, inspect.isfunction)
    if function.__module__ == s3.__name__ and "_atomic_write(" in inspect.getsource(function)
)
told["names"] = [
    callable(app._request_account_scope), callable(iam_evaluator.enforce),
    callable(iam_evaluator.authenticate),
    callable(iam_evaluator.is_root_access_key), callable(iam_evaluator.pin_signed_request),
    callable(iam_evaluator.pin_signed_body), callable(iam_actions.access_denied_response),
    "InvalidClientTokenId" in iam_actions._AUTH_FAILURES, "s3" in router.SERVICE_PATTERNS,
    callable(persistence._json_default), callable(persistence._json_object_hook),
    list(inspect.signature(dynamodb._tokenize).parameters) == ["expr"],
    list(inspect.signature(dynamodb._condition_syntax_error).parameters) == ["expr", "slot"],
    list(inspect.signature(dynamodb._index_item).parameters)
    == ["table", "base_pk", "base_sk", "item", "add"],
    "_index_members(table).get(index_name)" in inspect.getsource(dynamodb._query),
    all(callable(getattr(dynamodb, name)) for name in
        ("_index_key_schemas", "_index_order_keys", "_index_order_value", "_evaluate_condition")),
    dynamodb._INDEX_MEMBERS.startswith("_"),  # so that the journal leaves it out
    callable(responses.set_request_account_id), callable(responses.set_request_region),
]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path_factory.mktemp("probe"))],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_the_pinned_version_is_installed() -> None:
    assert version("ministack") == "1.5.33"


def test_settings_reach_it(probe: dict[str, object]) -> None:
    assert (probe["auth"], probe["persist"]) == (True, False)


def test_every_service_has_its_module(probe: dict[str, object]) -> None:
    from local_cloud.emulator import SERVICES

    assert probe["services"] == dict(SERVICES)


def test_every_store_that_it_would_save_is_watched(probe: dict[str, object]) -> None:
    stores = probe["stores"]
    assert isinstance(stores, dict)
    assert len(stores) > 60
    assert [name for name, found in stores.items() if not found] == []


def test_s3_writes_its_files_through_one_function(probe: dict[str, object]) -> None:
    """Two of these write data and then a sidecar, one a sidecar alone, one a kept version (data alone)."""
    persist, folder, signature = probe["s3"]  # type: ignore[misc]
    assert persist is True
    assert str(folder).endswith("/cloud/s3")
    assert signature == "(fpath: str, data: bytes, *, text: bool = False)"
    assert probe["writers"] == [
        "_atomic_write", "_persist_delete_marker", "_persist_displaced_version", "_persist_object",
    ]  # fmt: skip


def test_the_other_private_names_exist(probe: dict[str, object]) -> None:
    assert probe["names"] == [True] * 19
