/* Table files of each kind: cut in any way their lines say the same; what a rule says survives
 * being written and read; damaged records are refused or read within bounds. The first byte says
 * how it is cut, the second which kind of file it is. */
#include "plugins/table/reader.h"
#include "plugins/table/rule.h"
#include "tests/support/fuzz.h"

#include <string.h>

struct reading {
    const struct dialect *dialect;
    struct problems problems;
    struct rule_line line;
    struct rule again;
    char record[RECORD_MAX];
    char record_again[RECORD_MAX];
    uint64_t sum; /* of all lines and what came of them */
    uint64_t rules;
};

static void check_subject(struct smarthop_span text)
{
    static struct subject subject;

    if (!subject_parse(&subject, text, SMARTHOP_TEXT("+-")))
        return;
    MUST(subject.address.len <= KEY_MAX && subject.base.len <= KEY_MAX);
    MUST(subject.base.len == 0 || subject.base.len < subject.address.len);
}

static void take_line(void *context, unsigned number, struct smarthop_span text)
{
    struct reading *r = context;

    MUST(text.len > 0 && text.len <= READER_LINE_MAX);
    check_subject(text);
    r->sum = r->sum * 31 + (key_hash(text) ^ number);
    r->line.line = number;
    unsigned before = r->problems.count;
    if (!rule_parse(&r->line, r->dialect, text)) {
        MUST(r->problems.count == before + 1);
        return;
    }
    MUST(r->problems.count == before && r->line.key.len > 0 && r->line.key.len <= KEY_MAX);
    size_t len = record_write(&r->line.rule, r->record);
    MUST(len <= RECORD_MAX && record_read(smarthop_span_of(r->record, len), &r->again));
    MUST(record_write(&r->again, r->record_again) == len);
    MUST(memcmp(r->record, r->record_again, len) == 0);
    r->record[(r->sum >> 8) % len] ^= (char)(1 + (r->sum & 0x7f));
    record_read(smarthop_span_of(r->record, len), &r->again);
    r->rules++;
}

static void read_pieces(struct reading *r, uint32_t seed, struct span text)
{
    struct reader reader = {
        .file = "file",
        .is_postfix = r->dialect->kind >= DIALECT_TRANSPORT,
        .take = take_line,
        .context = r,
        .problems = &r->problems,
    };

    r->sum = r->rules = r->problems.count = 0;
    r->line.file = "file";
    r->line.problems = &r->problems;
    while (text.len > 0) {
        size_t len = fuzz_piece(&seed, text.len);
        reader_feed(&reader, text.ptr, len);
        text = span_from(text, len);
    }
    reader_end(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct smarthop_span slow[] = {SMARTHOP_TEXT_INIT("slow")};
    static struct reading one, other;
    struct span text = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&text);
    uint32_t kind = fuzz_seed(&text);
    struct dialect dialect = {
        .kind = (enum dialect_kind)(kind % DIALECTS), .smtp_names = slow, .smtp_name_count = 1};

    if (kind & 0x80)
        dialect.origin = SMARTHOP_TEXT("local.test");
    one.dialect = other.dialect = &dialect;
    read_pieces(&one, 0, text);
    read_pieces(&other, seed, text);
    MUST(one.sum == other.sum && one.rules == other.rules);
    MUST(one.problems.count == other.problems.count);
    for (unsigned i = 0; i < one.problems.count && i < PROBLEMS_MAX; i++)
        MUST(strcmp(one.problems.texts[i], other.problems.texts[i]) == 0);
    return 0;
}
