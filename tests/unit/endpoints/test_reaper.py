"""Workers, and what they started, end with the process that runs the fleet, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PARENT = """
import subprocess, sys, time
from sagemaker_local.endpoints.reaper import Reaper

program = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
children = [subprocess.Popen([sys.executable, "-c", program], start_new_session=True) for _ in range(2)]
reaper = Reaper()
for child in children:
    reaper.add(child.pid)
reaper.remove(children[1].pid)
print(*(child.pid for child in children), flush=True)
if sys.argv[1] == "close":
    reaper.close()
time.sleep(60)
"""


def list_group(group: int) -> list[str]:
    """The commands of a process group's living members."""
    output = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in output.splitlines()]
    return [row[2] for row in rows if int(row[0]) == group and not row[1].startswith("Z")]


@pytest.mark.skipif(not Path("/bin/ps").exists() and not Path("/usr/bin/ps").exists(), reason="needs ps")
@pytest.mark.parametrize("end", ["kill", "close"])
def test_listed_groups_die_with_their_parent(end: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, end], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    listed, removed = map(int, parent.stdout.readline().split())
    deadline = time.monotonic() + 20
    while len(list_group(removed)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)  # its own child is not there yet
    if end == "kill":
        parent.send_signal(signal.SIGKILL)
    while list_group(listed) and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        assert not list_group(listed)
        assert len(list_group(removed)) == 2
    finally:
        os.killpg(removed, signal.SIGKILL)
        parent.kill()
        parent.communicate()
