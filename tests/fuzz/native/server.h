/*
 * The other end of the stream: reads what the engine sends, and holds it to the protocol; answers as
 * the fuzzer says, rightly or wrongly.
 */
#ifndef FUZZ_SERVER_H
#define FUZZ_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

#define SERVER_MEMORY 256u

struct asked {
    uint32_t seqnum;
    uint32_t direction;
    uint32_t length;
    uint32_t unlinks; /* a CMD_UNLINK: the seqnum that it is about */
};

struct server {
    int file;
    struct asked asked[SERVER_MEMORY]; /* not answered yet, the newest last */
    uint32_t count;
    uint8_t header[WIRE_HEADER_BYTES];
    uint32_t have;  /* bytes of a header */
    uint32_t body;  /* bytes of a body that are still to come */
    uint32_t at;    /* bytes of the body that have come */
    uint8_t begin[31];
    uint32_t tag; /* of the newest CBW */
};

/* Read everything that was sent; aborts where it is not USB/IP. */
void server_read(struct server *server);

/* Forget a command that is about to be answered, and name it. False where there is none. */
bool server_take(struct server *server, uint8_t choice, bool unlinks, struct asked *taken);

void server_send(struct server *server, const void *bytes, size_t length);
void server_answer(struct server *server, uint32_t command, uint32_t seqnum, int32_t status,
                   int32_t length, int32_t packets);

#endif
