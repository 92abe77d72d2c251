/* The parts of plugins/table: lines, keys, rules of each kind of file, sorting, and tables on the
 * disk. */
#include "plugins/table/reader.h"
#include "plugins/table/sorter.h"
#include "plugins/table/source.h"
#include "support/split.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))

static void assert_text(const char *name, struct smarthop_span actual, const char *expected)
{
    CHECK_SPAN(name, span_of(actual.ptr, actual.len), span_of(expected, strlen(expected)));
}

/* ---- lines -------------------------------------------------------------------------------- */

struct seen {
    char text[4096];
    size_t len;
};

static void note(void *context, unsigned line, struct smarthop_span text)
{
    struct seen *seen = context;

    seen->len += (size_t)snprintf(seen->text + seen->len, sizeof seen->text - seen->len, "%u<%.*s>",
                                  line, (int)text.len, text.ptr);
}

struct lines_case {
    const char *name;
    bool is_postfix;
    const char *text;
    const char *lines;
    const char *problem; /* NULL = none */
};

static const struct lines_case lines_cases[] = {
    {"plain", false, "a b\nc d\n", "1<a b>2<c d>", NULL},
    {"no end", false, "a b\nc d", "1<a b>2<c d>", NULL},
    {"blanks", false, "  a\tb \t\n\n \n", "1<a\tb>", NULL},
    {"comments", false, "# x\na b # y\nc#d e\n\"a # b\" c\n", "2<a b>3<c#d e>4<\"a # b\" c>", NULL},
    {"control", false, "a b\r\nc d\n", "2<c d>", "file:1: there is a control character"},
    {"postfix", true, "a b\n  c\n\n# x\n d\ne f\n", "1<a b c d>6<e f>", NULL},
    {"postfix comment", true, "a b # c\n  # d\n", "1<a b # c>", NULL},
    {"nothing before", true, " a b\nc d\n", "2<c d>", "file:1: it begins with a blank"},
    {"empty", true, "", "", NULL},
};

static void check_lines(const struct lines_case *c, size_t way)
{
    struct problems problems = {0};
    struct seen seen = {.len = 0};
    struct reader reader = {.file = "file",
                            .is_postfix = c->is_postfix,
                            .take = note,
                            .context = &seen,
                            .problems = &problems};
    size_t len = strlen(c->text);

    for (size_t at = 0, piece; at < len; at += piece) {
        piece = split_piece(way, len, at);
        reader_feed(&reader, c->text + at, piece);
    }
    reader_end(&reader);
    assert_text(c->name, smarthop_span_of(seen.text, seen.len), c->lines);
    CHECK(c->name, (problems.count > 0) == (c->problem != NULL));
    CHECK(c->name, c->problem == NULL || strstr(problems.texts[0], c->problem) != NULL);
}

static void test_lines_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lines_cases); i++)
        for (size_t way = 0; way < split_ways(strlen(lines_cases[i].text)); way++)
            check_lines(&lines_cases[i], way);
}

static void test_a_line_is_bounded(void **state)
{
    struct problems problems = {0};
    struct seen seen = {.len = 0};
    struct reader reader = {.file = "file", .take = note, .context = &seen, .problems = &problems};

    (void)state;
    for (size_t i = 0; i <= READER_LINE_MAX; i++)
        reader_feed(&reader, "x", 1);
    reader_feed(&reader, "\na b\n", 5);
    reader_end(&reader);
    assert_int_equal(problems.count, 1);
    assert_non_null(strstr(problems.texts[0], "file:1: the line is longer than"));
    assert_text("after", smarthop_span_of(seen.text, seen.len), "2<a b>");
}

/* ---- keys --------------------------------------------------------------------------------- */

