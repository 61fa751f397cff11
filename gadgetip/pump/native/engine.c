#include "engine.h"
#include "lane.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_EVENTS (MAX_URBS + MAX_REQUESTS + 2 * MAX_LANES + 1)
#define INTERRUPT_AGAIN_MS 5
#define WATCH_MS 500
#define HOLD_MS 1

enum source { SOURCE_STREAM, SOURCE_COMPLETED, SOURCE_WAKE };

static int watch(struct engine *engine, int operation, int file, uint32_t events, uint32_t source)
{
    struct epoll_event event = {.events = events, .data.u32 = source};

    return epoll_ctl(engine->poll, operation, file, &event) == 0 ? 0 : errno;
}

void engine_watch_room(struct engine *engine, bool wanted)
{
    engine->stream.is_blocked = wanted;
    watch(engine, EPOLL_CTL_MOD, engine->stream.file,
          wanted ? (uint32_t)EPOLLIN | (uint32_t)EPOLLOUT : (uint32_t)EPOLLIN, SOURCE_STREAM);
}

static void signal_eventfd(int file)
{
    uint64_t one = 1;
    ssize_t written = write(file, &one, sizeof one);

    (void)written; /* it is full: whoever reads it wakes up all the same */
}

void engine_tell(struct engine *engine, enum event_kind kind, void *subject)
{
    struct event *event = engine->spare;

    if (event == NULL)
        return; /* there are as many as subjects */
    engine->spare = event->next;
    event->next = NULL;
    event->kind = kind;
    event->subject = subject;
    if (engine->first == NULL)
        signal_eventfd(engine->events);
    *engine->last = event;
    engine->last = &event->next;
}

void engine_returned(struct engine *engine, struct urb *urb)
{
    struct lane *lane = urb->lane;

    if (lane == NULL || lane->state != LANE_LENT) {
        urb->lane = NULL;
        urb->state = URB_TOLD;
        engine_tell(engine, EVENT_RETURNED, urb);
        return;
    }
    if (urb->direction == WIRE_IN)
        lane->in.in_flight--;
    else
        lane->out.in_flight--;
    if (lane->kind == LANE_IN)
        in_lane_returned(lane, urb);
    else if (lane->kind == LANE_OUT)
        out_lane_returned(lane, urb);
    else
        bot_lane_returned(lane, urb);
}

void engine_completed(struct engine *engine, struct request *request)
{
    struct lane *lane = request->lane;

    if (lane == NULL || lane->state != LANE_LENT) {
        request->lane = NULL;
        request->state = REQUEST_TOLD;
        engine_tell(engine, EVENT_COMPLETED, request);
        return;
    }
    if (request->file->is_in)
        lane->in.pending--;
    else
        lane->out.pending--;
    if (lane->kind == LANE_IN)
        in_lane_completed(lane, request);
    else if (lane->kind == LANE_OUT)
        out_lane_completed(lane, request);
    else
        bot_lane_completed(lane, request);
}

void engine_end(struct engine *engine, enum ending why, int error, const char *text)
{
    struct stream *stream = &engine->stream;

    if (!stream->is_open)
        return;
    watch(engine, EPOLL_CTL_DEL, stream->file, 0, SOURCE_STREAM);
    stream->is_open = false;
    stream->unsent = NULL;
    stream->unsent_end = &stream->unsent;
    engine->ending = why;
    engine->ending_errno = error;
    snprintf(engine->ending_text, sizeof engine->ending_text, "%s", text != NULL ? text : "");
    for (uint32_t index = 0; index < MAX_LANES; index++) {
        if (engine->lanes[index] != NULL)
            lane_park(engine->lanes[index], true);
    }
    engine_tell(engine, EVENT_ENDED, NULL);
}

static void flush(struct engine *engine)
{
    while (engine->dirty != NULL) {
        struct lane *lane = engine->dirty;

        engine->dirty = lane->next_dirty;
        lane->is_dirty = false;
        if (lane->kind == LANE_OUT)
            out_lane_flush(lane);
        else if (lane->kind == LANE_BOT)
            bot_lane_flush(lane);
    }
    files_submit(engine);
    stream_send(engine);
}

void engine_flush(struct engine *engine)
{
    bool was_holding = engine->is_holding;

    flush(engine);
    if (engine->is_holding && !was_holding)
        signal_eventfd(engine->wake); /* the engine's thread may be asleep for longer */
}

static int64_t coarse_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Look after what is late; how long to wait at most until the next look, in ms. */
static int look_after(struct engine *engine)
{
    bool is_watching = false;

    for (uint32_t index = 0; index < MAX_LANES; index++) {
        struct lane *lane = engine->lanes[index];

        if (lane == NULL || lane->kind != LANE_BOT || lane->state != LANE_LENT ||
            !lane->u.b.under_way)
            continue;
        is_watching = true;
        bot_lane_watch(lane, coarse_ms());
    }
    if (files_interrupt(engine))
        return INTERRUPT_AGAIN_MS;
    return is_watching ? WATCH_MS : -1;
}

