"""Hostile pickles are refused with the name they ask for, and nothing they contain is run."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import resource
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scones.data.unpickling import load_arrays
from scones.errors import DataError


def load(content: bytes) -> dict[str, Any]:
    return load_arrays(io.BufferedReader(io.BytesIO(content)), "evil")  # type: ignore[arg-type]


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch {}",), "system"),
        (subprocess.check_call, (["touch", "{}"],), "check_call"),
        (eval, ("open('{}', 'w')",), "eval"),
        (np.load, ("{}",), "numpy.load"),
        (np.frombuffer, (b"ab",), "numpy.*frombuffer"),
    ],
)
def test_calls_are_refused_by_name(
    function: Any, arguments: tuple[Any, ...], name: str, protocol: int, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    call = Call(function, *(fill(argument, str(victim)) for argument in arguments))
    content = pickle.dumps({b"data": call}, protocol=protocol)
    with pytest.raises(DataError, match=name) as caught:
        load(content)
    assert "refused" in caught.value.message
    assert not victim.exists()


def fill(argument: Any, value: str) -> Any:
    if isinstance(argument, list):
        return [fill(entry, value) for entry in argument]
    return argument.replace("{}", value) if isinstance(argument, str) else argument


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        b"\x80\x02]q\x01.",  # a list
        b"\x80\x02}q\x01",  # no end
        b"\x80\x09}.",  # a protocol to come
        b"\x80\x02\x82\x01.",  # an extension
        b"\x80\x02Pid\n.",  # a persistent object
        b"(i__builtin__\nexit\n.",  # an instance, as protocol 0 makes it
        b"\x80\x02T\xff\xff\xff\x7fabc.",  # two gigabytes claimed, three bytes there
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"abc.",
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"abc.",
        b"\x80\x02h\x09.",  # what was never memorised
        b"\x80\x02G\x00",  # a number that breaks off
        b"\x80\x02cnumpy\nndarray\n.",
        b"\x80\x02cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x01sb.",  # sets an attribute of the class
    ],
)
def test_what_is_no_dict_of_arrays(content: bytes) -> None:
    with pytest.raises(DataError, match=r"^evil ") as caught:
        load(content)
    assert len(caught.value.message) < 200


def test_a_memo_bomb_costs_nothing() -> None:
    """With the C unpickler these ten bytes allocate gigabytes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert load(b"\x80\x02}r\xff\xff\xff\x1f.") == {}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_deep_nesting_is_refused() -> None:
    load(b"\x80\x02}U\x01a" + b"](" * 1000 + b"e" * 1000 + b"s.")
    with pytest.raises(DataError):
        load(b"(" * 100_000)


@pytest.mark.parametrize("attribute", ["__setstate__", "__init__", "values"])
def test_a_pickle_cannot_alter_the_reader(attribute: str) -> None:
    name = attribute.encode()
    state = b"N}X" + struct.pack("<I", len(name)) + name + b"K\x01s\x86"
    for stand_in in (b"numpy\nndarray", b"numpy\ndtype", b"_codecs\nencode"):
        with pytest.raises(DataError):
            load(b"\x80\x02c" + stand_in + b"\n" + state + b"b.")
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert np.array_equal(load(pickle.dumps({"a": array}, protocol=2))["a"], array)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_pickles_raise_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(pickle.dumps({b"data": np.zeros((2, 8), np.uint8), b"fine_labels": [1, 2]}, protocol=2))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DataError):
        load(bytes(whole))
