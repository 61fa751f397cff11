/*
 * What the kernel's vhci_hcd says: URBs and unlinks, one message after the other.
 *
 * Its transmitting thread still reads a URB's buffer while it sends the data. So a URB that is
 * posted is answered when all of its data has come, not before.
 */
#include <string.h>

#include "relay_storage.h"

#define CLASS_RESET 0xff /* Bulk-Only Mass Storage Reset */

static struct storage *storage_at(struct relay *relay, uint8_t place)
{
    return place == NO_STORAGE ? NULL : &relay->storages[place];
}

static uint8_t place_of(struct relay *relay, const struct storage *storage)
{
    return storage == NULL ? NO_STORAGE : (uint8_t)(storage - relay->storages);
}

/* Answer the kernel when the payload that is coming, if any, is through. */
static void answer(struct relay *relay, uint32_t command, uint32_t seqnum, int32_t status,
                   uint32_t length, int32_t packets)
{
    memset(&relay->answer, 0, sizeof relay->answer);
    relay->answer.command = command;
    relay->answer.seqnum = seqnum;
    relay->answer.status = status;
    relay->answer.length = (int32_t)length;
    relay->answer.number_of_packets = packets;
}

static struct relay_urb *urb_of(struct relay *relay, const struct wire_header *header,
                                enum relay_urb_kind kind)
{
    struct relay_urb *urb = urbs_take(&relay->urbs, kind);

    urb->host_seqnum = header->seqnum;
    urb->is_in = header->direction == WIRE_IN;
    urb->endpoint = (uint8_t)header->ep;
    urb->asked = (uint32_t)header->length;
    urb->transfer_flags = header->transfer_flags;
    urb->packets = header->number_of_packets;
    return urb;
}

/* Pass the message at the head of the inlet on, `payload` bytes behind its header. */
static void forward(struct relay *relay, struct wire_header *header, uint32_t seqnum,
                    uint32_t payload)
{
    header->seqnum = seqnum;
    tell_server(relay, header);
    relay->host.begin += WIRE_HEADER_BYTES;
    relay->host.payload_left = payload;
    relay->host.sink = SINK_FORWARD;
}

/* The payload of a CMD_SUBMIT; false where its lengths cannot be. It may be more than is passed. */
static bool payload_of(const struct wire_header *header, uint32_t *payload)
{
    int32_t packets = header->number_of_packets < 0 ? 0 : header->number_of_packets;

    if (header->direction > WIRE_IN || header->ep > WIRE_MAX_ENDPOINT || header->length < 0 ||
        (uint32_t)packets > RELAY_MAX_PACKETS)
        return false;
    *payload = (uint32_t)packets * WIRE_PACKET_BYTES;
    if (header->direction == WIRE_OUT)
        *payload += (uint32_t)header->length;
    return true;
}

/* --- control requests that make void what is ahead ------------------------------------------ */

static void fail_waiting(struct relay *relay, struct storage *storage)
{
    while (storage->waiting.count && arrivals_cut(relay, storage, STATUS_SHUTDOWN))
        continue;
}

/* Have a storage interface forget everything; false: not yet. */
static bool void_all(struct relay *relay, struct storage *storage)
{
    if (!storage->is_active)
        return true;
    if (!storage_settle(storage, true, true))
        return false;
    storage_forget(storage);
    fail_waiting(relay, storage);
    storage->out_error = 0;
    return storage->waiting.count == 0;
}

static bool settle_halt(struct relay *relay, uint8_t address)
{
    bool is_in = (address & 0x80) != 0;
    struct storage *storage = storage_with(relay, address & 0x0f, is_in);

    if (storage == NULL)
        return true;
    if (!storage_settle(storage, is_in, !is_in))
        return false;
    if (is_in)
        storage->in_failed = false;
    else
        storage->out_error = 0;
    return true;
}

static bool settle_reset(struct relay *relay, uint8_t interface)
{
    for (size_t place = 0; place < relay->storage_count; place++) {
        struct storage *storage = &relay->storages[place];

        if (!storage->is_active || storage->setting.interface != interface)
            continue;
        if (!storage_settle(storage, true, true))
            return false;
        storage_forget(storage);
    }
    return true;
}

