"""A profile against a device that somebody saved: which of its wishes mean nothing, or cannot be.

Here a wish without effect is a fault: whoever asks wants to know whether the profile does what it
was written for. The plan itself is lenient, since one profile may be for several devices.
"""

from pathlib import Path

from gadgetip.cli.planning import Target, choose_target, saved_device
from gadgetip.errors import PrerequisiteError, RefusedError
from gadgetip.gadget.profile_checks import unknown_wishes
from gadgetip.matching import fits
from gadgetip.profiles import Profile


class DeviceCheck:
    """Holds profiles against one saved device, and against the plan for one controller.

    `not_planned` says why there is no controller to plan for, None where there is one.
    """

    def __init__(self, descriptors: Path, udc: str | None, udc_model: str | None) -> None:
        self._seen = saved_device(descriptors)
        self._target: Target | None = None
        self.not_planned: str | None = None
        try:
            self._target = choose_target(udc, udc_model)
        except PrerequisiteError as error:
            self.not_planned = str(error)

    def faults(self, profile: Profile) -> tuple[str, ...]:
        """What is wrong with this profile for this device."""
        faults = []
        if profile.matches and fits(profile.matches, self._seen.facts) is False:
            faults.append("its match does not fit the device")
        faults += map(str, unknown_wishes(profile, self._seen.tree.configurations))
        if self._target is not None:
            try:
                plan = self._target.plan(self._seen.tree, profile)
                faults += [f"refused: {each}" for each in plan.refusals]
            except RefusedError as error:
                faults.append(f"refused: {error}")
        return tuple(dict.fromkeys(faults))

    def doubts(self, profile: Profile) -> tuple[str, ...]:
        """What a file of descriptors does not tell."""
        if profile.matches and fits(profile.matches, self._seen.facts) is None:
            return (
                "whether its match fits is not known: a saved device has no strings and no port",
            )
        return ()