static void test_keys_of_an_address(void **state)
{
    static struct subject s;
    struct smarthop_span plus = SMARTHOP_TEXT("+-");

    (void)state;
    assert_true(subject_parse(&s, SMARTHOP_TEXT("Ann+List-X@Sub.Example.ORG"), plus));
    assert_text("address", s.address, "ann+list-x@sub.example.org");
    assert_text("local", s.local, "ann+list-x");
    assert_text("catchall", s.catchall, "@sub.example.org");
    assert_text("domain", s.domain, "sub.example.org");
    assert_text("base", s.base, "ann@sub.example.org");
    assert_text("base local", s.base_local, "ann");
    assert_text("extension", s.extension, "+List-X");
    assert_true(subject_parse(&s, SMARTHOP_TEXT("\"A\\\"b@c+\"@x.test"), plus));
    assert_text("quoted", s.address, "a\"b@c+@x.test");
    assert_int_equal(s.base.len, 0);
    assert_true(subject_parse(&s, SMARTHOP_TEXT("+x@x.test"), plus));
    assert_int_equal(s.base.len, 0);
    assert_false(subject_parse(&s, SMARTHOP_TEXT("nobody"), plus));
    assert_false(subject_parse(&s, SMARTHOP_TEXT("@x.test"), plus));
}

static void test_the_longest_keys(void **state)
{
    static struct subject s;
    char local[KEY_MAX + 1];

    (void)state;
    memset(local, 'A', sizeof local);
    assert_true(subject_init(&s, smarthop_span_of(local, KEY_MAX - 4), SMARTHOP_TEXT("b.c"),
                             smarthop_span_of("", 0)));
    assert_int_equal(s.address.len, KEY_MAX);
    assert_int_equal(s.address.ptr[KEY_MAX - 5], 'a');
    assert_false(subject_init(&s, smarthop_span_of(local, KEY_MAX - 3), SMARTHOP_TEXT("b.c"),
                              smarthop_span_of("", 0)));
    assert_false(subject_init(&s, smarthop_span_of(local, sizeof local), SMARTHOP_TEXT("b.c"),
                              smarthop_span_of("", 0)));
}

