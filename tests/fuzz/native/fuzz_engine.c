/*
 * The engine and its lanes, without its thread: the input is a program of what a server, a host and
 * Python do, one step a byte or a few. Everything that is the engine's own runs as it is; endpoint
 * files are `fake_files`, the stream is a socket whose other end is `server`.
 *
 * After each step the engine is held to what its parts promise each other (`check`), and what it
 * sent to the protocol.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_files.h"
#include "input.h"
#include "server.h"

#define DEVID 0x10002u
#define LANES 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_join(pthread_t thread, void **result);

/* The engine's thread: nobody, but this program, step by step. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
    (void)attributes, (void)start, (void)argument;
    memset(thread, 0, sizeof *thread);
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
    (void)thread, (void)result;
    return 0;
}

struct world {
    struct engine *engine;
    struct server server;
    struct lane *lanes[LANES];
    struct file *files[4];
    int stream; /* the engine's end */
    uint32_t seqnums[16]; /* Python's newest URBs */
    uint32_t submitted;
};

static uint32_t pick_length(uint8_t choice)
{
    static const uint32_t lengths[] = {0, 1, 13, 31, 64, 511, 512, 513, 4096, 65536, 65537};

    return lengths[choice % (sizeof lengths / sizeof lengths[0])];
}

static int32_t pick_status(uint8_t choice)
{
    static const int32_t statuses[] = {0, 0, 0, 0, -EPIPE, -EREMOTEIO, -ESHUTDOWN, -EPROTO, 7,
                                       INT32_MIN};

    return statuses[choice % (sizeof statuses / sizeof statuses[0])];
}

/* --- the world ------------------------------------------------------------------------------ */

static void connect_stream(struct world *world)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
        abort();
    memset(&world->server, 0, sizeof world->server);
    world->stream = pair[0];
    world->server.file = pair[1];
}

static void make_lanes(struct world *world, struct input *input)
{
    struct engine *engine = world->engine;
    uint8_t shape = next(input);
    bool ends_short = shape & 1;
    uint32_t in_bytes = ends_short ? 70000u : (shape & 2 ? 64u : 512u);
    struct lane in = {.kind = LANE_IN}, out = {.kind = LANE_OUT}, bot = {.kind = LANE_BOT};

    for (int index = 0; index < 4; index++)
        world->files[index] = file_open(engine, index, index % 2 == 0, false);
    in.in = (struct way){.file = world->files[0], .ep = 1, .device_packet = 512,
                         .host_packet = 512, .window = 1u + shape % 5, .bytes = in_bytes};
    in.u.i.merge_bytes = 2048;
    in.u.i.ends_short = ends_short;
    out.out = (struct way){.file = world->files[1], .ep = 2, .device_packet = 512,
                           .host_packet = 512, .window = 1u + shape % 7,
                           .bytes = ends_short ? 4096u : 512u};
    out.u.o.merge_bytes = 2048;
    out.u.o.ends_short = ends_short;
    bot.in = (struct way){.file = world->files[2], .ep = 3, .device_packet = 512,
                          .host_packet = 512, .window = 1u + shape % 3, .bytes = 40000};
    bot.out = (struct way){.file = world->files[3], .ep = 4, .device_packet = 512,
                           .host_packet = 512, .window = 1u + shape % 4, .bytes = 4096};
    bot.u.b.keep_bytes = shape & 4 ? 8192 : 0;
    world->lanes[0] = lane_make(engine, &in, shape & 8);
    world->lanes[1] = lane_make(engine, &out, false);
    world->lanes[2] = lane_make(engine, &bot, false);
    for (int index = 0; index < LANES; index++) {
        if (world->lanes[index] == NULL)
            abort();
    }
}

/* --- Python's part, as the type Engine does it ----------------------------------------------- */

static void python_submits(struct world *world, uint8_t choice)
{
    enum wire_direction direction = choice & 1 ? WIRE_IN : WIRE_OUT;
    uint32_t length = pick_length(choice >> 1);
    struct span span = span_alone(length);
    struct urb *urb;

    if (span.data == NULL)
        abort();
    memset(span.data, 'p', length);
    if (!world->engine->stream.is_open) {
        span_release(&span);
        return;
    }
    urb = urb_submit(world->engine, 5, direction, length, 0, (const uint8_t *)"12345678", span);
    if (urb != NULL)
        world->seqnums[world->submitted++ % 16] = urb->seqnum;
}

