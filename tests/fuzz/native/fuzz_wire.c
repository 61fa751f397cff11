/* Any 48 bytes: what is parsed and packed again parses to the same. */
#include <stdlib.h>
#include <string.h>

#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_header(const uint8_t *bytes)
{
    uint8_t packed[WIRE_HEADER_BYTES];
    struct wire_header header, again;

    if (!wire_parse(bytes, &header))
        return;
    wire_pack(packed, &header);
    if (!wire_parse(packed, &again) || memcmp(&header, &again, sizeof header) != 0)
        abort();
    if (memcmp(packed, bytes, 20) != 0)
        abort(); /* what every command has is kept as it was */
}

/* No answer claims more than was asked for. */
static void check_extent(const uint8_t *bytes, uint32_t asked)
{
    struct wire_header header;
    uint32_t length = 0;

    if (!wire_parse(bytes, &header))
        return;
    for (int direction = WIRE_OUT; direction <= WIRE_IN; direction++) {
        if (!wire_ret_extent(&header, (enum wire_direction)direction, asked, &length))
            continue;
        if (header.length < 0 || (uint32_t)header.length > asked || length > asked)
            abort();
        if (length != (direction == WIRE_IN ? (uint32_t)header.length : 0))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t asked = 0;

    if (size < WIRE_HEADER_BYTES)
        return 0;
    memcpy(&asked, data + size - sizeof asked, sizeof asked);
    check_header(data);
    check_extent(data, asked);
    return 0;
}
