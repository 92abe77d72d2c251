/*
 * drop/ctl/mbox: any file, cut in any way, is read as it is whole; and what the writer
 * makes of its messages is as many messages.
 */
#include "plugins/drop/ctl/mbox.h"
#include "tests/support/fuzz.h"

struct told {
    struct buf all;     /* as it was told */
    struct buf again;   /* as an mbox */
    struct buf message; /* that is being told */
    int64_t date;
    unsigned count;
    bool is_copied;
};

static void on_begin(void *context, int64_t date, int zone)
{
    struct told *told = context;

    told->date = date;
    told->count++;
    buf_addf(&told->all, "<%lld %d|", (long long)date, zone);
}

static void on_bytes(void *context, struct span bytes)
{
    struct told *told = context;

    buf_add(&told->all, bytes);
    buf_add(&told->message, bytes);
}

static void on_end(void *context, uint32_t flags, struct span keywords)
{
    struct told *told = context;
    struct mbox_writer writer = {.had_cr = false};

    buf_addf(&told->all, "|%x ", flags);
    buf_add(&told->all, keywords);
    if (told->is_copied) {
        mbox_write_head(told->date, flags, &keywords, keywords.len > 0, &told->again);
        mbox_writer_feed(&writer, buf_span(&told->message), &told->again);
        mbox_writer_end(&writer, &told->again);
    }
    buf_clear(&told->message);
}

static bool read_all(struct span file, uint32_t seed, struct told *told)
{
    static const struct mbox_handler handler = {on_begin, on_bytes, on_end};
    struct mbox_reader reader;
    bool good = true;

    mbox_reader_init(&reader, &handler, told);
    while (good && file.len > 0) {
        size_t piece = fuzz_piece(&seed, file.len);
        good = mbox_reader_feed(&reader, span_head(file, piece));
        file = span_from(file, piece);
    }
    good = mbox_reader_end(&reader) && good;
    mbox_reader_fini(&reader);
    return good;
}

static void forget(struct told *told)
{
    buf_fini(&told->all);
    buf_fini(&told->again);
    buf_fini(&told->message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&input);
    struct told whole = {.is_copied = true}, cut = {.date = 0}, again = {.date = 0};

    bool good = read_all(input, seed, &whole);
    MUST(read_all(input, seed * 7 + 1, &cut) == good);
    MUST(span_equal(buf_span(&whole.all), buf_span(&cut.all)));
    if (good) {
        MUST(read_all(buf_span(&whole.again), 0, &again));
        MUST(again.count == whole.count);
    }
    forget(&whole);
    forget(&cut);
    forget(&again);
    return 0;
}
