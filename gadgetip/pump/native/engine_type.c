/* The Python type Engine: its life, and its table of methods. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "engine_type.h"

#include <errno.h>

struct engine_object {
    PyObject_HEAD
    struct engine *engine;
};

struct engine *engine_of(PyObject *self)
{
    struct engine *engine = ((struct engine_object *)self)->engine;

    if (engine == NULL)
        PyErr_SetString(PyExc_ValueError, "the engine is closed");
    return engine;
}

struct file *file_of(struct engine *engine, int number)
{
    if (number < 0 || number >= (int)MAX_FILES || !engine->files.files[number].is_open) {
        PyErr_SetString(PyExc_ValueError, "no such endpoint file");
        return NULL;
    }
    return &engine->files.files[number];
}

struct lane *lane_of(struct engine *engine, int number, int kind)
{
    struct lane *lane = NULL;

    if (number >= 0 && number < (int)MAX_LANES)
        lane = engine->lanes[number];
    if (lane == NULL || (kind >= 0 && (int)lane->kind != kind)) {
        PyErr_SetString(PyExc_ValueError, "no such lane");
        return NULL;
    }
    return lane;
}

static PyObject *engine_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    int file, error = 0;
    unsigned int devid, next_seqnum;
    struct engine_object *self;
    struct engine *engine;
    allocfunc allocate;

    if (kwargs != NULL && PyDict_Size(kwargs) != 0) {
        PyErr_SetString(PyExc_TypeError, "Engine takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "iII", &file, &devid, &next_seqnum))
        return NULL;
    engine = engine_make(file, devid, next_seqnum, &error);
    if (engine == NULL) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    self = (struct engine_object *)allocate(type, 0);
    if (self == NULL) {
        engine_close(engine);
        return NULL;
    }
    self->engine = engine;
    return (PyObject *)self;
}

static PyObject *engine_close_method(PyObject *self, PyObject *unused)
{
    struct engine *engine = ((struct engine_object *)self)->engine;

    (void)unused;
    ((struct engine_object *)self)->engine = NULL;
    if (engine != NULL) {
        Py_BEGIN_ALLOW_THREADS;
        engine_close(engine);
        Py_END_ALLOW_THREADS;
    }
    Py_RETURN_NONE;
}

static void engine_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    PyObject *closed = engine_close_method(self, NULL);

    Py_XDECREF(closed);
    release(self);
    Py_DECREF(type);
}

static PyObject *engine_fileno(PyObject *self, PyObject *unused)
{
    struct engine *engine = engine_of(self);

    (void)unused;
    return engine == NULL ? NULL : PyLong_FromLong(engine->events);
}

static PyObject *engine_relink_method(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    int file, error;
    unsigned int devid, next_seqnum;

    if (engine == NULL || !PyArg_ParseTuple(args, "iII", &file, &devid, &next_seqnum))
        return NULL;
    LOCKED(engine);
    error = engine->stream.is_open ? EBUSY : engine_relink(engine, file, devid, next_seqnum);
    UNLOCKED(engine);
    if (error != 0) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

static PyObject *engine_disconnect(PyObject *self, PyObject *unused)
{
    struct engine *engine = engine_of(self);

    (void)unused;
    if (engine == NULL)
        return NULL;
    LOCKED(engine);
    engine_end(engine, ENDING_EOF, 0, NULL);
    UNLOCKED(engine);
    Py_RETURN_NONE;
}

static PyMethodDef engine_methods[] = {
    {"fileno", engine_fileno, METH_NOARGS, NULL},
    {"events", engine_events, METH_NOARGS, NULL},
    {"submit", engine_submit, METH_VARARGS, NULL},
    {"unlink", engine_unlink, METH_VARARGS, NULL},
    {"flush", engine_flush_method, METH_NOARGS, NULL},
    {"relink", engine_relink_method, METH_VARARGS, NULL},
    {"disconnect", engine_disconnect, METH_NOARGS, NULL},
    {"numbers", engine_numbers, METH_NOARGS, NULL},
    {"open_file", engine_open_file, METH_VARARGS, NULL},
    {"close_file", engine_close_file, METH_VARARGS, NULL},
    {"request", engine_request, METH_VARARGS, NULL},
    {"cancel", engine_cancel, METH_VARARGS, NULL},
    {"fifo_filled_at", engine_fifo_filled_at, METH_VARARGS, NULL},
    {"in_lane", engine_in_lane, METH_VARARGS, NULL},
    {"out_lane", engine_out_lane, METH_VARARGS, NULL},
    {"bot_lane", engine_bot_lane, METH_VARARGS, NULL},
    {"lend_in", engine_lend_in, METH_VARARGS, NULL},
    {"lend_out", engine_lend_out, METH_VARARGS, NULL},
    {"lend_bot", engine_lend_bot, METH_VARARGS, NULL},
    {"seize", engine_seize, METH_VARARGS, NULL},
    {"reports", engine_reports, METH_VARARGS, NULL},
    {"drop_lane", engine_drop_lane, METH_VARARGS, NULL},
    {"counters", engine_counters, METH_VARARGS, NULL},
    {"close", engine_close_method, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot engine_slots[] = {
    {Py_tp_new, engine_new},
    {Py_tp_dealloc, engine_dealloc},
    {Py_tp_methods, engine_methods},
    {0, NULL},
};

static PyType_Spec engine_spec = {
    "gadgetip.pump._native.Engine",
    sizeof(struct engine_object),
    0,
    Py_TPFLAGS_DEFAULT,
    engine_slots,
};

PyObject *engine_type(void)
{
    return PyType_FromSpec(&engine_spec);
}
