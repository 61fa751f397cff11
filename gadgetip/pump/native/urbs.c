/*
 * The URBs of one imported device: many in flight over one stream (see gadgetip/pump/urbs.py, whose
 * rules for the race between an answer and an unlink these are).
 *
 * A message is believed only where it answers something that was sent: a RET_SUBMIT for a URB that
 * is still in our own queue, or a second one, ends the stream. A body is received straight into the
 * memory of its URB; only what came together with a header is copied.
 */
#include "engine.h"
#include "lane.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define SEND_PIECES 128
#define RECEIVE_TURNS 8

bool stream_make(struct stream *stream, int file, uint32_t devid, uint32_t next_seqnum)
{
    memset(stream, 0, sizeof *stream);
    stream->urbs = calloc(MAX_URBS, sizeof *stream->urbs);
    stream->places = calloc(SEQNUM_PLACES, sizeof *stream->places);
    stream->received = malloc(RECEIVE_BYTES);
    if (stream->urbs == NULL || stream->places == NULL || stream->received == NULL)
        return false;
    for (uint32_t index = MAX_URBS; index-- > 0;) {
        stream->urbs[index].next = stream->free;
        stream->free = &stream->urbs[index];
    }
    stream_relink(stream, file, devid, next_seqnum);
    return true;
}

void stream_free(struct stream *stream)
{
    for (uint32_t index = 0; stream->urbs != NULL && index < MAX_URBS; index++) {
        if (stream->urbs[index].state != URB_FREE)
            span_release(&stream->urbs[index].span);
    }
    free(stream->urbs);
    free(stream->places);
    free(stream->received);
    memset(stream, 0, sizeof *stream);
}

void stream_relink(struct stream *stream, int file, uint32_t devid, uint32_t next_seqnum)
{
    stream->file = file;
    stream->devid = devid;
    stream->next_seqnum = next_seqnum != 0 ? next_seqnum : 1;
    stream->is_open = true;
    stream->is_blocked = false;
    stream->in_body = false;
    stream->body = NULL;
    stream->begin = stream->end = 0;
    stream->late_returns = 0;
    stream->unsent = NULL;
    stream->unsent_end = &stream->unsent;
    stream->sent = 0;
    memset(stream->tombstones, 0, sizeof stream->tombstones);
    stream->tombstone_next = 0;
}

static struct urb *find(struct stream *stream, uint32_t seqnum)
{
    uint16_t place = stream->places[seqnum % SEQNUM_PLACES];

    if (place == 0 || stream->urbs[place - 1].seqnum != seqnum)
        return NULL;
    return &stream->urbs[place - 1];
}

static void take_place(struct stream *stream, struct urb *urb)
{
    stream->places[urb->seqnum % SEQNUM_PLACES] = (uint16_t)(urb - stream->urbs + 1);
}

static void leave_place(struct stream *stream, struct urb *urb)
{
    if (find(stream, urb->seqnum) == urb)
        stream->places[urb->seqnum % SEQNUM_PLACES] = 0;
}

static struct urb *make(struct engine *engine, enum urb_state state)
{
    struct stream *stream = &engine->stream;
    struct urb *urb = stream->free;

    if (urb == NULL)
        return NULL;
    stream->free = urb->next;
    memset(urb, 0, sizeof *urb);
    urb->state = (uint8_t)state;
    urb->serial = ++stream->serial;
    return urb;
}

/* Give it the next number that no other one has. There are more places than URBs. */
static void number(struct stream *stream, struct urb *urb)
{
    do {
        urb->seqnum = stream->next_seqnum;
        stream->next_seqnum = urb->seqnum == UINT32_MAX ? 1 : urb->seqnum + 1;
    } while (stream->places[urb->seqnum % SEQNUM_PLACES] != 0);
    take_place(stream, urb);
}

static void queue(struct stream *stream, struct urb *urb)
{
    urb->next = NULL;
    *stream->unsent_end = urb;
    stream->unsent_end = &urb->next;
}

