/*
 * The memory of a lane: slots of one size in one piece, handed out in turn.
 *
 * Everything on one endpoint moves in order, so slots are taken in order and come back in order, and
 * packets that follow one another lie side by side: several leave in one piece without a copy. A
 * peer that answers out of order makes the ring wait for the slot that is next, and harms nothing.
 * A slot may have several users (the pieces of a large URB are written one by one).
 */
#ifndef GADGETIP_RING_H
#define GADGETIP_RING_H

#include <stdbool.h>
#include <stdint.h>

struct ring {
    uint8_t *memory;
    uint8_t *users; /* of each slot */
    uint32_t slot_bytes;
    uint32_t slots;
    uint32_t next;
    uint32_t taken; /* slots that have users */
};

/* Bytes inside of a ring, or, where `ring` is NULL, memory of their own. */
struct span {
    struct ring *ring;
    uint8_t *data;
    uint32_t first; /* slot */
    uint32_t slots;
    uint32_t length; /* bytes from `data` on */
};

bool ring_make(struct ring *ring, uint32_t slots, uint32_t slot_bytes);
void ring_free(struct ring *ring);

/* The next slot, whole; `data` is NULL where it is still in use. */
struct span ring_take(struct ring *ring);

/* One more user of the same slots, for `length` bytes from `offset` on. */
struct span span_share(const struct span *span, uint32_t offset, uint32_t length);

/* Whether `behind` begins in the slot after `span`, which is full: they can be one. */
bool span_touches(const struct span *span, const struct span *behind);

/* Make two that touch one. */
void span_join(struct span *span, const struct span *behind);

/* Memory outside of any ring; `data` is NULL where there is none. */
struct span span_alone(uint32_t length);

/* One user less; what has no ring is freed. */
void span_release(struct span *span);

/* What has arrived and not gone on yet, in order. Its owner knows that there is room for it. */
struct span_queue {
    struct span *spans;
    uint32_t capacity;
    uint32_t first;
    uint32_t count;
};

bool span_queue_make(struct span_queue *queue, uint32_t capacity);
void span_queue_free(struct span_queue *queue);
void span_queue_put(struct span_queue *queue, struct span span);

/* The first; of a queue that is not empty. */
struct span span_queue_take(struct span_queue *queue);

/* The first, joined by those behind it that lie side by side and go in one piece without changing
 * the packets on the wire: `packet` bytes are a full one, and at most `longest` bytes go together.
 * `entries` is how many went into it. */
struct span span_queue_take_joined(struct span_queue *queue, uint32_t packet, uint32_t longest,
                                   uint32_t *entries);

#endif
