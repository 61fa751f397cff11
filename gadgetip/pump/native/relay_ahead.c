/* See relay_storage.h: what the relay asks of the device itself, and takes back. */
#include <errno.h>

#include "relay_storage.h"

static uint32_t round_up(uint32_t size, uint32_t packet)
{
    return (size + packet - 1) / packet * packet;
}

static uint8_t place_of(const struct relay *relay, const struct storage *storage)
{
    return (uint8_t)(storage - relay->storages);
}

static void ask(struct relay *relay, struct storage *storage, enum urb_role role, uint32_t size,
                uint32_t whole)
{
    struct relay_urb *urb = urbs_take(&relay->urbs, URB_AHEAD);
    struct wire_header header = {
        .command = WIRE_CMD_SUBMIT,
        .seqnum = urb->seqnum,
        .devid = relay->devid,
        .direction = WIRE_IN,
        .ep = storage->setting.in,
        .transfer_flags = WIRE_FLAG_DIR_IN,
        .length = (int32_t)whole,
    };

    if (whole > WIRE_SCATTER_GATHER_ABOVE)
        header.transfer_flags |= WIRE_FLAG_DMA_MAP_SG;
    urb->role = (uint8_t)role;
    urb->size = size;
    urb->asked = whole;
    urb->is_in = true;
    urb->endpoint = storage->setting.in;
    urb->storage = place_of(relay, storage);
    list_add(&relay->urbs, &storage->ahead, urb);
    storage->ahead_bytes += whole;
    tell_server(relay, &header);
}

/* Take back what is to be taken back, the last first: nothing gets what one before it missed. */
static bool take_back(struct relay *relay, struct storage *storage, struct urb_list *list)
{
    bool moved = false;
    struct relay_urb *urb = urbs_at(&relay->urbs, list->last);

    for (; urb && may_tell_server(relay); urb = urbs_at(&relay->urbs, urb->previous)) {
        struct relay_urb *unlink;
        struct wire_header header = {.command = WIRE_CMD_UNLINK, .devid = relay->devid};

        if (urb->is_unlinking)
            continue;
        if (!urbs_available(&relay->urbs))
            break;
        unlink = urbs_take(&relay->urbs, URB_UNLINK);
        unlink->target_seqnum = header.unlink_seqnum = urb->seqnum;
        unlink->storage = urb->storage;
        header.seqnum = unlink->seqnum;
        urb->is_unlinking = true;
        storage->unlinks++;
        storage_settles(storage);
        tell_server(relay, &header);
        moved = true;
    }
    return moved;
}

static void clear_halt(struct relay *relay, struct storage *storage, bool is_in)
{
    struct relay_urb *urb = urbs_take(&relay->urbs, URB_CLEAR);
    struct wire_header header = {
        .command = WIRE_CMD_SUBMIT,
        .seqnum = urb->seqnum,
        .devid = relay->devid,
        .direction = WIRE_OUT,
        .setup = {0x02, 0x01, 0, 0, 0, 0, 0, 0},
    };

    header.setup[4] = is_in ? storage->setting.in | 0x80 : storage->setting.out;
    urb->is_in = is_in;
    urb->storage = place_of(relay, storage);
    storage->clears++;
    storage_settles(storage);
    tell_server(relay, &header);
}

static bool clear_halts(struct relay *relay, struct storage *storage)
{
    if (storage->posted.count || storage->unlinks || !may_tell_server(relay) ||
        !urbs_available(&relay->urbs))
        return false;
    if (storage->clear_out) {
        storage->clear_out = false;
        clear_halt(relay, storage, false);
        return true;
    }
    if (storage->clear_in && !storage->ahead.count) {
        storage->clear_in = false;
        clear_halt(relay, storage, true);
        return true;
    }
    return false;
}

