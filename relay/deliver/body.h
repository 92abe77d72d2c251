/*
 * body: what leaves as message data, trace field first, from memory or piece by piece from the
 * queue. One piece is read ahead on the pool while another leaves, so that a session never holds
 * more than two. Every piece's checksums were verified by the read. For deliver/ only.
 */
#ifndef SMARTHOP_DELIVER_BODY_H
#define SMARTHOP_DELIVER_BODY_H

#include "base/loop.h"
#include "queue/queue.h"

enum { DELIVER_BODY_CHUNKS = 32 }; /* in one piece */

struct deliver_body {
    struct queue *queue;
    struct loop *loop;
    const struct queue_message *message;
    struct span run; /* what deliver_body_peek hands out */
    uint64_t left;   /* bytes of the body that have not been in `run` yet */
    struct err error;

    struct buf piece; /* holds `run` */
    struct buf ahead; /* the pool's while `reading` */
    bool reading;
    uint64_t id;
    uint32_t first_chunk; /* of `ahead` */
    struct err read_error;
    struct work work;
    void (*arrived)(struct deliver_body *body);
};

/* `arrived` is called whenever a read ends, also after deliver_body_end. */
void deliver_body_init(struct deliver_body *body, struct loop *loop, struct queue *queue,
                       void (*arrived)(struct deliver_body *body));
/* Only while no read is under way. The message stays in place until deliver_body_end. */
void deliver_body_begin(struct deliver_body *body, const struct queue_message *message);
/* Lets go of the message. A read that is under way goes on to its end, on its own. */
void deliver_body_end(struct deliver_body *body);

enum deliver_body_answer {
    DELIVER_BODY_MORE, /* *run_out is not empty */
    DELIVER_BODY_WAIT, /* `arrived` will tell */
    DELIVER_BODY_END,
    DELIVER_BODY_FAILED, /* body->error */
};
/* The run stays in place until it has been taken to its end. */
enum deliver_body_answer deliver_body_peek(struct deliver_body *body, struct span *run_out);
void deliver_body_take(struct deliver_body *body, size_t len);
/* True when taking `len` bytes now would be the end. */
bool deliver_body_is_last(const struct deliver_body *body, size_t len);

#endif
