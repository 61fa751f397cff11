/* The type `gadgetip.pump._native.Relay`: a relay (relay.h) as an object of Python. */
#include <Python.h>

#include <errno.h>

#include "relay.h"
#include "relay_type.h"

struct relay_object {
    PyObject_HEAD
    struct relay *relay;
};

static struct relay *relay_of(PyObject *self)
{
    return ((struct relay_object *)self)->relay;
}

static bool read_setting(PyObject *fields, struct relay_setting *setting)
{
    unsigned char numbers[5];
    unsigned int packet;

    if (!PyTuple_Check(fields)) {
        PyErr_SetString(PyExc_TypeError, "a setting is a tuple");
        return false;
    }
    if (!PyArg_ParseTuple(fields, "bbbbbI", &numbers[0], &numbers[1], &numbers[2], &numbers[3],
                          &numbers[4], &packet))
        return false;
    if (numbers[3] < 1 || numbers[3] > 15 || numbers[4] < 1 || numbers[4] > 15 || packet < 8 ||
        packet > 1024) {
        PyErr_SetString(PyExc_ValueError, "no endpoints, or no packet size, of bulk transfers");
        return false;
    }
    setting->configuration = numbers[0];
    setting->interface = numbers[1];
    setting->alternate = numbers[2];
    setting->out = numbers[3];
    setting->in = numbers[4];
    setting->in_packet = (uint16_t)packet;
    return true;
}

static PyObject *relay_make(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"server", "kernel", "settings", NULL};
    struct relay_setting settings[RELAY_MAX_STORAGES];
    int server, kernel;
    PyObject *list;
    Py_ssize_t count;
    struct relay_object *self;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "iiO!", names, &server, &kernel,
                                     &PyList_Type, &list))
        return NULL;
    count = PyList_Size(list);
    if (count > (Py_ssize_t)RELAY_MAX_STORAGES) {
        PyErr_SetString(PyExc_ValueError, "too many settings");
        return NULL;
    }
    for (Py_ssize_t place = 0; place < count; place++) {
        if (!read_setting(PyList_GetItem(list, place), &settings[place]))
            return NULL;
    }
    self = (struct relay_object *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    errno = 0;
    self->relay = relay_new(server, kernel, settings, (size_t)count);
    if (self->relay == NULL) {
        if (errno)
            PyErr_SetFromErrno(PyExc_OSError);
        else
            PyErr_NoMemory();
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void relay_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    struct relay *relay = relay_of(self);

    if (relay != NULL) {
        Py_BEGIN_ALLOW_THREADS
        relay_free(relay);
        Py_END_ALLOW_THREADS
    }
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *start(PyObject *self, PyObject *nothing)
{
    int error = relay_start(relay_of(self));

    (void)nothing;
    if (error) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

static PyObject *stop(PyObject *self, PyObject *nothing)
{
    (void)nothing;
    Py_BEGIN_ALLOW_THREADS
    relay_stop(relay_of(self));
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *file_number(PyObject *self, PyObject *nothing)
{
    (void)nothing;
    return PyLong_FromLong(relay_event_file(relay_of(self)));
}

static PyObject *take_event(PyObject *self, PyObject *nothing)
{
    struct relay_event event;

    (void)nothing;
    if (!relay_take_event(relay_of(self), &event))
        Py_RETURN_NONE;
    return Py_BuildValue("(iiL)", event.kind, event.endpoint, (long long)event.value);
}

static PyObject *ended(PyObject *self, PyObject *nothing)
{
    int error;
    enum relay_end why = relay_ended(relay_of(self), &error);

    (void)nothing;
    return Py_BuildValue("(ii)", (int)why, error);
}

static PyObject *statistics(PyObject *self, PyObject *nothing)
{
    struct relay_statistics it;

    (void)nothing;
    relay_read_statistics(relay_of(self), &it);
    return Py_BuildValue("(KKKKKKKKKK)", (unsigned long long)it.bytes_in,
                         (unsigned long long)it.bytes_out, (unsigned long long)it.urbs_in,
                         (unsigned long long)it.urbs_out, (unsigned long long)it.posted,
                         (unsigned long long)it.served, (unsigned long long)it.saved,
                         (unsigned long long)it.discarded, (unsigned long long)it.halts,
                         (unsigned long long)it.errors);
}

static PyMethodDef methods[] = {
    {"start", start, METH_NOARGS, "Begin, in a thread of its own; raises OSError."},
    {"stop", stop, METH_NOARGS, "End the thread, wait for it, and shut both streams down."},
    {"fileno", file_number, METH_NOARGS, "A file that is readable when there is news."},
    {"take_event", take_event, METH_NOARGS, "The next (kind, endpoint, value), or None."},
    {"ended", ended, METH_NOARGS, "Why it ended, and the errno; (0, 0) while it runs."},
    {"statistics", statistics, METH_NOARGS, "The counts of struct relay_statistics, in order."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Relay(server, kernel, settings): stands between a server and vhci_hcd."},
    {Py_tp_new, (void *)relay_make},
    {Py_tp_dealloc, (void *)relay_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "gadgetip.pump._native.Relay",
    .basicsize = sizeof(struct relay_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

int relay_type_add(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&spec);
    int error;

    if (type == NULL)
        return -1;
    error = PyModule_AddObjectRef(module, "Relay", type);
    Py_DECREF(type);
    return error;
}