/* Prepare for a control request; false: it has to wait. */
static bool settle_for(struct relay *relay, const uint8_t setup[WIRE_SETUP_BYTES])
{
    bool configures = setup[0] == 0x00 && setup[1] == 0x09; /* SET_CONFIGURATION */
    bool sets = setup[0] == 0x01 && setup[1] == 0x0b;       /* SET_INTERFACE */
    bool resets = setup[0] == 0x23 && setup[1] == 0x03 && setup[2] == 4; /* PORT_RESET */
    bool done = true;

    if (setup[0] == 0x02 && setup[1] == 0x01 && setup[2] == 0) /* CLEAR_FEATURE(ENDPOINT_HALT) */
        return settle_halt(relay, setup[4]);
    if (setup[0] == 0x21 && setup[1] == CLASS_RESET)
        return settle_reset(relay, setup[4]);
    for (size_t place = 0; place < relay->storage_count; place++) {
        struct storage *storage = &relay->storages[place];

        if (configures || resets || (sets && storage->setting.interface == setup[4]))
            done &= void_all(relay, storage);
    }
    for (size_t place = 0; done && place < relay->storage_count; place++) {
        struct storage *storage = &relay->storages[place];

        if (configures || (sets && storage->setting.interface == setup[4]))
            storage->is_active = false;
    }
    return done;
}

static void note_request(struct relay_urb *urb, const uint8_t setup[WIRE_SETUP_BYTES])
{
    if (setup[0] == 0x00 && setup[1] == 0x09)
        urb->request = REQUEST_CONFIGURATION;
    else if (setup[0] == 0x01 && setup[1] == 0x0b)
        urb->request = REQUEST_INTERFACE;
    urb->request_value = setup[2];
    urb->request_interface = setup[4];
}

/* --- submits ---------------------------------------------------------------------------------- */

static void pass_on(struct relay *relay, struct wire_header *header, uint32_t payload,
                    struct storage *storage)
{
    struct relay_urb *urb = urb_of(relay, header, URB_HOST);

    urb->storage = place_of(relay, storage);
    if (storage != NULL && urb->is_in)
        storage->host_in++;
    else if (storage != NULL)
        storage->host_out++;
    if (header->ep == 0)
        note_request(urb, header->setup);
    if (!urb->is_in)
        relay->counted.bytes_out += urb->asked;
    forward(relay, header, urb->seqnum, payload);
}

static void post(struct relay *relay, struct wire_header *header, struct storage *storage,
                 enum urb_role role)
{
    struct relay_urb *urb = urb_of(relay, header, URB_POSTED);
    uint32_t seqnum = header->seqnum;
    uint32_t length = urb->asked;

    urb->role = (uint8_t)role;
    urb->storage = place_of(relay, storage);
    list_add(&relay->urbs, &storage->posted, urb);
    if (role == ROLE_DATA)
        storage->posted_bytes += length;
    forward(relay, header, urb->seqnum, length);
    answer(relay, WIRE_RET_SUBMIT, seqnum, 0, length, urb->packets);
    relay->counted.posted++;
    relay->counted.saved++;
    relay->counted.urbs_out++;
    relay->counted.bytes_out += length;
}

/* Answer a URB with a status of the relay's, and drop its data and isochronous packets. */
static void refuse(struct relay *relay, const struct wire_header *header, uint32_t payload,
                   int32_t status)
{
    relay->host.begin += WIRE_HEADER_BYTES;
    relay->host.payload_left = payload;
    relay->host.sink = SINK_DISCARD;
    answer(relay, WIRE_RET_SUBMIT, header->seqnum, status, 0, 0);
    if (header->direction == WIRE_IN)
        relay->counted.urbs_in++;
    else
        relay->counted.urbs_out++;
}

/* What is wrong with a URB that the kernel may submit; 0: nothing. */
static int32_t why_not(const struct relay *relay, const struct wire_header *header)
{
    if ((uint32_t)header->length > WIRE_MAX_TRANSFER_BYTES)
        return STATUS_TOO_LONG;
    return urbs_available(&relay->urbs) <= URBS_FOR_UNLINKS ? STATUS_NO_MEMORY : 0;
}

static bool submit_out(struct relay *relay, struct wire_header *header, struct storage *storage,
                       uint32_t payload)
{
    const uint8_t *data = relay->host.buffer + relay->host.begin + WIRE_HEADER_BYTES;
    size_t there = relay->host.end - relay->host.begin - WIRE_HEADER_BYTES;
    enum storage_verdict verdict = STORAGE_PASS;
    enum urb_role role = ROLE_DATA;

    if (storage->out_error) { /* the device has failed, which the kernel could not know */
        refuse(relay, header, payload, storage->out_error);
        if (storage->out_error != STATUS_STALL)
            storage->out_error = 0;
        return true;
    }
    if (storage->out_left) {
        verdict = storage_data(storage, payload);
    } else if (header->length == CBW_BYTES) {
        if (there < CBW_BYTES)
            return false; /* the rest of it is on its way */
        verdict = storage_command(relay, storage, data);
        role = ROLE_COMMAND;
    }
    if (verdict == STORAGE_WAIT) {
        relay->host.is_stuck = true;
        return false;
    }
    if (verdict == STORAGE_POST)
        post(relay, header, storage, role);
    else
        pass_on(relay, header, payload, storage);
    return true;
}

