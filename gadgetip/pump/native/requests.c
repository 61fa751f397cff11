/* The table of requests on endpoint files: made once, its places given out and taken back. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

bool requests_make(struct files *files)
{
    files->requests = calloc(MAX_REQUESTS, sizeof *files->requests);
    if (files->requests == NULL)
        return false;
    for (uint32_t index = MAX_REQUESTS; index-- > 0;) {
        files->requests[index].id = index;
        files->requests[index].next = files->free;
        files->free = &files->requests[index];
    }
    return true;
}

void requests_free(struct files *files)
{
    for (uint32_t index = 0; files->requests != NULL && index < MAX_REQUESTS; index++) {
        if (files->requests[index].state != REQUEST_FREE)
            span_release(&files->requests[index].span);
    }
    free(files->requests);
    files->requests = NULL;
}

struct request *request_take(struct files *files, struct file *file, struct span span)
{
    struct request *request = files->free;
    uint32_t id;

    if (request == NULL) {
        span_release(&span);
        return NULL;
    }
    files->free = request->next;
    id = request->id;
    memset(request, 0, sizeof *request);
    request->id = id;
    request->file = file;
    request->span = span;
    request->state = REQUEST_QUEUED;
    request->serial = ++files->serial;
    request->number = (uint32_t)request->serial;
    file->pending++;
    return request;
}

void request_free(struct engine *engine, struct request *request)
{
    span_release(&request->span);
    request->state = REQUEST_FREE;
    request->lane = request->from = NULL;
    request->next = engine->files.free;
    engine->files.free = request;
}
