/* What the process of a plugin asks of the server over a worker's connection: names, contents of
 * messages, its store. Nothing of it is trusted: it reaches only what the plugin is being asked
 * about, and its own. */
#include "plugins/host/proxy.h"

#include "base/memory.h"

#include <errno.h>

enum {
    LOOKUPS_MOST = 1000,  /* at a time, as all of these */
    FETCHES_MOST = 16,    /* its pool has fewer threads */
    PUTS_MOST = 16 << 20, /* bytes on their way to the store; then no more is read */
    PUT_COST = 512,       /* beside its bytes */
};

/* Whether it is still the process that asked. */
static bool is_there(const struct courier *courier, uint64_t process)
{
    return !courier->worker->home->is_over && courier->fd >= 0 && courier->process == process;
}

/* ---- names -------------------------------------------------------------------------------- */

struct lookup {
    struct list among;
    struct courier *courier;
    uint64_t process; /* the one that asked */
    uint64_t id;
};

static void on_found(void *context, const struct smarthop_dns_answer *answer)
{
    struct lookup *lookup = context;
    struct courier *courier = lookup->courier;

    if (is_there(courier, lookup->process))
        courier_send(courier, WIRE_FOUND, lookup->id, wire_write_found, answer);
    list_remove(&lookup->among);
    courier->lookup_count--;
    free(lookup);
}

/* On the thread on which look-ups of no event are answered. */
static bool look_up(struct courier *courier, const struct wire_frame *frame)
{
    static const struct smarthop_dns_answer later = {.size = sizeof later,
                                                     .result = SMARTHOP_DNS_RETRY};
    struct wire_lookup asked;

    if (courier->worker->index != 0 || !wire_read_lookup(frame->body, &asked))
        return false;
    if (courier->lookup_count == LOOKUPS_MOST) {
        courier_send(courier, WIRE_FOUND, frame->token, wire_write_found, &later);
        return true;
    }
    struct lookup *lookup = mem_zalloc(sizeof *lookup);
    lookup->courier = courier;
    lookup->process = courier->process;
    lookup->id = frame->token;
    list_init(&lookup->among);
    list_append(&courier->lookups, &lookup->among);
    courier->lookup_count++;
    service_dns(courier->proxy->self, 0, (enum smarthop_record)asked.record, asked.name, on_found,
                lookup);
    return true;
}

void errands_drop(struct courier *courier)
{
    while (!list_is_empty(&courier->lookups))
        free(container_of(list_pop(&courier->lookups), struct lookup, among));
}

/* ---- contents ----------------------------------------------------------------------------- */

/* A piece of a message on its way; while it is, the plugin is not stopped. */
struct fetch {
    struct courier *courier;
    uint64_t process;
    uint64_t token;
    uint64_t id;
    bool is_write;
    uint64_t offset;
    int64_t result;
    size_t len;
    char bytes[];
};

static void run_fetch(void *context)
{
    struct fetch *fetch = context;
    struct smarthop_self *self = fetch->courier->proxy->self;

    fetch->result =
        fetch->is_write
            ? service_body_write(self, fetch->token, fetch->bytes, fetch->len)
            : service_body_read(self, fetch->token, fetch->offset, fetch->bytes, fetch->len);
}

static void tell_piece(struct courier *courier, uint64_t id, int64_t result, struct span bytes)
{
    struct wire_parcel told = {.id = id, .number = result, .bytes = plugin_text(bytes)};

    courier_send(courier, WIRE_PIECE, 0, wire_write_parcel, &told);
}

static void on_fetched(void *context)
{
    struct fetch *fetch = context;
    struct courier *courier = fetch->courier;
    bool has_bytes = !fetch->is_write && fetch->result > 0;

    courier->fetch_count--;
    if (is_there(courier, fetch->process))
        tell_piece(courier, fetch->id, fetch->result,
                   span_of(fetch->bytes, has_bytes ? (size_t)fetch->result : 0));
    free(fetch);
}

/* What the plugin is asked about, and nothing else. */
static bool is_its_own(struct courier *courier, uint64_t token)
{
    struct plugin_worker *worker = courier->worker;
    struct slot *slot =
        token_worker(worker->home, token) == worker ? token_living(worker, token) : NULL;

    return slot != NULL && run_awaits(slot->run, courier->proxy->self);
}

