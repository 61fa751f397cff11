"""The works of the benchmark, by device. A new one is a module here and a line in SUBJECTS."""

from tests.performance.works.packets import Packets
from tests.performance.works.reports import Keyboard
from tests.performance.works.serial import Serial
from tests.performance.works.storage import Storage
from tests.performance.works.work import Outcome, Run, Subject

__all__ = ["SUBJECTS", "WORKS", "Outcome", "Run", "Subject"]

SUBJECTS: tuple[Subject, ...] = (Storage(), Packets(), Keyboard(), Serial())
WORKS = {work.name: work for subject in SUBJECTS for work in subject.works}
