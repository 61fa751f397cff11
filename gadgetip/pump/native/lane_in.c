/*
 * One IN endpoint: `packet`, `interrupt`, `short` (shapers/in_shaper.py, packet_in.py, short_in.py).
 *
 * A window of URBs waits at the device; what waits at either end counts. Packets that have arrived
 * together leave in one write where they lie side by side.
 */
#include "lane.h"

#include <errno.h>
#include <string.h>

/* URBs leave by the dozen: while enough of the window waits at the device, a few more need no system
 * call and no wake-up of the server of their own. */
static bool is_worth_filling(const struct lane *lane)
{
    const struct in_lane *in = &lane->u.i;
    uint32_t used = lane->in.in_flight + in->arrived.count + in->written;

    return used + in->armed / BATCH <= in->armed || lane->in.in_flight <= in->armed / 2;
}

static void fill(struct lane *lane)
{
    struct in_lane *in = &lane->u.i;
    struct way *way = &lane->in;

    if (!is_worth_filling(lane))
        return;
    while (lane->state == LANE_LENT && way->in_flight + in->arrived.count + in->written < in->armed) {
        struct span span = ring_take(&way->ring);
        struct urb *urb;

        if (span.data == NULL)
            return;
        urb = urb_submit(lane->engine, way->ep, WIRE_IN, way->bytes, way->interval, NULL, span);
        if (urb == NULL)
            return;
        urb->lane = lane;
        way->in_flight++;
    }
}

static void write_arrived(struct lane *lane)
{
    struct in_lane *in = &lane->u.i;

    while (lane->state == LANE_LENT && in->arrived.count != 0 && lane->in.pending < in->max_writes) {
        uint32_t entries;
        struct span span = span_queue_take_joined(&in->arrived, lane->in.device_packet,
                                                  in->ends_short ? 0 : in->merge_bytes, &entries);
        struct request *request = request_queue(lane->engine, lane->in.file, span);

        if (request == NULL) {
            engine_end(lane->engine, ENDING_ERRNO, ENOBUFS, NULL); /* its data is lost: be it told */
            return;
        }
        request->lane = lane;
        request->entries = entries;
        request->size = span.length;
        in->written += entries;
        lane->in.pending++;
    }
}

static void arrive(struct lane *lane, struct span *span, uint32_t actual)
{
    struct in_lane *in = &lane->u.i;
    uint32_t packet = lane->in.host_packet, piece = actual, at = 0;
    bool is_end = in->ends_short && actual < lane->in.bytes;

    if (in->ends_short && MAX_REQUEST_BYTES >= packet)
        piece = MAX_REQUEST_BYTES / packet * packet;
    for (; at < actual; at += piece) {
        uint32_t rest = actual - at;

        span_queue_put(&in->arrived, span_share(span, at, rest < piece ? rest : piece));
    }
    if (actual == 0 ? !in->ends_short || is_end : is_end && actual % packet == 0)
        span_queue_put(&in->arrived, span_share(span, actual, 0));
    span_release(span);
}

/* Keep the last report of each kind, for a device whose link may be lost. */
static void observe(struct in_lane *in, const struct way *way, const struct span *span,
                    uint32_t actual)
{
    uint32_t kind = actual != 0 ? span->data[0] : 0;

    if (in->reports == NULL || actual == 0)
        return;
    memcpy(in->reports + (size_t)kind * way->bytes, span->data, actual);
    in->report_bytes[kind] = (uint16_t)actual;
    in->reported[kind] = ++in->reports_seen;
}

void in_lane_lent(struct lane *lane)
{
    lane->u.i.is_good = false;
    lane->u.i.written = 0;
    fill(lane);
}

void in_lane_returned(struct lane *lane, struct urb *urb)
{
    struct in_lane *in = &lane->u.i;

    if (urb->status != 0 && urb->status != -EREMOTEIO) {
        lane_park(lane, true);
        engine_returned(lane->engine, urb);
        return;
    }
    in->is_good = true;
    in->armed = lane->in.window;
    lane->in.urbs++;
    observe(in, &lane->in, &urb->span, urb->actual);
    arrive(lane, &urb->span, urb->actual);
    urb_free(lane->engine, urb);
    write_arrived(lane);
    fill(lane);
}

void in_lane_completed(struct lane *lane, struct request *request)
{
    struct in_lane *in = &lane->u.i;

    if (request->result != request->size) {
        lane_park(lane, true);
        engine_completed(lane->engine, request);
        return;
    }
    lane->in.moved += request->size;
    in->written -= request->entries;
    in->max_writes = 2;
    request_free(lane->engine, request);
    write_arrived(lane);
    fill(lane);
}
