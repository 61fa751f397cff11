/*
 * What has arrived ahead of the kernel, and how its URBs are served from it: packet by packet, as
 * a host controller does. Each chunk is what one URB at the server brought. All its packets are
 * full but the last, which may also be empty, and what is taken of it ends at a packet.
 */
#include "relay_storage.h"

struct serving {
    uint32_t length; /* bytes for the URB */
    uint32_t dropped; /* of a packet that was too long for it */
    uint32_t chunks; /* that are used up */
    uint32_t taken;  /* of the chunk after those, in all */
    int32_t status;
    bool is_over;
};

static const struct chunk *chunk_at(const struct storage *storage, uint32_t position)
{
    return &storage->chunks[(storage->chunk_first + position) % MAX_CHUNKS];
}

static struct serving serve(const struct storage *storage, uint32_t asked)
{
    struct serving it = {0};
    uint32_t packet = storage->setting.in_packet;

    while (!it.is_over && it.chunks < storage->chunk_count) {
        const struct chunk *chunk = chunk_at(storage, it.chunks);
        uint32_t left = chunk->length - chunk->taken;
        uint32_t need = asked - it.length;

        if (left <= need && left > 0) {
            bool ends_empty = chunk->is_short && left % packet == 0;

            it.length += left;
            it.is_over = it.length == asked || chunk->is_short || chunk->status != 0;
            if (it.length == asked && (ends_empty || chunk->status != 0)) {
                it.taken = chunk->length; /* how it ended is for the next URB */
            } else {
                it.status = chunk->status;
                it.chunks++;
            }
        } else if (left == 0) { /* a packet without data, or an error */
            it.chunks++;
            it.status = chunk->status;
            it.is_over = true;
        } else {
            uint32_t whole = need / packet * packet;

            it.length += need;
            it.taken = chunk->taken + whole;
            if (whole < need) { /* the next packet is longer than what is asked for */
                uint32_t next = left - whole < packet ? left - whole : packet;

                it.dropped = next - (need - whole);
                it.taken += next;
                it.status = STATUS_OVERFLOW;
                if (it.taken == chunk->length && chunk->status == 0) { /* it ended there */
                    it.chunks++;
                    it.taken = 0;
                }
            }
            it.is_over = true;
        }
    }
    return it;
}

bool arrivals_suffice(const struct storage *storage, uint32_t asked)
{
    return serve(storage, asked).is_over;
}

bool arrivals_have_room(const struct storage *storage, uint32_t length)
{
    return storage->ahead_bytes + storage->arrivals.used + length <= storage->arrivals.size &&
           storage->ahead.count + storage->chunk_count + 2 < MAX_CHUNKS;
}

void arrivals_add(struct storage *storage, uint32_t length, bool is_short, int32_t status)
{
    struct chunk *chunk;

    if (storage->chunk_count == MAX_CHUNKS) /* not reached: `arrivals_have_room` keeps places */
        return;
    chunk = &storage->chunks[(storage->chunk_first + storage->chunk_count) % MAX_CHUNKS];
    chunk->length = length;
    chunk->taken = 0;
    chunk->status = status;
    chunk->is_short = is_short;
    storage->chunk_count++;
}

static bool give(struct relay *relay, struct storage *storage, const struct serving *it)
{
    struct relay_urb *urb = urbs_at(&relay->urbs, storage->waiting.first);
    struct wire_header ret = {
        .command = WIRE_RET_SUBMIT,
        .seqnum = urb->host_seqnum,
        .status = it->status,
        .length = (int32_t)it->length,
        .number_of_packets = urb->packets,
    };

    if (!may_tell_host(relay, it->length))
        return false;
    if (ret.status == 0 && it->length < urb->asked &&
        (urb->transfer_flags & WIRE_FLAG_SHORT_NOT_OK) != 0)
        ret.status = STATUS_SHORT;
    tell_host_data(relay, &ret, &storage->arrivals, it->length);
    bytes_drop(&storage->arrivals, it->dropped);
    storage->chunk_first = (storage->chunk_first + it->chunks) % MAX_CHUNKS;
    storage->chunk_count -= it->chunks;
    if (it->taken)
        storage->chunks[storage->chunk_first].taken = it->taken;
    list_remove(&relay->urbs, &storage->waiting, urb);
    urbs_give(&relay->urbs, urb);
    relay->counted.served++;
    relay->counted.urbs_in++;
    relay->counted.bytes_in += it->length;
    return true;
}

bool arrivals_serve(struct relay *relay, struct storage *storage)
{
    struct relay_urb *urb = urbs_at(&relay->urbs, storage->waiting.first);
    struct serving it;

    if (urb == NULL)
        return false;
    it = serve(storage, urb->asked);
    return it.is_over && give(relay, storage, &it);
}

bool arrivals_cut(struct relay *relay, struct storage *storage, int32_t status)
{
    struct relay_urb *urb = urbs_at(&relay->urbs, storage->waiting.first);
    struct serving it;

    if (urb == NULL)
        return false;
    it = serve(storage, urb->asked);
    it.status = status;
    return give(relay, storage, &it);
}
