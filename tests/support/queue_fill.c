/*
 * queue_fill STORE COUNT DESTINATIONS [held] [tried] [backoff] [hostile] [two-groups] [dsn]
 *            [size=BYTES] [loopback=PORT] [quiet]
 *
 * Puts COUNT synthetic messages for so many destinations into a store, through queue.h alone, and
 * prints their ids (but for `quiet`). The words describe every message of this run. With `loopback`
 * a daemon can deliver them: to that port of addresses from 127.1.0.1 on, and they have numbers as
 * those of smtp_load have.
 */
#include "base/clock.h"
#include "proto/base32.h"
#include "queue/queue.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

enum { IN_FLIGHT = 4096, TEN_MINUTES = 600000 };

struct fill {
    struct queue *queue;
    uint64_t now;
    unsigned destinations;
    bool held, tried, backoff, hostile, two_groups, dsn, quiet;
    uint64_t size;
    unsigned port; /* of the next hops; 0 = these are only to be looked at */
    sem_t room;
};

struct insertion {
    struct queue_insert insert;
    struct fill *fill;
};

static void fail(const char *what, struct err e)
{
    char why[ERR_TEXT_MAX];

    fprintf(stderr, "queue_fill: %s: %s\n", what, err_text(e, why));
    exit(1);
}

static void on_inserted(struct call *call)
{
    struct insertion *insertion = container_of(call, struct insertion, insert.op.call);
    struct fill *fill = insertion->fill;

    if (err_is(insertion->insert.op.result))
        fail("insert", insertion->insert.op.result);
    free(insertion);
    sem_post(&fill->room);
}

static struct status make_status(const struct fill *fill)
{
    struct status status = STATUS(450, 4, 2, 0, "mailbox busy");

    status.by = SPAN("mx.example.net [192.0.2.1]:25");
    if (fill->hostile)
        status.text = SPAN("\033[2J\"red\"\r\nok\xff \xc3\xa9");
    return status;
}

/* The scheduler's key for it is the next hop with the tenant: see route.h. */
static void fill_next_hop(const struct fill *fill, struct queue_message *message,
                          struct queue_group *g, unsigned destination)
{
    if (fill->port == 0) {
        g->destination = arena_printf(&message->arena, "site%u.example.net", destination);
        g->next_hop = SPAN("opaque");
        return;
    }
    g->next_hop = arena_printf(&message->arena, "hosts:[127.1.%u.%u]:%u;tls=none",
                               destination / 250, destination % 250 + 1, fill->port);
    g->destination = arena_printf(&message->arena, "%.*s;tenant=%.*s", SPAN_ARG(g->next_hop),
                                  SPAN_ARG(message->tenant));
}

static void fill_group(const struct fill *fill, struct queue_message *message, unsigned group,
                       unsigned number)
{
    struct queue_group *g = &message->groups[group];

    g->number = group;
    g->state = fill->held ? QUEUE_GROUP_HELD : QUEUE_GROUP_WAITING;
    g->due = fill->tried ? fill->now + TEN_MINUTES : fill->now;
    g->tries = fill->tried ? 3 : 0;
    unsigned destination = (number + group) % fill->destinations;
    fill_next_hop(fill, message, g, destination);
    g->recipient_count = 1 + number % 2;
    g->recipients = arena_alloc(&message->arena, g->recipient_count * sizeof *g->recipients);
    for (unsigned i = 0; i < g->recipient_count; i++) {
        g->recipients[i].index = group * 2 + i;
        g->recipients[i].address =
            arena_printf(&message->arena, "user%u@site%u.example.net", i, destination);
        if (fill->tried)
            g->recipients[i].last = make_status(fill);
        if (fill->dsn) {
            g->recipients[i].notify = ESMTP_NOTIFY_SUCCESS | ESMTP_NOTIFY_FAILURE;
            g->recipients[i].original = SPAN("rfc822;Bob@example.com");
        }
    }
}

static void fill_body(const struct fill *fill, struct queue_message *message, unsigned number)
{
    static const char line[] = "A line of text that is stored and shown again as it came in.\r\n";

    if (fill->port != 0)
        buf_addf(&message->body, "Received: by client\r\nX-Load-Id: %016u\r\n", number + 1);
    buf_addf(&message->body, "Subject: %.*s\r\n\r\n",
             SPAN_ARG(fill->hostile ? SPAN("coloured") : message->subject));
    while (buf_len(&message->body) < fill->size)
        buf_add(&message->body, span_of(line, sizeof line - 1));
    message->size = buf_len(&message->body);
    message->body_in_memory = true;
}

