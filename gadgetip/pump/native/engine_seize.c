/*
 * Taking a lane's state back: everything that a shaper in Python needs to go on from there.
 *
 * What is in flight is named by its seqnum or its request, in the order in which it was submitted;
 * its results come as events, behind this. They may have come already, but no one else takes them
 * out of the queue meanwhile.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "engine_type.h"

#include <stdlib.h>
#include <string.h>

struct snapshot {
    const struct urb *urbs[MAX_REQUESTS];
    const struct request *requests[MAX_REQUESTS];
    uint32_t urb_count, request_count;
    struct span *arrived;
    uint32_t arrived_count;
};

static int by_urb(const void *a, const void *b)
{
    uint64_t left = (*(const struct urb *const *)a)->serial;
    uint64_t right = (*(const struct urb *const *)b)->serial;

    return (left > right) - (left < right);
}

static int by_request(const void *a, const void *b)
{
    uint64_t left = (*(const struct request *const *)a)->serial;
    uint64_t right = (*(const struct request *const *)b)->serial;

    return (left > right) - (left < right);
}

static void collect(struct engine *engine, struct lane *lane, struct snapshot *snapshot)
{
    for (uint32_t index = 0; index < MAX_URBS; index++) {
        struct urb *urb = &engine->stream.urbs[index];

        if (urb->state != URB_FREE && urb->from == lane && snapshot->urb_count < MAX_REQUESTS) {
            snapshot->urbs[snapshot->urb_count++] = urb;
            urb->from = NULL;
        }
    }
    for (uint32_t index = 0; index < MAX_REQUESTS; index++) {
        struct request *request = &engine->files.requests[index];

        if (request->state != REQUEST_FREE && request->from == lane) {
            snapshot->requests[snapshot->request_count++] = request;
            request->from = NULL;
        }
    }
    qsort(snapshot->urbs, snapshot->urb_count, sizeof snapshot->urbs[0], by_urb);
    qsort(snapshot->requests, snapshot->request_count, sizeof snapshot->requests[0], by_request);
    if (lane->kind != LANE_BOT) {
        struct span_queue *arrived = lane->kind == LANE_IN ? &lane->u.i.arrived : &lane->u.o.arrived;

        snapshot->arrived = calloc(arrived->count + 1, sizeof(struct span));
        while (snapshot->arrived != NULL && arrived->count != 0)
            snapshot->arrived[snapshot->arrived_count++] = span_queue_take(arrived);
    }
}

static bool append(PyObject *list, PyObject *object)
{
    bool is_appended = object != NULL && PyList_Append(list, object) == 0;

    Py_XDECREF(object);
    return is_appended;
}

static PyObject *urbs_of(const struct snapshot *snapshot)
{
    PyObject *list = PyList_New(0);

    for (uint32_t index = 0; list != NULL && index < snapshot->urb_count; index++) {
        const struct urb *urb = snapshot->urbs[index];

        if (!append(list, Py_BuildValue("(IOiII)", urb->seqnum,
                                        urb->direction == WIRE_IN ? Py_True : Py_False,
                                        (int)urb->role, urb->size, urb->entries)))
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *requests_of(const struct snapshot *snapshot)
{
    PyObject *list = PyList_New(0);

    for (uint32_t index = 0; list != NULL && index < snapshot->request_count; index++) {
        const struct request *request = snapshot->requests[index];
        Py_ssize_t written = request->file->is_in ? (Py_ssize_t)request->span.length : 0;

        if (!append(list, Py_BuildValue("(IOiIIy#)", request->number,
                                        request->file->is_in ? Py_True : Py_False,
                                        (int)request->role, request->size, request->entries,
                                        (const char *)request->span.data, written)))
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *arrived_of(const struct snapshot *snapshot)
{
    PyObject *list = PyList_New(0);

    for (uint32_t index = 0; list != NULL && index < snapshot->arrived_count; index++) {
        const struct span *span = &snapshot->arrived[index];

        if (!append(list, PyBytes_FromStringAndSize((const char *)span->data,
                                                    (Py_ssize_t)span->length)))
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *state_of(const struct lane *lane)
{
    const struct bot_lane *bot = &lane->u.b;

    if (lane->kind == LANE_IN)
        return Py_BuildValue("{s:O,s:I}", "good", lane->u.i.is_good ? Py_True : Py_False,
                             "max_writes", lane->u.i.max_writes);
    if (lane->kind == LANE_OUT)
        return Py_BuildValue("{s:O}", "good", lane->u.o.is_good ? Py_True : Py_False);
    return Py_BuildValue(
        "{s:y#,s:I,s:I,s:I,s:I,s:O,s:O,s:O,s:O,s:O,s:y#,s:O}", "command", (const char *)bot->command,
        (Py_ssize_t)CBW_BYTES, "asked", bot->asked, "moved", bot->moved, "bytes_out",
        bot->bytes_out, "units", bot->units, "data_over", bot->data_over ? Py_True : Py_False,
        "under_way", bot->under_way ? Py_True : Py_False, "status_asked",
        bot->status_asked ? Py_True : Py_False, "status_seen",
        bot->status_seen ? Py_True : Py_False, "expecting", bot->expecting ? Py_True : Py_False,
        "kept", (const char *)(bot->kept != NULL ? bot->kept : bot->command),
        (Py_ssize_t)(bot->kept != NULL ? bot->kept_bytes : 0), "kept_all",
        bot->kept_all ? Py_True : Py_False);
}

PyObject *seize_lane(struct engine *engine, struct lane *lane)
{
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    PyObject *urbs = NULL, *requests = NULL, *arrived = NULL, *state = NULL, *answer = NULL;
    bool is_idle;

    if (snapshot == NULL)
        return PyErr_NoMemory();
    Py_BEGIN_ALLOW_THREADS;
    pthread_mutex_lock(&engine->lock);
    is_idle = lane->state == LANE_IDLE;
    if (!is_idle) {
        lane_park(lane, false);
        collect(engine, lane, snapshot);
        lane->state = LANE_IDLE;
    }
    pthread_mutex_unlock(&engine->lock);
    Py_END_ALLOW_THREADS;
    if (is_idle) {
        free(snapshot);
        Py_RETURN_NONE;
    }
    urbs = urbs_of(snapshot);
    requests = requests_of(snapshot);
    arrived = arrived_of(snapshot);
    state = state_of(lane);
    if (urbs != NULL && requests != NULL && arrived != NULL && state != NULL)
        answer = Py_BuildValue("(OOOO)", urbs, requests, arrived, state);
    Py_XDECREF(urbs);
    Py_XDECREF(requests);
    Py_XDECREF(arrived);
    Py_XDECREF(state);
    Py_BEGIN_ALLOW_THREADS;
    pthread_mutex_lock(&engine->lock);
    for (uint32_t index = 0; index < snapshot->arrived_count; index++)
        span_release(&snapshot->arrived[index]);
    pthread_mutex_unlock(&engine->lock);
    Py_END_ALLOW_THREADS;
    free(snapshot->arrived);
    free(snapshot);
    return answer;
}

PyObject *take_reports(struct engine *engine, struct lane *lane)
{
    struct in_lane *in = &lane->u.i;
    size_t bytes = lane->in.bytes;
    PyObject *list = PyList_New(0);
    uint8_t *copy;

    if (list == NULL || lane->kind != LANE_IN || in->reports == NULL)
        return list;
    copy = malloc(bytes);
    while (copy != NULL && list != NULL) {
        uint32_t oldest = REPORT_KINDS, length = 0;

        Py_BEGIN_ALLOW_THREADS;
        pthread_mutex_lock(&engine->lock);
        for (uint32_t kind = 0; kind < REPORT_KINDS; kind++) {
            if (in->reported[kind] != 0 &&
                (oldest == REPORT_KINDS || in->reported[kind] < in->reported[oldest]))
                oldest = kind;
        }
        if (oldest != REPORT_KINDS) {
            length = in->report_bytes[oldest];
            memcpy(copy, in->reports + oldest * bytes, length);
            in->reported[oldest] = 0;
        }
        pthread_mutex_unlock(&engine->lock);
        Py_END_ALLOW_THREADS;
        if (oldest == REPORT_KINDS)
            break;
        if (!append(list, PyBytes_FromStringAndSize((const char *)copy, (Py_ssize_t)length)))
            Py_CLEAR(list);
    }
    free(copy);
    return list;
}
