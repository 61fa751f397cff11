/* Adds the type `Relay` to the module; 0, or -1 with an exception set. */
#ifndef GADGETIP_RELAY_TYPE_H
#define GADGETIP_RELAY_TYPE_H

#include <Python.h>

int relay_type_add(PyObject *module);

#endif
