/*
 * One OUT endpoint: `packet`, `interrupt`, `short` (shapers/out_shaper.py, packet_out.py,
 * short_out.py).
 *
 * Reads wait for the host as far as the window allows; what has arrived by the end of a burst leaves
 * as one URB where it lies side by side.
 */
#include "lane.h"

#include <errno.h>

/* Reads are queued by the dozen, as long as enough of them wait for the host. */
static bool is_worth_filling(const struct lane *lane)
{
    const struct way *way = &lane->out;
    uint32_t used = way->pending + lane->u.o.arrived.count + lane->u.o.entries_out;

    return used + way->window / BATCH <= way->window || way->pending <= way->window / 2;
}

static void fill(struct lane *lane)
{
    struct out_lane *out = &lane->u.o;
    struct way *way = &lane->out;

    if (!is_worth_filling(lane))
        return;
    while (lane->state == LANE_LENT &&
           way->pending + out->arrived.count + out->entries_out < way->window) {
        struct span span = ring_take(&way->ring);
        struct request *request;

        if (span.data == NULL)
            return;
        request = request_queue(lane->engine, way->file, span);
        if (request == NULL)
            return;
        request->lane = lane;
        way->pending++;
    }
}

static void append(struct out_lane *out, struct span span)
{
    span_queue_put(&out->arrived, span);
    out->arrived_bytes += span.length;
}

/* Whether to wait for more to go with what has arrived: while data streams, for a moment, and where
 * the host's transfer has not ended, for all that one can see. */
static bool is_worth_waiting(const struct lane *lane)
{
    const struct out_lane *out = &lane->u.o;
    const struct span_queue *arrived = &out->arrived;
    uint32_t last = (arrived->first + arrived->count - 1) % arrived->capacity;

    return !out->ends_short && out->entries_out >= lane->out.window / 4 &&
           out->arrived_bytes < out->merge_bytes / 4 && arrived->spans[last].length == lane->out.host_packet &&
           lane->engine->bursts - out->waits_since < LONGEST_WAIT;
}

void out_lane_flush(struct lane *lane)
{
    struct out_lane *out = &lane->u.o;

    while (lane->state == LANE_LENT && out->arrived.count != 0 && !is_worth_waiting(lane)) {
        uint32_t entries;
        struct span span = span_queue_take_joined(&out->arrived, lane->out.host_packet,
                                                  out->ends_short ? 0 : out->merge_bytes, &entries);
        struct urb *urb;

        out->arrived_bytes -= span.length;
        urb = urb_submit(lane->engine, lane->out.ep, WIRE_OUT, span.length, lane->out.interval, NULL,
                         span);
        if (urb == NULL) {
            engine_end(lane->engine, ENDING_ERRNO, ENOBUFS, NULL);
            return;
        }
        urb->lane = lane;
        urb->entries = entries;
        urb->size = span.length;
        out->entries_out += entries;
        out->bytes_out += span.length;
        lane->out.in_flight++;
    }
    if (lane->state == LANE_LENT && out->arrived.count != 0)
        lane->engine->is_holding = true;
}

void out_lane_lent(struct lane *lane)
{
    struct out_lane *out = &lane->u.o;

    out->is_good = false;
    out->entries_out = out->bytes_out = out->arrived_bytes = 0;
    fill(lane);
}

void out_lane_completed(struct lane *lane, struct request *request)
{
    struct out_lane *out = &lane->u.o;
    uint32_t length;

    if (request->result < 0) {
        lane_park(lane, true);
        engine_completed(lane->engine, request);
        return;
    }
    length = (uint32_t)request->result;
    if (out->arrived.count == 0)
        out->waits_since = lane->engine->bursts;
    if (!out->ends_short || length != 0)
        append(out, span_share(&request->span, 0, length));
    if (out->ends_short && length < lane->out.bytes && length % lane->out.device_packet == 0)
        append(out, span_share(&request->span, 0, 0));
    request_free(lane->engine, request);
    lane_mark_dirty(lane);
}

void out_lane_returned(struct lane *lane, struct urb *urb)
{
    struct out_lane *out = &lane->u.o;

    if (urb->status != 0 && urb->status != -EREMOTEIO) {
        lane_park(lane, true);
        engine_returned(lane->engine, urb);
        return;
    }
    out->is_good = true;
    out->entries_out -= urb->entries;
    out->bytes_out -= urb->size;
    lane->out.urbs++;
    lane->out.moved += urb->size;
    urb_free(lane->engine, urb);
    fill(lane);
    if (out->arrived.count != 0)
        lane_mark_dirty(lane); /* it may be worth a URB now */
}
