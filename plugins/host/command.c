/* Commands of plugins' own. */
#include "plugins/host/private.h"

struct output {
    struct buf *buf;
    size_t end; /* its length at most */
};

static void take_output(void *context, const char *bytes, size_t len)
{
    struct output *output = context;
    size_t have = buf_len(output->buf), left = output->end > have ? output->end - have : 0;

    buf_add(output->buf, span_of(bytes, len < left ? len : left));
}

/* It is not stopped meanwhile. */
static int carry_out(struct smarthop_self *self, const struct smarthop_span *words, unsigned count,
                     struct output *output)
{
    if (!self_hold(self))
        return -1;
    self_enter(self);
    int code = self->plugin.command(self->state, words, count, take_output, output);
    self_exit(self);
    self_release(self);
    return code < 0 ? 1 : code;
}

int plugin_chain_command(struct plugin_chain *chain, const char *name,
                         const struct smarthop_span *words, unsigned count, struct buf *out)
{
    struct output output = {.buf = out, .end = buf_len(out) + PLUGIN_OUTPUT_MAX};

    for (unsigned i = 0; chain != NULL && i < chain->count; i++) {
        struct smarthop_self *self = chain->plugins[i];
        if (strcmp(self->name, name) == 0 && self->plugin.command != NULL)
            return carry_out(self, words, count, &output);
    }
    return -1;
}
