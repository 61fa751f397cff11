/* The relay's thread: it waits for both sides, reads, steps, writes. See relay.h. */
#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "relay_storage.h"

#define DRAIN_MS 1000 /* what a server said last is given to the kernel, if that takes it in time */

int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void announce(struct relay *relay)
{
    uint64_t one = 1;

    /* A counter that is full has been announced. */
    if (write(relay->event_file, &one, sizeof one) < 0)
        return;
}

void relay_end(struct relay *relay, enum relay_end why, int error)
{
    pthread_mutex_lock(&relay->lock);
    if (relay->ended == RELAY_RUNS) {
        relay->ended = why;
        relay->error = error;
    }
    pthread_mutex_unlock(&relay->lock);
}

void relay_tell(struct relay *relay, enum relay_event_kind kind, uint8_t endpoint, int64_t value)
{
    pthread_mutex_lock(&relay->lock);
    if (relay->event_count < EVENTS) { /* the statistics have what is left out */
        struct relay_event *event =
            &relay->events[(relay->event_first + relay->event_count) % EVENTS];

        event->kind = (uint8_t)kind;
        event->endpoint = endpoint;
        event->value = value;
        relay->event_count++;
    }
    pthread_mutex_unlock(&relay->lock);
    announce(relay);
}

/* --- the thread ------------------------------------------------------------------------------- */

static void read_host(struct relay *relay)
{
    int error = inlet_receive(relay, &relay->host);

    if (error)
        relay_end(relay, error < 0 ? RELAY_KERNEL_CLOSED : RELAY_KERNEL_FAILED, error);
}

static void read_server(struct relay *relay)
{
    int error = inlet_receive(relay, &relay->server);

    if (error)
        relay_end(relay, error < 0 ? RELAY_SERVER_CLOSED : RELAY_SERVER_FAILED, error);
}

static void work(struct relay *relay)
{
    bool moved = true;

    while (moved && relay->ended == RELAY_RUNS) {
        moved = server_step(relay);
        for (size_t place = 0; place < relay->storage_count; place++)
            moved |= storage_step(relay, &relay->storages[place]);
        moved |= host_step(relay);
    }
}

static void write_out(struct relay *relay)
{
    int error = bytes_send(relay->server.file, &relay->to_server);

    if (error)
        relay_end(relay, RELAY_SERVER_FAILED, error);
    error = bytes_send(relay->host.file, &relay->to_host);
    if (error)
        relay_end(relay, error == EPIPE ? RELAY_KERNEL_CLOSED : RELAY_KERNEL_FAILED, error);
}

static void want(struct relay *relay, struct inlet *inlet, const struct bytes *out,
                 uint32_t *interest)
{
    struct epoll_event event = {.data.ptr = inlet};

    if (!inlet->is_stuck)
        event.events |= EPOLLIN;
    if (out->used)
        event.events |= EPOLLOUT;
    if (event.events == *interest)
        return;
    *interest = event.events;
    if (epoll_ctl(relay->poller, EPOLL_CTL_MOD, inlet->file, &event) < 0)
        relay_end(relay, RELAY_SERVER_FAILED, errno);
}

static void watch(struct relay *relay)
{
    for (size_t place = 0; place < relay->storage_count; place++) {
        struct storage *storage = &relay->storages[place];

        if (storage_watch_at(storage) != 0)
            storage_watch(relay, storage, now_ns());
    }
}

/* Milliseconds until somebody is to be looked at; -1: no hurry. */
static int time_to_watch(struct relay *relay)
{
    int64_t first = 0, left;

    for (size_t place = 0; place < relay->storage_count; place++) {
        int64_t at = storage_watch_at(&relay->storages[place]);

        if (at != 0 && (first == 0 || at < first))
            first = at;
    }
    if (first == 0)
        return -1;
    left = first - now_ns();
    return left < 0 ? 0 : (int)(left / 1000000) + 1;
}

/* Before the peers can know of it: whoever asks them finds it counted. */
static void publish(struct relay *relay)
{
    pthread_mutex_lock(&relay->lock);
    relay->told = relay->counted;
    pthread_mutex_unlock(&relay->lock);
}

static void wait_for_more(struct relay *relay)
{
    struct epoll_event events[3];
    int count;

    watch(relay);
    work(relay); /* what is overdue is taken back */
    publish(relay);
    write_out(relay);
    want(relay, &relay->host, &relay->to_host, &relay->host_interest);
    want(relay, &relay->server, &relay->to_server, &relay->server_interest);
    if (relay->ended != RELAY_RUNS)
        return;
    count = epoll_wait(relay->poller, events, 3, time_to_watch(relay));
    for (int place = 0; place < count; place++) {
        bool is_over = (events[place].events & (EPOLLHUP | EPOLLERR)) != 0;

        if (events[place].data.ptr == NULL)
            relay_end(relay, RELAY_STOPPED, 0);
        else if (events[place].data.ptr == &relay->host && is_over)
            relay_end(relay, RELAY_KERNEL_CLOSED, 0);
        else if (events[place].data.ptr == &relay->server && is_over && relay->server.is_stuck)
            relay_end(relay, RELAY_SERVER_CLOSED, 0);
        else if ((events[place].events & EPOLLIN) == 0 && !is_over)
            continue;
        else if (events[place].data.ptr == &relay->host)
            read_host(relay);
        else
            read_server(relay);
    }
}

