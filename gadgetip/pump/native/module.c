/*
 * The extension module `gadgetip.pump._native`: the type Engine (_native.pyi says what it offers).
 *
 * No Python object is touched under the engine's lock, and the lock is never waited for with the
 * interpreter's: what an answer is made of is taken out first, and made into objects afterwards.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "lane.h"
#include "native.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_AT_A_TIME 256

struct engine_object {
    PyObject_HEAD
    struct engine *engine;
};

#define LOCKED(engine)              \
    Py_BEGIN_ALLOW_THREADS;         \
    pthread_mutex_lock(&(engine)->lock)
#define UNLOCKED(engine)            \
    pthread_mutex_unlock(&(engine)->lock); \
    Py_END_ALLOW_THREADS

static struct engine *engine_of(PyObject *self)
{
    struct engine *engine = ((struct engine_object *)self)->engine;

    if (engine == NULL)
        PyErr_SetString(PyExc_ValueError, "the engine is closed");
    return engine;
}

static struct file *file_of(struct engine *engine, int number)
{
    if (number < 0 || number >= (int)MAX_FILES || !engine->files.files[number].is_open) {
        PyErr_SetString(PyExc_ValueError, "no such endpoint file");
        return NULL;
    }
    return &engine->files.files[number];
}

static struct lane *lane_of(struct engine *engine, int number, int kind)
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

/* --- life ----------------------------------------------------------------------------------- */

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

/* --- events --------------------------------------------------------------------------------- */

/* Take events out of the queue, up to the first lane that parked: its state comes before the rest. */
static int take_events(struct engine *engine, struct event *taken)
{
    int count = 0;

    if (read(engine->events, &(uint64_t){0}, sizeof(uint64_t)) < 0 && engine->first == NULL)
        return 0;
    while (engine->first != NULL && count < EVENTS_AT_A_TIME) {
        struct event *event = engine->first;

        engine->first = event->next;
        if (engine->first == NULL)
            engine->last = &engine->first;
        taken[count] = *event;
        event->next = engine->spare;
        engine->spare = event;
        if (taken[count++].kind == EVENT_PARKED)
            break;
    }
    return count;
}

static PyObject *event_object(struct engine *engine, const struct event *event)
{
    if (event->kind == EVENT_RETURNED) {
        const struct urb *urb = event->subject;
        Py_ssize_t length = urb->direction == WIRE_IN ? (Py_ssize_t)urb->actual : 0;

        return Py_BuildValue("(iIiIy#)", (int)event->kind, urb->seqnum, urb->status, urb->actual,
                             (const char *)urb->span.data, length);
    }
    if (event->kind == EVENT_COMPLETED) {
        const struct request *request = event->subject;
        bool is_read = !request->file->is_in && request->result > 0;

        return Py_BuildValue("(iIiIy#)", (int)event->kind, request->id, (int)request->result, 0u,
                             (const char *)request->span.data,
                             is_read ? (Py_ssize_t)request->result : (Py_ssize_t)0);
    }
    if (event->kind == EVENT_PARKED) {
        const struct lane *lane = event->subject;

        return Py_BuildValue("(iIiIy#)", (int)event->kind,
                             lane != NULL ? lane->number : MAX_LANES, 0, 0u, "", (Py_ssize_t)0);
    }
    return Py_BuildValue("(iIiIy#)", (int)event->kind, (unsigned int)engine->ending,
                         engine->ending_errno, 0u, engine->ending_text,
                         (Py_ssize_t)strlen(engine->ending_text));
}

/* The stream is over, and Python knows: whatever is in flight has no answer any more. */
static void bury_all(struct engine *engine)
{
    for (uint32_t index = 0; index < MAX_URBS; index++) {
        struct urb *urb = &engine->stream.urbs[index];

        if (urb->state != URB_FREE && urb->state != URB_TOLD)
            urb_free(engine, urb);
    }
}

static PyObject *engine_events(PyObject *self, PyObject *unused)
{
    struct engine *engine = engine_of(self);
    struct event taken[EVENTS_AT_A_TIME];
    PyObject *list;
    int count;

    (void)unused;
    if (engine == NULL)
        return NULL;
    LOCKED(engine);
    count = take_events(engine, taken);
    UNLOCKED(engine);
    list = PyList_New(0);
    for (int index = 0; list != NULL && index < count; index++) {
        PyObject *object = event_object(engine, &taken[index]);

        if (object == NULL || PyList_Append(list, object) != 0)
            Py_CLEAR(list);
        Py_XDECREF(object);
    }
    LOCKED(engine);
    for (int index = 0; index < count; index++) {
        if (taken[index].kind == EVENT_RETURNED)
            urb_free(engine, taken[index].subject);
        else if (taken[index].kind == EVENT_COMPLETED)
            request_free(engine, taken[index].subject);
        else if (taken[index].kind == EVENT_ENDED)
            bury_all(engine);
    }
    UNLOCKED(engine);
    return list;
}

