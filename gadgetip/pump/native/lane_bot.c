/*
 * Mass storage, bulk-only: READ, WRITE and what moves no data (shapers/bot.py has the theory).
 *
 * Everything a command needs is submitted at once: the CBW, the data and the URB for the CSW. Here
 * is only the command that goes as it should: all of its data, then a CSW that says "passed". One
 * that the lane does not know, that ends early, stalls or fails is the shaper's, wherever it is.
 *
 * The CSW often arrives together with the last of the data. The host's controller sees packets, not
 * writes, so both leave in one write where the data ends on a full packet: one request less.
 */
#include "lane.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define WATCH_AFTER_MS 1000

static uint32_t little32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

bool bot_lane_wants(const uint8_t *data, uint32_t length)
{
    uint32_t blocks;

    if (length != CBW_BYTES || memcmp(data, "USBC", 4) != 0)
        return false;
    blocks = little32(data + 8);
    switch (data[15]) {
    case 0x08: case 0x28: case 0xa8: case 0x88: /* READ (6), (10), (12), (16) */
        return blocks != 0 && (data[12] & 0x80) != 0;
    case 0x0a: case 0x2a: case 0xaa: case 0x8a: /* WRITE */
        return blocks != 0 && (data[12] & 0x80) == 0;
    case 0x00: case 0x35: case 0x91: /* TEST UNIT READY, SYNCHRONIZE CACHE (10), (16) */
        return blocks == 0;
    default:
        return false;
    }
}

static void park(struct lane *lane)
{
    lane_park(lane, true);
}

static struct request *queue(struct lane *lane, struct way *way, struct span span, enum role role)
{
    uint32_t length = span.length;
    struct request *request = request_queue(lane->engine, way->file, span);

    if (request == NULL) { /* `lane_make` saw room; whoever took it, data must not be lost silently */
        engine_end(lane->engine, ENDING_ERRNO, ENOBUFS, NULL);
        return NULL;
    }
    request->lane = lane;
    request->role = (uint8_t)role;
    request->size = length;
    way->pending++;
    return request;
}

static bool submit(struct lane *lane, enum wire_direction direction, struct span span,
                   uint32_t length, uint32_t size, enum role role)
{
    struct way *way = direction == WIRE_IN ? &lane->in : &lane->out;
    struct urb *urb = urb_submit(lane->engine, way->ep, direction, length, way->interval, NULL, span);

    if (urb == NULL)
        return false;
    urb->lane = lane;
    urb->role = (uint8_t)role;
    urb->size = size;
    way->in_flight++;
    return true;
}

static void expect_command(struct lane *lane)
{
    struct span span = ring_take(&lane->u.b.commands);

    if (span.data == NULL || queue(lane, &lane->out, span, ROLE_COMMAND) == NULL)
        park(lane);
    else
        lane->u.b.expecting = true;
}

static void keep(struct bot_lane *bot, const struct span *span)
{
    if (bot->kept == NULL || !bot->kept_all)
        return;
    if (span->length > bot->keep_bytes - bot->kept_bytes) {
        bot->kept_all = false;
        return;
    }
    memcpy(bot->kept + bot->kept_bytes, span->data, span->length);
    bot->kept_bytes += span->length;
}

static bool post(struct lane *lane, struct span span, enum role role)
{
    struct bot_lane *bot = &lane->u.b;
    uint32_t length = span.length;

    keep(bot, &span);
    bot->bytes_out += length;
    return submit(lane, WIRE_OUT, span, length, length, role);
}

static void take_data(struct lane *lane)
{
    struct bot_lane *bot = &lane->u.b;
    struct way *out = &lane->out;

    while (lane->state == LANE_LENT && !bot->data_in && !bot->data_over && bot->asked < bot->data_length &&
           out->pending + out->in_flight < out->window) {
        uint32_t left = bot->data_length - bot->asked;
        uint32_t size = left < bot->read_bytes ? left : bot->read_bytes;
        struct span span = ring_take(&out->ring);
        struct request *request;

        if (span.data == NULL)
            return;
        span.length = round_up(size, out->host_packet);
        request = queue(lane, out, span, ROLE_DATA);
        if (request == NULL)
            return;
        request->size = size;
        bot->asked += size;
    }
}

