/*
 * The engine of one attachment: what the pieces of the native pump share.
 *
 * One thread waits for the stream and for the completions of the endpoint files and carries out what
 * follows from them, without Python. Everything below is guarded by `lock`; what may not be done
 * under a lock is not done at all: no call here waits, but the waiting itself.
 *
 * A *lane* is the straight way of one shaper (lane.h). What belongs to no lane is Python's: its
 * results are put into a queue of events (`engine_tell_*`), which Python empties. URBs and requests
 * are taken from tables that are made once, and their places in that queue are theirs.
 */
#ifndef GADGETIP_ENGINE_H
#define GADGETIP_ENGINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "ring.h"
#include "wire.h"

struct lane;
struct engine;

/* --- URBs (urbs.c) -------------------------------------------------------------------------- */

#define MAX_URBS 8192u
#define SEQNUM_PLACES 16384u
#define MAX_TOMBSTONES 1024u
#define RECEIVE_BYTES (64u * 1024)

enum urb_state {
    URB_FREE,
    URB_PENDING,
    URB_UNLINKING, /* a CMD_UNLINK for it is on its way */
    URB_TOMBSTONE, /* its unlink was answered with 0: its RET_SUBMIT may still come */
    URB_UNLINK,    /* not a URB: a CMD_UNLINK that waits for its answer */
    URB_TOLD,      /* over; Python has not fetched the answer yet */
};

struct urb {
    struct urb *next;        /* in the list of the free, of the unsent, or of events */
    struct urb *counterpart; /* of an unlink: its URB, and the other way round */
    struct lane *lane;       /* whose it is; NULL: Python's */
    struct lane *from;       /* the lane that it was taken from, until Python has fetched it */
    uint64_t serial;
    struct span span;
    uint32_t seqnum;
    uint32_t length; /* asked for, or sent */
    uint32_t actual;
    int32_t status;
    uint32_t size;    /* the lane's: bytes that it stands for */
    uint32_t entries; /* the lane's: packets that it stands for */
    uint8_t state;
    uint8_t direction;
    uint8_t role; /* the lane's */
    bool is_sent;
    uint8_t header[WIRE_HEADER_BYTES];
};

struct stream {
    int file;
    uint32_t devid;
    uint32_t next_seqnum;
    bool is_open;
    bool is_blocked; /* the kernel takes no more for now */
    struct urb *urbs;
    struct urb *free;
    uint16_t *places; /* by seqnum: index into urbs, + 1 */
    uint64_t serial;
    uint64_t late_returns;
    struct urb *unsent, **unsent_end;
    size_t sent; /* bytes of the first unsent that are */
    uint8_t *received;
    uint32_t begin, end; /* of what waits in `received` */
    struct urb *body;    /* whose data is being received; NULL: dropped */
    uint32_t body_done, body_left;
    bool in_body;
    uint32_t tombstones[MAX_TOMBSTONES];
    uint32_t tombstone_next;
};

bool stream_make(struct stream *stream, int file, uint32_t devid, uint32_t next_seqnum);
void stream_free(struct stream *stream);
void stream_relink(struct stream *stream, int file, uint32_t devid, uint32_t next_seqnum);

/* Queue a CMD_SUBMIT; the span becomes the URB's. NULL where all URBs are out. The stream is open. */
struct urb *urb_submit(struct engine *engine, uint8_t ep, enum wire_direction direction,
                       uint32_t length, int32_t interval, const uint8_t *setup, struct span span);
void urb_unlink(struct engine *engine, uint32_t seqnum);
/* The URB is over and nobody needs it any more. */
void urb_free(struct engine *engine, struct urb *urb);
void stream_send(struct engine *engine);
/* Receive what is there, a bounded number of times. */
void stream_receive(struct engine *engine);

/* --- endpoint files (files.c) ---------------------------------------------------------------- */

#define MAX_FILES 64u
#define MAX_REQUESTS 2048u

enum request_state { REQUEST_FREE, REQUEST_QUEUED, REQUEST_TOLD };

