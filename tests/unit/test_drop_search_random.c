/*
 * drop/imap/search: random programs over random messages, against what a model of them says. The
 * model knows texts as they are meant; in the store they are encoded this way or that.
 */
#include "auth/base64.h"
#include "plugins/drop/mime/text.h"
#include "support/search_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { MESSAGES = 120, PROGRAMS = 600, DAYS = 20, DAY = 86400, TEXT = 4000 };

static const char *const words[] = {
    "alpha",
    "Bravo",
    "Stra\xc3\x9f"
    "e",
    "\xc3\x84PFEL",
    "kiwi",
    "\xe2\x84\xaa"
    "elvin",
    "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82",
    "mississippi",
    "x",
    "OK",
};
/* Parts of them, in other cases. */
static const char *const needles[] = {
    "ALPHA",        "rav",      "stra\xc3\x9f",
    "\xc3\xa4pfel", "KIWI",     "kelvin",
    "kiwi kelvin",  "issip",    "\xd0\xbf\xd0\xa0\xd0\x98",
    "x x",          "ok alpha", "nowhere",
    "pha br",       "",
};
static const char *const keywords[] = {"one", "$Two"};

struct model {
    uint32_t uid;
    uint32_t flags;
    unsigned keywords; /* bits */
    int64_t date;
    int zone;
    bool has_sent;
    int64_t sent; /* seconds */
    int sent_zone;
    uint64_t size;
    char subject[TEXT]; /* folded */
    char from[TEXT];
    char body[TEXT];
};

static struct model models[MESSAGES];

static unsigned pick(unsigned count)
{
    return (unsigned)rand() % count;
}

/* ---- messages ----------------------------------------------------------------------------- */

static void make_words(char text[TEXT], unsigned most)
{
    unsigned count = pick(most + 1);
    size_t len = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, TEXT - len, "%s%s", i > 0 ? " " : "",
                                words[pick(COUNT(words))]);
}

static void fold_in_place(char text[TEXT])
{
    struct buf folded;

    buf_init(&folded, 0);
    text_fold(span_cstr(text), &folded);
    memcpy(text, buf_span(&folded).len > 0 ? buf_span(&folded).ptr : "", buf_len(&folded));
    text[buf_len(&folded)] = '\0';
    buf_fini(&folded);
}

static void put_base64(struct buf *out, struct span text)
{
    char encoded[2 * TEXT];

    buf_add(out, span_of(encoded, base64_encode(text, encoded)));
}

/* Raw, or word by word encoded and folded. */
static void put_field(struct buf *out, const char *name, const char *text)
{
    bool is_encoded = pick(2);
    struct span rest = span_cstr(text);

    buf_addf(out, "%s:", name);
    for (bool is_first = true; rest.len > 0; is_first = false) {
        size_t len = span_index(span_from(rest, 1), ' ') + 1;
        struct span word = span_head(rest, len);

        rest = span_from(rest, len);
        buf_add_text(out, pick(3) == 0 ? "\r\n" : "");
        if (is_encoded || is_first)
            buf_add(out, SPAN(" "));
        if (is_encoded) {
            buf_add(out, SPAN("=?utf-8?B?"));
            put_base64(out, word);
            buf_add(out, SPAN("?="));
        } else {
            buf_add(out, word);
        }
    }
    buf_add(out, SPAN("\r\n"));
}

static void put_body(struct buf *out, const char *text, unsigned encoding)
{
    if (encoding == 0) {
        buf_add_text(out, text);
    } else if (encoding == 1) {
        for (size_t i = 0; text[i] != '\0'; i++) {
            bool is_plain = ascii_is_alnum(text[i]) || text[i] == ' ';

            buf_addf(out, is_plain && text[i + 1] != '\0' ? "%c" : "=%02X", (unsigned char)text[i]);
            buf_add_text(out, i % 30 == 29 ? "=\r\n" : "");
        }
    } else {
        for (size_t at = 0; at < strlen(text); at += 33) {
            put_base64(out, span_head(span_from(span_cstr(text), at), 33));
            buf_add(out, SPAN("\r\n"));
        }
    }
}

