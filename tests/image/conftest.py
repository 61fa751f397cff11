"""One desk for all tests of a session, whose order is that of the card's life."""

from collections.abc import Generator, Iterator

import pytest

from tests.image import places
from tests.image.desk import Desk
from tests.image.times import TIMES


@pytest.fixture(scope="session")
def desk() -> Iterator[Desk]:
    """Server, board and card; a card that nobody has booted yet."""
    made = Desk(places.board(), places.scratch())
    try:
        yield made
    finally:
        made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the board's console with a failure."""
    report = yield
    found = item.funcargs.get("desk") if isinstance(item, pytest.Function) else None
    if report.failed and isinstance(found, Desk) and found.powered:
        report.sections.append(("board's console", found.console.tail(60)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what took how long."""
    lines = TIMES.lines()
    if lines:
        terminalreporter.section("times, in emulation")
        for line in lines:
            terminalreporter.write_line(line)
        TIMES.save(places.scratch() / "times.json")
