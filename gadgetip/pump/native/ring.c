#include "ring.h"

#include <stdlib.h>
#include <string.h>

bool ring_make(struct ring *ring, uint32_t slots, uint32_t slot_bytes)
{
    memset(ring, 0, sizeof *ring);
    if (slots == 0 || slot_bytes == 0)
        return false;
    ring->memory = calloc(slots, slot_bytes);
    ring->users = calloc(slots, 1);
    ring->slots = slots;
    ring->slot_bytes = slot_bytes;
    if (ring->memory == NULL || ring->users == NULL) {
        ring_free(ring);
        return false;
    }
    return true;
}

void ring_free(struct ring *ring)
{
    free(ring->memory);
    free(ring->users);
    memset(ring, 0, sizeof *ring);
}

struct span ring_take(struct ring *ring)
{
    struct span span = {0};
    uint32_t slot = ring->next;

    if (ring->users == NULL || ring->users[slot] != 0)
        return span;
    ring->users[slot] = 1;
    ring->taken++;
    ring->next = slot + 1 == ring->slots ? 0 : slot + 1;
    span.ring = ring;
    span.first = slot;
    span.slots = 1;
    span.data = ring->memory + (size_t)slot * ring->slot_bytes;
    span.length = ring->slot_bytes;
    return span;
}

struct span span_share(const struct span *span, uint32_t offset, uint32_t length)
{
    struct span shared = *span;

    for (uint32_t slot = 0; span->ring != NULL && slot < span->slots; slot++)
        span->ring->users[span->first + slot]++;
    shared.data = span->data + offset;
    shared.length = length;
    return shared;
}

bool span_touches(const struct span *span, const struct span *behind)
{
    return span->ring != NULL && span->ring == behind->ring &&
           span->first + span->slots == behind->first &&
           span->data + span->length == behind->data;
}

void span_join(struct span *span, const struct span *behind)
{
    span->slots += behind->slots;
    span->length += behind->length;
}

struct span span_alone(uint32_t length)
{
    struct span span = {0};

    span.data = malloc(length != 0 ? length : 1);
    span.length = length;
    return span;
}

void span_release(struct span *span)
{
    struct ring *ring = span->ring;

    if (ring == NULL) {
        free(span->data);
    } else {
        for (uint32_t slot = span->first; slot < span->first + span->slots; slot++) {
            if (--ring->users[slot] == 0)
                ring->taken--;
        }
    }
    memset(span, 0, sizeof *span);
}

bool span_queue_make(struct span_queue *queue, uint32_t capacity)
{
    memset(queue, 0, sizeof *queue);
    queue->spans = calloc(capacity, sizeof *queue->spans);
    queue->capacity = capacity;
    return queue->spans != NULL;
}

void span_queue_free(struct span_queue *queue)
{
    free(queue->spans);
    memset(queue, 0, sizeof *queue);
}

void span_queue_put(struct span_queue *queue, struct span span)
{
    queue->spans[(queue->first + queue->count++) % queue->capacity] = span;
}

struct span span_queue_take(struct span_queue *queue)
{
    struct span span = queue->spans[queue->first];

    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
    return span;
}

struct span span_queue_take_joined(struct span_queue *queue, uint32_t packet, uint32_t longest,
                                   uint32_t *entries)
{
    struct span joined = span_queue_take(queue);

    for (*entries = 1; queue->count != 0; ++*entries) {
        const struct span *next = &queue->spans[queue->first];

        if (joined.length == 0 || joined.length % packet != 0 || next->length == 0 ||
            joined.length + next->length > longest || !span_touches(&joined, next))
            break;
        span_join(&joined, next);
        span_queue_take(queue);
    }
    return joined;
}
