"""Builds the image of a board: a card that needs no login, out of Debian's packages alone.

An image is four partitions. The first is a FAT that any PC reads: boot loader, and the file in
which a person says what the board is to do. Two *slots* hold a system each, so that an update is
written beside the one that runs. The last keeps what has to survive a power cut; the root file
system itself forgets everything, which is why no power cut can harm it.

* `boards`         what differs between boards, as data
* `card`           where everything lies on a card: partition table, boot state, manifest
* `debian`         apt for another architecture, without touching this machine's
* `foreign_code`   the kernel runs the board's programs, through qemu-user
* `root`           the root file system: mmdebstrap, in two stages, the first of which is kept
* `initramfs`      the few modules and the script that find the root and mount it
* `file_systems`   those of slot, FAT and state, with the same bytes each time
* `boot_partition` the FAT
* `build`          all of it in order, and the compressed result

The same sources, packages and SOURCE_DATE_EPOCH give the same bytes: every time stamp is that one,
every order is sorted, every identifier is fixed, and the versions of all packages are written down.

`python -m board.image --help` shows what a person can do with it; `make image` calls it.
"""
