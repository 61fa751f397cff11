"""`python -m tests.soak --seconds 1800 --seed N`, inside the bench's machine."""

import argparse
import json
import os
import random
import sys
from pathlib import Path

from tests.soak.disturbances import DISTURBANCES
from tests.soak.kept_alone import KeptAlone
from tests.soak.server import KINDS
from tests.soak.soak import Plan, soak
from tests.soak.supervised import Supervised


def main() -> int:
    """Soak; the exit status says whether all went well."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--server", choices=KINDS, default="kernel")
    parser.add_argument("--only", action="append", choices=[d.name for d in DISTURBANCES])
    parser.add_argument("--alone", action="store_true", help="attach --keep, no supervisor")
    parser.add_argument("--hold", type=float, help="seconds, for all; else the seed decides")
    arguments = parser.parse_args()
    plan = Plan(
        seconds=arguments.seconds,
        seed=arguments.seed,
        server=arguments.server,
        make_kept=KeptAlone if arguments.alone else Supervised,
        results=Path(os.environ.get("GADGETIP_RESULTS", "/tmp")),
        hold_s=arguments.hold,
        only=frozenset(arguments.only or ()),
    )
    summary = soak(plan)
    print(json.dumps(summary, indent=2))
    return 1 if summary["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