struct urb *urb_submit(struct engine *engine, uint8_t ep, enum wire_direction direction,
                       uint32_t length, int32_t interval, const uint8_t *setup, struct span span)
{
    struct stream *stream = &engine->stream;
    struct urb *urb = make(engine, URB_PENDING);
    struct wire_header header = {.command = WIRE_CMD_SUBMIT};

    if (urb == NULL) {
        span_release(&span);
        return NULL;
    }
    number(stream, urb);
    urb->direction = (uint8_t)direction;
    urb->length = length;
    urb->span = span;
    header.seqnum = urb->seqnum;
    header.devid = stream->devid;
    header.direction = (uint32_t)direction;
    header.ep = ep;
    header.transfer_flags = direction == WIRE_IN ? WIRE_FLAG_DIR_IN : 0;
    if (length > WIRE_SCATTER_GATHER_ABOVE)
        header.transfer_flags |= WIRE_FLAG_DMA_MAP_SG;
    header.length = (int32_t)length;
    header.interval = interval;
    if (setup != NULL)
        memcpy(header.setup, setup, WIRE_SETUP_BYTES);
    wire_pack(urb->header, &header);
    queue(stream, urb);
    return urb;
}

void urb_unlink(struct engine *engine, uint32_t seqnum)
{
    struct stream *stream = &engine->stream;
    struct urb *urb = find(stream, seqnum);
    struct wire_header header = {.command = WIRE_CMD_UNLINK};
    struct urb *unlink;

    if (!stream->is_open || urb == NULL || urb->state != URB_PENDING)
        return;
    unlink = make(engine, URB_UNLINK);
    if (unlink == NULL) {
        engine_end(engine, ENDING_PROTOCOL, 0, "the server leaves too many URBs unanswered");
        return;
    }
    number(stream, unlink);
    unlink->counterpart = urb;
    urb->counterpart = unlink;
    urb->state = URB_UNLINKING;
    header.seqnum = unlink->seqnum;
    header.devid = stream->devid;
    header.unlink_seqnum = seqnum;
    wire_pack(unlink->header, &header);
    queue(stream, unlink);
}

void urb_free(struct engine *engine, struct urb *urb)
{
    struct stream *stream = &engine->stream;

    leave_place(stream, urb);
    span_release(&urb->span);
    urb->state = URB_FREE;
    urb->lane = urb->from = NULL;
    urb->next = stream->free;
    stream->free = urb;
}

/* --- sending -------------------------------------------------------------------------------- */

static size_t message_bytes(const struct urb *urb)
{
    size_t data = urb->state != URB_UNLINK && urb->direction == WIRE_OUT ? urb->length : 0;

    return WIRE_HEADER_BYTES + data;
}

static int gather(struct stream *stream, struct iovec *pieces)
{
    size_t skip = stream->sent;
    int count = 0;

    for (struct urb *urb = stream->unsent; urb != NULL && count + 2 <= SEND_PIECES;
         urb = urb->next) {
        size_t data = message_bytes(urb) - WIRE_HEADER_BYTES;
        size_t skipped = skip < WIRE_HEADER_BYTES ? skip : WIRE_HEADER_BYTES;

        if (skipped < WIRE_HEADER_BYTES) {
            pieces[count].iov_base = urb->header + skipped;
            pieces[count++].iov_len = WIRE_HEADER_BYTES - skipped;
        }
        skip -= skipped;
        if (data > skip) {
            pieces[count].iov_base = urb->span.data + skip;
            pieces[count++].iov_len = data - skip;
        }
        skip = 0;
    }
    return count;
}

static void note_sent(struct stream *stream, size_t sent)
{
    sent += stream->sent;
    while (stream->unsent != NULL && sent >= message_bytes(stream->unsent)) {
        struct urb *urb = stream->unsent;

        sent -= message_bytes(urb);
        stream->unsent = urb->next;
        if (stream->unsent == NULL)
            stream->unsent_end = &stream->unsent;
        urb->next = NULL;
        urb->is_sent = true;
    }
    stream->sent = sent;
}

