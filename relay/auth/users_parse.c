/* users_parse: the text of a users file becomes a snapshot. */
#include "auth/password.h"
#include "auth/prepare.h"
#include "auth/users_private.h"
#include "base/memory.h"
#include "base/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_SHOWN_MAX = 60, ADDRESS_MAX = 320 };

struct parsing {
    struct users *users;
    struct problems problems;
    unsigned address_count;
    unsigned certificate_count;
};

/* One key of the third part of a line. A new key is a new row. */
struct field {
    const char *key;
    bool repeats;
    /* NULL, or what was expected. */
    const char *(*take)(struct parsing *p, struct users_entry *entry, struct span value);
};

bool users_line_split(struct span line, struct span *name_out, struct span *hash_out,
                      struct span *fields_out)
{
    struct span rest;
    bool has_hash = span_index(line, ':') < line.len;

    *name_out = span_split(line, ':', &rest);
    *hash_out = span_split(rest, ':', fields_out);
    return has_hash;
}

bool users_line_is_comment(struct span line)
{
    return line.len == 0 || line.ptr[0] == '#';
}

/* The snapshot's own bytes, of which spans are handed around. */
static char *own(const struct parsing *p, struct span part)
{
    return p->users->text + (part.ptr - p->users->text);
}

/* Undoes "%XX", in place. */
static bool unescape(struct parsing *p, struct span *value)
{
    char *bytes = own(p, *value);
    size_t len = 0;

    for (size_t i = 0; i < value->len; i++) {
        char c = bytes[i];
        if (c == '%') {
            int high = value->len - i < 3 ? -1 : ascii_hex_value(bytes[i + 1]);
            int low = value->len - i < 3 ? -1 : ascii_hex_value(bytes[i + 2]);
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        bytes[len++] = c;
    }
    value->len = len;
    return true;
}

static const char *take_scram(struct parsing *p, struct users_entry *entry, struct span value)
{
    (void)p;
    entry->has_keys = scram_keys_parse(value, &entry->keys);
    return entry->has_keys ? NULL : "SCRAM-SHA-256$iterations:salt$key:key";
}

static const char *take_send_as(struct parsing *p, struct users_entry *entry, struct span value)
{
    if (!span_equal(value, SPAN("*")) &&
        (value.len > ADDRESS_MAX || span_rindex(value, '@') + 1 >= value.len))
        return "an address, @domain or *";
    if (entry->send_as_count == 0)
        entry->send_as = &p->users->addresses[p->address_count];
    p->users->addresses[p->address_count++] = value;
    entry->send_as_count++;
    return NULL;
}

static const char *take_certificate(struct parsing *p, struct users_entry *entry, struct span value)
{
    struct fingerprint fingerprint;

    if (!fingerprint_parse(value, &fingerprint))
        return "sha256: and 64 hexadecimal digits";
    if (entry->certificate_count == 0)
        entry->certificates = &p->users->fingerprints[p->certificate_count];
    p->users->fingerprints[p->certificate_count++] = fingerprint;
    entry->certificate_count++;
    return NULL;
}

static const char *take_rate(struct parsing *p, struct span value, uint32_t *rate_out)
{
    uint64_t rate;

    if (!span_parse_u64(value, &rate) || rate > USERS_RATE_MAX)
        return "a number up to 1000000, 0 for no bound";
    *rate_out = (uint32_t)rate;
    p->users->has_rates = true;
    return NULL;
}

static const char *take_messages(struct parsing *p, struct users_entry *entry, struct span value)
{
    return take_rate(p, value, &entry->messages_per_hour);
}

static const char *take_recipients(struct parsing *p, struct users_entry *entry, struct span value)
{
    return take_rate(p, value, &entry->recipients_per_hour);
}

static const struct field fields[] = {
    {USERS_FIELD_SCRAM, false, take_scram},
    {USERS_FIELD_SEND_AS, true, take_send_as},
    {USERS_FIELD_CERTIFICATE, true, take_certificate},
    {"messages_per_hour", false, take_messages},
    {"recipients_per_hour", false, take_recipients},
};

static const struct field *find_field(struct span key)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (span_equal(key, span_cstr(fields[i].key)))
            return &fields[i];
    return NULL;
}

