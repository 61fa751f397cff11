/*
 * Mistakes on purpose: one for each kind that the sanitizers are there for. Compiled into the
 * module of `make sanitize` only, which calls each and insists on a report.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PLANTED __attribute__((visibility("default")))

PLANTED int planted_overflow(int index);
PLANTED int planted_use_after_free(int index);
PLANTED int planted_leak(int bytes);
PLANTED int planted_undefined(int shift);
PLANTED int planted_race(int rounds);

static unsigned char *volatile escape; /* no compiler knows what is done with it */

/* One byte behind the end, where `index` is 16. */
int planted_overflow(int index)
{
    unsigned char *bytes = calloc(1, 16);
    escape = bytes;
    int read = escape[index];
    free(bytes);
    return read;
}

int planted_use_after_free(int index)
{
    escape = calloc(1, 16);
    free(escape);
    return escape[index];
}

int planted_leak(int bytes)
{
    escape = malloc((size_t)bytes);
    memset(escape, 1, (size_t)bytes);
    int read = escape[0];
    escape = NULL;
    return read;
}

/* Where `shift` is 32 the language says nothing. */
int planted_undefined(int shift)
{
    return 1 << shift;
}

static volatile int shared;
static atomic_int here;

static void *count(void *rounds)
{
    /* Both at the same time; relaxed, so that this orders nothing between them. */
    atomic_fetch_add_explicit(&here, 1, memory_order_relaxed);
    while (atomic_load_explicit(&here, memory_order_relaxed) < 2)
        sched_yield();
    for (int i = 0; i < *(int *)rounds; i++)
        shared = shared + 1;
    return NULL;
}

/* Two threads, one counter, no lock. */
int planted_race(int rounds)
{
    pthread_t other;
    if (pthread_create(&other, NULL, count, &rounds) != 0)
        return -1;
    count(&rounds);
    pthread_join(other, NULL);
    return shared;
}