/* --- URBs and requests that are Python's ------------------------------------------------------ */

static bool span_of(Py_buffer *data, uint32_t length, struct span *span)
{
    *span = span_alone(length);
    if (span->data == NULL) {
        PyErr_NoMemory();
        return false;
    }
    if (data != NULL && data->len != 0)
        memcpy(span->data, data->buf, (size_t)data->len);
    return true;
}

static PyObject *engine_submit(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    unsigned char ep, is_in;
    unsigned int length, seqnum = 0;
    int interval;
    Py_buffer setup, data;
    struct span span;
    bool is_sane, is_full = false;

    if (engine == NULL ||
        !PyArg_ParseTuple(args, "bbIiy*y*", &ep, &is_in, &length, &interval, &setup, &data))
        return NULL;
    is_sane = ep <= WIRE_MAX_ENDPOINT && is_in <= 1 && length <= WIRE_MAX_TRANSFER_BYTES &&
              setup.len == WIRE_SETUP_BYTES && (size_t)data.len == (is_in ? 0u : length);
    if (!is_sane)
        PyErr_SetString(PyExc_ValueError, "no such URB");
    if (is_sane && span_of(&data, length, &span)) {
        struct urb *urb;

        LOCKED(engine);
        if (engine->stream.is_open) {
            urb = urb_submit(engine, ep, is_in ? WIRE_IN : WIRE_OUT, length, interval, setup.buf,
                             span);
            is_full = urb == NULL;
            seqnum = urb != NULL ? urb->seqnum : 0;
        } else { /* Python is about to hear that there is no answer */
            span_release(&span);
            seqnum = engine->stream.next_seqnum++;
        }
        UNLOCKED(engine);
        if (is_full)
            PyErr_SetString(PyExc_OverflowError, "too many URBs are in flight");
    }
    PyBuffer_Release(&setup);
    PyBuffer_Release(&data);
    return PyErr_Occurred() != NULL ? NULL : PyLong_FromUnsignedLong(seqnum);
}

static PyObject *engine_unlink(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    unsigned int seqnum;

    if (engine == NULL || !PyArg_ParseTuple(args, "I", &seqnum))
        return NULL;
    LOCKED(engine);
    urb_unlink(engine, seqnum);
    UNLOCKED(engine);
    Py_RETURN_NONE;
}

static PyObject *engine_flush_method(PyObject *self, PyObject *unused)
{
    struct engine *engine = engine_of(self);

    (void)unused;
    if (engine == NULL)
        return NULL;
    LOCKED(engine);
    engine_flush(engine);
    UNLOCKED(engine);
    Py_RETURN_NONE;
}

static PyObject *engine_open_file(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    int number, is_in, is_blocking;
    struct file *file;

    if (engine == NULL || !PyArg_ParseTuple(args, "ipp", &number, &is_in, &is_blocking))
        return NULL;
    LOCKED(engine);
    file = file_open(engine, number, is_in != 0, is_blocking != 0);
    UNLOCKED(engine);
    if (file == NULL) {
        PyErr_SetString(PyExc_OverflowError, "too many endpoint files are open");
        return NULL;
    }
    return PyLong_FromLong((long)(file - engine->files.files));
}