/* Give the kernel what the server said last. */
static void drain(struct relay *relay)
{
    int64_t until = now_ns() + DRAIN_MS * 1000000LL;
    struct pollfd file = {.fd = relay->host.file, .events = POLLOUT};

    while (bytes_send(relay->host.file, &relay->to_host) == 0 && relay->to_host.used) {
        int64_t left = (until - now_ns()) / 1000000;

        if (left <= 0 || poll(&file, 1, (int)left) <= 0)
            return;
    }
}

static void *run(void *argument)
{
    struct relay *relay = argument;

    while (relay->ended == RELAY_RUNS) {
        work(relay);
        wait_for_more(relay);
    }
    if (relay->ended == RELAY_SERVER_CLOSED || relay->ended == RELAY_SERVER_FAILED)
        drain(relay);
    shutdown(relay->host.file, SHUT_RDWR);
    shutdown(relay->server.file, SHUT_RDWR);
    announce(relay);
    return NULL;
}

/* --- the owner -------------------------------------------------------------------------------- */

static bool inlet_make(struct inlet *inlet, int file)
{
    inlet->file = file;
    inlet->buffer = malloc(INLET_BYTES);
    return inlet->buffer != NULL;
}

static bool listen_to(struct relay *relay, int file, void *who)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};

    return epoll_ctl(relay->poller, EPOLL_CTL_ADD, file, &event) == 0;
}

static bool make(struct relay *relay, int server, int kernel, const struct relay_setting *settings,
                 size_t count)
{
    relay->storages = calloc(count ? count : 1, sizeof *relay->storages);
    relay->poller = epoll_create1(EPOLL_CLOEXEC);
    relay->wake_file = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    relay->event_file = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (relay->storages == NULL || relay->poller < 0 || relay->wake_file < 0 ||
        relay->event_file < 0 || !inlet_make(&relay->server, server) ||
        !inlet_make(&relay->host, kernel) || !bytes_make(&relay->to_server, TO_SERVER_BYTES) ||
        !bytes_make(&relay->to_host, TO_KERNEL_BYTES) || !urbs_make(&relay->urbs))
        return false;
    for (; relay->storage_count < count; relay->storage_count++) {
        if (!storage_make(&relay->storages[relay->storage_count], settings + relay->storage_count))
            return false;
    }
    relay->host_interest = relay->server_interest = EPOLLIN;
    return listen_to(relay, kernel, &relay->host) && listen_to(relay, server, &relay->server) &&
           listen_to(relay, relay->wake_file, NULL);
}

struct relay *relay_new(int server, int kernel, const struct relay_setting *settings, size_t count)
{
    struct relay *relay = calloc(1, sizeof *relay);

    if (relay == NULL)
        return NULL;
    relay->poller = relay->wake_file = relay->event_file = -1;
    pthread_mutex_init(&relay->lock, NULL);
    if (count > RELAY_MAX_STORAGES || !make(relay, server, kernel, settings, count)) {
        relay_free(relay);
        return NULL;
    }
    return relay;
}

void relay_free(struct relay *relay)
{
    int files[3] = {relay->poller, relay->wake_file, relay->event_file};

    relay_stop(relay);
    for (size_t place = 0; place < relay->storage_count; place++)
        storage_free(&relay->storages[place]);
    free(relay->storages);
    urbs_free(&relay->urbs);
    bytes_free(&relay->to_host);
    bytes_free(&relay->to_server);
    free(relay->host.buffer);
    free(relay->server.buffer);
    for (size_t place = 0; place < 3; place++) {
        if (files[place] >= 0)
            close(files[place]);
    }
    pthread_mutex_destroy(&relay->lock);
    free(relay);
}

int relay_start(struct relay *relay)
{
    sigset_t all, before;
    int error;

    if (relay->is_started)
        return EALREADY;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the owner's threads */
    error = pthread_create(&relay->thread, NULL, run, relay);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    relay->is_started = error == 0;
    return error;
}

void relay_stop(struct relay *relay)
{
    uint64_t one = 1;

    if (!relay->is_started || relay->is_joined)
        return;
    if (write(relay->wake_file, &one, sizeof one) < 0)
        abort(); /* an eventfd of our own takes its first write */
    pthread_join(relay->thread, NULL);
    relay->is_joined = true;
}

int relay_event_file(const struct relay *relay)
{
    return relay->event_file;
}

bool relay_take_event(struct relay *relay, struct relay_event *event)
{
    bool is_there;

    pthread_mutex_lock(&relay->lock);
    is_there = relay->event_count > 0;
    if (is_there) {
        *event = relay->events[relay->event_first];
        relay->event_first = (relay->event_first + 1) % EVENTS;
        relay->event_count--;
    }
    pthread_mutex_unlock(&relay->lock);
    return is_there;
}

void relay_read_statistics(struct relay *relay, struct relay_statistics *statistics)
{
    pthread_mutex_lock(&relay->lock);
    *statistics = relay->told;
    pthread_mutex_unlock(&relay->lock);
}

enum relay_end relay_ended(struct relay *relay, int *error)
{
    enum relay_end why;

    pthread_mutex_lock(&relay->lock);
    why = relay->ended;
    *error = relay->error;
    pthread_mutex_unlock(&relay->lock);
    return why;
}