static void put_date(struct buf *out, const struct model *model)
{
    int64_t local = model->sent + model->sent_zone * 60;
    int zone = model->sent_zone < 0 ? -model->sent_zone : model->sent_zone;

    buf_addf(out, "Date: %d Jan 1970 %02d:%02d:%02d %c%02d%02d\r\n", (int)(local / DAY) + 1,
             (int)(local % DAY / 3600), (int)(local % 3600 / 60), (int)(local % 60),
             model->sent_zone < 0 ? '-' : '+', zone / 60, zone % 60);
}

static void make_message(struct model *model, struct buf *out)
{
    static const char *const encodings[] = {"8bit", "quoted-printable", "base64"};
    unsigned encoding = pick(COUNT(encodings));
    bool is_multipart = pick(2);

    make_words(model->subject, 4);
    make_words(model->from, 2);
    make_words(model->body, pick(4) == 0 ? 200 : 12);
    model->has_sent = pick(5) > 0;
    if (model->has_sent)
        put_date(out, model);
    put_field(out, "Subject", model->subject);
    put_field(out, "X-From", model->from);
    if (is_multipart)
        buf_addf(out, "Content-Type: multipart/mixed; boundary=edge\r\n\r\nalpha\r\n--edge\r\n");
    buf_addf(out,
             "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n",
             encodings[encoding]);
    put_body(out, model->body, encoding);
    if (is_multipart)
        buf_addf(out, "\r\n--edge\r\nContent-Type: image/png\r\n\r\nalpha\r\n--edge--\r\n");
    fold_in_place(model->subject);
    fold_in_place(model->from);
    fold_in_place(model->body);
}

static void make_model(struct model *model)
{
    struct span names[COUNT(keywords)];
    struct mailstore_target target = {.keywords = names};
    struct buf message;

    model->flags = pick(32);
    model->keywords = pick(4);
    model->date = DAY + pick(DAYS * DAY);
    model->zone = (int)pick(25) * 60 - 720;
    model->sent_zone = (int)pick(25) * 60 - 720;
    model->sent = DAY + pick(DAYS * DAY);
    buf_init(&message, 0);
    make_message(model, &message);
    for (unsigned i = 0; i < COUNT(keywords); i++)
        if ((model->keywords & 1u << i) != 0)
            names[target.keyword_count++] = span_cstr(keywords[i]);
    target.flags = model->flags;
    target.internal_date = model->date;
    target.internal_zone = (int16_t)model->zone;
    model->size = buf_len(&message);
    model->uid = search_rig_put(target, buf_span(&message));
    buf_fini(&message);
}

static int setup(void **state)
{
    (void)state;
    srand(3);
    search_rig_start();
    for (unsigned i = 0; i < MESSAGES; i++)
        make_model(&models[i]);
    search_rig_look();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    search_rig_stop();
    return 0;
}

/* ---- programs ----------------------------------------------------------------------------- */

static const enum imap_key leaves[] = {
    IMAP_KEY_ALL,     IMAP_KEY_SEQUENCE,    IMAP_KEY_UID,     IMAP_KEY_FLAG,
    IMAP_KEY_KEYWORD, IMAP_KEY_HEADER,      IMAP_KEY_HEADER,  IMAP_KEY_BODY,
    IMAP_KEY_BODY,    IMAP_KEY_TEXT,        IMAP_KEY_BEFORE,  IMAP_KEY_ON,
    IMAP_KEY_SINCE,   IMAP_KEY_SENT_BEFORE, IMAP_KEY_SENT_ON, IMAP_KEY_SENT_SINCE,
    IMAP_KEY_LARGER,  IMAP_KEY_SMALLER,
};

