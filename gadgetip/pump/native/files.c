/*
 * Endpoint files: FunctionFS through Linux AIO, GadgetFS on a thread a file.
 *
 * gadgetip/pump/replica_endpoint.py and blocking_file.py say why each is used as it is. System calls
 * are made raw, since the C library has none for AIO. Completions are read out of the ring that the
 * kernel shares with the process (fs/aio.c, struct aio_ring), which takes no system call; eventfd
 * and epoll (edge-triggered) say when to look, so that the counter need not be read either.
 */
#include "engine.h"
#include "lane.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define AIO_RING_MAGIC 0xa10a10a1u
#define FIFO_BYTES 64
#define INTERRUPT SIGUSR1
#define JOIN_NS 5000000L

_Static_assert(sizeof(struct iocb) == sizeof(uint64_t[8]), "struct request holds an iocb");

/* fs/aio.c */
struct aio_ring {
    unsigned id, nr;
    unsigned head, tail;
    unsigned magic, compat_features, incompat_features, header_length;
    struct io_event events[];
};

static void ignore(int number)
{
    (void)number;
}

int files_make(struct files *files)
{
    struct sigaction action = {.sa_handler = ignore}; /* no SA_RESTART: it has to interrupt */
    aio_context_t context = 0;

    files->completed = -1;
    if (!requests_make(files))
        return ENOMEM;
    files->completed = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (files->completed < 0)
        return errno;
    if (syscall(SYS_io_setup, MAX_REQUESTS, &context) != 0)
        return errno;
    files->context = context;
    return sigaction(INTERRUPT, &action, NULL) == 0 ? 0 : errno;
}

void files_free(struct engine *engine)
{
    struct files *files = &engine->files;

    for (uint32_t index = 0; index < MAX_FILES; index++)
        file_close(engine, &files->files[index]);
    if (files->context != 0) /* cancels what is queued, and waits for it */
        syscall(SYS_io_destroy, (aio_context_t)files->context);
    if (files->completed >= 0)
        close(files->completed);
    requests_free(files);
}

/* --- a thread a file ------------------------------------------------------------------------ */

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int64_t carry_out(struct file *file, const struct span *span)
{
    ssize_t moved = file->is_in ? write(file->file, span->data, span->length)
                                : read(file->file, span->data, span->length);

    if (moved >= 0)
        return moved;
    return errno == EINTR ? -ECONNRESET : -errno;
}

static void *serve(void *argument)
{
    struct file *file = argument;
    struct engine *engine = file->engine;

    pthread_mutex_lock(&engine->lock);
    for (;;) {
        struct request *request = file->jobs;

        if (request == NULL) {
            if (file->is_closing)
                break;
            pthread_cond_wait(&file->work, &engine->lock);
            continue;
        }
        file->jobs = request->next;
        if (file->jobs == NULL)
            file->jobs_end = &file->jobs;
        if (file->is_cancelling || file->is_closing) {
            request->result = -ECONNRESET;
        } else {
            struct span span = request->span;

            pthread_mutex_unlock(&engine->lock);
            int64_t result = carry_out(file, &span);
            pthread_mutex_lock(&engine->lock);
            request->result = result;
            if (file->is_in && result == span.length && span.length <= FIFO_BYTES)
                file->fifo_filled_at = now();
        }
        if (--file->pending == 0)
            file->is_cancelling = false;
        engine_completed(engine, request);
        engine_flush(engine);
    }
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}

static bool start(struct file *file)
{
    sigset_t wanted, before;
    bool is_started;

    if (pthread_cond_init(&file->work, NULL) != 0)
        return false;
    sigfillset(&wanted);
    sigdelset(&wanted, INTERRUPT);
    pthread_sigmask(SIG_SETMASK, &wanted, &before);
    is_started = pthread_create(&file->thread, NULL, serve, file) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!is_started)
        pthread_cond_destroy(&file->work);
    return is_started;
}

struct file *file_open(struct engine *engine, int number, bool is_in, bool is_blocking)
{
    for (uint32_t index = 0; index < MAX_FILES; index++) {
        struct file *file = &engine->files.files[index];

        if (file->is_open)
            continue;
        memset(file, 0, sizeof *file);
        file->engine = engine;
        file->file = number;
        file->is_in = is_in;
        file->is_blocking = is_blocking;
        file->fifo_filled_at = -1e9;
        file->jobs_end = &file->jobs;
        if (is_blocking && !start(file))
            return NULL;
        file->is_open = true;
        return file;
    }
    return NULL;
}

void file_close(struct engine *engine, struct file *file)
{
    struct timespec until;

    pthread_mutex_lock(&engine->lock);
    if (!file->is_open) {
        pthread_mutex_unlock(&engine->lock);
        return;
    }
    file->is_closing = true;
    if (file->is_blocking)
        pthread_cond_signal(&file->work);
    pthread_mutex_unlock(&engine->lock);
    while (file->is_blocking) {
        /* It may come before the thread is inside of the call: so, again until it is out. */
        pthread_kill(file->thread, INTERRUPT);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += JOIN_NS;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (pthread_timedjoin_np(file->thread, NULL, &until) == 0) {
            pthread_cond_destroy(&file->work);
            break;
        }
    }
    pthread_mutex_lock(&engine->lock);
    file->is_open = false;
    pthread_mutex_unlock(&engine->lock);
}