/* Lower case of every byte at every place of the words that are taken at once. */
static void test_lower_case(void **state)
{
    char room[KEY_MAX];
    char text[20];

    (void)state;
    for (int byte = 0; byte < 256; byte++)
        for (size_t at = 0; at < sizeof text; at++) {
            memset(text, 'm', sizeof text);
            text[at] = (char)byte;
            struct smarthop_span key = key_fold(smarthop_span_of(text, sizeof text), room);
            if (byte == '"' && at == 0)
                continue;
            assert_int_equal(key.len, sizeof text);
            assert_int_equal((unsigned char)key.ptr[at],
                             byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
        }
}

/* ---- rules -------------------------------------------------------------------------------- */

/* What a rule says, in words. */
static void tell(const struct rule_line *line, char *out, size_t size)
{
    static const char *const actions[] = {"pass",   "send", "rewrite", "defer",
                                          "reject", "hold", "discard"};
    const struct rule *r = &line->rule;
    int len = snprintf(out, size, "%.*s %s", (int)line->key.len, line->key.ptr, actions[r->action]);

#define TELL(...) len += snprintf(out + len, size - (size_t)len, __VA_ARGS__)
    if (r->transport == SMARTHOP_LMTP)
        TELL(" lmtp");
    for (unsigned i = 0; i < r->hop_count; i++)
        TELL(" %.*s:%u/%u*%u", (int)r->hops[i].host.len, r->hops[i].host.ptr, r->hops[i].port,
             r->hops[i].priority, r->hops[i].weight);
    if (r->own_mx || r->mx.len > 0)
        TELL(" mx(%.*s)", (int)r->mx.len, r->mx.len > 0 ? r->mx.ptr : "");
    for (unsigned i = 0; i < r->target_count; i++)
        TELL(" %.*s", (int)r->targets[i].len, r->targets[i].ptr);
    if (r->code != 0 || r->enhanced[0] != 0)
        TELL(" %u %u.%u.%u", r->code, r->enhanced[0], r->enhanced[1], r->enhanced[2]);
    if (r->text.len > 0)
        TELL(" <%.*s>", (int)r->text.len, r->text.ptr);
    if (r->tls != 0)
        TELL(" tls=%u", r->tls);
    if (r->limits.len > 0)
        TELL(" limits=%.*s", (int)r->limits.len, r->limits.ptr);
    if (r->source.len > 0)
        TELL(" source=%.*s", (int)r->source.len, r->source.ptr);
    if (r->credentials.len > 0)
        TELL(" credentials=%.*s", (int)r->credentials.len, r->credentials.ptr);
    if (r->tenant.len > 0)
        TELL(" tenant=%.*s", (int)r->tenant.len, r->tenant.ptr);
#undef TELL
}

struct rule_case {
    enum dialect_kind kind;
    const char *text;
    const char *rule;    /* NULL = it is refused ... */
    const char *problem; /* ... and this is told */
};

static const struct rule_case rule_cases[] = {
    {DIALECT_MAPS, "A@B.test smtp Hub.test", "a@b.test send Hub.test:0/0*0", NULL},
    {DIALECT_MAPS, "b.test smtp a:2525, [::1]:26 10.0.0.1",
     "b.test send a:2525/0*0 ::1:26/1*0 10.0.0.1:0/2*0", NULL},
    {DIALECT_MAPS, "b.test smtp smtps:a smtps:[::1]:4465 smtps:25",
     "b.test send smtps:a:0/0*0 smtps:::1:4465/1*0 smtps:25/2*0", NULL},
    {DIALECT_MAPS, "b.test smtp smtps:a:4465*3 b*1", "b.test send smtps:a:4465/0*3 b:0/0*1", NULL},
    {DIALECT_MAPS, "b.test smtp a*3 b:27*1", "b.test send a:0/0*3 b:27/0*1", NULL},
    {DIALECT_MAPS, "b.test smtp a tls=required limits=l source=s credentials=c tenant=t",
     "b.test send a:0/0*0 tls=3 limits=l source=s credentials=c tenant=t", NULL},
    {DIALECT_MAPS, ".b.test lmtp /run/x [::1]:24", ".b.test send lmtp /run/x:0/0*0 ::1:24/1*0",
     NULL},
    {DIALECT_MAPS, "*.b.test mx", ".b.test send mx()", NULL},
    {DIALECT_MAPS, "@b.test mx c.test tls=none", "b.test send mx(c.test) tls=1", NULL},
    {DIALECT_MAPS, "* pass", "* pass", NULL},
    {DIALECT_MAPS, "x.test discard", "x.test discard", NULL},
    {DIALECT_MAPS, "x.test reject", "x.test reject", NULL},
    {DIALECT_MAPS, "x.test reject 553 5.1.2 go away", "x.test reject 553 5.1.2 <go away>", NULL},
    {DIALECT_MAPS, "x.test reject 453 5 ways", "x.test reject <453 5 ways>", NULL},
    {DIALECT_MAPS, "x.test defer 4.3.1 later", "x.test defer 0 4.3.1 <later>", NULL},
    {DIALECT_MAPS, "x.test hold 4.3.999 why", "x.test hold <4.3.999 why>", NULL},
    {DIALECT_MAPS, "\"a b\"@c.test mx", "a b@c.test send mx()", NULL},
    {DIALECT_MAPS, "a b@c.test mx", NULL, "behind the key comes"},
    {DIALECT_MAPS, "b.test smtp", NULL, "there is no host"},
    {DIALECT_MAPS, "b.test smtp tls=none", NULL, "there is no host"},
    {DIALECT_MAPS, "b.test smtp a:0", NULL, "it is no host"},
    {DIALECT_MAPS, "b.test smtp a:65536", NULL, "it is no host"},
    {DIALECT_MAPS, "b.test smtp a*0", NULL, "it is no host"},
    {DIALECT_MAPS, "b.test smtp ::1", NULL, "it is no host"},
    {DIALECT_MAPS, "b.test smtp [a", NULL, "it is no host"},
    {DIALECT_MAPS, "b.test smtp /run/x", NULL, "it is no host"},
    {DIALECT_MAPS, "b.test smtp smtps:", NULL, "it is no host"},
    {DIALECT_MAPS, "b.test smtp smtps::25", NULL, "it is no host"},
    {DIALECT_MAPS, "b.test lmtp smtps:a", NULL, "it is no host"},
    {DIALECT_MAPS, "b.test smtp a tls=maybe", NULL, "none, opportunistic or required"},
    {DIALECT_MAPS, "b.test smtp a colour=red", NULL, "there is tls="},
    {DIALECT_MAPS, "b.test smtp 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", NULL, "16 hosts"},
    {DIALECT_MAPS, "b.test mx a b", NULL, "one domain at most"},
    {DIALECT_MAPS, "b.test discard it", NULL, "nothing may follow"},
    {DIALECT_MAPS, "b.test", NULL, "behind the key comes"},
    {DIALECT_MAPS, "b..test mx", NULL, "it is no key"},
    {DIALECT_MAPS, "@ mx", NULL, "it is no key"},
    {DIALECT_MAPS, "b\303\274.test mx", NULL, "ASCII form"},

    {DIALECT_ALIASES, "a@b.test c@d.test, e@f.test g@h.test",
     "a@b.test rewrite c@d.test e@f.test g@h.test", NULL},
    {DIALECT_ALIASES, "@b.test @c.test", "@b.test rewrite @c.test", NULL},
    {DIALECT_ALIASES, "Root ann", "root rewrite ann@local.test", NULL},
    {DIALECT_ALIASES, "a@b.test \"x, y\"@c.test", "a@b.test rewrite \"x, y\"@c.test", NULL},
    {DIALECT_ALIASES, "a@b.test", NULL, "there is no address behind the key"},
    {DIALECT_ALIASES, "a@b.test |program", NULL, "it is no address"},
    {DIALECT_ALIASES, "a@b.test /file", NULL, "it is no address"},
    {DIALECT_ALIASES, "a@b.test :include:/file@x.test", NULL, "it is no address"},
    {DIALECT_ALIASES, "a@ c@d.test", NULL, "it is no key"},
    {DIALECT_CANONICAL, "a@b.test c@d.test", "a@b.test rewrite c@d.test", NULL},
    {DIALECT_CANONICAL, "a@b.test c@d.test e@f.test", NULL, "one canonical form"},

    {DIALECT_TRANSPORT, "a.test smtp:[hub.test]:2525", "a.test send hub.test:2525/0*0", NULL},
    {DIALECT_TRANSPORT, ".a.test relay:[hub.test]:submission", ".a.test send hub.test:587/0*0",
     NULL},
    {DIALECT_TRANSPORT, "a.test smtp:", "a.test send mx()", NULL},
    {DIALECT_TRANSPORT, "a.test smtp", "a.test send mx()", NULL},
    {DIALECT_TRANSPORT, "a.test :hub.test", "a.test send mx(hub.test)", NULL},
    {DIALECT_TRANSPORT, "a.test slow:hub.test:25", "a.test send mx(hub.test)", NULL},
    {DIALECT_TRANSPORT, "a.test smtp:hub.test:26", "a.test send hub.test:26/0*0", NULL},
    {DIALECT_TRANSPORT, "a.test smtp:[a], [b]:26", "a.test send a:0/0*0 b:26/1*0", NULL},
    {DIALECT_TRANSPORT, "a.test smtp:[IPv6:::1]", "a.test send ::1:0/0*0", NULL},
    {DIALECT_TRANSPORT, "u@a.test lmtp:unix:/run/x", "u@a.test send lmtp /run/x:0/0*0", NULL},
    {DIALECT_TRANSPORT, "a.test lmtp:inet:h:24", "a.test send lmtp h:24/0*0", NULL},
    {DIALECT_TRANSPORT, "a.test lmtp:[::1]", "a.test send lmtp ::1:0/0*0", NULL},
    {DIALECT_TRANSPORT, "a.test :", "a.test pass", NULL},
    {DIALECT_TRANSPORT, "* error:5.1.2 mail for *.a is not deliverable",
     "* reject 0 5.1.2 <mail for *.a is not deliverable>", NULL},
    {DIALECT_TRANSPORT, "a.test retry:4.0.0 later: much", "a.test defer 0 4.0.0 <later: much>",
     NULL},
    {DIALECT_TRANSPORT, "a.test hold:look", "a.test hold <look>", NULL},
    {DIALECT_TRANSPORT, "a.test discard:silently", "a.test discard", NULL},
    {DIALECT_TRANSPORT, "a.test smtps:[a]", "a.test send smtps:a:0/0*0", NULL},
    {DIALECT_TRANSPORT, "a.test relay-smtps:a:submissions, [IPv6:::1]:4465",
     "a.test send smtps:a:465/0*0 smtps:::1:4465/1*0", NULL},
    {DIALECT_TRANSPORT, "a.test smtps:", NULL, "smtps: needs a host"},
    {DIALECT_TRANSPORT, "a.test smtps:[a]:x", NULL, "the port as a number"},
    {DIALECT_TRANSPORT, "a.test smtp:[a]:smtps", NULL, "the port as a number"},
    {DIALECT_TRANSPORT, "a.test smtp:a, b", NULL, "write hosts in brackets"},
    {DIALECT_TRANSPORT, "a.test lmtp:unix:private/x", NULL, "the whole path"},
    {DIALECT_TRANSPORT, "a.test lmtp:", NULL, "needs a next hop"},
    {DIALECT_TRANSPORT, "a.test uucp:a", NULL, "there is no such transport"},
    {DIALECT_TRANSPORT, "a.test", NULL, "no transport:nexthop"},
    {DIALECT_TRANSPORT, "/^x/ smtp:", NULL, "it is no pattern"},

    {DIALECT_VIRTUAL, "v.test anything",
     "v.test reject 550 5.1.1 <User unknown in virtual alias table>", NULL},
    {DIALECT_VIRTUAL, "a@v.test b, c@d.test", "a@v.test rewrite b@local.test c@d.test", NULL},
    {DIALECT_VIRTUAL, "@v.test @d.test", "@v.test rewrite @d.test", NULL},
    {DIALECT_VIRTUAL, "root ann@a.test", "root rewrite ann@a.test", NULL},
    {DIALECT_VIRTUAL, "a@v.test \"|prog\"", NULL, "it is no address"},
};

static const struct smarthop_span slow[] = {SMARTHOP_TEXT_INIT("slow")};

static const struct dialect *dialect_of(enum dialect_kind kind)
{
    static struct dialect dialect;

    dialect = (struct dialect){kind, SMARTHOP_TEXT_INIT("local.test"), slow, 1};
    return &dialect;
}

static void test_rules(void **state)
{
    static struct rule_line line;
    static struct rule again;
    static char bytes[RECORD_MAX];
    char told[1024], told_again[1024];

    (void)state;
    for (size_t i = 0; i < COUNT(rule_cases); i++) {
        const struct rule_case *c = &rule_cases[i];
        struct problems problems = {0};
        line = (struct rule_line){.file = "file", .line = 7, .problems = &problems};
        bool good =
            rule_parse(&line, dialect_of(c->kind), smarthop_span_of(c->text, strlen(c->text)));
        CHECK(c->text, good == (c->rule != NULL) && good == (problems.count == 0));
        if (!good) {
            CHECK(c->text, strncmp(problems.texts[0], "file:7: ", 8) == 0);
            CHECK(c->text, strstr(problems.texts[0], c->problem) != NULL);
            continue;
        }
        tell(&line, told, sizeof told);
        assert_text(c->text, smarthop_span_of(told, strlen(told)), c->rule);
        size_t len = record_write(&line.rule, bytes);
        CHECK(c->text, record_read(smarthop_span_of(bytes, len), &again));
        line.rule = again;
        tell(&line, told_again, sizeof told_again);
        assert_string_equal(told_again, told);
        for (size_t cut = 0; cut < len; cut++)
            CHECK(c->text, !record_read(smarthop_span_of(bytes, cut), &again));
    }
}

/* Without local_domains there is no domain to add. */
static void test_addresses_without_a_domain(void **state)
{
    static const char *const texts[] = {"root ann@a.test", "a@b.test ann"};
    struct dialect dialect = {.kind = DIALECT_ALIASES};
    static struct rule_line line;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct problems problems = {0};
        line = (struct rule_line){.file = "file", .line = 1, .problems = &problems};
        assert_false(rule_parse(&line, &dialect, smarthop_span_of(texts[i], strlen(texts[i]))));
        assert_non_null(strstr(problems.texts[0], "set local_domains"));
    }
}

