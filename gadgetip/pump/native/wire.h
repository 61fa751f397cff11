/*
 * The URB phase of USB/IP: headers of 48 bytes, to and from their fields.
 *
 * Pure: bytes in, fields out. What a header claims is only taken apart here; whether it may be
 * believed, the owner of the stream decides, who knows what was asked (`wire_ret_extent`).
 *
 * Source: Documentation/usb/usbip_protocol.rst; drivers/usb/usbip/usbip_common.h.
 */
#ifndef GADGETIP_WIRE_H
#define GADGETIP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_HEADER_BYTES 48u
#define WIRE_SETUP_BYTES 8u
#define WIRE_MAX_ENDPOINT 15u
#define WIRE_MAX_TRANSFER_BYTES (16u * 1024 * 1024)

enum wire_command {
    WIRE_CMD_SUBMIT = 1,
    WIRE_CMD_UNLINK = 2,
    WIRE_RET_SUBMIT = 3,
    WIRE_RET_UNLINK = 4,
};

enum wire_direction { WIRE_OUT = 0, WIRE_IN = 1 };

/* include/uapi/linux/usbip.h */
#define WIRE_FLAG_SHORT_NOT_OK 0x0001u
#define WIRE_FLAG_ZERO_PACKET 0x0040u
#define WIRE_FLAG_DIR_IN 0x0200u
#define WIRE_FLAG_DMA_MAP_SG 0x40000u

/* Above this length the stub is asked to use a scatter list: a single kmalloc of that size may fail
 * on a server whose memory is fragmented, and the stub then gives the device up for good. */
#define WIRE_SCATTER_GATHER_ABOVE (64u * 1024)

/* One header. The fields from `transfer_flags` on mean what the command makes of them:
 * `status` is that of a RET_SUBMIT or RET_UNLINK, `length` is transfer_buffer_length or
 * actual_length, `unlink_seqnum` is CMD_UNLINK's. */
struct wire_header {
    uint32_t command;
    uint32_t seqnum;
    uint32_t devid;
    uint32_t direction;
    uint32_t ep;
    uint32_t transfer_flags; /* CMD_SUBMIT */
    int32_t status;          /* RET_* */
    uint32_t unlink_seqnum;  /* CMD_UNLINK */
    int32_t length;          /* *_SUBMIT */
    int32_t start_frame;
    int32_t number_of_packets;
    int32_t interval; /* CMD_SUBMIT; error_count of a RET_SUBMIT */
    uint8_t setup[WIRE_SETUP_BYTES];
};

/* Any command of the four; unused fields must be 0. */
void wire_pack(uint8_t out[WIRE_HEADER_BYTES], const struct wire_header *header);

/* Take a header apart. Returns false for a command that is none of the four. */
bool wire_parse(const uint8_t in[WIRE_HEADER_BYTES], struct wire_header *header);

/* The bytes of data behind a RET_SUBMIT that answers a URB of `direction` and `asked` bytes.
 * Returns false where its lengths cannot be believed: the stream has no next message then. */
bool wire_ret_extent(const struct wire_header *ret, enum wire_direction direction, uint32_t asked,
                     uint32_t *data_bytes);

#endif