static struct imap_search_key *make_key(struct arena *arena, unsigned depth)
{
    struct imap_search_key *key = arena_alloc(arena, sizeof(*key));

    if (depth > 0 && pick(2) == 0) {
        key->key = (enum imap_key)(IMAP_KEY_AND + pick(3));
        unsigned count = key->key == IMAP_KEY_NOT ? 1 : 2 + pick(2);
        for (unsigned i = 0; i < count; i++) {
            struct imap_search_key *child = make_key(arena, depth - 1);
            child->next = key->child;
            key->child = child;
        }
        return key;
    }
    key->key = leaves[pick(COUNT(leaves))];
    key->set.count = 1 + pick(3);
    key->set.ranges = arena_alloc(arena, key->set.count * sizeof(*key->set.ranges));
    for (unsigned i = 0; i < key->set.count; i++)
        key->set.ranges[i] =
            (struct mailstore_range){1 + pick(MESSAGES), pick(9) ? 1 + pick(MESSAGES) : UINT32_MAX};
    key->flag = 1u << pick(5);
    key->name = pick(2) ? SPAN("subject") : SPAN("X-FROM");
    key->text = span_cstr(key->key == IMAP_KEY_KEYWORD ? (pick(2) ? "ONE" : "$two")
                                                       : needles[pick(COUNT(needles))]);
    key->number =
        key->key == IMAP_KEY_LARGER || key->key == IMAP_KEY_SMALLER ? pick(1000) : pick(DAYS + 3);
    return key;
}

static bool has(const char *folded, struct span text)
{
    char needle[TEXT];

    memcpy(needle, text.ptr, text.len);
    needle[text.len] = '\0';
    fold_in_place(needle);
    return strstr(folded, needle) != NULL;
}

static bool in_set(const struct imap_set *set, uint32_t number, uint32_t most)
{
    for (unsigned i = 0; i < set->count; i++) {
        uint32_t a = set->ranges[i].first;
        uint32_t b = set->ranges[i].last == UINT32_MAX ? most : set->ranges[i].last;

        if ((a <= number && number <= b) || (b <= number && number <= a))
            return true;
    }
    return false;
}

static bool by_day(enum imap_key key, enum imap_key before, int64_t day, uint64_t number)
{
    if (key == before)
        return day < (int64_t)number;
    return key == before + 1 ? day == (int64_t)number : day >= (int64_t)number;
}

static bool is_found(const struct imap_search_key *key, uint32_t index)
{
    const struct model *m = &models[index];
    bool all = true, any = false;

    switch (key->key) {
    case IMAP_KEY_AND:
    case IMAP_KEY_OR:
    case IMAP_KEY_NOT:
        for (const struct imap_search_key *child = key->child; child != NULL; child = child->next) {
            bool is_so = is_found(child, index);
            all &= is_so;
            any |= is_so;
        }
        return key->key == IMAP_KEY_AND ? all : key->key == IMAP_KEY_OR ? any : !all;
    case IMAP_KEY_SEQUENCE:
        return in_set(&key->set, index + 1, MESSAGES);
    case IMAP_KEY_UID:
        return in_set(&key->set, m->uid, models[MESSAGES - 1].uid);
    case IMAP_KEY_FLAG:
        return (m->flags & key->flag) != 0;
    case IMAP_KEY_KEYWORD:
        return (m->keywords & (key->text.ptr[0] == 'O' ? 1 : 2)) != 0;
    case IMAP_KEY_HEADER:
        return has(key->name.ptr[0] == 's' ? m->subject : m->from, key->text);
    case IMAP_KEY_BODY:
        return has(m->body, key->text);
    case IMAP_KEY_TEXT:
        return has(m->body, key->text) || has(m->subject, key->text) || has(m->from, key->text);
    case IMAP_KEY_BEFORE:
    case IMAP_KEY_ON:
    case IMAP_KEY_SINCE:
        return by_day(key->key, IMAP_KEY_BEFORE, (m->date + m->zone * 60) / DAY, key->number);
    case IMAP_KEY_SENT_BEFORE:
    case IMAP_KEY_SENT_ON:
    case IMAP_KEY_SENT_SINCE:
        return m->has_sent && by_day(key->key, IMAP_KEY_SENT_BEFORE,
                                     (m->sent + m->sent_zone * 60) / DAY, key->number);
    case IMAP_KEY_LARGER:
        return m->size > key->number;
    case IMAP_KEY_SMALLER:
        return m->size < key->number;
    default:
        return true;
    }
}