void stream_send(struct engine *engine)
{
    struct stream *stream = &engine->stream;
    struct iovec pieces[SEND_PIECES];

    while (stream->is_open && stream->unsent != NULL) {
        struct msghdr message = {.msg_iov = pieces};
        ssize_t sent;

        message.msg_iovlen = (size_t)gather(stream, pieces);
        sent = sendmsg(stream->file, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) {
            note_sent(stream, (size_t)sent);
        } else if (errno == EAGAIN) {
            if (!stream->is_blocked)
                engine_watch_room(engine, true);
            return;
        } else if (errno != EINTR) {
            engine_end(engine, ENDING_ERRNO, errno, NULL);
            return;
        }
    }
    if (stream->is_open && stream->is_blocked)
        engine_watch_room(engine, false);
}

/* --- receiving ------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void protocol_error(struct engine *engine,
                                                                 const char *what, ...)
{
    char text[sizeof engine->ending_text];
    va_list values;

    va_start(values, what);
    vsnprintf(text, sizeof text, what, values);
    va_end(values);
    engine_end(engine, ENDING_PROTOCOL, 0, text);
}

/* Remember that an answer for this number may still come, for as long as there is room. */
static void bury(struct engine *engine, const struct urb *urb)
{
    struct stream *stream = &engine->stream;
    uint32_t *place = &stream->tombstones[stream->tombstone_next];
    struct urb *tombstone;
    struct urb *oldest = *place != 0 ? find(stream, *place) : NULL;

    if (oldest != NULL && oldest->state == URB_TOMBSTONE)
        urb_free(engine, oldest);
    *place = 0;
    tombstone = make(engine, URB_TOMBSTONE);
    if (tombstone == NULL)
        return;
    tombstone->seqnum = urb->seqnum;
    tombstone->direction = urb->direction;
    tombstone->length = urb->length;
    tombstone->is_sent = true;
    take_place(stream, tombstone);
    *place = urb->seqnum;
    stream->tombstone_next = (stream->tombstone_next + 1) % MAX_TOMBSTONES;
}

static void over(struct engine *engine, struct urb *urb)
{
    if (urb->state == URB_TOMBSTONE) {
        engine->stream.late_returns++;
        urb_free(engine, urb);
        return;
    }
    if (urb->counterpart != NULL)
        urb->counterpart->counterpart = NULL;
    urb->counterpart = NULL;
    leave_place(&engine->stream, urb);
    engine_returned(engine, urb);
}

static void unlinked(struct engine *engine, const struct wire_header *header)
{
    struct urb *unlink = find(&engine->stream, header->seqnum);
    struct urb *urb;

    if (unlink == NULL || unlink->state != URB_UNLINK || !unlink->is_sent) {
        protocol_error(engine,
                       "RET_UNLINK.seqnum is %u, but no such CMD_UNLINK is pending",
                       header->seqnum);
        return;
    }
    urb = unlink->counterpart;
    urb_free(engine, unlink);
    if (urb == NULL)
        return; /* its RET_SUBMIT was first */
    urb->counterpart = NULL;
    urb->status = -ECONNRESET;
    urb->actual = 0;
    leave_place(&engine->stream, urb);
    if (header->status == 0)
        bury(engine, urb);
    engine_returned(engine, urb);
}