/* `seen` has a bit for each row of the table that this line has had. */
static void parse_field(struct parsing *p, struct users_entry *entry, struct span text,
                        unsigned *seen)
{
    struct span value;
    struct span key = span_split(text, '=', &value);
    const struct field *field = find_field(key);

    if (field == NULL) {
        problems_add(&p->problems,
                     "there is no key \"%.*s\"; scram, send_as, certificate, messages_per_hour and "
                     "recipients_per_hour are known",
                     SPAN_ARG(span_head(key, NAME_SHOWN_MAX)));
        return;
    }
    unsigned bit = 1u << (field - fields);
    if ((*seen & bit) != 0 && !field->repeats) {
        problems_add(&p->problems, "%s is given twice", field->key);
        return;
    }
    *seen |= bit;
    if (!unescape(p, &value)) {
        problems_add(&p->problems, "%s: %% begins a byte in hexadecimal, as in %%2C", field->key);
        return;
    }
    const char *expected = field->take(p, entry, value);
    if (expected != NULL)
        problems_add(&p->problems, "%s: expected %s", field->key, expected);
}

static void parse_hash(struct parsing *p, struct users_entry *entry, struct span hash)
{
    if (span_equal(hash, SPAN("*")))
        return;
    char *text = own(p, hash);
    /* A colon, a line feed or the end of the text has been there. */
    text[hash.len] = '\0';
    if (password_hash_is_usable(text))
        entry->hash = text;
    else
        problems_add(&p->problems,
                     "the hash is none that libcrypt takes and thinks safe; * stands for none");
}

static bool has_control(struct span line)
{
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)line.ptr[i] < ' ' || line.ptr[i] == 0x7F)
            return true;
    return false;
}

static void parse_line(struct parsing *p, struct span line)
{
    struct span name, hash, rest;
    unsigned seen = 0;

    if (users_line_is_comment(line))
        return;
    if (line.len > USERS_LINE_MAX || has_control(line)) {
        problems_add(&p->problems, line.len > USERS_LINE_MAX
                                       ? "the line is too long"
                                       : "the line has a control character in it");
        return;
    }
    if (!users_line_split(line, &name, &hash, &rest)) {
        problems_add(&p->problems, "expected name:hash or name:hash:key=value,...");
        return;
    }
    if (!auth_name_prepare(name, own(p, name))) {
        problems_add(&p->problems,
                     "this is no name: UTF-8 without blanks is expected, %d bytes at most",
                     AUTH_NAME_MAX);
        return;
    }
    struct users_entry *entry = &p->users->entries[p->users->count++];
    *entry = (struct users_entry){.name = name,
                                  .messages_per_hour = USERS_NO_RATE,
                                  .recipients_per_hour = USERS_NO_RATE,
                                  .line = p->problems.line};
    while (rest.len > 0)
        parse_field(p, entry, span_split(rest, ',', &rest), &seen);
    parse_hash(p, entry, hash);
}