bool files_interrupt(struct engine *engine)
{
    bool is_needed = false;

    for (uint32_t index = 0; index < MAX_FILES; index++) {
        struct file *file = &engine->files.files[index];

        if (file->is_open && file->is_blocking && !file->is_closing && file->is_cancelling) {
            pthread_kill(file->thread, INTERRUPT);
            is_needed = true;
        }
    }
    return is_needed;
}

/* --- requests ------------------------------------------------------------------------------- */

struct request *request_queue(struct engine *engine, struct file *file, struct span span)
{
    struct files *files = &engine->files;
    struct request *request = request_take(files, file, span);

    if (request == NULL)
        return NULL;
    if (file->is_blocking) {
        *file->jobs_end = request;
        file->jobs_end = &request->next;
        pthread_cond_signal(&file->work);
    } else {
        files->queued[files->queued_count++] = request;
    }
    return request;
}

static struct iocb *iocb_of(struct request *request)
{
    return (struct iocb *)(void *)request->iocb;
}

static void completed(struct engine *engine, struct request *request, int64_t result)
{
    request->result = result;
    request->file->pending--;
    if (request->file->is_in || result <= 0)
        engine->files.references++;
    engine_completed(engine, request);
}

void files_submit(struct engine *engine)
{
    struct files *files = &engine->files;

    while (files->queued_count != 0) {
        struct iocb *iocbs[MAX_REQUESTS];
        struct request *taken[MAX_REQUESTS];
        uint32_t count = files->queued_count, at = 0;

        memcpy(taken, files->queued, count * sizeof taken[0]);
        files->queued_count = 0;
        for (uint32_t index = 0; index < count; index++) {
            struct request *request = taken[index];
            struct iocb *iocb = iocb_of(request);

            memset(iocb, 0, sizeof *iocb);
            iocb->aio_data = request->id;
            iocb->aio_lio_opcode = request->file->is_in ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
            iocb->aio_fildes = (uint32_t)request->file->file;
            iocb->aio_buf = (uint64_t)(uintptr_t)request->span.data;
            iocb->aio_nbytes = request->span.length;
            iocb->aio_flags = IOCB_FLAG_RESFD;
            iocb->aio_resfd = (uint32_t)files->completed;
            iocbs[index] = iocb;
        }
        while (at < count) {
            long accepted =
                syscall(SYS_io_submit, (aio_context_t)files->context, (long)(count - at), iocbs + at);

            if (accepted > 0)
                at += (uint32_t)accepted;
            else if (accepted < 0 && errno == EINTR)
                continue;
            else { /* it never reached the kernel, so nobody else will tell */
                completed(engine, taken[at], accepted < 0 ? -errno : -EIO);
                at++;
            }
        }
    }
}

void file_cancel(struct engine *engine, struct file *file)
{
    struct files *files = &engine->files;
    struct io_event event;

    if (file->pending == 0)
        return;
    if (file->is_blocking) {
        file->is_cancelling = true;
        return; /* whoever asked for it wakes the engine, which interrupts */
    }
    files_submit(engine);
    for (uint32_t index = 0; index < MAX_REQUESTS; index++) {
        struct request *request = &files->requests[index];

        if (request->state == REQUEST_QUEUED && request->file == file)
            syscall(SYS_io_cancel, (aio_context_t)files->context, iocb_of(request), &event);
    }
}

static void settle(struct engine *engine, const struct io_event *event)
{
    struct files *files = &engine->files;

    if (event->data < MAX_REQUESTS && files->requests[event->data].state == REQUEST_QUEUED)
        completed(engine, &files->requests[event->data], event->res);
}

/* For a kernel whose ring looks otherwise. */
static void reap_by_call(struct engine *engine)
{
    struct io_event events[64];
    struct timespec none = {0};
    long count;

    do {
        count = syscall(SYS_io_getevents, (aio_context_t)engine->files.context, 0L, 64L, events,
                        &none);
        for (long index = 0; index < count; index++)
            settle(engine, &events[index]);
    } while (count == 64);
}

void files_reap(struct engine *engine)
{
    struct files *files = &engine->files;
    struct aio_ring *ring = (struct aio_ring *)(uintptr_t)files->context;
    unsigned head, tail;

    if (ring == NULL)
        return;
    if (ring->magic != AIO_RING_MAGIC || ring->incompat_features != 0) {
        reap_by_call(engine);
        return;
    }
    head = ring->head;
    while (head != (tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE))) {
        for (; head != tail; head = (head + 1) % ring->nr) {
            struct io_event event = ring->events[head];

            __atomic_store_n(&ring->head, (head + 1) % ring->nr, __ATOMIC_RELEASE);
            settle(engine, &event);
        }
    }
}
