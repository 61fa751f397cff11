"""The bench: a virtual machine with a real Linux 6.12 kernel, booted with virtme-ng.

The machine sees this computer's files as its own root (read-only, with throw-away overlays), so
that the checkout and its virtual environment are there without being installed. What it has of its
own is the kernel, and every USB device and gadget that the tests make with it.

* `kernel`   finds Debian's kernel package through apt and unpacks it into a cache
* `packages` apt: finds, downloads and unpacks, installs nothing
* `gadgetfs` builds the module of board/dkms for that kernel
* `boot`     composes the virtme-ng command, starts the machine and ends it
* `devices`  the hardware QEMU adds that nobody here wrote
* `kvm`      whether hardware virtualisation works, found by booting with it
* `agent`    runs inside the guest, executes commands, says what hangs
* `client`   talks to the agent from outside
* `monitor`  talks to QEMU itself
* `hang`     what is said of a guest that ran out of time

`python -m tests.machine --help` shows what a person can do with it.
"""
