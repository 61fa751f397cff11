import pytest

from tests.performance import headline
from tests.performance.works import WORKS
from tests.unit.performance.made import results


def test_the_block() -> None:
    lines = headline.block(results(), WORKS).splitlines()
    assert lines[0] == (
        "|  | gadget-native, 0 ms | gadget-native, 10 ms | vhci-pump, 0 ms | vhci-pump, 10 ms |"
    )
    assert lines[2] == "| sequential read | 1.10 | 0.73 | 0.80 | 0.80 |"
    assert lines[3] == "| keyboard report (less is better) | 0.50 | 1.00 | 1.00 | 1.00 |"


def test_without_a_native_pump() -> None:
    made = results()
    paths = {name: says for name, says in made.paths.items() if name == "gadget-python"}
    block = headline.block(type(made)(made.about, paths, {}, made.samples), WORKS)
    assert block.startswith("|  | gadget-python, 0 ms |")
    with pytest.raises(ValueError, match="no replica"):
        headline.block(type(made)(made.about, {}, {}, made.samples), WORKS)


def test_it_replaces_the_one_before() -> None:
    readme = f"before\n{headline.BEGIN}\nold\n{headline.END}\nafter\n"
    once = headline.inserted(readme, "new")
    assert once == f"before\n{headline.BEGIN}\nnew\n{headline.END}\nafter\n"
    assert headline.inserted(once, "new") == once


@pytest.mark.parametrize("readme", ["", headline.BEGIN, headline.END])
def test_it_needs_its_place(readme: str) -> None:
    with pytest.raises(ValueError, match="README has no"):
        headline.inserted(readme, "new")