static void python_takes_events(struct world *world)
{
    struct engine *engine = world->engine;

    while (engine->first != NULL) {
        struct event event = *engine->first, *used = engine->first;

        engine->first = event.next;
        if (engine->first == NULL)
            engine->last = &engine->first;
        used->next = engine->spare;
        engine->spare = used;
        if (event.kind == EVENT_RETURNED) {
            const struct urb *urb = event.subject;
            volatile uint8_t sum = 0;

            if (urb->state != URB_TOLD || urb->actual > urb->length)
                abort();
            for (uint32_t at = 0; urb->direction == WIRE_IN && at < urb->actual; at++)
                sum = (uint8_t)(sum + urb->span.data[at]);
            urb_free(engine, event.subject);
        } else if (event.kind == EVENT_COMPLETED) {
            request_free(engine, event.subject);
        } else if (event.kind == EVENT_ENDED) {
            for (uint32_t index = 0; index < MAX_URBS; index++) {
                struct urb *urb = &engine->stream.urbs[index];

                if (urb->state != URB_FREE && urb->state != URB_TOLD)
                    urb_free(engine, urb);
            }
        }
    }
}

static void python_lends(struct world *world, struct input *input)
{
    struct lane *lane = world->lanes[next(input) % LANES];
    uint8_t command[CBW_BYTES] = "USBC\1\2\3\4";
    uint8_t choice = next(input);

    if (lane->state != LANE_IDLE || !lane_is_quiet(lane) || !world->engine->stream.is_open)
        return;
    lane->state = LANE_LENT;
    if (lane->kind == LANE_IN) {
        lane->u.i.armed = choice % 4 < lane->in.window ? choice % 4 : lane->in.window;
        lane->u.i.max_writes = choice % 3;
        in_lane_lent(lane);
    } else if (lane->kind == LANE_OUT) {
        out_lane_lent(lane);
    } else {
        lane->u.b.patient = choice & 1;
        lane->u.b.read_bytes = choice & 2 ? 4096 : 100;
        bot_lane_lent(lane, command); /* TEST UNIT READY */
    }
    engine_flush(world->engine);
}

static void python_seizes(struct world *world, struct lane *lane)
{
    struct engine *engine = world->engine;

    if (lane->state == LANE_IDLE)
        return;
    lane_park(lane, false);
    for (uint32_t index = 0; index < MAX_URBS; index++) {
        if (engine->stream.urbs[index].state != URB_FREE && engine->stream.urbs[index].from == lane)
            engine->stream.urbs[index].from = NULL;
    }
    for (uint32_t index = 0; index < MAX_REQUESTS; index++) {
        if (engine->files.requests[index].from == lane)
            engine->files.requests[index].from = NULL;
    }
    if (lane->kind != LANE_BOT) {
        struct span_queue *arrived = lane->kind == LANE_IN ? &lane->u.i.arrived : &lane->u.o.arrived;

        while (arrived->count != 0) {
            struct span span = span_queue_take(arrived);

            span_release(&span);
        }
    }
    lane->state = LANE_IDLE;
}

static void python_relinks(struct world *world)
{
    if (world->engine->stream.is_open)
        return;
    python_takes_events(world);
    for (int index = 0; index < LANES; index++)
        python_seizes(world, world->lanes[index]);
    close(world->stream);
    close(world->server.file);
    connect_stream(world);
    if (engine_relink(world->engine, world->stream, DEVID, 1) != 0)
        abort();
}

/* --- the server's and the host's part ---------------------------------------------------------- */

static void server_returns(struct world *world, struct input *input)
{
    static uint8_t body[1 << 17];
    struct asked asked;
    uint8_t how;
    int32_t actual;

    if (!server_take(&world->server, next(input), false, &asked))
        return;
    how = next(input);
    actual = (int32_t)asked.length;
    if (how & 0x10)
        actual = how & 0x20 ? 0 : actual / 2;
    if (how == 0xff)
        actual = (int32_t)asked.length + 1;
    memset(body, how, asked.length < sizeof body ? asked.length : sizeof body);
    if (asked.direction == WIRE_IN && how & 0x40) { /* a CSW, passed */
        memcpy(body, "USBS", 4);
        memcpy(body + 4, &world->server.tag, 4);
        memset(body + 8, 0, 5);
        actual = actual < 13 ? actual : 13;
    }
    server_answer(&world->server, WIRE_RET_SUBMIT, asked.seqnum, pick_status(how), actual,
                  how == 0xfe ? 3 : 0);
    if (asked.direction == WIRE_IN && actual > 0)
        server_send(&world->server, body, (size_t)actual);
    if (how == 0xfd) /* and once more */
        server_answer(&world->server, WIRE_RET_SUBMIT, asked.seqnum, 0, 0, 0);
}

static void server_returns_unlink(struct world *world, struct input *input)
{
    struct asked asked;

    if (server_take(&world->server, next(input), true, &asked))
        server_answer(&world->server, WIRE_RET_UNLINK, asked.seqnum,
                      next(input) & 1 ? 0 : -ECONNRESET, 0, 0);
}

