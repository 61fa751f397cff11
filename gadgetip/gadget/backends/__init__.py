"""backends: the kernel interfaces a replica can be built on.

A backend turns a plan into a `Replica`: built but not yet visible, with whoever tells of the host
and whoever opens its endpoint files; then bound, when whoever serves it is ready. Each is one file
here, which also declares its limits for the plan, and one line in the table below.
"""

from gadgetip.gadget.backends.base import Backend, Replica
from gadgetip.gadget.backends.functionfs import FunctionFsBackend
from gadgetip.gadget.backends.gadgetfs import GadgetFsBackend

BACKENDS: dict[str, type[Backend]] = {
    FunctionFsBackend.name: FunctionFsBackend,
    GadgetFsBackend.name: GadgetFsBackend,
}
"""By name; the plan prefers the first of equals."""

__all__ = ["BACKENDS", "Backend", "Replica"]
