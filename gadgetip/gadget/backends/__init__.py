"""backends: the kernel interfaces a replica can be built on.

A backend turns a plan into a `Replica`: built but not yet visible, with open files for endpoint 0
and for each endpoint; then bound, when whoever serves it is ready. One file a backend, and the
table below.
"""

from gadgetip.gadget.backends.base import Backend, Replica
from gadgetip.gadget.backends.functionfs import FunctionFsBackend

BACKENDS: dict[str, type[Backend]] = {
    FunctionFsBackend.name: FunctionFsBackend,
}

__all__ = ["BACKENDS", "Backend", "Replica"]
