from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from tests.performance.pictures import pictures
from tests.performance.plot import HEIGHT, LEGEND, WIDTH, Panel, Point, scale, svg
from tests.performance.works import WORKS
from tests.unit.performance.made import results

POSITIVE = st.floats(1e-6, 1e9)
NAMESPACE = "{http://www.w3.org/2000/svg}"


@st.composite
def points(draw: st.DrawFn) -> Point:
    least, median, most = sorted(draw(st.tuples(POSITIVE, POSITIVE, POSITIVE)))
    return Point(least, median, most)


@given(st.lists(points(), min_size=1))
def test_a_scale_holds_every_point(drawn: list[Point]) -> None:
    low, high = scale(drawn)
    assert low < high
    assert all(low <= point.least <= point.most <= high for point in drawn)


def test_a_scale_is_no_larger_than_it_must_be() -> None:
    assert scale([Point(0.3, 4, 17)]) == (0.2, 20)
    assert scale([Point(2, 2, 2)]) == (1, 4)


@given(
    st.text(),
    st.lists(st.lists(st.none() | points(), min_size=3, max_size=3), min_size=1, max_size=4),
)
def test_a_picture_is_well_formed_and_within_its_bounds(
    title: str, drawn: list[list[Point | None]]
) -> None:
    title = "".join(each for each in title if each.isprintable())
    lines = {f"path <{number}>": line for number, line in enumerate(drawn)}
    picture = ET.fromstring(svg([Panel(title, lines)], [0, 10, 50]))
    dots = [dot for dot in picture.iter(f"{NAMESPACE}circle") if dot.get("r") == "3"]
    assert len(dots) == sum(point is not None for line in drawn for point in line)
    for dot in dots:
        assert 0 < float(dot.get("cx", "")) < WIDTH
        assert 0 < float(dot.get("cy", "")) < HEIGHT
    texts = [text.text or "" for text in picture.iter(f"{NAMESPACE}text")]
    assert title in texts
    assert "path <0>" in texts


def test_a_picture_a_device() -> None:
    groups = {"storage": ["seqread", "seqwrite"], "keyboard": ["report"], "serial": ["serialin"]}
    drawn = pictures(results(), WORKS, groups)
    assert list(drawn) == ["storage", "keyboard"]
    keyboard = ET.fromstring(drawn["keyboard"])
    assert keyboard.get("viewBox") == f"0 0 {2 * WIDTH} {HEIGHT + LEGEND}"
    assert "vhci-again" not in drawn["keyboard"]
