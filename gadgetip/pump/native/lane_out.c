/*
 * One OUT endpoint: `packet`, `interrupt`, `short` (shapers/out_shaper.py, packet_out.py,
 * short_out.py).
 *
 * Reads wait for the host as far as the window allows; what has arrived by the end of a burst leaves
 * as one URB where it lies side by side.
 */
#include "lane.h"

#include <errno.h>

static void fill(struct lane *lane)
{
    struct out_lane *out = &lane->u.o;
    struct way *way = &lane->out;

    while (lane->state == LANE_LENT &&
           way->pending + out->count + out->entries_out < way->window) {
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
    out->arrived[(out->first + out->count++) % out->capacity] = span;
    out->arrived_bytes += span.length;
}

static struct span next_urb(struct out_lane *out, uint32_t packet, uint32_t *entries)
{
    struct span data = out->arrived[out->first];

    *entries = 1;
    while (--out->count, out->first = (out->first + 1) % out->capacity, out->count != 0) {
        const struct span *next = &out->arrived[out->first];

        if (out->ends_short || data.length == 0 || data.length % packet != 0 ||
            next->length == 0 || next->length > out->merge_bytes - data.length ||
            !span_touches(&data, next))
            break;
        span_join(&data, next);
        ++*entries;
    }
    out->arrived_bytes -= data.length;
    return data;
}

void out_lane_flush(struct lane *lane)
{
    struct out_lane *out = &lane->u.o;

    while (lane->state == LANE_LENT && out->count != 0) {
        uint32_t entries;
        struct span span = next_urb(out, lane->out.host_packet, &entries);
        struct urb *urb = urb_submit(lane->engine, lane->out.ep, WIRE_OUT, span.length,
                                     lane->out.interval, NULL, span);

        if (urb == NULL)
            return;
        urb->lane = lane;
        urb->entries = entries;
        urb->size = span.length;
        out->entries_out += entries;
        out->bytes_out += span.length;
        lane->out.in_flight++;
    }
}

void out_lane_lent(struct lane *lane)
{
    struct out_lane *out = &lane->u.o;

    out->is_good = false;
    out->first = out->count = out->entries_out = out->bytes_out = out->arrived_bytes = 0;
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
}
