"""The Debian packages where they are meant to run: `make test-packages`, docs/packages.md.

Systems are made of Debian's archive by mmdebstrap and kept in the cache; what a test does to one
is thrown away. Of this machine's own files none is in them, so what a package needs and does not
name is missed.

* `target`    the systems: a suite and an architecture, and what is looked at there
* `chroot`    makes a system, and runs commands in a copy of it that costs nothing
* `stage`     what is given to it: the packages, one of a higher version, a device's descriptors
* `life`      installed, used, upgraded, removed, purged; lintian
* `emulated`  the same package on another processor, under QEMU's user emulation
* `module`    GadgetFS as dkms builds it from its package
* `booted`    a machine with the suite's own kernel, the package installed: a real attachment
* `inside`    what runs in that machine
"""