/* ---- sorting ------------------------------------------------------------------------------ */

static void check_sorting(size_t memory, unsigned count)
{
    struct sorter *sorter = sorter_create("/tmp", memory);
    struct entry entry;
    uint64_t before = 0;
    unsigned seen = 0;
    char value[600];

    assert_non_null(sorter);
    for (unsigned i = 0; i < count; i++) {
        memset(value, (int)(i & 127), sizeof value);
        entry =
            (struct entry){(i * 2654435761u) % 1009, i, smarthop_span_of(value, i % sizeof value)};
        assert_true(sorter_add(sorter, &entry));
    }
    assert_true(sorter_sort(sorter));
    uint32_t line = 0;
    while (sorter_next(sorter, &entry) > 0) {
        assert_true(entry.hash > before ||
                    (entry.hash == before && (seen == 0 || entry.line > line)));
        before = entry.hash;
        line = entry.line;
        assert_int_equal(entry.hash, (line * 2654435761u) % 1009);
        assert_int_equal(entry.value.len, line % sizeof value);
        for (size_t i = 0; i < entry.value.len; i++)
            assert_int_equal(entry.value.ptr[i], line & 127);
        seen++;
    }
    assert_int_equal(seen, count);
    sorter_free(sorter);
}

static void test_sorting_in_memory_and_on_disk(void **state)
{
    (void)state;
    check_sorting(1 << 20, 0);
    check_sorting(1 << 20, 1);
    check_sorting(1 << 20, 1000);
    check_sorting(1 << 20, 20000);
    check_sorting(1000, 500);
}

