/* The extension module `gadgetip.pump._native`. */
#include <Python.h>

#include "relay_type.h"

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "gadgetip.pump._native", NULL, -1, NULL, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *module = PyModule_Create(&definition);

    if (module != NULL && relay_type_add(module) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
