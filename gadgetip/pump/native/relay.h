/*
 * The relay: the pump of the vhci sink. It stands between a server's stub, to which it is a client,
 * and the kernel's vhci_hcd, to which it is a server, and has a thread of its own.
 *
 * Everything passes through, under seqnums of the relay's own. What makes it worth while is mass
 * storage over the bulk-only transport: a command costs three round trips through plain vhci (CBW,
 * data, CSW, each awaited), and one through the relay, which answers for what is sent (it is
 * *posted*) and asks the device ahead of the host (relay_storage.h).
 *
 * Memory, all of it taken by `relay_new`, with S interfaces of mass storage (4 at most):
 *
 *     RELAY_URBS x sizeof(struct relay_urb)            88 KiB
 *     2 x INLET_BYTES + TO_SERVER_BYTES               384 KiB
 *     TO_KERNEL_BYTES                                1280 KiB
 *     S x (ARRIVALS_BYTES + descriptors)         S x ~1090 KiB
 *
 * so about 2.8 MiB with one interface and 6 MiB with four; untouched memory is not resident. Where
 * any of it is full, the side that would fill it is not read from; half of the URBs are for unlinks,
 * and a URB of the kernel's that would need one of these fails.
 */
#ifndef GADGETIP_RELAY_H
#define GADGETIP_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_MAX_STORAGES 4u

/* One alternate setting that speaks bulk-only transport; endpoints are numbers, 1 to 15. */
struct relay_setting {
    uint8_t configuration; /* bConfigurationValue */
    uint8_t interface;
    uint8_t alternate;
    uint8_t out;
    uint8_t in;
    uint16_t in_packet; /* wMaxPacketSize of `in`, bytes */
};

/* What has moved since the start. */
struct relay_statistics {
    uint64_t bytes_in;  /* data given to the host */
    uint64_t bytes_out; /* data taken from the host */
    uint64_t urbs_in;
    uint64_t urbs_out;
    uint64_t posted;    /* OUT URBs answered before the device had them */
    uint64_t served;    /* IN URBs answered from what had been asked for ahead */
    uint64_t saved;     /* of both, those that cost the host no wait at all */
    uint64_t discarded; /* posted bytes that the device did not take */
    uint64_t halts;
    uint64_t errors;
};

enum relay_end {
    RELAY_RUNS = 0,
    RELAY_STOPPED,
    RELAY_SERVER_CLOSED,
    RELAY_SERVER_FAILED,   /* `error` has the errno */
    RELAY_SERVER_NONSENSE, /* it broke the protocol */
    RELAY_KERNEL_CLOSED,   /* the device was detached */
    RELAY_KERNEL_FAILED,
    RELAY_KERNEL_NONSENSE,
};

enum relay_event_kind {
    RELAY_EVENT_STALLS = 1, /* the device stalls when it is asked for its status ahead of time */
    RELAY_EVENT_SILENT,     /* it does not answer then */
    RELAY_EVENT_LOST,       /* `value` posted bytes were not taken by endpoint `endpoint` */
    RELAY_EVENT_FAILED,     /* endpoint `endpoint` failed with status `value` */
};

struct relay_event {
    uint8_t kind;
    uint8_t endpoint; /* bEndpointAddress */
    int64_t value;
};

struct relay;

/* Both files are stream sockets and stay the caller's. NULL: no memory, or no event file. */
struct relay *relay_new(int server, int kernel, const struct relay_setting *settings, size_t count);
void relay_free(struct relay *relay); /* stops it */

/* Returns 0, or an errno. */
int relay_start(struct relay *relay);

/* End the thread and wait for it; both sockets are shut down. */
void relay_stop(struct relay *relay);

/* Readable when there are events, or when it has ended. */
int relay_event_file(const struct relay *relay);

/* The next event; false where there is none. */
bool relay_take_event(struct relay *relay, struct relay_event *event);

void relay_read_statistics(struct relay *relay, struct relay_statistics *statistics);
enum relay_end relay_ended(struct relay *relay, int *error);

#endif
