#include "wire.h"

#include <string.h>

static void put32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void wire_pack(uint8_t out[WIRE_HEADER_BYTES], const struct wire_header *header)
{
    memset(out, 0, WIRE_HEADER_BYTES);
    put32(out, header->command);
    put32(out + 4, header->seqnum);
    put32(out + 8, header->devid);
    put32(out + 12, header->direction);
    put32(out + 16, header->ep);
    switch (header->command) {
    case WIRE_CMD_SUBMIT:
        put32(out + 20, header->transfer_flags);
        memcpy(out + 40, header->setup, WIRE_SETUP_BYTES);
        break;
    case WIRE_CMD_UNLINK:
        put32(out + 20, header->unlink_seqnum);
        return;
    case WIRE_RET_SUBMIT:
        put32(out + 20, (uint32_t)header->status);
        break;
    default:
        put32(out + 20, (uint32_t)header->status);
        return;
    }
    put32(out + 24, (uint32_t)header->length);
    put32(out + 28, (uint32_t)header->start_frame);
    put32(out + 32, (uint32_t)header->number_of_packets);
    put32(out + 36, (uint32_t)header->interval);
}

bool wire_parse(const uint8_t in[WIRE_HEADER_BYTES], struct wire_header *header)
{
    memset(header, 0, sizeof *header);
    header->command = get32(in);
    header->seqnum = get32(in + 4);
    header->devid = get32(in + 8);
    header->direction = get32(in + 12);
    header->ep = get32(in + 16);
    switch (header->command) {
    case WIRE_CMD_SUBMIT:
        header->transfer_flags = get32(in + 20);
        memcpy(header->setup, in + 40, WIRE_SETUP_BYTES);
        break;
    case WIRE_CMD_UNLINK:
        header->unlink_seqnum = get32(in + 20);
        return true;
    case WIRE_RET_SUBMIT:
        header->status = (int32_t)get32(in + 20);
        break;
    case WIRE_RET_UNLINK:
        header->status = (int32_t)get32(in + 20);
        return true;
    default:
        return false;
    }
    header->length = (int32_t)get32(in + 24);
    header->start_frame = (int32_t)get32(in + 28);
    header->number_of_packets = (int32_t)get32(in + 32);
    header->interval = (int32_t)get32(in + 36);
    return true;
}

bool wire_ret_extent(const struct wire_header *ret, enum wire_direction direction, uint32_t asked,
                     uint32_t *data_bytes)
{
    if (ret->length < 0 || (uint32_t)ret->length > asked)
        return false;
    /* 0 and -1 both say "not isochronous", and a server may answer the one with the other. */
    if (ret->number_of_packets != 0 && ret->number_of_packets != -1)
        return false;
    *data_bytes = direction == WIRE_IN ? (uint32_t)ret->length : 0;
    return true;
}
