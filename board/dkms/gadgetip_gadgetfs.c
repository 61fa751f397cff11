// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * GadgetFS as the distribution has it (inode.c, put beside this file by `source`), with a larger
 * RBUF_SIZE, and under a name and a version of its own.
 *
 * A program sees in /sys/module/gadgetip_gadgetfs/version that it is this one, and the limit in
 * bytes behind "rbuf": the limit of the very code that was compiled.
 */

#include <linux/fs.h>
#include <linux/module.h>
#include <linux/stringify.h>

/*
 * No alias fs-gadgetfs: `mount -t gadgetfs` with neither module loaded loads the stock one, as it
 * does where this one is not installed. With the alias in both, modprobe would load the two of
 * them, and which came first would be left to the order in depmod's index.
 */
#undef MODULE_ALIAS_FS
#define MODULE_ALIAS_FS(name)

#include "inode.c"

MODULE_VERSION("1.0+rbuf" __stringify(RBUF_SIZE));
