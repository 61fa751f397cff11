/* The extension module `gadgetip.pump._native`. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "engine_type.h"
#include "relay_type.h"
#include "shelter.h"

#include <errno.h>

static PyObject *shelter(PyObject *self, PyObject *unused)
{
    int error = shelter_make();

    (void)self;
    (void)unused;
    if (error != 0) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"shelter", shelter, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "gadgetip.pump._native", NULL, -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *made_module = PyModule_Create(&module);
    PyObject *type = engine_type();

    if (made_module == NULL || type == NULL ||
        PyModule_AddObjectRef(made_module, "Engine", type) != 0 ||
        relay_type_add(made_module) != 0)
        Py_CLEAR(made_module);
    Py_XDECREF(type);
    return made_module;
}
