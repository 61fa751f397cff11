/*
 * The Python type Engine, whose methods are in several files: what these share.
 *
 * No Python object is touched under the engine's lock, and the lock is never waited for with the
 * interpreter's: what an answer is made of is taken out first, and made into objects afterwards.
 * One thread of Python's uses an engine.
 */
#ifndef GADGETIP_ENGINE_TYPE_H
#define GADGETIP_ENGINE_TYPE_H

#include <Python.h>

#include "lane.h"

#define LOCKED(engine)              \
    Py_BEGIN_ALLOW_THREADS;         \
    pthread_mutex_lock(&(engine)->lock)
#define UNLOCKED(engine)            \
    pthread_mutex_unlock(&(engine)->lock); \
    Py_END_ALLOW_THREADS

/* The engine of an object, and what is in it by number; NULL with a ValueError where there is none.
 * A `kind` below 0 is any kind of lane. */
struct engine *engine_of(PyObject *self);
struct file *file_of(struct engine *engine, int number);
struct lane *lane_of(struct engine *engine, int number, int kind);

/* Take a lane's state back (engine_seize.c); `lane` is idle then. A new reference, or NULL. */
PyObject *seize_lane(struct engine *engine, struct lane *lane);

/* The last report of each kind since this was asked before, oldest first. A new reference. */
PyObject *take_reports(struct engine *engine, struct lane *lane);

/* The type; a new reference, or NULL. */
PyObject *engine_type(void);

/* Methods: _native.pyi says what each does. */
PyObject *engine_events(PyObject *self, PyObject *unused);
PyObject *engine_submit(PyObject *self, PyObject *args);
PyObject *engine_unlink(PyObject *self, PyObject *args);
PyObject *engine_flush_method(PyObject *self, PyObject *unused);
PyObject *engine_open_file(PyObject *self, PyObject *args);
PyObject *engine_close_file(PyObject *self, PyObject *args);
PyObject *engine_request(PyObject *self, PyObject *args);
PyObject *engine_cancel(PyObject *self, PyObject *args);
PyObject *engine_numbers(PyObject *self, PyObject *unused);
PyObject *engine_fifo_filled_at(PyObject *self, PyObject *args);
PyObject *engine_in_lane(PyObject *self, PyObject *args);
PyObject *engine_out_lane(PyObject *self, PyObject *args);
PyObject *engine_bot_lane(PyObject *self, PyObject *args);
PyObject *engine_lend_in(PyObject *self, PyObject *args);
PyObject *engine_lend_out(PyObject *self, PyObject *args);
PyObject *engine_lend_bot(PyObject *self, PyObject *args);
PyObject *engine_drop_lane(PyObject *self, PyObject *args);
PyObject *engine_counters(PyObject *self, PyObject *args);
PyObject *engine_seize(PyObject *self, PyObject *args);
PyObject *engine_reports(PyObject *self, PyObject *args);

#endif
