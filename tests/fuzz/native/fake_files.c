/*
 * Endpoint files without a kernel: requests wait until the fuzzer says what became of them. In the
 * place of files.c; what it promises in engine.h holds here too.
 */
#include "fake_files.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int files_make(struct files *files)
{
    files->completed = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); /* never signalled */
    return requests_make(files) ? 0 : ENOMEM;
}

void files_free(struct engine *engine)
{
    struct files *files = &engine->files;

    if (files->completed >= 0)
        close(files->completed);
    requests_free(files);
}

struct file *file_open(struct engine *engine, int number, bool is_in, bool is_blocking)
{
    for (uint32_t index = 0; index < MAX_FILES; index++) {
        struct file *file = &engine->files.files[index];

        if (file->is_open)
            continue;
        memset(file, 0, sizeof *file);
        file->engine = engine;
        file->file = number;
        file->is_in = is_in;
        file->is_blocking = is_blocking;
        file->is_open = true;
        return file;
    }
    return NULL;
}

void file_close(struct engine *engine, struct file *file)
{
    (void)engine;
    file->is_open = false;
}

struct request *request_queue(struct engine *engine, struct file *file, struct span span)
{
    return request_take(&engine->files, file, span);
}

void file_cancel(struct engine *engine, struct file *file)
{
    for (uint32_t index = 0; index < MAX_REQUESTS; index++) {
        struct request *request = &engine->files.requests[index];

        if (request->state == REQUEST_QUEUED && request->file == file)
            fake_complete(engine, request, -ECONNRESET);
    }
}

bool files_interrupt(struct engine *engine)
{
    (void)engine;
    return false;
}

void files_submit(struct engine *engine)
{
    (void)engine;
}

void files_reap(struct engine *engine)
{
    (void)engine;
}

struct request *fake_waiting(struct engine *engine, uint8_t choice)
{
    struct request *waiting[256];
    uint32_t count = 0;

    for (uint32_t index = 0; index < MAX_REQUESTS && count < 256; index++) {
        if (engine->files.requests[index].state == REQUEST_QUEUED)
            waiting[count++] = &engine->files.requests[index];
    }
    return count != 0 ? waiting[choice % count] : NULL;
}

void fake_complete(struct engine *engine, struct request *request, int64_t result)
{
    request->result = result;
    request->file->pending--;
    engine_completed(engine, request);
}
