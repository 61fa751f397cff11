/*
 * The relay, without its thread: the input is a program of what the kernel and a server do.
 *
 * What the relay says to the server is held to the protocol by `server`. What it says to the kernel
 * is held to what vhci_hcd takes: an answer to something that was asked, once, and no more of it
 * than was asked for; at anything else vhci_hcd ends the connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay_storage.h"
#include "input.h"
#include "server.h"

#define DEVID 0x10002u
#define MAX_PENDING 48u
#define FAR_NS 1000000000000LL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pending {
    uint32_t seqnum, direction, length, unlinks;
};

struct kernel {
    int file;
    uint32_t seqnum;
    struct pending pending[MAX_PENDING];
    uint32_t count;
    uint8_t header[WIRE_HEADER_BYTES];
    uint32_t have, body;
    bool is_mad; /* it has said what vhci_hcd never says: nothing is promised to it any more */
};

struct world {
    struct relay *relay;
    struct server server;
    struct kernel kernel;
    uint32_t tag;
    int64_t now;
};

static uint32_t pick_length(uint8_t choice)
{
    static const uint32_t lengths[] = {0, 1, 13, 31, 512, 513, 1024, 4096, 16384, 65536};

    return lengths[choice % (sizeof lengths / sizeof lengths[0])];
}

static int32_t pick_status(uint8_t choice)
{
    static const int32_t statuses[] = {0, 0, 0, 0, 0, -EPIPE, -EREMOTEIO, -ESHUTDOWN, -EPROTO, 7};

    return statuses[choice % (sizeof statuses / sizeof statuses[0])];
}

/* --- the kernel's part ------------------------------------------------------------------------ */

static bool forget(struct kernel *kernel, uint32_t seqnum, struct pending *found)
{
    for (uint32_t index = 0; index < kernel->count; index++) {
        if (kernel->pending[index].seqnum == seqnum) {
            *found = kernel->pending[index];
            kernel->pending[index] = kernel->pending[--kernel->count];
            return true;
        }
    }
    return false;
}

static void answered(struct kernel *kernel)
{
    struct wire_header header;
    struct pending asked, target;

    kernel->have = 0;
    if (!wire_parse(kernel->header, &header) || header.command < WIRE_RET_SUBMIT)
        abort();
    if (!forget(kernel, header.seqnum, &asked))
        abort(); /* vhci: cannot find a urb of seqnum */
    if ((header.command == WIRE_RET_UNLINK) != (asked.unlinks != 0))
        abort();
    if (header.command == WIRE_RET_UNLINK) {
        forget(kernel, asked.unlinks, &target);
        return;
    }
    if (header.length < 0 || (uint32_t)header.length > asked.length)
        abort();
    kernel->body = asked.direction == WIRE_IN ? (uint32_t)header.length : 0;
}