static bool submit(struct relay *relay, struct wire_header *header)
{
    bool is_in = header->direction == WIRE_IN;
    uint32_t payload = 0;
    struct storage *storage = NULL;
    int32_t wrong;

    if (!payload_of(header, &payload)) {
        relay_end(relay, RELAY_KERNEL_NONSENSE, 0);
        return false;
    }
    relay->devid = header->devid;
    if (header->ep != 0)
        storage = storage_with(relay, (uint8_t)header->ep, is_in);
    wrong = why_not(relay, header);
    if (wrong) {
        if (storage != NULL && !is_in)
            storage->out_left = 0;
        refuse(relay, header, payload, wrong);
        relay->counted.errors++;
        return true;
    }
    if (header->ep == 0 && !settle_for(relay, header->setup)) {
        relay->host.is_stuck = true;
        return false;
    }
    if (storage != NULL && !is_in)
        return submit_out(relay, header, storage, payload);
    if (storage != NULL && storage_serves(storage)) {
        struct relay_urb *urb = urb_of(relay, header, URB_WAITING);

        urb->storage = place_of(relay, storage);
        if (!storage->waiting.count && arrivals_suffice(storage, urb->asked))
            relay->counted.saved++;
        list_add(&relay->urbs, &storage->waiting, urb);
        relay->host.begin += WIRE_HEADER_BYTES;
        return true;
    }
    pass_on(relay, header, payload, storage);
    return true;
}

/* --- unlinks ---------------------------------------------------------------------------------- */

static void unlink_urb(struct relay *relay, struct wire_header *header)
{
    struct relay_urb *target = urbs_of_host(&relay->urbs, header->unlink_seqnum);
    uint32_t seqnum = header->seqnum;

    if (target != NULL && target->kind == URB_HOST && !target->is_unlinking) {
        struct relay_urb *unlink = urbs_take(&relay->urbs, URB_HOST_UNLINK);

        unlink->host_seqnum = seqnum;
        unlink->target_seqnum = target->seqnum;
        target->is_unlinking = true;
        header->unlink_seqnum = target->seqnum;
        forward(relay, header, unlink->seqnum, 0);
        return;
    }
    relay->host.begin += WIRE_HEADER_BYTES;
    if (target != NULL && target->kind == URB_WAITING) {
        struct storage *storage = storage_at(relay, target->storage);

        list_remove(&relay->urbs, &storage->waiting, target);
        urbs_give(&relay->urbs, target);
        answer(relay, WIRE_RET_UNLINK, seqnum, STATUS_UNLINKED, 0, 0);
    } else {
        answer(relay, WIRE_RET_UNLINK, seqnum, 0, 0, 0); /* it is answered already */
    }
}

bool host_step(struct relay *relay)
{
    struct inlet *inlet = &relay->host;
    struct wire_header header;

    inlet->is_stuck = false;
    if (inlet->payload_left) {
        if (inlet_move(relay, inlet))
            return true;
        inlet->is_stuck = inlet->sink == SINK_FORWARD && bytes_room(&relay->to_server) == 0;
        return false;
    }
    if (relay->answer.command) {
        if (!may_tell_host(relay, 0)) {
            inlet->is_stuck = true;
            return false;
        }
        tell_host(relay, &relay->answer);
        relay->answer.command = 0;
        return true;
    }
    if (inlet->end - inlet->begin < WIRE_HEADER_BYTES)
        return false;
    if (!may_tell_server(relay) || !urbs_available(&relay->urbs)) {
        inlet->is_stuck = true;
        return false;
    }
    if (!wire_parse(inlet->buffer + inlet->begin, &header) ||
        (header.command != WIRE_CMD_SUBMIT && header.command != WIRE_CMD_UNLINK)) {
        relay_end(relay, RELAY_KERNEL_NONSENSE, 0);
        return false;
    }
    if (header.command == WIRE_CMD_SUBMIT)
        return submit(relay, &header);
    unlink_urb(relay, &header);
    return true;
}
