/* Lanes: making, lending and counting them, for Python. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "engine_type.h"

#include <string.h>

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

PyObject *engine_in_lane(PyObject *self, PyObject *args)
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

PyObject *engine_out_lane(PyObject *self, PyObject *args)
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

PyObject *engine_bot_lane(PyObject *self, PyObject *args)
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

PyObject *engine_lend_in(PyObject *self, PyObject *args)
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

PyObject *engine_lend_out(PyObject *self, PyObject *args)
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

PyObject *engine_lend_bot(PyObject *self, PyObject *args)
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

PyObject *engine_drop_lane(PyObject *self, PyObject *args)
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

PyObject *engine_counters(PyObject *self, PyObject *args)
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
    if (lane->state != LANE_IDLE && lane->kind == LANE_OUT)
        unconfirmed = lane->u.o.bytes_out + lane->u.o.arrived_bytes;
    else if (lane->state != LANE_IDLE && lane->kind == LANE_BOT)
        unconfirmed = lane->u.b.bytes_out;
    UNLOCKED(engine);
    return Py_BuildValue("(KKKKI)", counted[0], counted[1], counted[2], counted[3], unconfirmed);
}

PyObject *engine_seize(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct lane *lane;
    int number;

    if (engine == NULL || !PyArg_ParseTuple(args, "i", &number) ||
        (lane = lane_of(engine, number, -1)) == NULL)
        return NULL;
    return seize_lane(engine, lane);
}

PyObject *engine_reports(PyObject *self, PyObject *args)
{
    struct engine *engine = engine_of(self);
    struct lane *lane;
    int number;

    if (engine == NULL || !PyArg_ParseTuple(args, "i", &number) ||
        (lane = lane_of(engine, number, LANE_IN)) == NULL)
        return NULL;
    return take_reports(engine, lane);
}