static void test_an_entry_that_is_too_large(void **state)
{
    struct sorter *sorter = sorter_create("/tmp", 100);
    char value[200] = {0};
    struct entry entry = {1, 1, smarthop_span_of(value, sizeof value)};

    (void)state;
    assert_false(sorter_add(sorter, &entry));
    sorter_free(sorter);
}

/* ---- tables ------------------------------------------------------------------------------- */

struct rig {
    char folder[64];
    char path[128];
    struct source source;
    struct store *store;
    struct source_news news;
    struct problems problems;
};

static void write_text(const struct rig *rig, const char *text)
{
    char beside[140];

    snprintf(beside, sizeof beside, "%s~", rig->path);
    FILE *file = fopen(beside, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(rename(beside, rig->path), 0);
}

static void rig_start(struct rig *rig, enum dialect_kind kind)
{
    *rig = (struct rig){.folder = "/tmp/smarthop-table-XXXXXX"};
    assert_non_null(mkdtemp(rig->folder));
    snprintf(rig->path, sizeof rig->path, "%s/text", rig->folder);
    assert_true(source_init(&rig->source, rig->path, NULL, dialect_of(kind)));
}

static void rig_stop(struct rig *rig)
{
    char command[100];

    store_close(rig->store);
    source_fini(&rig->source);
    snprintf(command, sizeof command, "rm -rf %s", rig->folder);
    assert_int_equal(system(command), 0);
}

static enum source_result refresh(struct rig *rig)
{
    struct store *store = NULL;

    rig->problems.count = 0;
    enum source_result result =
        source_refresh(&rig->source, rig->store, &store, &rig->news, &rig->problems);
    if (result == SOURCE_NEW) {
        store_close(rig->store);
        rig->store = store;
    }
    return result;
}

/* The line of a key; 0 = it is not there. */
static unsigned find(const struct rig *rig, const char *key)
{
    struct smarthop_span span = smarthop_span_of(key, strlen(key));
    struct store_reader reader = {0};
    struct smarthop_span record;
    struct rule rule;
    uint32_t line = 0;

    enum store_found found = store_find(&reader, rig->store, span, key_hash(span), &line, &record);
    assert_int_not_equal(found, STORE_DAMAGED);
    if (found == STORE_FOUND) {
        assert_true(filter_may_have(store_hint(rig->store)->filter, store_hint(rig->store)->words,
                                    key_hash(span)));
        assert_true(record_read(record, &rule));
    }
    store_reader_close(&reader);
    return found == STORE_FOUND ? line : 0;
}

static void test_a_table_is_made_and_kept(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, DIALECT_MAPS);
    write_text(&rig, "a.test mx\n* mx b.test\nu@a.test pass\n");
    assert_int_equal(refresh(&rig), SOURCE_NEW);
    assert_true(rig.news.is_compiled);
    assert_int_equal(store_stamp(rig.store)->count, 3);
    assert_int_equal(store_hint(rig.store)->kinds, KEY_DOMAIN | KEY_ANY | KEY_ADDRESS);
    assert_int_equal(find(&rig, "a.test"), 1);
    assert_int_equal(find(&rig, "*"), 2);
    assert_int_equal(find(&rig, "u@a.test"), 3);
    assert_int_equal(find(&rig, "b.test"), 0);
    assert_false(source_has_changed(&rig.source));
    assert_int_equal(refresh(&rig), SOURCE_SAME);

    store_close(rig.store); /* a restart */
    rig.store = NULL;
    assert_int_equal(refresh(&rig), SOURCE_NEW);
    assert_false(rig.news.is_compiled);
    write_text(&rig, "a.test mx\n* mx b.test\nu@a.test pass\n"); /* the same again */
    assert_true(source_has_changed(&rig.source));
    assert_int_equal(refresh(&rig), SOURCE_SAME);
    assert_false(source_has_changed(&rig.source));
    rig_stop(&rig);
}