static void handle(struct engine *engine, const struct epoll_event *event)
{
    uint64_t count;

    if (event->data.u32 == SOURCE_STREAM) {
        if (event->events & (uint32_t)EPOLLOUT)
            stream_send(engine);
        if (event->events & ~(uint32_t)EPOLLOUT && engine->stream.is_open)
            stream_receive(engine);
    } else if (event->data.u32 == SOURCE_WAKE) {
        ssize_t got = read(engine->wake, &count, sizeof count);

        (void)got;
    }
}

/* What waits for company is looked at again, whatever woke the thread up, and leaves alone where
 * nothing has come for a moment. */
static void look_at_waiting(struct engine *engine, bool is_quiet)
{
    if (!engine->is_holding)
        return;
    engine->is_holding = false; /* until `out_lane_flush` says otherwise */
    if (is_quiet)
        engine->bursts += LONGEST_WAIT;
    for (uint32_t index = 0; index < MAX_LANES; index++) {
        struct lane *lane = engine->lanes[index];

        if (lane != NULL && lane->kind == LANE_OUT && lane->state == LANE_LENT)
            lane_mark_dirty(lane);
    }
}

static void *run(void *argument)
{
    struct engine *engine = argument;
    struct epoll_event events[4];
    int wait_ms = -1;

    for (;;) {
        int count = epoll_wait(engine->poll, events, 4, wait_ms);

        pthread_mutex_lock(&engine->lock);
        if (engine->is_stopping)
            break;
        engine->bursts++;
        for (int index = 0; index < count; index++)
            handle(engine, &events[index]);
        files_reap(engine);
        wait_ms = look_after(engine);
        look_at_waiting(engine, count == 0);
        flush(engine);
        if (engine->is_holding)
            wait_ms = HOLD_MS;
        pthread_mutex_unlock(&engine->lock);
    }
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}

static int start(struct engine *engine)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&engine->thread, NULL, run, engine);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    engine->is_running = error == 0;
    return error;
}

static int prepare(struct engine *engine, int file, uint32_t devid, uint32_t next_seqnum)
{
    int error;

    engine->poll = epoll_create1(EPOLL_CLOEXEC);
    engine->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    engine->events = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (engine->poll < 0 || engine->wake < 0 || engine->events < 0)
        return errno;
    engine->memory = calloc(MAX_EVENTS, sizeof *engine->memory);
    if (engine->memory == NULL || !stream_make(&engine->stream, file, devid, next_seqnum))
        return ENOMEM;
    for (uint32_t index = 0; index < MAX_EVENTS; index++) {
        engine->memory[index].next = engine->spare;
        engine->spare = &engine->memory[index];
    }
    error = files_make(&engine->files);
    if (error == 0)
        error = watch(engine, EPOLL_CTL_ADD, engine->wake, (uint32_t)EPOLLIN, SOURCE_WAKE);
    if (error == 0)
        error = watch(engine, EPOLL_CTL_ADD, engine->files.completed,
                      (uint32_t)EPOLLIN | (uint32_t)EPOLLET, SOURCE_COMPLETED);
    if (error == 0)
        error = watch(engine, EPOLL_CTL_ADD, file, (uint32_t)EPOLLIN, SOURCE_STREAM);
    return error != 0 ? error : start(engine);
}

struct engine *engine_make(int file, uint32_t devid, uint32_t next_seqnum, int *error)
{
    struct engine *engine = calloc(1, sizeof *engine);

    if (engine == NULL) {
        *error = ENOMEM;
        return NULL;
    }
    engine->poll = engine->wake = engine->events = engine->files.completed = -1;
    engine->last = &engine->first;
    pthread_mutex_init(&engine->lock, NULL);
    *error = prepare(engine, file, devid, next_seqnum);
    if (*error != 0) {
        engine_close(engine);
        return NULL;
    }
    return engine;
}

void engine_close(struct engine *engine)
{
    if (engine->is_running) {
        pthread_mutex_lock(&engine->lock);
        engine->is_stopping = true;
        pthread_mutex_unlock(&engine->lock);
        signal_eventfd(engine->wake);
        pthread_join(engine->thread, NULL);
    }
    /* From here on nobody else is inside, but the threads of the files, which are ended first. */
    files_free(engine);
    stream_free(&engine->stream);
    for (uint32_t index = 0; index < MAX_LANES; index++) {
        if (engine->lanes[index] != NULL)
            lane_free(engine->lanes[index]);
    }
    free(engine->memory);
    for (int index = 0; index < 3; index++) {
        int file = (int[]){engine->poll, engine->wake, engine->events}[index];

        if (file >= 0)
            close(file);
    }
    pthread_mutex_destroy(&engine->lock);
    free(engine);
}

int engine_relink(struct engine *engine, int file, uint32_t devid, uint32_t next_seqnum)
{
    int error = watch(engine, EPOLL_CTL_ADD, file, (uint32_t)EPOLLIN, SOURCE_STREAM);

    if (error == 0)
        stream_relink(&engine->stream, file, devid, next_seqnum);
    return error;
}
