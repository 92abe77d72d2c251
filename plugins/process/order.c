/* Commands of operators, carried out where they may block. */
#include "plugins/process/process.h"

#include "base/memory.h"

struct order {
    struct child *child;
    uint64_t id;
    struct arena arena;
    struct wire_order words;
    struct buf output; /* not sent yet */
    size_t left;       /* how much more there may be */
    int code;
};

static void send_output(struct order *order)
{
    struct wire_parcel said = {.bytes = plugin_text(buf_span(&order->output))};

    lane_send(order->child->lanes, WIRE_OUTPUT, order->id, wire_write_parcel, &said);
    buf_clear(&order->output);
}

/* In pieces, and no more than will be shown. */
static void take_output(void *context, const char *bytes, size_t len)
{
    struct order *order = context;
    struct span rest = span_head(span_of(bytes, len), len < order->left ? len : order->left);

    order->left -= rest.len;
    while (rest.len > 0) {
        size_t room = WIRE_PIECE_MOST - buf_len(&order->output);
        struct span piece = span_head(rest, rest.len < room ? rest.len : room);
        buf_add(&order->output, piece);
        rest = span_from(rest, piece.len);
        if (buf_len(&order->output) == WIRE_PIECE_MOST)
            send_output(order);
    }
}

static void run(void *context)
{
    struct order *order = context;
    struct smarthop_self *self = order->child->chain->plugins[0];

    self_enter(self);
    order->code = self->plugin.command(self->state, order->words.words, order->words.count,
                                       take_output, order);
    self_exit(self);
    if (buf_len(&order->output) > 0)
        send_output(order);
}

static void on_run(void *context)
{
    struct order *order = context;
    struct wire_parcel said = {.number = order->code};

    lane_send(order->child->lanes, WIRE_EXIT, order->id, wire_write_parcel, &said);
    buf_fini(&order->output);
    arena_fini(&order->arena);
    free(order);
}

bool order_take(struct child *child, const struct wire_frame *frame)
{
    struct smarthop_self *self = child->chain->plugins[0];
    struct order *order = mem_zalloc(sizeof *order);

    order->child = child;
    order->id = frame->token;
    order->left = PLUGIN_OUTPUT_MAX;
    buf_init(&order->output, 0);
    arena_init(&order->arena);
    bool good =
        self->plugin.command != NULL && wire_read_order(&order->arena, frame->body, &order->words);
    if (good && work_start(self, 0, run, on_run, order))
        return true;
    arena_fini(&order->arena);
    free(order);
    return good;
}
