/*
 * What the server says: the answers to the kernel's URBs and unlinks, and to the relay's own.
 *
 * vhci_hcd ends the connection at an answer to what it did not ask, or asked and was told of. So an
 * answer that comes after that of the unlink, which the protocol allows, ends here.
 */
#include "relay_storage.h"

static struct storage *storage_of(struct relay *relay, const struct relay_urb *urb)
{
    return urb->storage == NO_STORAGE ? NULL : &relay->storages[urb->storage];
}

/* The bytes behind a RET_SUBMIT; false where its lengths cannot be believed. */
static bool extent_of(const struct wire_header *ret, const struct relay_urb *urb, uint32_t *bytes)
{
    if (urb->packets <= 0)
        return wire_ret_extent(ret, urb->is_in ? WIRE_IN : WIRE_OUT, urb->asked, bytes);
    if (ret->length < 0 || (uint32_t)ret->length > urb->asked || ret->number_of_packets < 0 ||
        ret->number_of_packets > urb->packets)
        return false;
    *bytes = (uint32_t)ret->number_of_packets * WIRE_PACKET_BYTES;
    if (urb->is_in)
        *bytes += (uint32_t)ret->length;
    return true;
}

/* The host has chosen a configuration or an alternate setting: which interfaces are ours now. */
static void note_setting(struct relay *relay, const struct relay_urb *urb)
{
    if (urb->request == REQUEST_CONFIGURATION)
        relay->configuration = urb->request_value;
    for (size_t place = 0; place < relay->storage_count; place++) {
        struct storage *storage = &relay->storages[place];
        const struct relay_setting *setting = &storage->setting;

        if (setting->configuration != relay->configuration)
            continue;
        if (urb->request == REQUEST_CONFIGURATION)
            storage->is_active = setting->alternate == 0;
        else if (setting->interface == urb->request_interface)
            storage->is_active = setting->alternate == urb->request_value;
    }
}

static void host_urb_ended(struct relay *relay, struct relay_urb *urb, int32_t status)
{
    struct storage *storage = storage_of(relay, urb);

    if (storage != NULL && urb->is_in)
        storage->host_in--;
    else if (storage != NULL)
        storage_host_out_ended(relay, storage, status);
    if (urb->request != REQUEST_OTHER && status == 0)
        note_setting(relay, urb);
    if (status == STATUS_STALL)
        relay->counted.halts++;
    else if (status != 0 && status != STATUS_SHORT && status != STATUS_UNLINKED)
        relay->counted.errors++;
}

static void pass_back(struct relay *relay, struct relay_urb *urb, struct wire_header *ret,
                      uint32_t payload)
{
    ret->seqnum = urb->host_seqnum;
    tell_host(relay, ret);
    relay->server.payload_left = payload;
    relay->server.sink = SINK_FORWARD;
    if (urb->is_in) {
        relay->counted.urbs_in++;
        relay->counted.bytes_in += (uint32_t)ret->length;
    } else {
        relay->counted.urbs_out++;
    }
    host_urb_ended(relay, urb, ret->status);
    urbs_give(&relay->urbs, urb);
}

static void drop_late(struct relay *relay, struct relay_urb *urb, uint32_t payload)
{
    relay->server.payload_left = payload;
    relay->server.sink = SINK_DISCARD;
    if (payload && urb->storage != NO_STORAGE) {
        relay->counted.discarded += payload;
        relay_tell(relay, RELAY_EVENT_LOST, urb->endpoint | 0x80, payload);
    }
    list_remove(&relay->urbs, &relay->urbs.late, urb);
    urbs_give(&relay->urbs, urb);
}

