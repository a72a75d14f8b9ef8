"""How PyTorch's threads wait for one another."""

from __future__ import annotations

import os


def wait_passively() -> None:
    """Let threads that wait sleep, unless the environment says otherwise; to be called before PyTorch loads.

    OpenMP's threads spin while they wait (OpenMP 5.2, section 21.3, OMP_WAIT_POLICY) and would take cores
    from training's workers. When training still ran on them, an epoch took twice as long so where one other
    process kept one of two cores busy.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
