"""The journal holds what was saved, and only that, whatever was done to the stores."""

from __future__ import annotations

import copy
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cloud.errors import CorruptState, StorageFull
from local_cloud.journal import BLOB_BYTES, Journal
from local_cloud.tracking import Touched, only_looks

KEY = ("000000000000", "us-east-1", "name")


def make_message(number: int, **changes: Any) -> dict[str, Any]:
    plain = {
        "id": f"m{number}", "body": str(number), "sent_at": 100.0 + number, "seq": None,
        "receive_count": 0, "visible_at": 0.0, "receipt_handle": None,
    }  # fmt: skip
    return {**plain, **changes}


def reload(path: Path, module: str, store: str) -> dict[Any, Any]:
    """What a later run finds."""
    journal = Journal(path)
    found = journal.load().get(module, {}).get(store, {})
    journal._database.close()
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


def watch(path: Path, module: str, store: str, content: dict[Any, Any]) -> tuple[Journal, Touched]:
    journal, entries = Journal(path), Touched(content)
    journal.watch(module, store, entries)
    return journal, entries


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["set", "change", "delete", "pop", "update", "save", "clear"]),
        st.sampled_from("abc"),
        st.integers(0, 9),
    ),
    max_size=30,
)


@given(steps=STEPS)
@settings(max_examples=60, deadline=None)
def test_a_later_run_finds_what_was_saved_last(
    steps: list[tuple[str, str, int]], tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("journal") / "state.sqlite"
    journal, entries = watch(path, "iam", "roles", {})
    saved: dict[Any, Any] = {}
    for step, name, number in steps:
        key = (*KEY[:2], name)
        if step == "set":
            entries[key] = {"n": number, "list": [number]}
        elif step == "change" and key in entries:
            entries[key].setdefault("list", []).append(number)
        elif step == "delete" and key in entries:
            del entries[key]
        elif step == "pop":
            entries.pop(key, None)
        elif step == "update":
            entries.update({key: {"n": -number}})
        elif step == "clear":
            entries.clear()
        elif step == "save":
            journal.save()
            saved = copy.deepcopy(dict(entries))
    journal._database.close()
    assert reload(path, "iam", "roles") == saved


def test_a_change_found_by_walking_is_saved(path: Path) -> None:
    journal, entries = watch(path, "iam", "roles", {KEY: {"n": 1}})
    journal.save()
    next(iter(entries.values()))["n"] = 2
    journal.save()
    assert reload(path, "iam", "roles") == {KEY: {"n": 2}}


def test_a_change_through_a_kept_reference_is_found_by_the_sweep(path: Path) -> None:
    journal, entries = watch(path, "cloudformation", "stacks", {KEY: {"StackStatus": "CREATE_IN_PROGRESS"}})
    kept = entries[KEY]
    journal.save()
    kept["StackStatus"] = "CREATE_COMPLETE"
    journal.save()
    assert reload(path, "cloudformation", "stacks")[KEY]["StackStatus"] == "CREATE_IN_PROGRESS"
    journal.touch_all()
    journal.save()
    assert reload(path, "cloudformation", "stacks")[KEY]["StackStatus"] == "CREATE_COMPLETE"


def test_lazy_stores_wait_for_the_sweep(path: Path) -> None:
    journal, _ = watch(path, "cloudwatch", "metrics", {KEY: [{"Value": 1.0}]})
    journal.save()
    assert reload(path, "cloudwatch", "metrics") == {}
    journal.save(lazy=True)
    assert reload(path, "cloudwatch", "metrics") == {KEY: [{"Value": 1.0}]}


def test_a_table_is_saved_item_by_item(path: Path) -> None:
    table: dict[str, Any] = {"TableName": "t", "items": {f"k{n}": {"_": {"n": n}} for n in range(100)}}
    journal, entries = watch(path, "dynamodb", "tables", {KEY: table})
    journal.save()
    changes = journal._database.total_changes
    entries[KEY]["items"]["k7"]["_"] = {"n": -7}
    entries[KEY]["items"]["new"]["_"] = {"n": 1000}
    del entries[KEY]["items"]["k8"]
    journal.save()
    assert journal._database.total_changes - changes == 3
    found = reload(path, "dynamodb", "tables")[KEY]
    assert found["TableName"] == "t"
    assert (found["items"]["k7"], found["items"]["new"]) == ({"_": {"n": -7}}, {"_": {"n": 1000}})
    assert len(found["items"]) == 100
    entries[KEY]["items"] = {"only": {"_": {}}}  # as a restored backup does
    journal.save()
    assert reload(path, "dynamodb", "tables")[KEY]["items"] == {"only": {"_": {}}}


def test_reading_a_table_writes_nothing(path: Path) -> None:
    journal, entries = watch(path, "dynamodb", "tables", {KEY: {"items": {"a": {"_": {}}}}})
    journal.save()
    changes = journal._database.total_changes
    assert entries.get(KEY)["items"].get("a") == {"_": {}}
    assert list(entries[KEY]["items"].values()) == [{"_": {}}]
    journal.save()
    assert journal._database.total_changes == changes


def test_a_queue_keeps_its_messages_in_order(path: Path) -> None:
    queue: dict[str, Any] = {"name": "q", "messages": [make_message(n) for n in range(20)]}
    journal, entries = watch(path, "sqs", "queues", {KEY: queue})
    journal.save()
    messages = entries[KEY]["messages"]
    messages[3].update(receive_count=1, receipt_handle="h")
    entries[KEY]["messages"] = [message for message in messages if message["id"] != "m5"]
    entries[KEY]["messages"].append(make_message(20))
    journal.save()
    found = reload(path, "sqs", "queues")[KEY]["messages"]
    assert [message["id"] for message in found] == [f"m{n}" for n in range(21) if n != 5]
    assert found[3]["receive_count"] == 1


def test_an_execution_is_saved_at_its_start_and_at_its_end(path: Path) -> None:
    execution = {
        "status": "RUNNING",
        "stopDate": None,
        "output": None,
        "events": [{"type": "ExecutionStarted"}],
    }
    journal, entries = watch(path, "stepfunctions", "executions", {KEY: execution})
    journal.save()
    entries[KEY]["events"].append({"type": "PassStateEntered"})
    journal.save()
    assert len(reload(path, "stepfunctions", "executions")[KEY]["events"]) == 1
    entries[KEY].update(status="SUCCEEDED", stopDate="now", output="{}")
    journal.save()
    entries[KEY]["events"].append({"type": "ExecutionSucceeded"})
    journal.save()
    assert reload(path, "stepfunctions", "executions")[KEY] == execution
    changes = journal._database.total_changes
    journal.touch_all()
    assert KEY not in entries.touched
    journal.save()
    assert journal._database.total_changes == changes
    del entries[KEY]
    journal.save()
    assert reload(path, "stepfunctions", "executions") == {}


def test_a_functions_code_is_kept_once(path: Path) -> None:
    code = bytes(range(256)) * (BLOB_BYTES // 256)
    function = {"code_zip": code, "versions": {"1": {"code_zip": bytes(code)}}, "calls": 0}
    journal, entries = watch(path, "lambda_svc", "functions", {KEY: function})
    journal.save()
    entries[KEY]["calls"] = 1
    journal.save()
    (count,) = journal._database.execute("SELECT count(*) FROM blob").fetchone()
    assert count == 1
    assert reload(path, "lambda_svc", "functions")[KEY] == {**function, "calls": 1}
    del entries[KEY]
    journal.save()
    assert reload(path, "lambda_svc", "functions") == {}
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM blob").fetchone() == (0,)


def test_a_functions_code_survives_one_restart_after_another(path: Path) -> None:
    function = {"code_zip": bytes(range(256)) * (BLOB_BYTES // 256)}
    watch(path, "lambda_svc", "functions", {KEY: function})[0].save()
    for _ in range(3):
        assert reload(path, "lambda_svc", "functions")[KEY] == function


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "ü'\"\\\\", "🚲"])
def test_names_may_hold_anything(name: str, path: Path) -> None:
    key = (*KEY[:2], name)
    journal, entries = watch(path, "dynamodb", "tables", {key: {"items": {name: {"_": {}}, "other": {}}}})
    journal.save()
    assert reload(path, "dynamodb", "tables")[key]["items"] == {name: {"_": {}}, "other": {}}
    del entries[key]["items"][name]
    journal.save()
    assert reload(path, "dynamodb", "tables")[key]["items"] == {"other": {}}


@pytest.mark.parametrize("name", ["__bytes__", "__blob__", "__scoped__", "__account_region_scoped__"])
def test_an_attribute_may_be_called_like_a_mark_of_the_journal(name: str, path: Path) -> None:
    items = {"a": {"x": {name: {"S": "1"}}}, "b": {"x": {name: {"BOOL": True}, "data": {"N": "1"}}}}
    watch(path, "dynamodb", "tables", {KEY: {"items": items}})[0].save()
    assert reload(path, "dynamodb", "tables")[KEY]["items"] == items


def test_what_did_not_fit_is_saved_later(path: Path) -> None:
    journal, entries = watch(path, "iam", "roles", {})
    journal.save()
    (pages,) = journal._database.execute("PRAGMA page_count").fetchone()
    journal._database.execute(f"PRAGMA max_page_count = {pages}")
    entries[KEY] = {"text": "x" * 100_000}
    with pytest.raises(StorageFull, match="full"):
        journal.save()
    assert reload(path, "iam", "roles") == {}
    journal._database.execute("PRAGMA max_page_count = 1000000")
    journal.save()
    assert reload(path, "iam", "roles") == {KEY: {"text": "x" * 100_000}}


def test_after_a_restart_nothing_is_written_again(path: Path) -> None:
    content = {(*KEY[:2], str(n)): {"n": n} for n in range(50)}
    journal, _ = watch(path, "iam", "roles", content)
    journal.close()
    journal = Journal(path)
    journal.watch("iam", "roles", Touched(journal.load()["iam"]["roles"]))
    before = journal._database.total_changes
    journal.save()
    assert journal._database.total_changes == before


def test_a_changed_byte_is_noticed(path: Path) -> None:
    journal, _ = watch(path, "iam", "roles", {KEY: {"text": "precious"}})
    journal.close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE entry SET value = CAST(replace(value, 'precious', 'worthless') AS BLOB)")
    with pytest.raises(CorruptState, match="fails its checksum"):
        Journal(path).load()


def test_what_was_only_looked_at_is_not_looked_at_again() -> None:
    entries = Touched({"a": {"n": 1}, "b": {"n": 2}})
    entries.touched.clear()

    def read() -> int:
        return sum(value["n"] for value in entries.values()) + entries["a"]["n"] + entries.get("b")["n"]

    assert only_looks(read)() == 6
    assert not entries.touched
    only_looks(lambda: entries.__setitem__("c", {"n": 3}))()
    assert entries.touched == {"c"}, "a write counts wherever it happens"
    assert read() == 9
    assert entries.touched == {"a", "b", "c"}


def test_log_records_are_saved_once_and_forgotten_when_they_are_deleted(path: Path) -> None:
    journal, entries = watch(path, "cloudwatch_logs", "log_records", {})
    entries[(*KEY[:2], "a")], entries[(*KEY[:2], "b")] = {"@message": "one"}, {"@message": "two"}
    journal.save(lazy=True)
    journal.touch_all()
    assert not entries.touched, "a saved record needs no second look"
    del entries[(*KEY[:2], "a")]
    journal.save(lazy=True)
    assert reload(path, "cloudwatch_logs", "log_records") == {(*KEY[:2], "b"): {"@message": "two"}}


def test_saved_records_need_no_second_look_after_a_restart(path: Path) -> None:
    watch(path, "cloudwatch_logs", "log_records", {KEY: {"@message": "one"}})[0].save(lazy=True)
    journal = Journal(path)
    entries = Touched(journal.load()["cloudwatch_logs"]["log_records"])
    journal.watch("cloudwatch_logs", "log_records", entries)
    journal.save(lazy=True)
    journal.touch_all()
    assert not entries.touched


def test_what_is_not_there_is_not_remembered(path: Path) -> None:
    journal, entries = watch(path, "iam", "roles", {})
    for number in range(9):
        entries.get((*KEY[:2], f"missing{number}"))
        journal.save()
    assert not journal._known
