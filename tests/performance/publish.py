"""Write what `make bench` measured into docs/performance and the README's figures.

    python -m tests.performance.publish build/performance

Runs outside the machine of the bench, which cannot write to the checkout.
"""

import argparse
from pathlib import Path

from tests.performance import headline, table
from tests.performance.pictures import pictures
from tests.performance.samples import read, written
from tests.performance.works import SUBJECTS, WORKS

CHECKOUT = Path(__file__).parents[2]
DOCUMENTS = CHECKOUT / "docs/performance"
README = CHECKOUT / "README.md"


def main() -> None:
    """From a directory of results."""
    parser = argparse.ArgumentParser(prog="python -m tests.performance.publish")
    parser.add_argument("directory", type=Path, help="where performance.json is")
    asked = parser.parse_args()
    results = read((asked.directory / "performance.json").read_text())
    (DOCUMENTS / "results.json").write_text(written(results))
    (DOCUMENTS / "results.md").write_text(table.report(results, WORKS))
    groups = {subject.name: [work.name for work in subject.works] for subject in SUBJECTS}
    for name, picture in pictures(results, WORKS, groups).items():
        (DOCUMENTS / f"{name}.svg").write_text(picture)
    text = headline.block(results, WORKS)
    README.write_text(headline.inserted(README.read_text(), text))


if __name__ == "__main__":
    main()
