/* What the pieces of the relay share; see relay.h. */
#ifndef GADGETIP_RELAY_INSIDE_H
#define GADGETIP_RELAY_INSIDE_H

#include <pthread.h>

#include "relay.h"
#include "relay_bytes.h"
#include "wire.h"

#define RELAY_URBS 2048u /* a power of two: the low bits of a seqnum are the place */
#define LATE_URBS 64u    /* how many that may still be answered are kept */
#define NO_URB 0xffffu
#define NO_STORAGE 0xffu
#define INLET_BYTES (64u * 1024)
#define TO_SERVER_BYTES (256u * 1024)
#define TO_KERNEL_BYTES (1280u * 1024)
#define RESERVE_BYTES 4096u /* room for what one message of the kernel makes the relay say */
#define EVENTS 64u
#define RELAY_MAX_PACKETS 1024u
#define URBS_FOR_UNLINKS (RELAY_URBS / 2) /* places that no URB of the kernel's gets */
#define WIRE_PACKET_BYTES 16u /* an isochronous packet's descriptor */

#define ARRIVALS_BYTES (1088u * 1024)
#define MAX_COMMAND_BYTES (1024u * 1024) /* commands that move more pass through */
#define MAX_POSTED_BYTES (1024u * 1024)
#define PIECE_BYTES (64u * 1024)
#define MAX_CHUNKS 64u
#define CBW_BYTES 31u
#define CSW_BYTES 13u
#define WATCH_NS 1500000000LL
#define SETTLE_NS 5000000000LL /* for the server to answer what the relay unlinks and clears */

/* Linux's numbers, which USB/IP carries over the wire whatever the machine. */
#define STATUS_UNLINKED (-104) /* ECONNRESET */
#define STATUS_STALL (-32)     /* EPIPE */
#define STATUS_NO_MEMORY (-12)
#define STATUS_TOO_LONG (-90) /* EMSGSIZE */
#define STATUS_PROTOCOL (-71)
#define STATUS_OVERFLOW (-75)
#define STATUS_SHORT (-121) /* EREMOTEIO: a short packet, and URB_SHORT_NOT_OK */
#define STATUS_SHUTDOWN (-108)

/* --- URBs (relay_urbs.c) --- */

enum relay_urb_kind {
    URB_FREE,
    URB_HOST,        /* the kernel's, passed on */
    URB_WAITING,     /* the kernel's, served from what arrives; the server does not know it */
    URB_AHEAD,       /* ours: asks the device before the host does */
    URB_POSTED,      /* the kernel's, which has its answer already */
    URB_CLEAR,       /* ours: CLEAR_FEATURE(ENDPOINT_HALT) */
    URB_HOST_UNLINK, /* the kernel's CMD_UNLINK, passed on */
    URB_UNLINK,      /* ours */
    URB_LATE,        /* unlinked; its RET_SUBMIT may still come, and nobody wants it */
};

enum urb_role { ROLE_NONE, ROLE_COMMAND, ROLE_DATA, ROLE_STATUS, ROLE_MORE };

enum host_request {
    REQUEST_OTHER,
    REQUEST_CONFIGURATION,
    REQUEST_INTERFACE,
};

struct relay_urb {
    uint32_t seqnum;        /* towards the server */
    uint32_t host_seqnum;   /* the kernel's */
    uint32_t target_seqnum; /* of an unlink: towards the server */
    uint32_t asked;         /* bytes */
    uint32_t size;          /* of an URB_AHEAD: what it is for; `asked` is whole packets */
    uint32_t transfer_flags;
    int32_t packets; /* isochronous */
    uint16_t previous, next, own_index;
    uint8_t kind;
    uint8_t role;
    uint8_t endpoint;
    uint8_t storage;
    uint8_t request; /* enum host_request */
    uint8_t request_value, request_interface;
    bool is_in;
    bool is_unlinking;
};

