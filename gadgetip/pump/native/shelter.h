/*
 * A shelter for the memory of a process that may be killed with requests under way.
 *
 * FunctionFS copies what a read has brought on an ordered work queue, for which it takes the memory
 * of the process (drivers/usb/gadget/function/f_fs.c, `ffs_user_copy_worker`). If the process ends
 * just then, the worker is the last who has that memory, and has to take down its AIO context: it
 * waits for requests that only the same work queue could complete (fs/aio.c, `exit_aio`), for ever,
 * and the controller is lost until the next boot.
 *
 * So a second process shares the memory and does nothing: it waits until the first one's files are
 * closed, then for a moment in which what is under way comes to rest, and ends. Then the memory has
 * no other user, and no read brings anything.
 */
#ifndef GADGETIP_SHELTER_H
#define GADGETIP_SHELTER_H

/* Make it; 0 or errno. Once in a process, which must not be killed by its process group alone. */
int shelter_make(void);

#endif
