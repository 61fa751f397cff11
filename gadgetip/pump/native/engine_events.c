/* Events: what Python has to hear, taken out of the queue in order. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "engine_type.h"

#include <string.h>
#include <unistd.h>

#define EVENTS_AT_A_TIME 256

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

        return Py_BuildValue("(iIiIy#)", (int)event->kind, request->number, (int)request->result, 0u,
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

PyObject *engine_events(PyObject *self, PyObject *unused)
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
