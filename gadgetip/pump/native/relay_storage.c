/* See relay_storage.h: the command as host and device have it. What follows is relay_ahead.c's. */
#include "relay_storage.h"

#include <string.h>

static uint32_t little32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

bool storage_make(struct storage *storage, const struct relay_setting *setting)
{
    memset(storage, 0, sizeof *storage);
    storage->setting = *setting;
    list_clear(&storage->ahead);
    list_clear(&storage->posted);
    list_clear(&storage->waiting);
    return bytes_make(&storage->arrivals, ARRIVALS_BYTES);
}

void storage_free(struct storage *storage)
{
    bytes_free(&storage->arrivals);
}

struct storage *storage_with(struct relay *relay, uint8_t endpoint, bool is_in)
{
    for (size_t place = 0; place < relay->storage_count; place++) {
        struct storage *storage = &relay->storages[place];

        if (storage->is_active &&
            endpoint == (is_in ? storage->setting.in : storage->setting.out))
            return storage;
    }
    return NULL;
}

/* --- from the kernel's side ----------------------------------------------------------------- */

/* Bulk-Only Transport 1.0, 6.2.1 and 6.2.2: what is not valid and meaningful passes through. */
static bool is_command(const uint8_t *wrapper)
{
    return memcmp(wrapper, "USBC", 4) == 0 && (wrapper[12] & 0x7f) == 0 &&
           (wrapper[13] & 0xf0) == 0 && wrapper[14] >= 1 && wrapper[14] <= 16;
}

static bool is_status(const struct storage *storage, const uint8_t *wrapper)
{
    return memcmp(wrapper, "USBS", 4) == 0 && little32(wrapper + 4) == storage->tag;
}

static void ask_no_more(struct storage *storage)
{
    storage->to_ask = 0;
    storage->wants_status = false;
    storage->watch_at = 0;
}

enum storage_verdict storage_command(struct relay *relay, struct storage *storage,
                                     const uint8_t *wrapper)
{
    uint32_t length = little32(wrapper + 8);

    if (!is_command(wrapper))
        return STORAGE_PASS;
    if (storage->ahead.count || storage->unlinks || storage->clears) {
        /* The command before is through, or the host has given it up. */
        storage->unlink_ahead = storage->ahead.count > 0;
        ask_no_more(storage);
        return STORAGE_WAIT;
    }
    ask_no_more(storage);
    storage->moves_in = length > 0 && (wrapper[12] & 0x80) != 0;
    storage->out_left = storage->moves_in ? 0 : length;
    storage->is_ahead = !storage->posted.count && !storage->waiting.count && !storage->host_in &&
                        !storage->host_out && !storage->chunk_count && !storage->in_error &&
                        length <= MAX_COMMAND_BYTES && urbs_available(&relay->urbs) > MAX_CHUNKS;
    if (!storage->is_ahead)
        return STORAGE_PASS;
    storage->tag = little32(wrapper + 4);
    storage->to_ask = storage->in_left = storage->moves_in ? length : 0;
    storage->in_over = !storage->moves_in;
    storage->wants_status = storage->moves_in || length == 0;
    storage->status_seen = false;
    storage->out_failed = false;
    storage->status_stalled = false;
    storage->is_overdue = storage->status_lost = false;
    storage->in_failed = false;
    return STORAGE_POST;
}

enum storage_verdict storage_data(struct storage *storage, uint32_t length)
{
    bool may_post = storage->is_ahead && !storage->host_out &&
                    storage->posted_bytes + length <= MAX_POSTED_BYTES;

    storage->out_left -= length < storage->out_left ? length : storage->out_left;
    if (storage->is_ahead && storage->out_left == 0)
        storage->wants_status = true;
    return may_post ? STORAGE_POST : STORAGE_PASS;
}

