"""What holds for every unit test."""

from hypothesis import settings

# How long an example takes depends on what else the machine does; speed is measured elsewhere.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