static void server_says_anything(struct world *world, struct input *input)
{
    uint8_t bytes[64];
    size_t length = next(input) % sizeof bytes;

    for (size_t at = 0; at < length; at++)
        bytes[at] = next(input);
    server_send(&world->server, bytes, length);
}

static void host_moves(struct world *world, struct input *input)
{
    struct request *request = fake_waiting(world->engine, next(input));
    uint8_t how = next(input);
    int64_t result;

    if (request == NULL)
        return;
    result = request->span.length;
    if (how & 0x80)
        result = how & 0x40 ? -ESHUTDOWN : (int64_t)(request->span.length * (how & 0x3f) / 64);
    if (!request->file->is_in && result >= 31 && request->role == ROLE_COMMAND) {
        uint8_t command[CBW_BYTES] = "USBC";
        uint32_t blocks = pick_length(how);

        memcpy(command + 4, &world->submitted, 4);
        memcpy(command + 8, &blocks, 4);
        command[12] = how & 0x20 ? 0x80 : 0;
        command[14] = 10;
        command[15] = blocks == 0 ? 0 : how & 0x20 ? 0x28 : 0x2a;
        memcpy(request->span.data, command, sizeof command);
        result = how == 1 ? 32 : CBW_BYTES;
    } else if (!request->file->is_in && result > 0) {
        if (request->role == ROLE_DATA && !(how & 0x80))
            result = request->size; /* what the command says, however much was made room for */
        memset(request->span.data, how, (size_t)result);
    }
    fake_complete(world->engine, request, result);
}

/* --- what holds always -------------------------------------------------------------------------- */

static void check(struct world *world)
{
    struct engine *engine = world->engine;
    uint32_t in_flight[LANES][2] = {{0}}, pending[LANES][2] = {{0}};

    for (uint32_t index = 0; index < MAX_URBS; index++) {
        const struct urb *urb = &engine->stream.urbs[index];

        if (urb->state == URB_FREE || urb->lane == NULL)
            continue;
        if (urb->lane->state != LANE_LENT)
            abort(); /* a lane that was given up still has it, and nobody would hear of it */
        for (int lane = 0; lane < LANES; lane++)
            in_flight[lane][urb->direction] += urb->lane == world->lanes[lane];
    }
    for (uint32_t index = 0; index < MAX_REQUESTS; index++) {
        const struct request *request = &engine->files.requests[index];

        if (request->state == REQUEST_FREE || request->lane == NULL)
            continue;
        if (request->lane->state != LANE_LENT)
            abort();
        for (int lane = 0; lane < LANES; lane++)
            pending[lane][request->file->is_in] += request->lane == world->lanes[lane];
    }
    for (int index = 0; index < LANES; index++) {
        const struct lane *lane = world->lanes[index];

        if (lane->in.in_flight != in_flight[index][WIRE_IN] ||
            lane->out.in_flight != in_flight[index][WIRE_OUT] ||
            lane->in.pending != pending[index][1] || lane->out.pending != pending[index][0])
            abort();
    }
    if (world->lanes[0]->u.i.arrived.count > world->lanes[0]->u.i.arrived.capacity ||
        world->lanes[1]->u.o.arrived.count > world->lanes[1]->u.o.arrived.capacity)
        abort();
}

static void step(struct world *world, struct input *input)
{
    uint8_t what = next(input);

    switch (what % 12) {
    case 0: python_submits(world, next(input)); break;
    case 1: urb_unlink(world->engine, world->seqnums[next(input) % 16]); break;
    case 2: python_takes_events(world); break;
    case 3: python_lends(world, input); break;
    case 4: python_seizes(world, world->lanes[next(input) % LANES]); break;
    case 5: server_returns(world, input); break;
    case 6: server_returns_unlink(world, input); break;
    case 7: server_says_anything(world, input); break;
    case 8: host_moves(world, input); break;
    case 9: file_cancel(world->engine, world->files[next(input) % 4]); break;
    case 10:
        if (world->lanes[2]->state == LANE_LENT && world->lanes[2]->u.b.under_way)
            bot_lane_watch(world->lanes[2], 1000 * (int64_t)next(input));
        break;
    default:
        if (what == 11)
            shutdown(world->server.file, SHUT_WR);
        else
            python_relinks(world);
    }
    if (what < 200 && world->engine->stream.is_open) /* else it lies there until the next step */
        stream_receive(world->engine);
    engine_flush(world->engine);
    server_read(&world->server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct world world = {0};
    int error = 0;

    connect_stream(&world);
    world.engine = engine_make(world.stream, DEVID, next(&input) & 1 ? 1 : UINT32_MAX - 3, &error);
    if (world.engine == NULL)
        abort();
    make_lanes(&world, &input);
    while (input.left != 0) {
        step(&world, &input);
        check(&world);
    }
    engine_close(world.engine);
    close(world.stream);
    close(world.server.file);
    return 0;
}
