#include "lane.h"

#include <stdlib.h>

#define MAX_PACKET 1024u
#define MAX_TRANSFER_BYTES (4u * 1024 * 1024)
#define CSW_ROOM 64u /* behind the data of a slot, in whole cache lines */
#define FEW 4u /* CBWs and CSWs under way: one, and what the host has not taken yet */

bool lane_is_quiet(const struct lane *lane)
{
    const struct bot_lane *bot = &lane->u.b;

    if (lane->in.ring.taken != 0 || lane->out.ring.taken != 0)
        return false;
    return lane->kind != LANE_BOT || (bot->commands.taken == 0 && bot->statuses.taken == 0);
}

void lane_mark_dirty(struct lane *lane)
{
    if (lane->is_dirty)
        return;
    lane->is_dirty = true;
    lane->next_dirty = lane->engine->dirty;
    lane->engine->dirty = lane;
}

void lane_park(struct lane *lane, bool tell)
{
    struct engine *engine = lane->engine;

    if (lane->state != LANE_LENT)
        return;
    if (lane->kind == LANE_BOT)
        bot_lane_flush(lane);
    lane->state = LANE_PARKED;
    for (uint32_t index = 0; index < MAX_URBS; index++) {
        struct urb *urb = &engine->stream.urbs[index];

        if (urb->state != URB_FREE && urb->lane == lane) {
            urb->lane = NULL;
            urb->from = lane;
        }
    }
    for (uint32_t index = 0; index < MAX_REQUESTS; index++) {
        struct request *request = &engine->files.requests[index];

        if (request->state != REQUEST_FREE && request->lane == lane) {
            request->lane = NULL;
            request->from = lane;
        }
    }
    lane->in.in_flight = lane->in.pending = lane->out.in_flight = lane->out.pending = 0;
    if (tell)
        engine_tell(engine, EVENT_PARKED, lane);
}

void lane_free(struct lane *lane)
{
    ring_free(&lane->in.ring);
    ring_free(&lane->out.ring);
    if (lane->kind == LANE_IN) {
        span_queue_free(&lane->u.i.arrived);
        free(lane->u.i.reports);
        free(lane->u.i.reported);
        free(lane->u.i.report_bytes);
    } else if (lane->kind == LANE_OUT) {
        span_queue_free(&lane->u.o.arrived);
    } else {
        ring_free(&lane->u.b.commands);
        ring_free(&lane->u.b.statuses);
        free(lane->u.b.kept);
    }
    free(lane);
}

static bool is_sane(const struct way *way)
{
    return way->window > 0 && way->window <= 256 && way->bytes > 0 &&
           way->bytes <= MAX_TRANSFER_BYTES && way->device_packet > 0 &&
           way->device_packet <= MAX_PACKET && way->host_packet > 0 &&
           way->host_packet <= MAX_PACKET;
}

static bool make_in(struct lane *lane, bool is_observed)
{
    struct in_lane *in = &lane->u.i;
    struct way *way = &lane->in;
    uint32_t pieces = in->ends_short ? way->bytes / (MAX_REQUEST_BYTES / 2) + 2 : 1;

    lane->reserved = way->window * pieces;
    if (is_observed && way->bytes <= MAX_PACKET) {
        in->reports = calloc(REPORT_KINDS, way->bytes);
        in->reported = calloc(REPORT_KINDS, sizeof *in->reported);
        in->report_bytes = calloc(REPORT_KINDS, sizeof *in->report_bytes);
        if (in->reports == NULL || in->reported == NULL || in->report_bytes == NULL)
            return false;
    }
    return span_queue_make(&in->arrived, way->window * pieces + 2) &&
           ring_make(&way->ring, way->window, way->bytes);
}

static bool make_out(struct lane *lane)
{
    struct out_lane *out = &lane->u.o;
    struct way *way = &lane->out;

    lane->reserved = out->ends_short ? 2 * way->window : way->window;
    return span_queue_make(&out->arrived, 2 * way->window + 2) &&
           ring_make(&way->ring, way->window, way->bytes);
}

static bool make_bot(struct lane *lane)
{
    struct bot_lane *bot = &lane->u.b;
    struct way *in = &lane->in, *out = &lane->out;
    uint32_t whole_in = round_up(in->bytes, in->device_packet);
    uint32_t whole_out = round_up(out->bytes, out->host_packet);

    bot->command_bytes = round_up(CBW_BYTES, out->host_packet);
    bot->status_bytes = round_up(CSW_BYTES, in->device_packet);
    lane->reserved = in->window * (in->bytes / MAX_REQUEST_BYTES + 1) + out->window + 2 * FEW;
    if (bot->keep_bytes != 0 && (bot->kept = malloc(bot->keep_bytes)) == NULL)
        return false;
    return ring_make(&in->ring, in->window, whole_in + CSW_ROOM) &&
           ring_make(&out->ring, out->window, whole_out) &&
           ring_make(&bot->commands, FEW, bot->command_bytes) &&
           ring_make(&bot->statuses, FEW, bot->status_bytes);
}

struct lane *lane_make(struct engine *engine, const struct lane *wanted, bool is_observed)
{
    struct lane *lane;
    uint32_t number = 0;
    bool is_made;

    while (number < MAX_LANES && engine->lanes[number] != NULL)
        number++;
    if (number == MAX_LANES || (wanted->kind != LANE_OUT && !is_sane(&wanted->in)) ||
        (wanted->kind != LANE_IN && !is_sane(&wanted->out)))
        return NULL;
    lane = malloc(sizeof *lane);
    if (lane == NULL)
        return NULL;
    *lane = *wanted;
    lane->engine = engine;
    lane->number = number;
    is_made = lane->kind == LANE_IN    ? make_in(lane, is_observed)
              : lane->kind == LANE_OUT ? make_out(lane)
                                       : make_bot(lane);
    if (!is_made || lane->reserved > MAX_REQUESTS - 128 - engine->reserved) {
        lane_free(lane);
        return NULL;
    }
    engine->reserved += lane->reserved;
    engine->lanes[number] = lane;
    return lane;
}

void lane_drop(struct lane *lane)
{
    struct engine *engine = lane->engine;

    for (struct lane **at = &engine->dirty; *at != NULL; at = &(*at)->next_dirty) {
        if (*at == lane) {
            *at = lane->next_dirty;
            break;
        }
    }
    for (struct event *event = engine->first; event != NULL; event = event->next) {
        if (event->kind == EVENT_PARKED && event->subject == lane)
            event->subject = NULL;
    }
    engine->reserved -= lane->reserved;
    engine->lanes[lane->number] = NULL;
    lane_free(lane);
}
