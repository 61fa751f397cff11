/* URBs, endpoint files and requests that are Python's own. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "engine_type.h"

#include <string.h>
#include <unistd.h>

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

PyObject *engine_submit(PyObject *self, PyObject *args)
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

PyObject *engine_unlink(PyObject *self, PyObject *args)
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

PyObject *engine_flush_method(PyObject *self, PyObject *unused)
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

PyObject *engine_open_file(PyObject *self, PyObject *args)
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

PyObject *engine_close_file(PyObject *self, PyObject *args)
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

PyObject *engine_request(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct request *request;
    struct file *file;
    struct span span;
    int number;
    unsigned int length, queued;
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
        queued = request != NULL ? request->number : 0; /* numbers begin with 1 */
        UNLOCKED(engine);
        if (queued == 0)
            PyErr_SetString(PyExc_OverflowError, "too many requests are under way");
        else
            answer = PyLong_FromUnsignedLong(queued);
    }
    PyBuffer_Release(&data);
    return answer;
}

PyObject *engine_cancel(PyObject *self, PyObject *args)
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

PyObject *engine_numbers(PyObject *self, PyObject *unused)
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

PyObject *engine_fifo_filled_at(PyObject *self, PyObject *args)
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
