"""Training on several hosts: who takes part, sums over all of them, and the end of all when one is lost.

XGBoost's collective does the arithmetic; `rendezvous.py` does what it lacks. A host that is lost ends this process at
once, in the middle of whatever XGBoost computes or waits for, with the reason written where SageMaker reads it.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.container import StepError, fail, reason_of
from pipeline.training.distributed.hosts import Hosts
from pipeline.training.distributed.rendezvous import Rendezvous
from pipeline.training.lean_xgboost import xgb
from pipeline.training.logistic import Reducer

FloatArray = NDArray[np.float64]

# XGBoost notices that a peer is gone, but not who: the rendezvous, which does, is told within this time.
_GRACE_SECONDS: Final = 5.0
_ENDING: Final = threading.Lock()
_COLLECTIVE_TIMEOUT: Final = 7 * 86_400  # the rendezvous watches; a slow host is not a dead one


@dataclass(frozen=True)
class Cluster(Reducer):
    """The hosts that train together; of one host (the default) every sum is its own."""

    hosts: Hosts = field(default_factory=Hosts)
    _rendezvous: Rendezvous | None = None

    @property
    def world_size(self) -> int:
        return len(self.hosts.names)

    @property
    def is_leader(self) -> bool:
        return self.hosts.rank == 0

    def allreduce_sum(self, values: FloatArray) -> FloatArray:
        """The sum over all hosts, the same on each to the last bit; every host must call it with the same shape."""
        if self.world_size == 1:
            return values
        # flat: XGBoost 3.2 returns it so, although its documentation says otherwise
        summed = xgb.collective.allreduce(np.ascontiguousarray(values, dtype=np.float64), xgb.collective.Op.SUM)
        return np.asarray(summed, dtype=np.float64).reshape(np.shape(values))

    def broadcast(self, values: FloatArray) -> FloatArray:
        """The first host's numbers on every host: another processor may have another last bit."""
        return self.allreduce_sum(values if self.is_leader else np.zeros_like(values))

    def any(self, flag: bool) -> bool:
        """Whether it holds on one of the hosts."""
        return bool(self.allreduce_sum(np.array([float(flag)]))[0])

    def assert_consistent(self, what: str, text: str) -> None:
        """Raises StepError on every host, naming who differs, unless all hosts have the same text."""
        digests = np.zeros(self.world_size)
        digests[self.hosts.rank] = int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)  # exact in a float
        digests = self.allreduce_sum(digests)
        others = [name for name, digest in zip(self.hosts.names, digests, strict=True) if digest != digests[0]]
        if others:
            raise StepError(
                f"{', '.join(others)} and {self.hosts.first} have different {what}: every host of a training job must "
                "get the same input (S3DataDistributionType FullyReplicated) and the same code"
            )

    def wait_for_all(self) -> None:
        """A barrier: the first host writes only after every host has come here."""
        if self._rendezvous:
            xgb.collective.finalize()
            self._rendezvous.wait_for_all()


@contextmanager
def joined(hosts: Hosts) -> Iterator[Cluster]:
    """The cluster of a job's hosts, met and connected. Of several hosts, a failure inside ends the process at once.

    The reason is in the file that SageMaker reads then, here and on all other hosts: nothing waits for who is gone.
    """
    if len(hosts.names) == 1:
        yield Cluster(hosts)
        return
    rendezvous = Rendezvous(hosts, _end_process)
    try:
        tracker = _connect(hosts, rendezvous)
        yield Cluster(hosts, rendezvous)
        if tracker:
            tracker.wait_for()
        rendezvous.end({"finished": True})
    except BaseException as error:
        if isinstance(error, xgb.core.XGBoostError):
            time.sleep(_GRACE_SECONDS)
        reason = reason_of(error)
        rendezvous.end({"failed": reason})
        _end_process(reason)


def _connect(hosts: Hosts, rendezvous: Rendezvous) -> xgb.tracker.RabitTracker | None:
    tracker = None
    if hosts.current == hosts.first:
        tracker = xgb.tracker.RabitTracker(
            n_workers=len(hosts.names), host_ip=rendezvous.wait_for_peers(), sortby="task"
        )
        tracker.start()
        port = int(tracker.worker_args()["dmlc_tracker_port"])
        rendezvous.tell({"start": {"tracker_port": port}})
        address = str(tracker.worker_args()["dmlc_tracker_uri"])
    else:
        port, address = int(rendezvous.join()["tracker_port"]), hosts.address(hosts.first)
    xgb.collective.init(
        dmlc_communicator="rabit",
        dmlc_tracker_uri=address,
        dmlc_tracker_port=port,
        dmlc_task_id=f"{hosts.rank:05d}",  # the tracker sorts them as text
        dmlc_timeout=_COLLECTIVE_TIMEOUT,
    )
    return tracker


def _end_process(reason: str) -> None:
    """Write the reason and end without waiting for any thread; a second caller waits for that end."""
    with _ENDING:
        code = fail(reason, c.TRAINING_FAILURE_FILE)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