static bool returned(struct relay *relay, struct wire_header *ret)
{
    struct relay_urb *urb = urbs_by_seqnum(&relay->urbs, ret->seqnum);
    struct storage *storage;
    uint32_t payload = 0;

    if (urb == NULL || urb->kind == URB_WAITING || urb->kind == URB_UNLINK ||
        urb->kind == URB_HOST_UNLINK || !extent_of(ret, urb, &payload)) {
        relay_end(relay, RELAY_SERVER_NONSENSE, 0);
        return false;
    }
    storage = storage_of(relay, urb);
    relay->server.begin += WIRE_HEADER_BYTES;
    switch (urb->kind) {
    case URB_HOST:
        pass_back(relay, urb, ret, payload);
        break;
    case URB_AHEAD:
        relay->returning = urb;
        relay->returned = *ret;
        relay->server.payload_left = payload;
        relay->server.sink = SINK_ARRIVALS;
        break;
    case URB_POSTED:
        storage_was_posted(relay, storage, urb, ret->status, (uint32_t)ret->length);
        urbs_give(&relay->urbs, urb);
        break;
    case URB_CLEAR:
        storage_was_cleared(storage, urb);
        urbs_give(&relay->urbs, urb);
        break;
    default:
        drop_late(relay, urb, payload);
        break;
    }
    return true;
}

static void give_unlinked(struct relay *relay, struct relay_urb *urb, int32_t status)
{
    if (status == 0) /* it was over before: its answer has come, will come, or is lost */
        urbs_give_later(&relay->urbs, urb);
    else
        urbs_give(&relay->urbs, urb);
}

static bool unlinked(struct relay *relay, struct wire_header *ret)
{
    struct relay_urb *unlink = urbs_by_seqnum(&relay->urbs, ret->seqnum);
    struct relay_urb *target;

    if (unlink == NULL || (unlink->kind != URB_UNLINK && unlink->kind != URB_HOST_UNLINK)) {
        relay_end(relay, RELAY_SERVER_NONSENSE, 0);
        return false;
    }
    relay->server.begin += WIRE_HEADER_BYTES;
    target = urbs_by_seqnum(&relay->urbs, unlink->target_seqnum);
    if (unlink->kind == URB_UNLINK) {
        struct storage *storage = storage_of(relay, unlink);

        if (storage != NULL) {
            storage->unlinks--;
            storage_settles(storage);
        }
        if (storage != NULL && target != NULL &&
            (target->kind == URB_AHEAD || target->kind == URB_POSTED)) {
            storage_was_unlinked(relay, storage, target, ret->status);
            give_unlinked(relay, target, ret->status);
        }
    } else {
        ret->seqnum = unlink->host_seqnum;
        tell_host(relay, ret);
        if (target != NULL && target->kind == URB_HOST) {
            host_urb_ended(relay, target, ret->status ? ret->status : STATUS_UNLINKED);
            give_unlinked(relay, target, ret->status);
        }
    }
    urbs_give(&relay->urbs, unlink);
    return true;
}

bool server_step(struct relay *relay)
{
    struct inlet *inlet = &relay->server;
    struct wire_header header;

    inlet->is_stuck = false;
    if (inlet->payload_left) {
        if (inlet_move(relay, inlet))
            return true;
        inlet->is_stuck = inlet->sink == SINK_FORWARD && bytes_room(&relay->to_host) == 0;
        return false;
    }
    if (relay->returning != NULL) {
        struct relay_urb *urb = relay->returning;

        relay->returning = NULL;
        storage_arrived(relay, storage_of(relay, urb), urb, relay->returned.status,
                        (uint32_t)relay->returned.length);
        urbs_give(&relay->urbs, urb);
        return true;
    }
    if (inlet->end - inlet->begin < WIRE_HEADER_BYTES)
        return false;
    if (!may_tell_host(relay, 0)) {
        inlet->is_stuck = true;
        return false;
    }
    if (!wire_parse(inlet->buffer + inlet->begin, &header) ||
        (header.command != WIRE_RET_SUBMIT && header.command != WIRE_RET_UNLINK)) {
        relay_end(relay, RELAY_SERVER_NONSENSE, 0);
        return false;
    }
    return header.command == WIRE_RET_SUBMIT ? returned(relay, &header) : unlinked(relay, &header);
}