static struct queue_message *make_message(const struct fill *fill, unsigned number)
{
    struct queue_message *message = queue_message_create();

    message->id = queue_new_id(fill->queue);
    message->arrival = fill->now;
    message->reverse_path = arena_printf(&message->arena, "sender%u@example.org", number);
    if (fill->dsn) {
        message->ret = ESMTP_RET_HEADERS;
        message->envelope_id = SPAN("QQ314159");
    }
    message->trace = SPAN("Received: from client.example.org by mx.example.com\r\n");
    message->client = SPAN("client.example.org [198.51.100.7]");
    message->hello = SPAN("client.example.org");
    message->tenant = SPAN("example.org");
    message->message_id = SPAN("<m1@example.org>");
    message->subject = fill->hostile ? SPAN("\033[31mcoloured") : SPAN("Synthetic");
    message->from = SPAN("sender@example.org");
    message->group_count = fill->two_groups ? 2 : 1;
    message->groups = arena_alloc(&message->arena, message->group_count * sizeof *message->groups);
    for (unsigned i = 0; i < message->group_count; i++)
        fill_group(fill, message, i, number);
    fill_body(fill, message, number);
    return message;
}

static void wait_for_room(struct fill *fill)
{
    while (sem_wait(&fill->room) != 0)
        continue;
}

static void insert_messages(struct fill *fill, unsigned count)
{
    char id[ID_TEXT_SIZE];

    for (unsigned i = 0; i < count; i++) {
        struct insertion *insertion = mem_zalloc(sizeof *insertion);
        struct queue_message *message = make_message(fill, i);
        if (!fill->quiet)
            puts(id_format(message->id, id));
        insertion->fill = fill;
        insertion->insert.message = message;
        insertion->insert.op.call.done = on_inserted;
        list_init(&insertion->insert.op.call.link);
        wait_for_room(fill);
        queue_insert(fill->queue, &insertion->insert);
        queue_message_unref(message);
    }
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        wait_for_room(fill);
}

static struct fill *backing_off;

static void on_updated(struct call *call)
{
    (void)call;
    sem_post(&backing_off->room);
}

/* One after the other: the caller has taken all the room. */
static void back_off(struct fill *fill)
{
    char name[64];

    backing_off = fill;
    for (unsigned i = 0; i < fill->destinations; i++) {
        int len = snprintf(name, sizeof name, "site%u.example.net", i);
        struct queue_destination_update update = {
            .destination = span_of(name, (size_t)len),
            .until = fill->now + TEN_MINUTES,
            .failures = 3,
            .status = STATUS(451, 4, 4, 1, "connection refused by [127.0.0.1]:2526"),
        };
        update.op.call.done = on_updated;
        list_init(&update.op.call.link);
        queue_destination_update(fill->queue, &update);
        wait_for_room(fill);
        if (err_is(update.op.result))
            fail("destination", update.op.result);
    }
}

static void take_word(struct fill *fill, const char *word)
{
    fill->held |= strcmp(word, "held") == 0;
    fill->tried |= strcmp(word, "tried") == 0;
    fill->backoff |= strcmp(word, "backoff") == 0;
    fill->hostile |= strcmp(word, "hostile") == 0;
    fill->two_groups |= strcmp(word, "two-groups") == 0;
    fill->dsn |= strcmp(word, "dsn") == 0;
    fill->quiet |= strcmp(word, "quiet") == 0;
    if (strncmp(word, "loopback=", 9) == 0)
        fill->port = (unsigned)strtoul(word + 9, NULL, 10);
    if (strncmp(word, "size=", 5) == 0)
        fill->size = strtoull(word + 5, NULL, 10);
}

int main(int argc, char **argv)
{
    struct fill fill = {.now = clock_wall_ms()};
    struct queue_options options = {.map_size = 16ull << 30};

    if (argc < 4) {
        fprintf(stderr, "usage: queue_fill STORE COUNT DESTINATIONS [WORD...]\n");
        return 2;
    }
    options.path = argv[1];
    fill.destinations = (unsigned)strtoul(argv[3], NULL, 10);
    for (int i = 4; i < argc; i++)
        take_word(&fill, argv[i]);
    struct err e = queue_open(&options, &fill.queue);
    if (err_is(e))
        fail("open", e);
    sem_init(&fill.room, 0, IN_FLIGHT);
    insert_messages(&fill, (unsigned)strtoul(argv[2], NULL, 10));
    if (fill.backoff)
        back_off(&fill);
    queue_close(fill.queue);
    return 0;
}