static void ask(struct lane *lane)
{
    struct bot_lane *bot = &lane->u.b;
    struct way *in = &lane->in;
    struct span span;

    if (lane->state != LANE_LENT || !bot->under_way || bot->status_asked)
        return;
    if (bot->data_in) {
        while (!bot->data_over && bot->asked < bot->data_length &&
               in->in_flight + in->pending < in->window) {
            uint32_t left = bot->data_length - bot->asked;
            uint32_t size = left < in->bytes ? left : in->bytes;

            span = ring_take(&in->ring);
            /* Whole packets: where the data ends early, a CSW must fit into what is left. */
            if (span.data == NULL ||
                !submit(lane, WIRE_IN, span, round_up(size, in->device_packet), size, ROLE_DATA))
                break;
            bot->asked += size;
        }
        if (bot->asked < bot->data_length && !bot->data_over)
            return;
    } else if (bot->moved < bot->data_length && !bot->data_over) {
        return; /* the CSW follows the last of the host's data */
    }
    if (bot->patient && (bot->data_in ? !bot->data_over : bot->bytes_out > 0))
        return;
    span = ring_take(&bot->statuses);
    if (span.data == NULL ||
        !submit(lane, WIRE_IN, span, bot->status_bytes, CSW_BYTES, ROLE_STATUS))
        park(lane);
    else
        bot->status_asked = true;
}

static void begin(struct lane *lane, const uint8_t command[CBW_BYTES])
{
    struct bot_lane *bot = &lane->u.b;

    memcpy(bot->command, command, CBW_BYTES);
    bot->tag = little32(command + 4);
    bot->data_length = little32(command + 8);
    bot->data_in = bot->data_length != 0 && (command[12] & 0x80) != 0;
    bot->units |= 1u << (command[13] & 0x0f);
    bot->asked = bot->moved = 0;
    bot->data_over = bot->data_length == 0;
    bot->status_asked = bot->status_seen = false;
    bot->kept_bytes = 0;
    bot->kept_all = true;
    bot->under_way = true;
    bot->began = 0;
}

/* Carry out a CBW; the span becomes the URB's. */
static void command_came(struct lane *lane, struct span span)
{
    begin(lane, span.data);
    if (!post(lane, span, ROLE_COMMAND)) {
        park(lane);
        return;
    }
    take_data(lane);
    ask(lane);
}

void bot_lane_lent(struct lane *lane, const uint8_t command[CBW_BYTES])
{
    struct span span = ring_take(&lane->u.b.commands);

    lane->u.b.expecting = false;
    lane->u.b.bytes_out = 0;
    lane->u.b.units = 0;
    memcpy(span.data, command, CBW_BYTES);
    span.length = CBW_BYTES;
    command_came(lane, span);
}

static void finish(struct lane *lane)
{
    struct bot_lane *bot = &lane->u.b;

    if (lane->state != LANE_LENT || !bot->under_way || !bot->status_seen || !bot->data_over)
        return;
    if (lane->in.in_flight != 0 || lane->out.pending != 0) {
        park(lane); /* something is left over: the shaper takes it back */
        return;
    }
    bot->under_way = false;
    expect_command(lane);
}

void bot_lane_flush(struct lane *lane)
{
    struct span last = lane->u.b.last;

    if (last.data == NULL)
        return;
    memset(&lane->u.b.last, 0, sizeof last);
    queue(lane, &lane->in, last, ROLE_DATA); /* there is room: lane_make has seen to it */
}

static void give(struct lane *lane, struct span *span, uint32_t length)
{
    struct bot_lane *bot = &lane->u.b;

    for (uint32_t at = 0; at < length; at += MAX_REQUEST_BYTES) {
        uint32_t rest = length - at;
        bool is_last = rest <= MAX_REQUEST_BYTES && bot->moved >= bot->data_length;
        struct span piece = span_share(span, at, rest < MAX_REQUEST_BYTES ? rest : MAX_REQUEST_BYTES);

        bot_lane_flush(lane);
        if (is_last) {
            bot->last = piece;
            lane_mark_dirty(lane);
        } else {
            queue(lane, &lane->in, piece, ROLE_DATA);
        }
    }
}