struct urb_list {
    uint16_t first, last;
    uint32_t count;
};

struct urb_table {
    struct relay_urb *urbs;
    struct urb_list free, late;
    uint32_t generation;
};

bool urbs_make(struct urb_table *table);
void urbs_free(struct urb_table *table);
struct relay_urb *urbs_at(struct urb_table *table, uint16_t index); /* NULL for NO_URB */
uint32_t urbs_available(const struct urb_table *table);

/* A urb with a fresh seqnum, all else 0; there must be one available. */
struct relay_urb *urbs_take(struct urb_table *table, enum relay_urb_kind kind);
void urbs_give(struct urb_table *table, struct relay_urb *urb);

/* Keep it as URB_LATE for a while. */
void urbs_give_later(struct urb_table *table, struct relay_urb *urb);
struct relay_urb *urbs_by_seqnum(struct urb_table *table, uint32_t seqnum);

/* The kernel's URB of this seqnum that is not answered yet. */
struct relay_urb *urbs_of_host(struct urb_table *table, uint32_t host_seqnum);

void list_clear(struct urb_list *list);
void list_add(struct urb_table *table, struct urb_list *list, struct relay_urb *urb);
void list_remove(struct urb_table *table, struct urb_list *list, struct relay_urb *urb);

/* --- streams --- */

enum sink { SINK_DISCARD, SINK_FORWARD, SINK_ARRIVALS };

/* What comes from one side: headers through `buffer`, data straight to where it belongs. */
struct inlet {
    int file;
    uint8_t *buffer;
    size_t begin, end;
    uint32_t payload_left;
    enum sink sink;
    bool is_stuck; /* what is in the buffer has to wait: nothing more is read */
};

struct storage;

struct relay {
    struct inlet host, server;
    struct bytes to_host, to_server;
    struct urb_table urbs;
    uint32_t devid;
    struct storage *storages;
    size_t storage_count;
    uint8_t configuration;

    struct wire_header answer; /* for the kernel, when the payload is through; `command` 0: none */

    struct relay_urb *returning; /* what was asked for ahead, and is being received */
    struct wire_header returned;

    struct relay_statistics counted;
    int poller, wake_file, event_file;
    uint32_t host_interest, server_interest;
    pthread_t thread;
    bool is_started, is_joined;

    pthread_mutex_t lock; /* guards what follows, which the owner reads */
    struct relay_statistics told;
    struct relay_event events[EVENTS];
    uint32_t event_first, event_count;
    enum relay_end ended;
    int error;
};

/* relay_host.c: one step with what the kernel has sent; false where there is nothing to do. */
bool host_step(struct relay *relay);

/* relay_server.c: the same with what the server has sent. */
bool server_step(struct relay *relay);

/* --- relay_streams.c --- */

bool may_tell_server(const struct relay *relay); /* between two messages, and there is room */
bool may_tell_host(const struct relay *relay, size_t length);
void tell_server(struct relay *relay, const struct wire_header *header);
void tell_host(struct relay *relay, const struct wire_header *header);

/* The same with the first `length` bytes of `data`, which are taken; much is sent at once. */
void tell_host_data(struct relay *relay, const struct wire_header *header, struct bytes *data,
                    size_t length);

/* Send what the socket takes; returns an errno, or 0. */
int bytes_send(int file, struct bytes *bytes);

/* Read once: payload goes where it belongs, what is behind it into the buffer.
 * Returns an errno, 0, or -1 at the end of the stream. */
int inlet_receive(struct relay *relay, struct inlet *inlet);

/* Move payload that is in the buffer to where it belongs; false: there is none, or no room. */
bool inlet_move(struct relay *relay, struct inlet *inlet);

/* --- relay.c --- */

void relay_end(struct relay *relay, enum relay_end why, int error);
void relay_tell(struct relay *relay, enum relay_event_kind kind, uint8_t endpoint, int64_t value);
int64_t now_ns(void);

#endif
