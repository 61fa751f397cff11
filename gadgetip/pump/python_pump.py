"""The pump in Python: the reference, and what runs where no other one does."""

from gadgetip.pump.endpoint_requests import EndpointRequests
from gadgetip.pump.interface import EndpointFiles, EndpointRoute, PumpListener
from gadgetip.pump.replica_endpoint import ReplicaEndpoint
from gadgetip.pump.request_queue import RequestQueue
from gadgetip.pump.shaper_pump import CONTROL_LIMIT_S, ShaperPump
from gadgetip.pump.shapers import Shaper
from gadgetip.pump.urbs import UrbStream
from gadgetip.usb import Direction

MAX_REQUESTS = 1024
"""Requests on the endpoint files at a time; the windows of the routes add up to far less."""


class PythonPump(ShaperPump):
    """See `ShaperPump`; `max_requests` bounds the requests on all endpoint files together."""

    def __init__(
        self,
        urbs: UrbStream,
        files: EndpointFiles,
        listener: PumpListener,
        *,
        max_requests: int = MAX_REQUESTS,
        control_limit_s: float = CONTROL_LIMIT_S,
        may_hold: bool = False,
    ) -> None:
        super().__init__(urbs, files, listener, control_limit_s=control_limit_s, may_hold=may_hold)
        self._queue = RequestQueue(max_requests, urbs.batch)

    def attach(self) -> None:
        """Take the stream and the endpoint files onto the running event loop."""
        super().attach()
        self._queue.attach()

    def close(self) -> None:
        """Cancel what is queued on the endpoint files, close them, and end the stream."""
        self._queue.close()
        super().close()

    @property
    def references(self) -> int:
        """References to this process's memory that some kernels have kept (`request_queue`)."""
        return self._queue.references

    def _equip(self, shaper: Shaper) -> None:
        """Nothing: shapers do all the work."""

    def _replica_endpoint(self, route: EndpointRoute, file: int) -> EndpointRequests:
        return ReplicaEndpoint(self._queue, file, is_in=route.direction is Direction.IN)