bool storage_serves(const struct storage *storage)
{
    return storage->waiting.count || storage->ahead.count || storage->unlinks ||
           storage->clears || storage->chunk_count || storage->to_ask || storage->wants_status ||
           storage->status_stalled || storage->clear_in || storage->in_error;
}

bool storage_settle(struct storage *storage, bool in, bool out)
{
    if (in) {
        ask_no_more(storage);
        storage->unlink_ahead = storage->ahead.count > 0;
        storage->clear_in = storage->status_stalled = false;
        storage->is_overdue = storage->status_lost = false;
    }
    if (out) {
        storage->unlink_posted = storage->posted.count > 0;
        storage->clear_out = false;
    }
    return !storage->unlink_ahead && !storage->unlink_posted && !storage->unlinks &&
           !storage->clears;
}

void storage_forget(struct storage *storage)
{
    ask_no_more(storage);
    storage->is_ahead = false;
    storage->out_left = 0;
    storage->in_error = 0;
    storage->in_failed = false;
    storage->status_stalled = false;
    bytes_drop(&storage->arrivals, storage->arrivals.used);
    storage->chunk_first = storage->chunk_count = 0;
}

/* --- from the server's side ----------------------------------------------------------------- */

static void note_status(struct storage *storage, uint32_t length)
{
    uint8_t wrapper[CSW_BYTES];

    if (length != CSW_BYTES)
        return;
    bytes_peek(&storage->arrivals, storage->arrivals.used - CSW_BYTES, wrapper, CSW_BYTES);
    if (!is_status(storage, wrapper))
        return;
    storage->status_seen = true;
    storage->in_over = true;
    ask_no_more(storage);
    storage->unlink_ahead = storage->ahead.count > 0; /* they would wait for the next command */
}

static void note_data(struct storage *storage, const struct relay_urb *urb, uint32_t length)
{
    storage->in_left -= length < storage->in_left ? length : storage->in_left;
    if (length < urb->size) { /* the next URB in line gets the CSW */
        storage->to_ask = 0;
        storage->in_over = true;
        if (storage->ahead.count)
            storage->wants_status = false;
    } else if (storage->in_left == 0) {
        storage->in_over = true;
    }
    if (storage->in_over && !storage->is_patient)
        storage->watch_at = now_ns() + WATCH_NS;
}

/* The device has failed, and the host, which does not know, is to be told by an IN URB. */
static void fail_in(struct storage *storage, int32_t status)
{
    ask_no_more(storage);
    storage->unlink_ahead = storage->ahead.count > 0;
    if (!storage->in_failed && storage->in_error == 0)
        storage->in_error = status;
}

static void in_failed(struct relay *relay, struct storage *storage, int32_t status)
{
    ask_no_more(storage);
    storage->unlink_ahead = storage->ahead.count > 0;
    storage->in_failed = true;
    storage->in_over = true;
    if (status == STATUS_STALL)
        relay->counted.halts++;
    else
        relay->counted.errors++;
}

/* The device has stalled when it was asked for its CSW while data was on its way out. */
static void judge_stall(struct relay *relay, struct storage *storage)
{
    if (!storage->status_stalled || storage->posted.count || storage->host_out)
        return;
    storage->status_stalled = false;
    if (storage->out_failed) {
        in_failed(relay, storage, STATUS_STALL);
        arrivals_add(storage, 0, false, STATUS_STALL);
        return;
    }
    if (!storage->is_patient)
        relay_tell(relay, RELAY_EVENT_STALLS, storage->setting.in | 0x80, 0);
    storage->is_patient = true;
    storage->clear_in = true;
}

static void end_ahead(struct relay *relay, struct storage *storage, struct relay_urb *urb)
{
    list_remove(&relay->urbs, &storage->ahead, urb);
    storage->ahead_bytes -= urb->asked;
    if (!storage->ahead.count)
        storage->unlink_ahead = false;
}