static void test_programs(void **state)
{
    unsigned found = 0;

    (void)state;
    for (unsigned i = 0; i < PROGRAMS; i++) {
        struct imap_search program = {.returns = 0};
        struct imap_search_run run = {.scope = search_rig.scope, .program = &program};
        struct imap_search_key root = {.key = IMAP_KEY_AND};
        struct arena arena;

        arena_init(&arena);
        root.child = make_key(&arena, 4);
        root.child->next = pick(2) ? make_key(&arena, 2) : NULL;
        program.root = &root;
        search_rig_run(&run, false);
        assert_int_equal(run.result.kind, ERR_NONE);
        for (uint32_t index = 0, at = 0; index < MESSAGES; index++) {
            bool told = at < run.found_count && run.found[at] == index;

            if (told != is_found(&root, index))
                fail_msg("program %u, message %u: %s", i, index + 1, told ? "found" : "missed");
            at += told;
        }
        found += run.found_count;
        imap_search_fini(&run);
        arena_fini(&arena);
    }
    assert_in_range(found, PROGRAMS, PROGRAMS * (MESSAGES - 1)); /* some, not all */
}

/* ---- SORT --------------------------------------------------------------------------------- */

static int compare(const struct imap_search *program, uint32_t a, uint32_t b)
{
    const struct model *x = &models[a], *y = &models[b];

    for (unsigned i = 0; i < program->sort_count; i++) {
        int64_t p = 0, q = 0;

        switch (program->sort[i].key) {
        case IMAP_SORT_ARRIVAL:
            p = x->date, q = y->date;
            break;
        case IMAP_SORT_SIZE:
            p = (int64_t)x->size, q = (int64_t)y->size;
            break;
        case IMAP_SORT_DATE:
            p = x->has_sent ? x->sent : x->date, q = y->has_sent ? y->sent : y->date;
            break;
        default:
            p = strcmp(x->subject, y->subject);
            break;
        }
        if (p != q)
            return (p < q) != program->sort[i].is_reverse ? -1 : 1;
    }
    return a < b ? -1 : 1;
}

static void test_sorts(void **state)
{
    static const enum imap_sort_key keys[] = {IMAP_SORT_ARRIVAL, IMAP_SORT_SIZE, IMAP_SORT_DATE,
                                              IMAP_SORT_SUBJECT};

    (void)state;
    for (unsigned i = 0; i < PROGRAMS / 10; i++) {
        struct imap_search program = {.sort_count = 1 + pick(3)};
        struct imap_search_run run = {
            .scope = search_rig.scope, .program = &program, .kind = IMAP_SEARCH_SORT};

        for (unsigned k = 0; k < program.sort_count; k++) {
            program.sort[k].key = keys[pick(COUNT(keys))];
            program.sort[k].is_reverse = pick(2);
        }
        search_rig_run(&run, false);
        assert_int_equal(run.result.kind, ERR_NONE);
        assert_int_equal(run.found_count, MESSAGES);
        for (uint32_t at = 1; at < run.found_count; at++)
            if (compare(&program, run.found[at - 1], run.found[at]) >= 0)
                fail_msg("sort %u: %u before %u", i, run.found[at - 1], run.found[at]);
        imap_search_fini(&run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_sorts),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
