#include "deliver/body.h"

static void run_read(struct work *work)
{
    struct deliver_body *body = container_of(work, struct deliver_body, work);

    body->read_error = queue_read_body(body->queue, body->id, body->first_chunk,
                                       DELIVER_BODY_CHUNKS, &body->ahead);
}

static void on_read(struct call *call)
{
    struct work *work = container_of(call, struct work, call);
    struct deliver_body *body = container_of(work, struct deliver_body, work);

    body->reading = false;
    body->first_chunk += DELIVER_BODY_CHUNKS;
    if (body->message == NULL) {
        buf_fini(&body->ahead);
    } else if (err_is(body->read_error)) {
        body->error = body->read_error;
    } else if (buf_len(&body->ahead) == 0 || buf_len(&body->ahead) > body->left) {
        body->error = err_make(ERR_CORRUPT, "length of the body");
    }
    body->arrived(body);
}

static void read_ahead(struct deliver_body *body)
{
    if (body->left == 0 || body->reading)
        return;
    body->reading = true;
    body->work.run = run_read;
    body->work.call.done = on_read;
    loop_work(body->loop, &body->work);
}

void deliver_body_init(struct deliver_body *body, struct loop *loop, struct queue *queue,
                       void (*arrived)(struct deliver_body *body))
{
    *body = (struct deliver_body){.loop = loop, .queue = queue, .arrived = arrived};
    buf_init(&body->piece, 0);
    buf_init(&body->ahead, 0);
}

void deliver_body_begin(struct deliver_body *body, const struct queue_message *message)
{
    body->message = message;
    body->run = message->trace;
    body->left = message->size;
    body->id = message->id;
    body->first_chunk = 0;
    body->error = ERR_OK;
    if (!message->body_in_memory)
        read_ahead(body);
    else if (buf_len(&message->body) != message->size)
        body->error = err_make(ERR_CORRUPT, "length of the body");
}

void deliver_body_end(struct deliver_body *body)
{
    body->message = NULL;
    body->run = SPAN_NONE;
    buf_fini(&body->piece);
    if (!body->reading)
        buf_fini(&body->ahead);
}

static void next_run(struct deliver_body *body)
{
    if (body->message->body_in_memory) {
        body->run = buf_span(&body->message->body);
        body->left = 0;
    } else if (!body->reading) {
        struct buf used = body->piece;
        body->piece = body->ahead;
        body->ahead = used;
        buf_clear(&body->ahead);
        body->run = buf_span(&body->piece);
        body->left -= body->run.len;
        read_ahead(body);
    }
}

enum deliver_body_answer deliver_body_peek(struct deliver_body *body, struct span *run_out)
{
    if (err_is(body->error))
        return DELIVER_BODY_FAILED;
    if (body->run.len == 0 && body->left > 0)
        next_run(body);
    *run_out = body->run;
    if (body->run.len > 0)
        return DELIVER_BODY_MORE;
    return body->left > 0 ? DELIVER_BODY_WAIT : DELIVER_BODY_END;
}

void deliver_body_take(struct deliver_body *body, size_t len)
{
    body->run = span_from(body->run, len);
}

bool deliver_body_is_last(const struct deliver_body *body, size_t len)
{
    return body->left == 0 && len == body->run.len;
}
