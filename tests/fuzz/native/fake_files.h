/* What the fuzzer does to the requests that wait. */
#ifndef FAKE_FILES_H
#define FAKE_FILES_H

#include "lane.h"

/* One of the requests that wait, or NULL. */
struct request *fake_waiting(struct engine *engine, uint8_t choice);

/* As the kernel does: bytes that moved, or a negative errno. */
void fake_complete(struct engine *engine, struct request *request, int64_t result);

#endif