/* Write the CSW; behind the last of the data, in one piece with it, where that is still here. */
static void give_status(struct lane *lane, const struct span *status)
{
    struct span *last = &lane->u.b.last;
    struct request *request;

    if (last->data == NULL || last->length % lane->in.host_packet != 0 ||
        last->length + CSW_BYTES > MAX_REQUEST_BYTES) {
        bot_lane_flush(lane);
        queue(lane, &lane->in, span_share(status, 0, CSW_BYTES), ROLE_STATUS);
        return;
    }
    memcpy(last->data + last->length, status->data, CSW_BYTES);
    last->length += CSW_BYTES;
    request = queue(lane, &lane->in, *last, ROLE_STATUS);
    memset(last, 0, sizeof *last);
    if (request == NULL)
        park(lane);
}

static void data_returned(struct lane *lane, struct urb *urb)
{
    struct bot_lane *bot = &lane->u.b;

    lane->in.urbs++;
    bot->moved += urb->size;
    give(lane, &urb->span, urb->size);
    urb_free(lane->engine, urb);
    if (bot->moved >= bot->data_length)
        bot->data_over = true;
    ask(lane);
}

static bool is_passed(const struct bot_lane *bot, const struct urb *urb)
{
    const uint8_t *data = urb->span.data;

    return urb->actual == CSW_BYTES && memcmp(data, "USBS", 4) == 0 &&
           little32(data + 4) == bot->tag && data[12] == 0;
}

static void status_returned(struct lane *lane, struct urb *urb)
{
    lane->in.urbs++;
    lane->u.b.status_seen = true;
    give_status(lane, &urb->span);
    urb_free(lane->engine, urb);
    finish(lane);
}

static void posted(struct lane *lane, struct urb *urb)
{
    struct bot_lane *bot = &lane->u.b;

    bot->bytes_out -= urb->size;
    lane->out.urbs++;
    lane->out.moved += urb->size;
    urb_free(lane->engine, urb);
    if (!bot->data_over && !bot->data_in)
        take_data(lane);
    else
        ask(lane);
}

void bot_lane_returned(struct lane *lane, struct urb *urb)
{
    struct bot_lane *bot = &lane->u.b;
    bool is_done = urb->status == 0 || urb->status == -EREMOTEIO;

    if (is_done && urb->direction == WIRE_OUT)
        posted(lane, urb);
    else if (is_done && urb->role == ROLE_DATA && urb->actual == urb->size && !bot->data_over)
        data_returned(lane, urb);
    else if (is_done && urb->role == ROLE_STATUS && is_passed(bot, urb) && bot->data_over)
        status_returned(lane, urb);
    else {
        park(lane);
        engine_returned(lane->engine, urb);
    }
}

static void command_read(struct lane *lane, struct request *request)
{
    struct span span = span_share(&request->span, 0, CBW_BYTES);

    lane->u.b.expecting = false;
    request_free(lane->engine, request);
    command_came(lane, span);
}

static void data_read(struct lane *lane, struct request *request)
{
    struct bot_lane *bot = &lane->u.b;
    struct span span = span_share(&request->span, 0, request->size);

    bot->moved += request->size;
    request_free(lane->engine, request);
    if (!post(lane, span, ROLE_DATA)) {
        park(lane);
        return;
    }
    if (bot->moved >= bot->data_length) {
        bot->data_over = true;
        ask(lane);
        finish(lane);
    } else {
        take_data(lane);
    }
}

void bot_lane_completed(struct lane *lane, struct request *request)
{
    struct bot_lane *bot = &lane->u.b;
    int64_t result = request->result;

    if (request->file == lane->in.file && result == request->span.length) {
        lane->in.moved += request->span.length;
        request_free(lane->engine, request);
        ask(lane);
    } else if (request->role == ROLE_COMMAND && result == CBW_BYTES && !bot->under_way &&
               lane->in.in_flight == 0 && bot_lane_wants(request->span.data, CBW_BYTES)) {
        command_read(lane, request);
    } else if (request->role == ROLE_DATA && request->file == lane->out.file &&
               result == request->size && bot->under_way && !bot->data_over) {
        data_read(lane, request);
    } else {
        park(lane);
        engine_completed(lane->engine, request);
    }
}

void bot_lane_watch(struct lane *lane, int64_t now)
{
    struct bot_lane *bot = &lane->u.b;

    if (bot->began == 0)
        bot->began = now;
    else if (bot->data_in && !bot->patient && now - bot->began > WATCH_AFTER_MS)
        park(lane); /* the CSW may be overdue: the shaper knows what to do */
}
