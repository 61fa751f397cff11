#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void remember(struct server *server, const struct wire_header *header)
{
    struct asked asked = {.seqnum = header->seqnum, .direction = header->direction};

    if (header->seqnum == 0 || header->devid != 0x10002)
        abort();
    for (uint32_t index = 0; index < server->count; index++) {
        if (server->asked[index].seqnum == header->seqnum)
            abort(); /* two that wait for an answer have one number */
    }
    if (header->command == WIRE_CMD_SUBMIT) {
        if (header->length < 0 || header->ep > WIRE_MAX_ENDPOINT || header->direction > WIRE_IN)
            abort();
        asked.length = (uint32_t)header->length;
    } else {
        asked.unlinks = header->unlink_seqnum;
    }
    if (server->count == SERVER_MEMORY)
        memmove(server->asked, server->asked + 1, --server->count * sizeof asked);
    server->asked[server->count++] = asked;
}

static void header_came(struct server *server)
{
    struct wire_header header;

    server->have = 0;
    if (!wire_parse(server->header, &header) || header.command > WIRE_CMD_UNLINK)
        abort();
    remember(server, &header);
    server->at = 0;
    server->body = header.command == WIRE_CMD_SUBMIT && header.direction == WIRE_OUT
                       ? (uint32_t)header.length
                       : 0;
}

static void came(struct server *server, uint8_t byte)
{
    if (server->body == 0) {
        server->header[server->have++] = byte;
        if (server->have == WIRE_HEADER_BYTES)
            header_came(server);
        return;
    }
    if (server->at < sizeof server->begin)
        server->begin[server->at] = byte;
    server->at++;
    server->body--;
    if (server->at == sizeof server->begin && memcmp(server->begin, "USBC", 4) == 0)
        memcpy(&server->tag, server->begin + 4, 4);
}

void server_read(struct server *server)
{
    uint8_t bytes[4096];
    ssize_t got;

    while ((got = recv(server->file, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        for (ssize_t index = 0; index < got; index++)
            came(server, bytes[index]);
    }
}

bool server_take(struct server *server, uint8_t choice, bool unlinks, struct asked *taken)
{
    uint32_t found[SERVER_MEMORY], count = 0;

    for (uint32_t index = 0; index < server->count; index++) {
        if ((server->asked[index].unlinks != 0) == unlinks)
            found[count++] = index;
    }
    if (count == 0)
        return false;
    count = found[choice % count];
    *taken = server->asked[count];
    memmove(server->asked + count, server->asked + count + 1,
            (--server->count - count) * sizeof *taken);
    return true;
}

void server_send(struct server *server, const void *bytes, size_t length)
{
    /* What does not fit is lost, which is one more thing that a server may do. */
    ssize_t sent = send(server->file, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);

    (void)sent;
}

void server_answer(struct server *server, uint32_t command, uint32_t seqnum, int32_t status,
                   int32_t length, int32_t packets)
{
    uint8_t bytes[WIRE_HEADER_BYTES];
    struct wire_header header = {.command = command, .seqnum = seqnum, .status = status};

    if (command == WIRE_RET_SUBMIT) {
        header.length = length;
        header.number_of_packets = packets;
    }
    wire_pack(bytes, &header);
    server_send(server, bytes, sizeof bytes);
}
