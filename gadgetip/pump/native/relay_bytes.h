/*
 * A ring of bytes, made once: what waits to be sent, or what has arrived before it was asked for.
 *
 * System calls read into it and write out of it in up to two pieces, so nothing is moved to make
 * room.
 */
#ifndef GADGETIP_RELAY_BYTES_H
#define GADGETIP_RELAY_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct bytes {
    uint8_t *memory;
    size_t size;
    size_t begin;
    size_t used;
};

bool bytes_make(struct bytes *bytes, size_t size);
void bytes_free(struct bytes *bytes);

size_t bytes_room(const struct bytes *bytes);

/* Append; there must be room. */
void bytes_put(struct bytes *bytes, const uint8_t *data, size_t length);

/* Copy `length` bytes from `offset` on without taking them; they must be there. */
void bytes_peek(const struct bytes *bytes, size_t offset, uint8_t *data, size_t length);

/* Drop the first `length` bytes. */
void bytes_drop(struct bytes *bytes, size_t length);

/* Move the first `length` bytes of `from` to the end of `to`, which must have room. */
void bytes_move(struct bytes *to, struct bytes *from, size_t length);

/* The free memory, `limit` bytes at most, as one or two pieces; returns how many. */
int bytes_free_pieces(const struct bytes *bytes, size_t limit, struct iovec pieces[2]);

/* The first `length` bytes, which are there, as one or two pieces; returns how many. */
int bytes_first_pieces(const struct bytes *bytes, size_t length, struct iovec pieces[2]);

/* What is in it, as one or two pieces; returns how many. */
int bytes_used_pieces(const struct bytes *bytes, struct iovec pieces[2]);

/* `length` bytes were written into the free pieces. */
void bytes_added(struct bytes *bytes, size_t length);

#endif