static void test_a_mistake_leaves_the_old_table(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, DIALECT_MAPS);
    write_text(&rig, "a.test mx\n");
    assert_int_equal(refresh(&rig), SOURCE_NEW);
    write_text(&rig, "b.test mx\nc.test nonsense\n");
    for (int i = 0; i < 2; i++) { /* it is refused again, not taken for known */
        assert_int_equal(refresh(&rig), SOURCE_REFUSED);
        assert_int_equal(rig.problems.count, 1);
        assert_non_null(strstr(rig.problems.texts[0], "text:2: \"nonsense\": behind the key"));
        assert_int_equal(find(&rig, "a.test"), 1);
    }
    assert_false(source_has_changed(&rig.source));
    store_close(rig.store);
    rig.store = NULL;
    assert_int_equal(refresh(&rig), SOURCE_REFUSED);
    write_text(&rig, "b.test mx\n");
    assert_int_equal(refresh(&rig), SOURCE_NEW);
    assert_int_equal(find(&rig, "b.test"), 1);
    unlink(rig.path);
    assert_true(source_has_changed(&rig.source));
    assert_int_equal(refresh(&rig), SOURCE_REFUSED);
    assert_false(source_has_changed(&rig.source));
    rig_stop(&rig);
}

static void test_keys_that_are_there_twice(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, DIALECT_MAPS);
    write_text(&rig, "a.test mx\nb.test mx\nA.test pass\n");
    assert_int_equal(refresh(&rig), SOURCE_REFUSED);
    assert_non_null(
        strstr(rig.problems.texts[0], "text:3: \"a.test\" is there twice, first in line 1"));
    rig_stop(&rig);
    rig_start(&rig, DIALECT_TRANSPORT);
    write_text(&rig, "a.test smtp:\nb.test smtp:\nA.test :\n");
    assert_int_equal(refresh(&rig), SOURCE_NEW);
    assert_int_equal(rig.news.duplicates, 1);
    assert_int_equal(find(&rig, "a.test"), 1);
    rig_stop(&rig);
}