/* struct iocb of linux/aio_abi.h is 64 bytes; its own definition is in files.c. */
struct request {
    uint64_t iocb[8];
    struct request *next;
    struct lane *lane;
    struct lane *from;
    struct file *file;
    uint64_t serial;
    struct span span;
    int64_t result;
    uint32_t id;     /* its place in the table */
    uint32_t number; /* what Python knows it by: never used again */
    uint32_t size;
    uint32_t entries;
    uint8_t state;
    uint8_t role;
};

struct file {
    struct engine *engine;
    int file;
    bool is_open;
    bool is_in;
    bool is_blocking; /* a thread of its own carries its requests out, one at a time (GadgetFS) */
    bool is_cancelling;
    bool is_closing;
    uint32_t pending;
    double fifo_filled_at;
    pthread_t thread;
    pthread_cond_t work;
    struct request *jobs, **jobs_end;
};

struct files {
    struct file files[MAX_FILES];
    struct request *requests;
    struct request *free;
    struct request *queued[MAX_REQUESTS]; /* to be given to the kernel */
    uint32_t queued_count;
    uint64_t context;
    int completed; /* eventfd */
    uint64_t serial;
    uint64_t references;
};

int files_make(struct files *files); /* 0 or errno */
void files_free(struct engine *engine);
struct file *file_open(struct engine *engine, int file, bool is_in, bool is_blocking);
void file_close(struct engine *engine, struct file *file); /* without the lock */
/* Queue a read or a write, as the file's direction says; NULL where all requests are out. */
struct request *request_queue(struct engine *engine, struct file *file, struct span span);
void request_free(struct engine *engine, struct request *request);
/* The table behind these (requests.c): a place for a request, whose span is released where there is
 * none; NULL then. */
bool requests_make(struct files *files);
void requests_free(struct files *files);
struct request *request_take(struct files *files, struct file *file, struct span span);
/* Take back what is queued on a file; each completes all the same. */
void file_cancel(struct engine *engine, struct file *file);
/* Interrupt again whoever is inside of a call that is to be taken back; whether there is one. */
bool files_interrupt(struct engine *engine);
void files_submit(struct engine *engine);
void files_reap(struct engine *engine);

/* --- the engine (engine.c) ------------------------------------------------------------------- */

#define MAX_LANES 64u

enum event_kind { EVENT_RETURNED, EVENT_COMPLETED, EVENT_PARKED, EVENT_ENDED };
enum ending { ENDING_EOF, ENDING_ERRNO, ENDING_PROTOCOL };

struct event {
    struct event *next;
    enum event_kind kind;
    void *subject; /* urb, request, lane */
};

struct engine {
    pthread_mutex_t lock;
    pthread_t thread;
    bool is_running;
    bool is_stopping;
    int poll;   /* epoll */
    int wake;   /* eventfd: the thread has to look */
    int events; /* eventfd: Python has to look */
    struct stream stream;
    struct files files;
    struct lane *lanes[MAX_LANES];
    struct lane *dirty; /* lanes that have something to put together at the end of a burst */
    struct event *first, **last, *spare;
    struct event *memory;
    enum ending ending;
    int ending_errno;
    char ending_text[160];
    uint64_t bursts;
    bool is_holding; /* a lane waits a moment for more to go with what it has */
    uint32_t reserved; /* URBs and requests that the windows of the lanes may need */
};

struct engine *engine_make(int file, uint32_t devid, uint32_t next_seqnum, int *error);
void engine_close(struct engine *engine);
/* The end of a burst on a thread that is not the engine's: lanes put together what has arrived,
 * requests and URBs leave. */
void engine_flush(struct engine *engine);
/* The stream is over, for this reason; lanes are parked. */
void engine_end(struct engine *engine, enum ending why, int error, const char *text);
void engine_tell(struct engine *engine, enum event_kind kind, void *subject);
void engine_watch_room(struct engine *engine, bool wanted);
/* What became of a URB, and of a request: to its lane or to Python. */
void engine_returned(struct engine *engine, struct urb *urb);
void engine_completed(struct engine *engine, struct request *request);
int engine_relink(struct engine *engine, int file, uint32_t devid, uint32_t next_seqnum);

#endif