static int compare_names(struct span a, struct span b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_entries(const void *a, const void *b)
{
    const struct users_entry *one = a, *other = b;
    int order = compare_names(one->name, other->name);

    return order != 0 ? order : (one->line > other->line) - (one->line < other->line);
}

static int compare_fingerprints(const void *a, const void *b)
{
    const struct users_owner *one = a, *other = b;

    return fingerprint_compare(one->fingerprint, other->fingerprint);
}

static int compare_owners(const void *a, const void *b)
{
    const struct users_owner *one = a, *other = b;
    int order = compare_fingerprints(a, b);

    return order != 0
               ? order
               : (one->entry->line > other->entry->line) - (one->entry->line < other->entry->line);
}

/* Whose each certificate is, sorted; tells of those that are there twice. */
static void arrange_certificates(struct parsing *p)
{
    struct users *users = p->users;

    for (unsigned i = 0; i < users->count; i++) {
        const struct users_entry *entry = &users->entries[i];
        for (unsigned n = 0; n < entry->certificate_count; n++)
            users->owners[users->owner_count++] =
                (struct users_owner){&entry->certificates[n], entry};
    }
    if (users->owner_count > 1)
        qsort(users->owners, users->owner_count, sizeof *users->owners, compare_owners);
    for (unsigned i = 1; i < users->owner_count; i++) {
        const struct users_owner *owner = &users->owners[i];
        if (fingerprint_compare(owner->fingerprint, owner[-1].fingerprint) != 0)
            continue;
        p->problems.line = owner->entry->line;
        problems_add(&p->problems, "this certificate is already in line %u", owner[-1].entry->line);
    }
}

/* Sorts, tells of names that are there twice, and gathers the decoys. */
static void arrange(struct parsing *p)
{
    struct users *users = p->users;

    if (users->count > 1)
        qsort(users->entries, users->count, sizeof *users->entries, compare_entries);
    for (unsigned i = 0; i < users->count; i++) {
        struct users_entry *entry = &users->entries[i];
        if (i > 0 && span_equal(entry->name, entry[-1].name)) {
            p->problems.line = entry->line;
            problems_add(&p->problems, "%.*s is already in line %u",
                         SPAN_ARG(span_head(entry->name, NAME_SHOWN_MAX)), entry[-1].line);
        }
        if (entry->hash != NULL)
            users->hashed[users->hashed_count++] = entry;
        if (entry->has_keys)
            users->keyed[users->keyed_count++] = entry;
    }
}

/* At most so many entries will there be. */
static size_t count_users(struct span text)
{
    size_t count = 0;

    while (text.len > 0)
        count += !users_line_is_comment(span_split(text, '\n', &text));
    return count;
}

/* At most so many fields "key=" will there be. */
static size_t count_fields(struct span text, struct span key)
{
    size_t count = 0;

    for (const char *at; text.len > 0 && (at = memmem(text.ptr, text.len, key.ptr, key.len));) {
        text = span_from(text, (size_t)(at - text.ptr) + key.len);
        count++;
    }
    return count;
}

static struct users *make_users(struct span text, size_t users_max)
{
    struct users *users = mem_zalloc(sizeof *users);

    atomic_init(&users->references, 1);
    users->entries = mem_zalloc(users_max * sizeof *users->entries);
    users->hashed = mem_zalloc(users_max * sizeof(struct users_entry *));
    users->keyed = mem_zalloc(users_max * sizeof(struct users_entry *));
    users->addresses =
        mem_zalloc(count_fields(text, SPAN(USERS_FIELD_SEND_AS "=")) * sizeof *users->addresses);
    size_t certificates_max = count_fields(text, SPAN(USERS_FIELD_CERTIFICATE "="));
    users->fingerprints = mem_zalloc(certificates_max * sizeof *users->fingerprints);
    users->owners = mem_zalloc(certificates_max * sizeof *users->owners);
    users->text_len = text.len + 1;
    users->text = mem_zalloc(users->text_len);
    if (text.len > 0)
        memcpy(users->text, text.ptr, text.len);
    return users;
}

struct err users_parse(struct span text, const char *file, struct buf *messages, struct users **out)
{
    size_t users_max = count_users(text);

    *out = NULL;
    if (text.len > USERS_FILE_MAX || users_max > USERS_MAX) {
        buf_addf(messages, "%s: more than %d bytes or %d users\n", file, USERS_FILE_MAX, USERS_MAX);
        return err_make(ERR_INVALID, "users file");
    }
    struct parsing p = {.users = make_users(text, users_max),
                        .problems = {.file = file, .messages = messages}};
    for (struct span rest = span_of(p.users->text, text.len); rest.len > 0;) {
        p.problems.line++;
        parse_line(&p, span_split(rest, '\n', &rest));
    }
    arrange(&p);
    arrange_certificates(&p);
    if (p.problems.count == 0) {
        *out = p.users;
        return ERR_OK;
    }
    problems_end(&p.problems);
    users_unref(p.users);
    return err_make(ERR_INVALID, "users file");
}

const struct users_entry *users_find(const struct users *users, struct span name)
{
    unsigned low = 0, high = users->count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = compare_names(name, users->entries[middle].name);
        if (order == 0)
            return &users->entries[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct users_entry *users_find_certificate(const struct users *users,
                                                 const struct fingerprint *fingerprint)
{
    const struct users_owner wanted = {.fingerprint = fingerprint};
    const struct users_owner *found = bsearch(&wanted, users->owners, users->owner_count,
                                              sizeof *users->owners, compare_fingerprints);

    return found != NULL ? found->entry : NULL;
}
