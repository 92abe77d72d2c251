#include "proto/bdat.h"

bool bdat_parse(struct span args, struct bdat_args *out)
{
    struct span rest;
    struct span size = span_split(args, ' ', &rest);
    bool spaced = size.len < args.len;

    while (rest.len > 0 && rest.ptr[0] == ' ')
        rest = span_from(rest, 1);
    out->last = spaced;
    return span_parse_u64(size, &out->size) && (!spaced || span_equal_nocase(rest, SPAN("LAST")));
}

void bdat_counter_init(struct bdat_counter *c)
{
    *c = (struct bdat_counter){0};
}

void bdat_begin(struct bdat_counter *c, const struct bdat_args *args)
{
    c->total = args->size > UINT64_MAX - c->total ? UINT64_MAX : c->total + args->size;
    c->left = args->size;
    c->last = args->last;
}

enum parse_result bdat_take(struct bdat_counter *c, struct span *input, struct span *data_out)
{
    size_t len = input->len < c->left ? input->len : (size_t)c->left;

    *data_out = span_head(*input, len);
    *input = span_from(*input, len);
    c->left -= len;
    return c->left == 0 ? PARSE_DONE : PARSE_MORE;
}
