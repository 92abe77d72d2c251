#include "receive/tap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* What stands in the buffer before a line's client and text. */
struct head {
    uint64_t wall_ms;
    uint64_t session;
    uint32_t client_len;
    uint32_t text_len;
};

struct tap {
    atomic_uint references;
    struct ip_network network;
    struct loop *home;
    void (*ready)(void *context); /* home's; NULL = closed */
    void *context;
    struct call call; /* while it is posted it holds a reference */
    pthread_mutex_t lock;
    struct buf lines; /* under lock, with the next two */
    uint64_t lost;
    bool is_posted;
};

static void on_told(struct call *call)
{
    struct tap *tap = container_of(call, struct tap, call);

    pthread_mutex_lock(&tap->lock);
    tap->is_posted = false;
    pthread_mutex_unlock(&tap->lock);
    if (tap->ready != NULL)
        tap->ready(tap->context);
    tap_unref(tap);
}

struct tap *tap_create(const struct ip_network *network, struct loop *home,
                       void (*ready)(void *context), void *context)
{
    struct tap *tap = mem_zalloc(sizeof *tap);

    atomic_init(&tap->references, 1);
    tap->network = *network;
    tap->home = home;
    tap->ready = ready;
    tap->context = context;
    list_init(&tap->call.link);
    tap->call.done = on_told;
    pthread_mutex_init(&tap->lock, NULL);
    buf_init(&tap->lines, TAP_BYTES_MAX);
    return tap;
}

struct tap *tap_ref(struct tap *tap)
{
    atomic_fetch_add_explicit(&tap->references, 1, memory_order_relaxed);
    return tap;
}

void tap_unref(struct tap *tap)
{
    if (atomic_fetch_sub_explicit(&tap->references, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&tap->lock);
    buf_fini(&tap->lines);
    free(tap);
}

void tap_close(struct tap *tap)
{
    tap->ready = NULL;
}

bool tap_matches(const struct tap *tap, const struct sockaddr *client)
{
    if (tap->network.family == AF_UNIX)
        return client->sa_family == AF_UNIX;
    return ip_network_contains(&tap->network, client);
}

/* ---- writing ------------------------------------------------------------------------------ */

static size_t escape(struct span bytes, char text[TAP_LINE_MAX])
{
    enum { LONGEST = 4, MARK = 3 };
    size_t len = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        if (len + LONGEST + MARK > TAP_LINE_MAX) {
            memcpy(text + len, "...", MARK);
            return len + MARK;
        }
        if (c == '\\') {
            text[len++] = '\\';
            text[len++] = '\\';
        } else if (c < ' ' || c >= 0x7f) {
            static const char digits[] = "0123456789abcdef";
            memcpy(text + len, "\\x", 2);
            text[len + 2] = digits[c >> 4];
            text[len + 3] = digits[c & 0xf];
            len += LONGEST;
        } else {
            text[len++] = (char)c;
        }
    }
    return len;
}

/* False: all of it would not fit. */
static bool append_line(struct buf *lines, const struct head *head, struct span client,
                        struct span text)
{
    char *room = buf_reserve(lines, sizeof *head + client.len + text.len);

    if (room == NULL)
        return false;
    memcpy(room, head, sizeof *head);
    memcpy(room + sizeof *head, client.ptr, client.len);
    memcpy(room + sizeof *head + client.len, text.ptr, text.len);
    buf_commit(lines, sizeof *head + client.len + text.len);
    return true;
}

void tap_add(struct tap *tap, const struct tap_line *line)
{
    char text[TAP_LINE_MAX];
    struct head head = {
        .wall_ms = line->wall_ms,
        .session = line->session,
        .client_len = (uint32_t)line->client.len,
        .text_len = (uint32_t)escape(line->text, text),
    };

    pthread_mutex_lock(&tap->lock);
    bool tell = buf_len(&tap->lines) == 0 && tap->lost == 0 && !tap->is_posted;
    /* Once one is lost the others are, until the reader has been told where. */
    if (tap->lost > 0 ||
        !append_line(&tap->lines, &head, line->client, span_of(text, head.text_len)))
        tap->lost++;
    tap->is_posted |= tell;
    pthread_mutex_unlock(&tap->lock);
    if (tell) {
        tap_ref(tap);
        loop_post(tap->home, &tap->call);
    }
}

/* ---- reading ------------------------------------------------------------------------------ */

uint64_t tap_take(struct tap *tap, struct buf *out)
{
    pthread_mutex_lock(&tap->lock);
    uint64_t lost = tap->lost;
    *out = tap->lines;
    buf_init(&tap->lines, TAP_BYTES_MAX);
    tap->lost = 0;
    pthread_mutex_unlock(&tap->lock);
    return lost;
}

bool tap_next(struct span *rest, struct tap_line *out)
{
    struct head head;

    if (rest->len < sizeof head)
        return false;
    memcpy(&head, rest->ptr, sizeof head);
    struct span texts = span_from(*rest, sizeof head);
    *out = (struct tap_line){
        .wall_ms = head.wall_ms,
        .session = head.session,
        .client = span_head(texts, head.client_len),
        .text = span_head(span_from(texts, head.client_len), head.text_len),
    };
    *rest = span_from(texts, (size_t)head.client_len + head.text_len);
    return true;
}