void storage_arrived(struct relay *relay, struct storage *storage, struct relay_urb *urb,
                     int32_t status, uint32_t length)
{
    end_ahead(relay, storage, urb);
    if (status == 0) {
        arrivals_add(storage, length, length < urb->asked, 0);
        if (urb->role == ROLE_DATA && !storage->in_over &&
            (length == urb->size || length != CSW_BYTES)) {
            note_data(storage, urb, length);
        } else {
            note_status(storage, length);
            if (urb->role == ROLE_DATA && !storage->in_over)
                note_data(storage, urb, length);
        }
        return;
    }
    if (length == 0 && storage->in_failed)
        return; /* it waited behind the one that failed */
    if (urb->role == ROLE_STATUS && status == STATUS_STALL && !storage->moves_in &&
        (storage->posted.count || storage->host_out) && length == 0) {
        storage->status_stalled = true;
        return;
    }
    arrivals_add(storage, length, false, status);
    in_failed(relay, storage, status);
}

static void command_failed(struct storage *storage, int32_t status)
{
    storage->out_error = status;
    storage->out_left = 0;
    fail_in(storage, status);
}

static void data_failed(struct storage *storage, int32_t status)
{
    storage->unlink_posted = storage->posted.count > 0;
    if (storage->out_left) { /* it has more to send: that meets the failure */
        storage->out_error = status;
        storage->out_left = 0;
        storage->is_ahead = false;
    } else if (status == STATUS_STALL) { /* it has sent all: the CSW tells */
        storage->clear_out = true;
    } else {
        fail_in(storage, status);
    }
}

static void end_posted(struct relay *relay, struct storage *storage, struct relay_urb *urb)
{
    list_remove(&relay->urbs, &storage->posted, urb);
    if (urb->role == ROLE_DATA)
        storage->posted_bytes -= urb->asked;
    if (!storage->posted.count)
        storage->unlink_posted = false;
}

void storage_was_posted(struct relay *relay, struct storage *storage, struct relay_urb *urb,
                        int32_t status, uint32_t length)
{
    uint8_t address = storage->setting.out;
    uint32_t lost = urb->asked - (length < urb->asked ? length : urb->asked);

    end_posted(relay, storage, urb);
    if (status) {
        if (status == STATUS_STALL) {
            relay->counted.halts++;
        } else {
            relay->counted.errors++;
            relay_tell(relay, RELAY_EVENT_FAILED, address, status);
        }
        relay->counted.discarded += lost;
        if (!storage->out_failed) { /* else it waited behind the one that failed */
            storage->out_failed = true;
            if (urb->role == ROLE_COMMAND)
                command_failed(storage, status);
            else
                data_failed(storage, status);
        }
    }
    judge_stall(relay, storage);
}

void storage_was_unlinked(struct relay *relay, struct storage *storage, struct relay_urb *urb,
                          int32_t status)
{
    if (urb->kind == URB_POSTED) {
        end_posted(relay, storage, urb);
        if (status) {
            relay->counted.discarded += urb->asked;
            relay_tell(relay, RELAY_EVENT_LOST, storage->setting.out, urb->asked);
        }
        judge_stall(relay, storage);
    } else {
        end_ahead(relay, storage, urb);
        if (status == STATUS_STALL && !storage->in_failed) { /* it crossed the unlink */
            in_failed(relay, storage, status);
            arrivals_add(storage, 0, false, status);
        } else if (status == 0 && storage->is_overdue) {
            storage->status_lost = true;
        }
    }
}

void storage_was_cleared(struct storage *storage, struct relay_urb *urb)
{
    storage->clears--;
    storage_settles(storage);
    if (urb->is_in)
        storage->wants_status = storage->is_ahead && !storage->status_seen;
}

void storage_host_out_ended(struct relay *relay, struct storage *storage, int32_t status)
{
    storage->host_out--;
    if (status) {
        storage->out_left = 0;
        storage->out_failed = true;
    }
    judge_stall(relay, storage);
}
