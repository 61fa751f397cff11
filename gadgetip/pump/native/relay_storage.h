/*
 * One interface of mass storage over the bulk-only transport: posting, and asking ahead.
 *
 * A CBW says how many bytes will move and where to. So the kernel's CBW is passed on and answered
 * at once; URBs for the data and for the CSW follow it without waiting for the kernel to ask. What
 * they bring waits in `arrivals` and is given to the kernel's own IN URBs as packets, as a cable would:
 * a URB is over when it is full or at a short packet, and at an error, which arrives in its place
 * among the data. Data that the kernel sends is posted as well, up to a bound.
 *
 * The rules are those of the Python shaper (gadgetip/pump/shapers/bot.py), which is the reference
 * for why. What is different here: the kernel has its own URBs, so nothing needs to be halted
 * towards it. A failure that it does not know of yet is the status of its next URB.
 *
 * Whatever is not the straight way is left to the kernel: what was asked ahead is taken back, its
 * answers are awaited, and the kernel's messages wait so long (a round trip). Then its URBs pass.
 */
#ifndef GADGETIP_RELAY_STORAGE_H
#define GADGETIP_RELAY_STORAGE_H

#include "relay_inside.h"

/* What one URB brought: so many bytes of `arrivals`, then how it ended. */
struct chunk {
    uint32_t length;
    uint32_t taken;
    int32_t status;
    bool is_short; /* it ended with a short packet, or an empty one */
};

struct storage {
    struct relay_setting setting;
    bool is_active; /* the host has chosen this setting */
    bool is_patient; /* the device wants to be asked for its CSW when the data is through */

    /* the command, as the host has it */
    bool is_ahead;     /* this command's data is posted and asked for ahead */
    bool moves_in;
    uint32_t tag;
    uint32_t out_left; /* data that the host has still to send */

    /* the command, as the device has it */
    uint32_t to_ask;  /* data-in bytes that are not asked for yet */
    uint32_t in_left; /* data-in bytes that have not arrived */
    bool in_over;     /* there will be no more data in */
    bool wants_status, status_seen;
    bool out_failed;
    bool status_stalled; /* the fate of the data will tell what that means */
    bool is_overdue;     /* the CSW that was asked for ahead is being taken back */
    bool status_lost;    /* it crossed that, and the server keeps it */
    int64_t watch_at;    /* when it will be overdue, 0: never */

    struct urb_list ahead, posted, waiting;
    uint32_t ahead_bytes, posted_bytes; /* of data */
    uint32_t unlinks, clears; /* of ours that the server has not answered */
    int64_t settle_at;        /* when one of them is to be answered, 0: there are none */
    uint32_t host_in, host_out; /* the kernel's URBs that were passed on */
    bool unlink_ahead, unlink_posted;
    bool clear_in, clear_out; /* to be cleared at the device */

    int32_t out_error; /* the status of the host's next OUT URB; a stall: of all until it clears */
    int32_t in_error;  /* to be put behind what arrives */
    bool in_failed;    /* an error has been put there */

    struct bytes arrivals;
    struct chunk chunks[MAX_CHUNKS];
    uint32_t chunk_first, chunk_count;
};

bool storage_make(struct storage *storage, const struct relay_setting *setting);
void storage_free(struct storage *storage);

/* The active one that has this endpoint, or NULL. */
struct storage *storage_with(struct relay *relay, uint8_t endpoint, bool is_in);

/* --- from the kernel's side --- */

/* Whether the kernel may say more: a CBW is begun by `storage_command`. */
enum storage_verdict { STORAGE_WAIT, STORAGE_PASS, STORAGE_POST };

enum storage_verdict storage_command(struct relay *relay, struct storage *storage,
                                     const uint8_t *wrapper);
enum storage_verdict storage_data(struct storage *storage, uint32_t length);

/* Whether an IN URB of the kernel's is to wait for what arrives, rather than pass. */
bool storage_serves(const struct storage *storage);

/* Take back what is ahead on either endpoint; true when all of it is answered for. */
bool storage_settle(struct storage *storage, bool in, bool out);

/* Forget the command and what has arrived; it must be settled. */
void storage_forget(struct storage *storage);

/* --- from the server's side --- */

/* `urb` is over (and given back by the caller); its `length` bytes are in `arrivals`. */
void storage_arrived(struct relay *relay, struct storage *storage, struct relay_urb *urb,
                     int32_t status, uint32_t length);
void storage_was_posted(struct relay *relay, struct storage *storage, struct relay_urb *urb,
                        int32_t status, uint32_t length);
void storage_was_unlinked(struct relay *relay, struct storage *storage, struct relay_urb *urb,
                          int32_t status);
void storage_was_cleared(struct storage *storage, struct relay_urb *urb);
void storage_host_out_ended(struct relay *relay, struct storage *storage, int32_t status);

/* --- both --- */

/* Do whatever can be done now; false where there is nothing. */
bool storage_step(struct relay *relay, struct storage *storage);

/* The count of unlinks or clears has changed. */
void storage_settles(struct storage *storage);

/* Look whether the CSW is overdue, or the server, which ends the relay. */
void storage_watch(struct relay *relay, struct storage *storage, int64_t now);

/* When to look again; 0: there is no need. */
int64_t storage_watch_at(const struct storage *storage);

/* --- relay_arrivals.c --- */

bool arrivals_have_room(const struct storage *storage, uint32_t length);
void arrivals_add(struct storage *storage, uint32_t length, bool is_short, int32_t status);

/* Answer the kernel's first waiting URB from what has arrived, if that suffices. */
bool arrivals_serve(struct relay *relay, struct storage *storage);

/* Whether what has arrived suffices for a URB of so many bytes. */
bool arrivals_suffice(const struct storage *storage, uint32_t asked);

/* End the first waiting URB with what there is, and a status. */
bool arrivals_cut(struct relay *relay, struct storage *storage, int32_t status);

#endif