static void returned(struct engine *engine, const struct wire_header *header)
{
    struct stream *stream = &engine->stream;
    struct urb *urb = find(stream, header->seqnum);
    uint32_t bytes;

    if (urb == NULL || !urb->is_sent || urb->state == URB_UNLINK) {
        protocol_error(engine,
                       "RET_SUBMIT.seqnum is %u, but no such CMD_SUBMIT is pending",
                       header->seqnum);
        return;
    }
    if (!wire_ret_extent(header, urb->direction == WIRE_IN ? WIRE_IN : WIRE_OUT, urb->length,
                         &bytes)) {
        protocol_error(engine, "RET_SUBMIT.actual_length is %u, which the URB did not ask for",
                       (uint32_t)header->length);
        return;
    }
    urb->status = header->status;
    urb->actual = (uint32_t)header->length;
    if (bytes == 0) {
        over(engine, urb);
        return;
    }
    stream->in_body = true;
    stream->body = urb;
    stream->body_done = 0;
    stream->body_left = bytes;
}

static void body_came(struct engine *engine, uint32_t bytes)
{
    struct stream *stream = &engine->stream;
    struct urb *urb = stream->body;

    stream->body_done += bytes;
    stream->body_left -= bytes;
    if (stream->body_left == 0) {
        stream->in_body = false;
        stream->body = NULL;
        over(engine, urb);
    }
}

/* Understand what waits in `received`. */
static void understand(struct engine *engine)
{
    struct stream *stream = &engine->stream;

    while (stream->is_open) {
        uint32_t here = stream->end - stream->begin;
        const uint8_t *at = stream->received + stream->begin;

        if (stream->in_body) {
            uint32_t bytes = here < stream->body_left ? here : stream->body_left;

            if (bytes == 0)
                break;
            if (stream->body->state != URB_TOMBSTONE)
                memcpy(stream->body->span.data + stream->body_done, at, bytes);
            stream->begin += bytes;
            body_came(engine, bytes);
        } else {
            struct wire_header header;

            if (here < WIRE_HEADER_BYTES)
                break;
            stream->begin += WIRE_HEADER_BYTES;
            if (!wire_parse(at, &header) || header.command < WIRE_RET_SUBMIT)
                protocol_error(engine,
                               "command is 0x%x, must be 3 (RET_SUBMIT) or 4 (RET_UNLINK)",
                               header.command);
            else if (header.command == WIRE_RET_SUBMIT)
                returned(engine, &header);
            else
                unlinked(engine, &header);
        }
    }
    if (stream->begin != 0) {
        memmove(stream->received, stream->received + stream->begin, stream->end - stream->begin);
        stream->end -= stream->begin;
        stream->begin = 0;
    }
}

void stream_receive(struct engine *engine)
{
    struct stream *stream = &engine->stream;

    for (int turn = 0; turn < RECEIVE_TURNS && stream->is_open; turn++) {
        struct iovec pieces[2];
        struct msghdr message = {.msg_iov = pieces};
        size_t direct = 0, room;
        ssize_t got;

        if (stream->in_body && stream->body->state != URB_TOMBSTONE) {
            direct = stream->body_left;
            pieces[0].iov_base = stream->body->span.data + stream->body_done;
            pieces[0].iov_len = direct;
            message.msg_iovlen = 1;
        }
        pieces[message.msg_iovlen].iov_base = stream->received + stream->end;
        pieces[message.msg_iovlen].iov_len = RECEIVE_BYTES - stream->end;
        message.msg_iovlen++;
        room = direct + RECEIVE_BYTES - stream->end;
        got = recvmsg(stream->file, &message, MSG_DONTWAIT);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN)
                engine_end(engine, ENDING_ERRNO, errno, NULL);
            return;
        }
        if (got == 0) {
            if (stream->in_body || stream->end != 0)
                engine_end(engine, ENDING_PROTOCOL, 0, "the stream ended inside a message");
            else
                engine_end(engine, ENDING_EOF, 0, NULL);
            return;
        }
        if (direct != 0) {
            size_t bytes = (size_t)got < direct ? (size_t)got : direct;

            stream->end += (uint32_t)((size_t)got - bytes);
            body_came(engine, (uint32_t)bytes);
        } else {
            stream->end += (uint32_t)got;
        }
        understand(engine);
        if ((size_t)got < room)
            return;
    }
}
