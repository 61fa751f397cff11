/* What the pieces of the extension module share. */
#ifndef GADGETIP_NATIVE_H
#define GADGETIP_NATIVE_H

#include <Python.h>

#include "lane.h"

/* Take a lane's state back (module_seize.c); `lane` is idle then. A new reference, or NULL. */
PyObject *seize_lane(struct engine *engine, struct lane *lane);

/* The last report of each kind since this was asked before, oldest first. A new reference. */
PyObject *take_reports(struct engine *engine, struct lane *lane);

#endif
