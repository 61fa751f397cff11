/* The relay's two streams: messages into rings and from inlets, with few system calls. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "relay_storage.h"

#define MOST_PIECES 3 /* a ring's two, and the buffer */
#define WORTH_A_CALL 4096u

/* --- what is to be sent ----------------------------------------------------------------------- */

bool may_tell_server(const struct relay *relay)
{
    bool within = relay->host.payload_left != 0 && relay->host.sink == SINK_FORWARD;

    return !within && bytes_room(&relay->to_server) >= RESERVE_BYTES;
}

bool may_tell_host(const struct relay *relay, size_t length)
{
    bool within = relay->server.payload_left != 0 && relay->server.sink == SINK_FORWARD;

    return !within && bytes_room(&relay->to_host) >= WIRE_HEADER_BYTES + length;
}

static void put_header(struct bytes *bytes, const struct wire_header *header)
{
    uint8_t packed[WIRE_HEADER_BYTES];

    wire_pack(packed, header);
    bytes_put(bytes, packed, sizeof packed);
}

void tell_server(struct relay *relay, const struct wire_header *header)
{
    put_header(&relay->to_server, header);
}

void tell_host(struct relay *relay, const struct wire_header *header)
{
    put_header(&relay->to_host, header);
}

void tell_host_data(struct relay *relay, const struct wire_header *header, struct bytes *data,
                    size_t length)
{
    uint8_t packed[WIRE_HEADER_BYTES];
    struct iovec pieces[3] = {{packed, sizeof packed}};
    struct msghdr message = {.msg_iov = pieces};
    ssize_t sent = 0;
    size_t done;

    wire_pack(packed, header);
    if (relay->to_host.used == 0 && length >= WORTH_A_CALL) { /* saves a copy */
        message.msg_iovlen = 1 + (size_t)bytes_first_pieces(data, length, pieces + 1);
        sent = sendmsg(relay->host.file, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0)
            sent = 0; /* whatever it is, it will be met again */
    }
    done = (size_t)sent;
    if (done < sizeof packed) {
        bytes_put(&relay->to_host, packed + done, sizeof packed - done);
        done = sizeof packed;
    }
    bytes_drop(data, done - sizeof packed);
    bytes_move(&relay->to_host, data, length - (done - sizeof packed));
}

int bytes_send(int file, struct bytes *bytes)
{
    while (bytes->used) {
        struct iovec pieces[2];
        struct msghdr message = {.msg_iov = pieces};
        size_t whole = bytes->used;
        ssize_t sent;

        message.msg_iovlen = (size_t)bytes_used_pieces(bytes, pieces);
        sent = sendmsg(file, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN ? 0 : errno;
        bytes_drop(bytes, (size_t)sent);
        if ((size_t)sent < whole)
            return 0;
    }
    return 0;
}

/* --- what is received ------------------------------------------------------------------------- */

static struct bytes *sink_of(struct relay *relay, const struct inlet *inlet)
{
    if (inlet->sink == SINK_DISCARD)
        return NULL;
    if (inlet->sink == SINK_ARRIVALS)
        return &relay->storages[relay->returning->storage].arrivals;
    return inlet == &relay->host ? &relay->to_server : &relay->to_host;
}

bool inlet_move(struct relay *relay, struct inlet *inlet)
{
    struct bytes *sink = sink_of(relay, inlet);
    size_t length = inlet->end - inlet->begin;

    if (length > inlet->payload_left)
        length = inlet->payload_left;
    if (sink != NULL) {
        if (length > bytes_room(sink))
            length = bytes_room(sink);
        bytes_put(sink, inlet->buffer + inlet->begin, length);
    }
    inlet->begin += length;
    inlet->payload_left -= (uint32_t)length;
    return length > 0;
}

int inlet_receive(struct relay *relay, struct inlet *inlet)
{
    struct iovec pieces[MOST_PIECES];
    struct msghdr message = {.msg_iov = pieces};
    struct bytes *sink = inlet->payload_left ? sink_of(relay, inlet) : NULL;
    size_t direct = 0;
    int count = 0;
    ssize_t got;

    if (inlet->begin == inlet->end) {
        inlet->begin = inlet->end = 0;
    } else {
        memmove(inlet->buffer, inlet->buffer + inlet->begin, inlet->end - inlet->begin);
        inlet->end -= inlet->begin;
        inlet->begin = 0;
        sink = NULL;
    }
    if (sink != NULL) {
        count = bytes_free_pieces(sink, inlet->payload_left, pieces);
        for (int piece = 0; piece < count; piece++)
            direct += pieces[piece].iov_len;
    }
    if (direct == inlet->payload_left || sink == NULL) {
        pieces[count].iov_base = inlet->buffer + inlet->end;
        pieces[count].iov_len = INLET_BYTES - inlet->end;
        count += INLET_BYTES > inlet->end;
    }
    if (count == 0)
        return 0;
    message.msg_iovlen = (size_t)count;
    got = recvmsg(inlet->file, &message, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : errno;
    if (got == 0)
        return -1;
    if (sink != NULL) {
        if (direct > (size_t)got)
            direct = (size_t)got;
        bytes_added(sink, direct);
        inlet->payload_left -= (uint32_t)direct;
    }
    inlet->end += (size_t)got - direct;
    return 0;
}
