"""What provisioning leaves on the root file system for whoever watches the board."""

CONFIG = "/etc/gadgetip/gadgetip.toml"
"""The configuration to go by; without it the supervisor is not started."""

MISREAD_HERE = "/run/gadgetip-misread"
"""Is there where a configuration was refused that an earlier system had taken over as it is."""
