/* The extension module `gadgetip.pump._native`. */
#include <Python.h>

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "gadgetip.pump._native", NULL, -1, NULL, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModule_Create(&module);
}
