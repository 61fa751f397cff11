/*
 * Lanes: the straight way of the shapers, from URB to endpoint file and back, without Python.
 *
 * A lane is *lent* what a Python shaper has in its hands when nothing is under way, and goes on from
 * there. Whatever it does not know how to go on with (an error, a halt, an odd command, the end of
 * the stream) makes it *park*: from that moment on all that is in flight is Python's, which fetches
 * the lane's state, settles the case, and lends again. A shaper may take back its state at any time.
 *
 * So a lane has no error handling, and the shapers in Python stay the reference for all of it.
 */
#ifndef GADGETIP_LANE_H
#define GADGETIP_LANE_H

#include "engine.h"

#define CBW_BYTES 31u
#define CSW_BYTES 13u
#define MAX_REQUEST_BYTES (32u * 1024)
#define REPORT_KINDS 256u
#define LONGEST_WAIT 8u /* bursts */
#define BATCH 8u /* the part of a window that is worth a system call */

enum lane_kind { LANE_IN, LANE_OUT, LANE_BOT };
enum lane_state { LANE_IDLE, LANE_LENT, LANE_PARKED };

/* What a URB or a request of a lane is for. */
enum role {
    ROLE_NONE,
    ROLE_COMMAND, /* bot: the CBW */
    ROLE_DATA,
    ROLE_STATUS, /* bot: the CSW */
};

/* One end of a pair: the device's endpoint and the replica's file. */
struct way {
    struct file *file;
    uint8_t ep;
    int32_t interval;
    uint32_t device_packet;
    uint32_t host_packet;
    uint32_t window;
    uint32_t bytes; /* of a URB (IN), of a read (OUT) */
    struct ring ring;
    uint32_t in_flight; /* URBs */
    uint32_t pending;   /* requests */
    uint64_t urbs;      /* counted since Python asked last */
    uint64_t moved;
};

struct in_lane {
    uint32_t merge_bytes;
    uint32_t armed;
    uint32_t max_writes;
    uint32_t written; /* entries in writes that are queued */
    bool ends_short;
    bool is_good; /* a URB has brought something since it was lent */
    struct span_queue arrived;
    uint8_t *reports; /* the last of each kind, by its first byte */
    uint64_t *reported;
    uint16_t *report_bytes;
    uint64_t reports_seen;
};

struct out_lane {
    uint32_t merge_bytes;
    uint32_t entries_out;
    uint32_t bytes_out;
    uint32_t arrived_bytes;
    uint64_t waits_since; /* the burst in which the first of what waits has arrived */
    bool ends_short;
    bool is_good;
    struct span_queue arrived;
};

struct bot_lane {
    struct ring commands, statuses;
    uint8_t command[CBW_BYTES];
    uint32_t tag, data_length;
    uint32_t command_bytes, status_bytes;
    uint32_t asked, moved, bytes_out;
    uint32_t read_bytes;
    uint32_t units; /* bit by bit: those that were addressed */
    struct span last; /* of the data, while its burst lasts: the CSW may come to it */
    uint8_t *kept;
    uint32_t kept_bytes, keep_bytes;
    bool kept_all;
    bool data_in, data_over, under_way, status_asked, status_seen, expecting, patient;
    int64_t began; /* seconds, coarse */
};

struct lane {
    struct engine *engine;
    struct lane *next_dirty;
    uint32_t number;
    uint32_t reserved;
    enum lane_kind kind;
    enum lane_state state;
    bool is_dirty;
    struct way in, out;
    union {
        struct in_lane i;
        struct out_lane o;
        struct bot_lane b;
    } u;
};

/* Give up the straight way: what is in flight is Python's from now on, which is told. */
void lane_park(struct lane *lane, bool tell);
/* The least number of bytes in whole packets that is not less than `size`. */
static inline uint32_t round_up(uint32_t size, uint32_t packet)
{
    return (size + packet - 1) / packet * packet;
}

void lane_mark_dirty(struct lane *lane);
bool lane_is_quiet(const struct lane *lane);
void lane_free(struct lane *lane);

/* The rings and tables of a lane whose `kind`, `in`, `out` and `u` say how large they are to be, and
 * its number in the engine; NULL where the engine has no room for it. */
struct lane *lane_make(struct engine *engine, const struct lane *wanted, bool is_observed);
/* Forget a lane that is idle and quiet. */
void lane_drop(struct lane *lane);

void in_lane_lent(struct lane *lane);
void in_lane_returned(struct lane *lane, struct urb *urb);
void in_lane_completed(struct lane *lane, struct request *request);

void out_lane_lent(struct lane *lane);
void out_lane_returned(struct lane *lane, struct urb *urb);
void out_lane_completed(struct lane *lane, struct request *request);
void out_lane_flush(struct lane *lane);

void bot_lane_lent(struct lane *lane, const uint8_t command[CBW_BYTES]);
void bot_lane_returned(struct lane *lane, struct urb *urb);
void bot_lane_completed(struct lane *lane, struct request *request);
/* Write what was kept back for the CSW to come to it. */
void bot_lane_flush(struct lane *lane);
/* Whether this is a CBW that the lane carries out; the rest is the shaper's. */
bool bot_lane_wants(const uint8_t *data, uint32_t length);
/* Park what has been under way for long. */
void bot_lane_watch(struct lane *lane, int64_t now);

#endif