static PyObject *engine_close_file(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct file *file;
    int number;

    if (engine == NULL || !PyArg_ParseTuple(args, "i", &number) ||
        (file = file_of(engine, number)) == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    file_close(engine, file);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

static PyObject *engine_request(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct request *request;
    struct file *file;
    struct span span;
    int number;
    unsigned int length;
    Py_buffer data;
    PyObject *answer = NULL;

    if (engine == NULL || !PyArg_ParseTuple(args, "iIy*", &number, &length, &data))
        return NULL;
    file = file_of(engine, number);
    if (file != NULL && (length > WIRE_MAX_TRANSFER_BYTES ||
                         (size_t)data.len != (file->is_in ? length : 0u)))
        PyErr_SetString(PyExc_ValueError, "no such request");
    else if (file != NULL && span_of(&data, length, &span)) {
        LOCKED(engine);
        request = request_queue(engine, file, span);
        UNLOCKED(engine);
        if (request == NULL)
            PyErr_SetString(PyExc_OverflowError, "too many requests are under way");
        else
            answer = PyLong_FromUnsignedLong(request->id);
    }
    PyBuffer_Release(&data);
    return answer;
}

static PyObject *engine_cancel(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct file *file;
    int number;
    uint64_t one = 1;

    if (engine == NULL || !PyArg_ParseTuple(args, "i", &number) ||
        (file = file_of(engine, number)) == NULL)
        return NULL;
    LOCKED(engine);
    file_cancel(engine, file);
    UNLOCKED(engine);
    if (write(engine->wake, &one, sizeof one) < 0)
        PyErr_Clear();
    Py_RETURN_NONE;
}

static PyObject *engine_numbers(PyObject *self, PyObject *unused)
{
    struct engine *engine = engine_of(self);
    unsigned long long next, late, references, bursts;

    (void)unused;
    if (engine == NULL)
        return NULL;
    LOCKED(engine);
    next = engine->stream.next_seqnum;
    late = engine->stream.late_returns;
    references = engine->files.references;
    bursts = engine->bursts;
    UNLOCKED(engine);
    return Py_BuildValue("(KKKK)", next, late, references, bursts);
}

static PyObject *engine_fifo_filled_at(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct file *file;
    double at;
    int number;

    if (engine == NULL || !PyArg_ParseTuple(args, "i", &number) ||
        (file = file_of(engine, number)) == NULL)
        return NULL;
    LOCKED(engine);
    at = file->fifo_filled_at;
    UNLOCKED(engine);
    return PyFloat_FromDouble(at);
}

/* --- lanes ---------------------------------------------------------------------------------- */

static PyObject *made(struct engine *engine, const struct lane *wanted, bool is_observed)
{
    struct lane *lane;

    LOCKED(engine);
    lane = lane_make(engine, wanted, is_observed);
    UNLOCKED(engine);
    if (lane == NULL)
        Py_RETURN_NONE;
    return PyLong_FromUnsignedLong(lane->number);
}

static PyObject *engine_in_lane(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct lane wanted = {.kind = LANE_IN};
    int file, ends_short, is_observed;

    if (engine == NULL ||
        !PyArg_ParseTuple(args, "ibiIIIIIpp", &file, &wanted.in.ep, &wanted.in.interval,
                          &wanted.in.bytes, &wanted.in.device_packet, &wanted.in.host_packet,
                          &wanted.in.window, &wanted.u.i.merge_bytes, &ends_short, &is_observed) ||
        (wanted.in.file = file_of(engine, file)) == NULL)
        return NULL;
    wanted.u.i.ends_short = ends_short != 0;
    return made(engine, &wanted, is_observed != 0);
}

static PyObject *engine_out_lane(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct lane wanted = {.kind = LANE_OUT};
    int file, ends_short;

    if (engine == NULL ||
        !PyArg_ParseTuple(args, "ibiIIIIIp", &file, &wanted.out.ep, &wanted.out.interval,
                          &wanted.out.bytes, &wanted.out.device_packet, &wanted.out.host_packet,
                          &wanted.out.window, &wanted.u.o.merge_bytes, &ends_short) ||
        (wanted.out.file = file_of(engine, file)) == NULL)
        return NULL;
    wanted.u.o.ends_short = ends_short != 0;
    return made(engine, &wanted, false);
}

static PyObject *engine_bot_lane(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct lane wanted = {.kind = LANE_BOT};
    struct way *in = &wanted.in, *out = &wanted.out;
    int file_out, file_in;

    if (engine == NULL ||
        !PyArg_ParseTuple(args, "(ibIIII)(ibIIII)I", &file_out, &out->ep, &out->device_packet,
                          &out->host_packet, &out->window, &out->bytes, &file_in, &in->ep,
                          &in->device_packet, &in->host_packet, &in->window, &in->bytes,
                          &wanted.u.b.keep_bytes) ||
        (out->file = file_of(engine, file_out)) == NULL ||
        (in->file = file_of(engine, file_in)) == NULL)
        return NULL;
    return made(engine, &wanted, false);
}

static bool lend(struct engine *engine, struct lane *lane)
{
    if (lane->state != LANE_IDLE || !lane_is_quiet(lane) || !engine->stream.is_open)
        return false;
    lane->state = LANE_LENT;
    return true;
}

static PyObject *engine_lend_in(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct lane *lane;
    int number;
    unsigned int armed, max_writes;
    bool is_lent;

    if (engine == NULL || !PyArg_ParseTuple(args, "iII", &number, &armed, &max_writes) ||
        (lane = lane_of(engine, number, LANE_IN)) == NULL)
        return NULL;
    LOCKED(engine);
    is_lent = lend(engine, lane);
    if (is_lent) {
        lane->u.i.armed = armed < lane->in.window ? armed : lane->in.window;
        lane->u.i.max_writes = max_writes;
        in_lane_lent(lane);
        engine_flush(engine);
    }
    UNLOCKED(engine);
    return PyBool_FromLong(is_lent);
}

static PyObject *engine_lend_out(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct lane *lane;
    int number;
    bool is_lent;

    if (engine == NULL || !PyArg_ParseTuple(args, "i", &number) ||
        (lane = lane_of(engine, number, LANE_OUT)) == NULL)
        return NULL;
    LOCKED(engine);
    is_lent = lend(engine, lane);
    if (is_lent) {
        out_lane_lent(lane);
        engine_flush(engine);
    }
    UNLOCKED(engine);
    return PyBool_FromLong(is_lent);
}

static PyObject *engine_lend_bot(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct lane *lane;
    int number, patient;
    unsigned int read_bytes;
    uint8_t copy[CBW_BYTES] = {0};
    Py_buffer command;
    bool is_wanted, is_lent;

    if (engine == NULL || !PyArg_ParseTuple(args, "iy*pI", &number, &command, &patient, &read_bytes))
        return NULL;
    is_wanted = command.len == CBW_BYTES && bot_lane_wants(command.buf, CBW_BYTES);
    if (is_wanted)
        memcpy(copy, command.buf, CBW_BYTES);
    PyBuffer_Release(&command);
    if ((lane = lane_of(engine, number, LANE_BOT)) == NULL)
        return NULL;
    if (!is_wanted || read_bytes == 0 || read_bytes > lane->out.bytes)
        Py_RETURN_FALSE;
    LOCKED(engine);
    is_lent = lend(engine, lane);
    if (is_lent) {
        lane->u.b.patient = patient != 0;
        lane->u.b.read_bytes = read_bytes;
        bot_lane_lent(lane, copy);
        engine_flush(engine);
    }
    UNLOCKED(engine);
    return PyBool_FromLong(is_lent);
}

static PyObject *engine_drop_lane(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct lane *lane;
    int number;
    bool is_dropped;

    if (engine == NULL || !PyArg_ParseTuple(args, "i", &number) ||
        (lane = lane_of(engine, number, -1)) == NULL)
        return NULL;
    LOCKED(engine);
    is_dropped = lane->state == LANE_IDLE && lane_is_quiet(lane);
    if (is_dropped)
        lane_drop(lane);
    UNLOCKED(engine);
    return PyBool_FromLong(is_dropped);
}

static PyObject *engine_counters(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct lane *lane;
    int number;
    unsigned long long counted[4];
    unsigned int unconfirmed = 0;

    if (engine == NULL || !PyArg_ParseTuple(args, "i", &number) ||
        (lane = lane_of(engine, number, -1)) == NULL)
        return NULL;
    LOCKED(engine);
    counted[0] = lane->in.urbs;
    counted[1] = lane->in.moved;
    counted[2] = lane->out.urbs;
    counted[3] = lane->out.moved;
    lane->in.urbs = lane->in.moved = lane->out.urbs = lane->out.moved = 0;
    if (lane->state == LANE_LENT && lane->kind == LANE_OUT)
        unconfirmed = lane->u.o.bytes_out + lane->u.o.arrived_bytes;
    else if (lane->state == LANE_LENT && lane->kind == LANE_BOT)
        unconfirmed = lane->u.b.bytes_out;
    UNLOCKED(engine);
    return Py_BuildValue("(KKKKI)", counted[0], counted[1], counted[2], counted[3], unconfirmed);
}

static PyObject *engine_seize(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct lane *lane;
    int number;

    if (engine == NULL || !PyArg_ParseTuple(args, "i", &number) ||
        (lane = lane_of(engine, number, -1)) == NULL)
        return NULL;
    return seize_lane(engine, lane);
}

static PyObject *engine_reports(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct lane *lane;
    int number;

    if (engine == NULL || !PyArg_ParseTuple(args, "i", &number) ||
        (lane = lane_of(engine, number, LANE_IN)) == NULL)
        return NULL;
    return take_reports(engine, lane);
}

static PyMethodDef engine_methods[] = {
    {"fileno", engine_fileno, METH_NOARGS, NULL},
    {"events", engine_events, METH_NOARGS, NULL},
    {"submit", engine_submit, METH_VARARGS, NULL},
    {"unlink", engine_unlink, METH_VARARGS, NULL},
    {"flush", engine_flush_method, METH_NOARGS, NULL},
    {"relink", engine_relink_method, METH_VARARGS, NULL},
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

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "gadgetip.pump._native", NULL, -1, NULL, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *made_module = PyModule_Create(&module);
    PyObject *type = PyType_FromSpec(&engine_spec);

    if (made_module == NULL || type == NULL ||
        PyModule_AddObjectRef(made_module, "Engine", type) != 0)
        Py_CLEAR(made_module);
    Py_XDECREF(type);
    return made_module;
}