static void kernel_read(struct kernel *kernel)
{
    uint8_t bytes[4096];
    ssize_t got;

    while ((got = recv(kernel->file, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        for (ssize_t at = 0; at < got && !kernel->is_mad; at++) {
            if (kernel->body != 0) {
                kernel->body--;
            } else {
                kernel->header[kernel->have++] = bytes[at];
                if (kernel->have == WIRE_HEADER_BYTES)
                    answered(kernel);
            }
        }
    }
}

/* False where it did not fit: half a message is the last that this kernel says with sense. */
static bool kernel_says(struct kernel *kernel, const void *message, size_t bytes)
{
    ssize_t sent = send(kernel->file, message, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent > 0 && (size_t)sent < bytes)
        kernel->is_mad = true;
    return sent == (ssize_t)bytes;
}

static void kernel_submits(struct world *world, uint32_t ep, uint32_t direction, uint32_t length,
                           const uint8_t *setup, const uint8_t *data)
{
    static uint8_t message[WIRE_HEADER_BYTES + (1 << 17)];
    struct kernel *kernel = &world->kernel;
    struct wire_header header = {.command = WIRE_CMD_SUBMIT, .devid = DEVID, .ep = ep};
    size_t bytes = WIRE_HEADER_BYTES;

    if (kernel->count == MAX_PENDING)
        return;
    header.seqnum = ++kernel->seqnum;
    header.direction = direction;
    header.length = (int32_t)length;
    if (setup != NULL)
        memcpy(header.setup, setup, WIRE_SETUP_BYTES);
    wire_pack(message, &header);
    if (direction == WIRE_OUT && length != 0) {
        memcpy(message + bytes, data, length);
        bytes += length;
    }
    if (kernel_says(kernel, message, bytes))
        kernel->pending[kernel->count++] =
            (struct pending){header.seqnum, direction, length, 0};
}

static void kernel_controls(struct world *world, uint8_t choice)
{
    static const uint8_t setups[][WIRE_SETUP_BYTES] = {
        {0x00, 0x09, 1},             /* SET_CONFIGURATION (1) */
        {0x01, 0x0b},                /* SET_INTERFACE (0) */
        {0x21, 0xff},                /* Bulk-Only Mass Storage Reset */
        {0x02, 0x01, 0, 0, 0x81},    /* CLEAR_FEATURE (HALT) */
        {0x02, 0x01, 0, 0, 0x02},
        {0x80, 0x06, 0, 1, 0, 0, 18}, /* GET_DESCRIPTOR */
        {0x00, 0x09, 0},
        {0x23, 0x03, 4},             /* PORT_RESET */
    };
    const uint8_t *setup = setups[choice % (sizeof setups / sizeof setups[0])];

    kernel_submits(world, 0, setup[0] >> 7, setup[6], setup, setup);
}

static void kernel_commands(struct world *world, uint8_t choice)
{
    uint8_t command[CBW_BYTES] = "USBC";
    uint32_t blocks = pick_length(choice);

    world->tag++;
    memcpy(command + 4, &world->tag, 4);
    memcpy(command + 8, &blocks, 4);
    command[12] = choice & 0x20 ? 0x80 : 0;
    command[14] = 10;
    command[15] = blocks == 0 ? 0 : choice & 0x20 ? 0x28 : 0x2a;
    if (choice >= 0xfc)
        command[choice & 3] = 'x';
    kernel_submits(world, 2, WIRE_OUT, choice == 0xfb ? 30 : CBW_BYTES, NULL, command);
}

static void kernel_moves(struct world *world, uint8_t choice)
{
    static uint8_t data[65536];

    if (choice & 0x80)
        kernel_submits(world, 1, WIRE_IN, pick_length(choice), NULL, data);
    else
        kernel_submits(world, 2, WIRE_OUT, pick_length(choice), NULL, data);
}

static void kernel_unlinks(struct world *world, uint8_t choice)
{
    struct kernel *kernel = &world->kernel;
    uint8_t message[WIRE_HEADER_BYTES];
    struct wire_header header = {.command = WIRE_CMD_UNLINK, .devid = DEVID};

    if (kernel->count == 0 || kernel->count == MAX_PENDING)
        return;
    header.unlink_seqnum = kernel->pending[choice % kernel->count].seqnum;
    if (kernel->pending[choice % kernel->count].unlinks != 0)
        return; /* vhci_hcd unlinks URBs */
    for (uint32_t index = 0; index < kernel->count; index++) {
        if (kernel->pending[index].unlinks == header.unlink_seqnum)
            return; /* and each once */
    }
    header.seqnum = ++kernel->seqnum;
    wire_pack(message, &header);
    if (kernel_says(kernel, message, sizeof message))
        kernel->pending[kernel->count++] =
            (struct pending){header.seqnum, 0, 0, header.unlink_seqnum};
}

/* --- the server's part ------------------------------------------------------------------------ */

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
        actual++;
    if (asked.direction == WIRE_IN && how & 0x40) { /* a CSW, passed */
        memcpy(body, "USBS", 4);
        memcpy(body + 4, &world->server.tag, 4);
        memset(body + 8, 0, 5);
        actual = actual < 13 ? actual : 13;
    }
    server_answer(&world->server, WIRE_RET_SUBMIT, asked.seqnum, pick_status(how), actual,
                  how == 0xfe ? 3 : 0);
    if (asked.direction == WIRE_IN && actual > 0 && (size_t)actual <= sizeof body)
        server_send(&world->server, body, (size_t)actual);
    if (how == 0xfd)
        server_answer(&world->server, WIRE_RET_SUBMIT, asked.seqnum, 0, 0, 0);
}

static void server_returns_unlink(struct world *world, struct input *input)
{
    struct asked asked;

    if (server_take(&world->server, next(input), true, &asked))
        server_answer(&world->server, WIRE_RET_UNLINK, asked.seqnum,
                      next(input) & 1 ? 0 : -ECONNRESET, 0, 0);
}

static void somebody_says_anything(int file, struct input *input)
{
    uint8_t bytes[64];
    size_t length = next(input) % sizeof bytes;
    ssize_t sent;

    for (size_t at = 0; at < length; at++)
        bytes[at] = next(input);
    sent = send(file, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent;
}

/* --- the relay's part, as its thread does it ---------------------------------------------------- */

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

static void turn(struct world *world)
{
    struct relay *relay = world->relay;
    struct inlet *inlets[] = {&relay->host, &relay->server};

    for (int index = 0; index < 2 && relay->ended == RELAY_RUNS; index++) {
        int error;

        if (inlets[index]->is_stuck)
            continue;
        error = inlet_receive(relay, inlets[index]);
        if (error != 0 && error != EAGAIN)
            relay_end(relay, RELAY_SERVER_CLOSED, error);
        work(relay);
    }
    bytes_send(relay->server.file, &relay->to_server);
    bytes_send(relay->host.file, &relay->to_host);
    if (!world->kernel.is_mad) /* else its nonsense is passed on, as it would be without a relay */
        server_read(&world->server);
    kernel_read(&world->kernel);
}

static void step(struct world *world, struct input *input)
{
    uint8_t what = next(input);

    switch (what % 10) {
    case 0: kernel_controls(world, next(input)); break;
    case 1: kernel_commands(world, next(input)); break;
    case 2: case 3: kernel_moves(world, next(input)); break;
    case 4: kernel_unlinks(world, next(input)); break;
    case 5: case 6: server_returns(world, input); break;
    case 7: server_returns_unlink(world, input); break;
    case 8:
        world->now += FAR_NS;
        for (size_t place = 0; place < world->relay->storage_count; place++)
            storage_watch(world->relay, &world->relay->storages[place], world->now);
        work(world->relay);
        break;
    default:
        world->kernel.is_mad |= what < 20;
        somebody_says_anything(what < 20 ? world->kernel.file : world->server.file, input);
    }
    for (int turns = what & 0x80 ? 3 : 1; turns > 0; turns--)
        turn(world);
}

/* The kernel configures the device, as it does before anything else: storage is the relay's then. */
static void configure(struct world *world)
{
    struct asked asked;

    kernel_controls(world, 0);
    turn(world);
    if (!server_take(&world->server, 0, false, &asked))
        abort();
    server_answer(&world->server, WIRE_RET_SUBMIT, asked.seqnum, 0, 0, 0);
    turn(world);
    if (world->kernel.count != 0 || world->relay->configuration != 1)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct relay_setting setting = {1, 0, 0, 2, 1, 512};
    struct input input = {data, size};
    struct world world = {.now = FAR_NS};
    int to_server[2], to_kernel[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, to_server) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, to_kernel) != 0)
        abort();
    world.server.file = to_server[1];
    world.kernel.file = to_kernel[1];
    world.relay = relay_new(to_server[0], to_kernel[0], &setting, 1);
    if (world.relay == NULL)
        abort();
    if (next(&input) != 0)
        configure(&world);
    while (input.left != 0 && world.relay->ended == RELAY_RUNS)
        step(&world, &input);
    relay_free(world.relay);
    for (int index = 0; index < 2; index++) {
        close(to_server[index]);
        close(to_kernel[index]);
    }
    return 0;
}
