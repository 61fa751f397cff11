#include "relay_bytes.h"

#include <stdlib.h>
#include <string.h>

static size_t least(size_t one, size_t other)
{
    return one < other ? one : other;
}

bool bytes_make(struct bytes *bytes, size_t size)
{
    memset(bytes, 0, sizeof *bytes);
    bytes->memory = malloc(size);
    bytes->size = size;
    return bytes->memory != NULL;
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->memory);
    memset(bytes, 0, sizeof *bytes);
}

size_t bytes_room(const struct bytes *bytes)
{
    return bytes->size - bytes->used;
}

void bytes_put(struct bytes *bytes, const uint8_t *data, size_t length)
{
    struct iovec pieces[2];
    int count = bytes_free_pieces(bytes, length, pieces);

    for (int piece = 0; piece < count; piece++) {
        memcpy(pieces[piece].iov_base, data, pieces[piece].iov_len);
        data += pieces[piece].iov_len;
    }
    bytes->used += length;
}

void bytes_peek(const struct bytes *bytes, size_t offset, uint8_t *data, size_t length)
{
    size_t at = (bytes->begin + offset) % bytes->size;
    size_t first = least(length, bytes->size - at);

    memcpy(data, bytes->memory + at, first);
    memcpy(data + first, bytes->memory, length - first);
}

void bytes_drop(struct bytes *bytes, size_t length)
{
    bytes->used -= length;
    bytes->begin = bytes->used == 0 ? 0 : (bytes->begin + length) % bytes->size;
}

void bytes_move(struct bytes *to, struct bytes *from, size_t length)
{
    size_t first = least(length, from->size - from->begin);

    bytes_put(to, from->memory + from->begin, first);
    bytes_put(to, from->memory, length - first);
    bytes_drop(from, length);
}

static int pieces_from(const struct bytes *bytes, size_t at, size_t length, struct iovec pieces[2])
{
    size_t first = least(length, bytes->size - at);

    pieces[0].iov_base = bytes->memory + at;
    pieces[0].iov_len = first;
    pieces[1].iov_base = bytes->memory;
    pieces[1].iov_len = length - first;
    return (length > 0) + (length > first);
}

int bytes_free_pieces(const struct bytes *bytes, size_t limit, struct iovec pieces[2])
{
    size_t end = (bytes->begin + bytes->used) % bytes->size;

    return pieces_from(bytes, end, least(limit, bytes_room(bytes)), pieces);
}

int bytes_first_pieces(const struct bytes *bytes, size_t length, struct iovec pieces[2])
{
    return pieces_from(bytes, bytes->begin, length, pieces);
}

int bytes_used_pieces(const struct bytes *bytes, struct iovec pieces[2])
{
    return pieces_from(bytes, bytes->begin, bytes->used, pieces);
}

void bytes_added(struct bytes *bytes, size_t length)
{
    bytes->used += length;
}