/* What a crash may leave, and what the disk may do to a table. */
static void test_leftovers(void **state)
{
    char path[300];
    struct rig rig;

    (void)state;
    rig_start(&rig, DIALECT_MAPS);
    write_text(&rig, "a.test mx\n");
    snprintf(path, sizeof path, "%s.new", rig.source.table);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("half of a table", file);
    fclose(file);
    assert_int_equal(refresh(&rig), SOURCE_NEW);
    assert_int_not_equal(access(path, F_OK), 0);
    static const off_t lengths[] = {0, 100, 4096, 8192};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        store_close(rig.store);
        rig.store = NULL;
        assert_int_equal(truncate(rig.source.table, lengths[i]), 0);
        assert_int_equal(refresh(&rig), SOURCE_NEW);
        assert_true(rig.news.is_compiled);
        assert_int_equal(find(&rig, "a.test"), 1);
    }
    rig_stop(&rig);
}

/* Options that say how a text is read make another table. */
static void test_another_dialect_is_another_table(void **state)
{
    struct dialect other = {.kind = DIALECT_ALIASES};
    struct source source;
    struct rig rig;

    (void)state;
    rig_start(&rig, DIALECT_ALIASES);
    assert_true(source_init(&source, rig.path, NULL, &other));
    assert_string_not_equal(source.table, rig.source.table);
    source_fini(&source);
    assert_true(source_init(&source, rig.path, "/elsewhere", &rig.source.dialect));
    assert_int_equal(strncmp(source.table, "/elsewhere/text.aliases-", 24), 0);
    source_fini(&source);
    rig_stop(&rig);
}