static bool fetch(struct courier *courier, const struct wire_frame *frame)
{
    struct wire_parcel asked;
    bool is_write = frame->kind == WIRE_WRITE;

    if (!wire_read_parcel(frame->body, &asked) || frame->token == 0 || asked.number < 0 ||
        asked.len > WIRE_PIECE_MOST || asked.bytes.len > WIRE_PIECE_MOST)
        return false;
    size_t len = is_write ? asked.bytes.len : asked.len;
    struct fetch *fetch = mem_alloc(sizeof *fetch + len);
    *fetch = (struct fetch){.courier = courier,
                            .process = courier->process,
                            .token = frame->token,
                            .id = asked.id,
                            .is_write = is_write,
                            .offset = (uint64_t)asked.number,
                            .len = len};
    if (is_write && len > 0)
        memcpy(fetch->bytes, asked.bytes.ptr, len);
    if (courier->fetch_count < FETCHES_MOST && is_its_own(courier, frame->token) &&
        work_start(courier->proxy->self, frame->token, run_fetch, on_fetched, fetch)) {
        courier->fetch_count++;
        return true;
    }
    free(fetch);
    tell_piece(courier, asked.id, -1, SPAN_NONE);
    return true;
}

/* ---- its store ---------------------------------------------------------------------------- */

void errand_get(struct smarthop_self *self, struct buf *out, const struct wire_parcel *asked)
{
    size_t len = asked->len < WIRE_VALUE_MOST ? asked->len : WIRE_VALUE_MOST;
    char *room = mem_alloc(len + 1);
    struct wire_parcel told = {.number = service_kv_get(self, asked->key, room, len)};

    if (told.number > 0)
        told.bytes =
            smarthop_span_of(room, (uint64_t)told.number < len ? (size_t)told.number : len);
    if (!wire_add(out, WIRE_VALUE, 0, wire_write_parcel, &told))
        abort(); /* it is not bounded, and the value is */
    free(room);
}

static bool get(struct courier *courier, const struct wire_frame *frame)
{
    struct wire_parcel asked;

    if (!courier->is_desk || !wire_read_parcel(frame->body, &asked))
        return false;
    errand_get(courier->proxy->self, &courier->out, &asked);
    courier_flush(courier);
    return true;
}

struct put {
    struct courier *desk;
    uint64_t process;
    uint64_t id;
    size_t cost;
};

/* It waits for this where it asks nothing else: at the first worker's own connection. */
static void tell_stored(struct put *put, int error)
{
    struct courier *courier = &put->desk->proxy->couriers[0];
    struct wire_parcel told = {.id = put->id, .number = error};

    if (put->id != 0 && is_there(courier, put->process))
        courier_send(courier, WIRE_STORED, 0, wire_write_parcel, &told);
}

static void on_stored(void *context, int error)
{
    struct put *put = context;
    struct courier *desk = put->desk;

    tell_stored(put, error);
    desk->put_bytes -= put->cost;
    if (desk->is_full && desk->put_bytes <= PUTS_MOST / 2 && is_there(desk, desk->process))
        courier_resume(desk);
    free(put);
}

static bool put(struct courier *courier, const struct wire_frame *frame)
{
    struct smarthop_self *self = courier->proxy->self;
    struct wire_parcel asked;

    if (!courier->is_desk || !wire_read_parcel(frame->body, &asked))
        return false;
    struct put *put = mem_alloc(sizeof *put);
    *put = (struct put){courier, courier->process, asked.id,
                        asked.key.len + asked.bytes.len + PUT_COST};
    courier->put_bytes += put->cost;
    courier->is_full = courier->put_bytes > PUTS_MOST;
    if (store_put(self, 0, asked.key, asked.bytes, on_stored, put))
        return true;
    courier->put_bytes -= put->cost;
    free(put);
    /* It is about to be stopped; what it has put counts all the same. */
    store_put(self, 0, asked.key, asked.bytes, NULL, NULL);
    return true;
}

/* ---- all ---------------------------------------------------------------------------------- */

static bool note_stray(struct courier *courier, const struct wire_frame *frame)
{
    struct wire_parcel told;

    if (!wire_read_parcel(frame->body, &told) || told.number < 0 || told.number >= STRAYS)
        return false;
    stray_note(courier->proxy->self, courier->worker, frame->token, (enum stray)told.number);
    return true;
}

bool errand_take(struct courier *courier, const struct wire_frame *frame)
{
    switch (frame->kind) {
    case WIRE_LOOKUP:
        return look_up(courier, frame);
    case WIRE_READ:
    case WIRE_WRITE:
        return fetch(courier, frame);
    case WIRE_GET:
        return get(courier, frame);
    case WIRE_PUT:
        return put(courier, frame);
    case WIRE_STRAY:
        return note_stray(courier, frame);
    default:
        return proxy_take_service(courier->proxy, frame);
    }
}