static bool ask_ahead(struct relay *relay, struct storage *storage)
{
    uint32_t packet = storage->setting.in_packet;
    bool moved = false;
    bool is_through;

    if (storage->unlink_ahead || storage->status_stalled || storage->clear_in || storage->clears)
        return false;
    while (storage->to_ask && may_tell_server(relay) && urbs_available(&relay->urbs)) {
        uint32_t size = storage->to_ask < PIECE_BYTES ? storage->to_ask : PIECE_BYTES;
        uint32_t whole = round_up(size, packet);

        if (!arrivals_have_room(storage, whole))
            return moved;
        storage->to_ask -= size;
        ask(relay, storage, ROLE_DATA, size, whole);
        moved = true;
    }
    is_through = storage->moves_in ? storage->in_over
                                   : !storage->posted.count && !storage->host_out;
    if (storage->wants_status && !storage->to_ask && (!storage->is_patient || is_through) &&
        may_tell_server(relay) && urbs_available(&relay->urbs) &&
        arrivals_have_room(storage, round_up(CSW_BYTES, packet))) {
        storage->wants_status = false;
        ask(relay, storage, ROLE_STATUS, CSW_BYTES, round_up(CSW_BYTES, packet));
        moved = true;
    }
    return moved;
}

/* The kernel asks for more than is under way: that is between it and the device. */
static bool pass_waiting(struct relay *relay, struct storage *storage)
{
    struct relay_urb *urb = urbs_at(&relay->urbs, storage->waiting.first);

    if (!urb || storage->ahead.count || storage->unlinks || storage->clears || storage->to_ask ||
        storage->wants_status || storage->status_stalled || storage->clear_in ||
        storage->in_error || !may_tell_server(relay))
        return false;
    if (storage->chunk_count) { /* it has a part, which does not suffice (else it was served) */
        uint32_t size = urb->asked - (uint32_t)storage->arrivals.used;

        if (arrivals_suffice(storage, urb->asked) || !urbs_available(&relay->urbs))
            return false;
        if (!arrivals_have_room(storage, size))
            return arrivals_cut(relay, storage, STATUS_OVERFLOW);
        ask(relay, storage, ROLE_MORE, size, size);
        return true;
    }
    {
        struct wire_header header = {
            .command = WIRE_CMD_SUBMIT,
            .seqnum = urb->seqnum,
            .devid = relay->devid,
            .direction = WIRE_IN,
            .ep = urb->endpoint,
            .transfer_flags = urb->transfer_flags,
            .length = (int32_t)urb->asked,
            .number_of_packets = urb->packets,
        };

        list_remove(&relay->urbs, &storage->waiting, urb);
        urb->kind = URB_HOST;
        storage->host_in++;
        tell_server(relay, &header);
    }
    return true;
}

bool storage_step(struct relay *relay, struct storage *storage)
{
    bool moved = arrivals_serve(relay, storage);

    if (storage->is_overdue && !storage->ahead.count && !storage->unlinks) {
        storage->is_overdue = false;
        if (!storage->status_seen && !storage->in_failed && storage->is_ahead) {
            relay_tell(relay, RELAY_EVENT_SILENT, storage->setting.in | 0x80, 0);
            storage->is_patient = true;
            if (storage->status_lost) /* the device has none left: the host is to reset at once */
                storage->in_error = STATUS_PROTOCOL;
            else
                storage->wants_status = true;
        }
    }
    if (storage->in_error && !storage->ahead.count && !storage->unlinks) {
        if (!storage->in_failed) /* else the device has said so itself meanwhile */
            arrivals_add(storage, 0, false, storage->in_error);
        storage->in_error = 0;
        storage->in_failed = true;
        moved = true;
    }
    if (storage->unlink_ahead)
        moved |= take_back(relay, storage, &storage->ahead);
    if (storage->unlink_posted)
        moved |= take_back(relay, storage, &storage->posted);
    moved |= clear_halts(relay, storage);
    moved |= ask_ahead(relay, storage);
    moved |= pass_waiting(relay, storage);
    return moved;
}

void storage_settles(struct storage *storage)
{
    storage->settle_at = storage->unlinks || storage->clears ? now_ns() + SETTLE_NS : 0;
}

void storage_watch(struct relay *relay, struct storage *storage, int64_t now)
{
    if (storage->settle_at && now >= storage->settle_at)
        relay_end(relay, RELAY_SERVER_FAILED, ETIMEDOUT);
    if (storage->watch_at && now >= storage->watch_at) {
        storage->watch_at = 0;
        if (!storage->is_patient && !storage->status_seen && storage->ahead.count) {
            storage->unlink_ahead = true;
            storage->is_overdue = true;
        }
    }
}

int64_t storage_watch_at(const struct storage *storage)
{
    if (storage->watch_at && (!storage->settle_at || storage->watch_at < storage->settle_at))
        return storage->watch_at;
    return storage->settle_at;
}