static void test_many_keys(void **state)
{
    enum { MANY = 120000 }; /* more than a transaction */
    struct rig rig;
    char key[40];

    (void)state;
    rig_start(&rig, DIALECT_MAPS);
    FILE *file = fopen(rig.path, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < MANY; i++)
        fprintf(file, "u%u@d%u.test mx\n", i, i % 100);
    fclose(file);
    assert_int_equal(refresh(&rig), SOURCE_NEW);
    for (unsigned i = 0; i < MANY; i += 7) {
        snprintf(key, sizeof key, "u%u@d%u.test", i, i % 100);
        assert_int_equal(find(&rig, key), i + 1);
        snprintf(key, sizeof key, "v%u@d%u.test", i, i % 100);
        assert_int_equal(find(&rig, key), 0);
    }
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_cut_anywhere),
        cmocka_unit_test(test_a_line_is_bounded),
        cmocka_unit_test(test_keys_of_an_address),
        cmocka_unit_test(test_the_longest_keys),
        cmocka_unit_test(test_lower_case),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_addresses_without_a_domain),
        cmocka_unit_test(test_sorting_in_memory_and_on_disk),
        cmocka_unit_test(test_an_entry_that_is_too_large),
        cmocka_unit_test(test_a_table_is_made_and_kept),
        cmocka_unit_test(test_a_mistake_leaves_the_old_table),
        cmocka_unit_test(test_keys_that_are_there_twice),
        cmocka_unit_test(test_leftovers),
        cmocka_unit_test(test_another_dialect_is_another_table),
        cmocka_unit_test(test_many_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
