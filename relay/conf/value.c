#include "conf/value.h"

#include "base/memory.h"
#include "conf/address.h"
#include "conf/block_list.h"
#include "conf/identity.h"
#include "conf/origin.h"
#include "conf/pattern.h"
#include "conf/source.h"

#include <stdio.h>
#include <stdlib.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* The largest first: printing takes the first that divides. */
static const struct unit size_units[] = {
    {"TiB", 1ULL << 40}, {"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"", 1},
    {NULL, 0},
};
static const struct unit duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {"", 1000}, {NULL, 0},
};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static const char *const bool_words[] = {"no", "yes", "false", "true", "off", "on", NULL};

static const struct unit *units_of(const struct conf_key *key)
{
    if (key->type == CONF_SIZE)
        return size_units;
    return key->type == CONF_DURATION ? duration_units : no_units;
}

static char **text_field(const struct conf_key *key, const void *item)
{
    return conf_key_field(key, item);
}

/* The index of `text` in a list of words, or -1. */
static int word_index(const char *const *words, struct span text)
{
    for (int i = 0; words != NULL && words[i] != NULL; i++) {
        if (span_equal(span_cstr(words[i]), text))
            return i;
    }
    return -1;
}

static void print_scaled(const struct unit *units, uint64_t value, struct buf *out)
{
    const struct unit *unit = units;

    while (value % unit->factor != 0)
        unit++;
    if (value == 0)
        buf_addf(out, "0");
    else
        buf_addf(out, "%llu%s", (unsigned long long)(value / unit->factor), unit->name);
}

static void print_words(const char *const *words, struct buf *out)
{
    for (unsigned i = 0; words[i] != NULL; i++)
        buf_addf(out, "%s%s", i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ", words[i]);
}

static void print_range(const struct conf_key *key, const char *kind, struct buf *out)
{
    buf_addf(out, "%s from ", kind);
    print_scaled(units_of(key), key->min, out);
    buf_addf(out, " to ");
    print_scaled(units_of(key), key->max, out);
    if (key->unit != NULL)
        buf_addf(out, " (%s)", key->unit);
}

void conf_value_print_expected(const struct conf_key *key, struct buf *out)
{
    switch (key->type) {
    case CONF_NUMBER:
        print_range(key, "a number", out);
        break;
    case CONF_SIZE:
        print_range(key, "a size", out);
        break;
    case CONF_DURATION:
        print_range(key, "a duration", out);
        break;
    case CONF_BOOL:
        buf_addf(out, "yes or no");
        break;
    case CONF_MARK:
        buf_addf(out, "yes");
        break;
    case CONF_ENUM:
        print_words(key->words, out);
        break;
    case CONF_STRING:
        if (key->words != NULL)
            print_words(key->words, out);
        else
            buf_addf(out, "a text of at most %llu bytes", (unsigned long long)key->max);
        break;
    case CONF_DOMAIN:
        buf_addf(out, "a domain name");
        break;
    case CONF_PATH:
        buf_addf(out, "a path of at most %llu bytes", (unsigned long long)key->max);
        break;
    case CONF_NETWORKS:
        buf_addf(out, "a list of networks, or none");
        break;
    case CONF_ADDRESSES:
        buf_addf(out, key->min > 0 ? "a list of addresses" : "a list of addresses, or none");
        break;
    case CONF_HOPS:
        buf_addf(out, "a list of hosts");
        break;
    case CONF_DOMAINS:
        buf_addf(out, "a list of domains, or none");
        break;
    case CONF_BLOCK_LISTS:
        buf_addf(out, "a list of DNS block lists");
        break;
    case CONF_IDENTITIES:
        buf_addf(out, "a list of certificates, or none");
        break;
    case CONF_ORIGINS:
        buf_addf(out, "a list of IP addresses");
        break;
    case CONF_WORDS:
        buf_addf(out, "a list of ");
        print_words(key->words, out);
        buf_addf(out, ", or none");
        break;
    }
}

static bool refuse(const struct conf_key *key, const char *wrong, struct buf *why)
{
    buf_addf(why, "%s; expected ", wrong);
    conf_value_print_expected(key, why);
    return false;
}

static void store_number(const struct conf_key *key, void *item, uint64_t value)
{
    void *field = conf_key_field(key, item);

    if (key->width == sizeof(uint16_t))
        *(uint16_t *)field = (uint16_t)value;
    else if (key->width == sizeof(unsigned))
        *(unsigned *)field = (unsigned)value;
    else
        *(uint64_t *)field = value;
}

static uint64_t number_of(const struct conf_key *key, const void *item)
{
    const void *field = conf_key_field(key, item);

    if (key->width == sizeof(uint16_t))
        return *(const uint16_t *)field;
    if (key->width == sizeof(unsigned))
        return *(const unsigned *)field;
    return *(const uint64_t *)field;
}

static bool set_number(const struct conf_key *key, void *item, struct span text, struct buf *why)
{
    size_t digits = 0;
    uint64_t value;

    while (digits < text.len && ascii_is_digit(text.ptr[digits]))
        digits++;
    if (!span_parse_u64(span_head(text, digits), &value))
        return refuse(key, digits == 0 ? "is not a number" : "is out of range", why);
    struct span name = span_from(text, digits);
    for (const struct unit *unit = units_of(key); unit->name != NULL; unit++) {
        if (!span_equal(span_cstr(unit->name), name))
            continue;
        if (__builtin_mul_overflow(value, unit->factor, &value) || value < key->min ||
            value > key->max)
            return refuse(key, "is out of range", why);
        store_number(key, item, value);
        return true;
    }
    if (key->type == CONF_NUMBER)
        return refuse(key, "is not a number", why);
    return refuse(key,
                  key->type == CONF_SIZE ? "has no unit of KiB, MiB, GiB, TiB"
                                         : "has no unit of ms, s, m, h, d",
                  why);
}

static bool set_bool(const struct conf_key *key, void *item, struct span text, struct buf *why)
{
    int index = word_index(bool_words, text);

    if (index < 0)
        return refuse(key, "is neither", why);
    *(bool *)conf_key_field(key, item) = index % 2;
    return true;
}

static bool check_mark(const struct conf_key *key, struct span text, struct buf *why)
{
    if (span_equal(text, SPAN("yes")))
        return true;
    buf_addf(why, "is not yes; leave %s out where it does not apply", key->name);
    return false;
}

static bool set_enum(const struct conf_key *key, void *item, struct span text, struct buf *why)
{
    int index = word_index(key->words, text);

    if (index < 0)
        return refuse(key, "is none of them", why);
    *(unsigned *)conf_key_field(key, item) = (unsigned)index;
    return true;
}

static bool has_control(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (conf_is_control(text.ptr[i]))
            return true;
    }
    return false;
}

static char *resolve(const struct conf_key *key, struct span path, const char *folder)
{
    char *whole;

    if (folder == NULL || path.len == 0 || path.ptr[0] == '/' || word_index(key->words, path) >= 0)
        return span_to_text(path);
    while (path.len > 2 && path.ptr[0] == '.' && path.ptr[1] == '/')
        path = span_from(path, 2);
    if (asprintf(&whole, "%s/%.*s", strcmp(folder, "/") == 0 ? "" : folder, SPAN_ARG(path)) < 0)
        abort();
    return whole;
}

/* The empty text is kept as NULL. */
static bool set_text(const struct conf_key *key, void *item, struct span text, const char *folder,
                     struct buf *why)
{
    if (has_control(text))
        return refuse(key, "has control characters", why);
    if (text.len < key->min)
        return refuse(key, "is empty", why);
    if (key->type == CONF_STRING && key->words != NULL && word_index(key->words, text) < 0)
        return refuse(key, "is none of them", why);
    if (key->type == CONF_DOMAIN && text.len > 0 && !conf_is_domain(text))
        return refuse(key, "is not a domain name", why);
    char *value = key->type == CONF_PATH ? resolve(key, text, folder) : span_to_text(text);
    if (strlen(value) > key->max) {
        free(value);
        return refuse(key, "is too long", why);
    }
    free(*text_field(key, item));
    *text_field(key, item) = value;
    if (value[0] == '\0') {
        free(value);
        *text_field(key, item) = NULL;
    }
    return true;
}

static size_t item_size(const struct conf_key *key)
{
    if (key->type == CONF_NETWORKS)
        return sizeof(struct conf_network);
    if (key->type == CONF_DOMAINS)
        return sizeof(char *);
    if (key->type == CONF_BLOCK_LISTS)
        return sizeof(struct conf_block_list);
    if (key->type == CONF_IDENTITIES)
        return sizeof(struct conf_identity);
    if (key->type == CONF_ORIGINS)
        return sizeof(struct conf_origin_address);
    return key->type == CONF_ADDRESSES ? sizeof(struct conf_address) : sizeof(struct conf_hop);
}

static bool domain_parse(struct span text, char **out, struct buf *why)
{
    if (span_equal(text, SPAN("*"))) {
        buf_addf(why, "would let everybody send to everybody; expected a domain or .domain");
        return false;
    }
    if (!conf_is_pattern(text)) {
        buf_addf(why, "is not a domain; expected one like example.org, .example.org for its "
                      "subdomains, too, or in ASCII form, xn--bcher-kva.example");
        return false;
    }
    *out = span_to_text(text);
    return true;
}

static unsigned *count_field(const struct conf_key *key, const void *item)
{
    return (unsigned *)(void *)((char *)item + key->count_offset);
}

static bool append(const struct conf_key *key, void *item, struct span text, struct buf *why)
{
    union {
        struct conf_network network;
        struct conf_address address;
        struct conf_hop hop;
        char *domain;
        struct conf_block_list list;
        struct conf_identity identity;
        struct conf_origin_address origin;
    } one;
    size_t size = item_size(key);
    unsigned *count = count_field(key, item);
    void **list = conf_key_field(key, item);
    bool good;

    if (*count >= key->max) {
        buf_addf(why, "is one too many; expected at most %llu", (unsigned long long)key->max);
        return false;
    }
    if (key->type == CONF_NETWORKS)
        good = conf_network_parse(text, &one.network, why);
    else if (key->type == CONF_ADDRESSES)
        good = conf_address_parse(text, key->default_port, &one.address, why);
    else if (key->type == CONF_DOMAINS)
        good = domain_parse(text, &one.domain, why);
    else if (key->type == CONF_BLOCK_LISTS)
        good = conf_block_list_parse(text, &one.list, why);
    else if (key->type == CONF_IDENTITIES)
        good = conf_identity_parse(text, &one.identity, why);
    else if (key->type == CONF_ORIGINS)
        good = conf_origin_parse(text, &one.origin, why);
    else
        good = conf_hop_parse(text, &one.hop, why);
    if (!good)
        return false;
    *list = mem_realloc(*list, (*count + 1) * size);
    memcpy((char *)*list + *count * size, &one, size);
    ++*count;
    return true;
}

static bool add_word(const struct conf_key *key, void *item, struct span text, struct buf *why)
{
    for (unsigned i = 0; key->words[i] != NULL; i++) {
        if (span_equal_nocase(span_cstr(key->words[i]), text)) {
            *(unsigned *)conf_key_field(key, item) |= 1u << i;
            return true;
        }
    }
    return refuse(key, "is none of them", why);
}

bool conf_value_add(const struct conf_key *key, void *item, struct span text, const char *folder,
                    struct buf *why)
{
    switch (key->type) {
    case CONF_NUMBER:
    case CONF_SIZE:
    case CONF_DURATION:
        return set_number(key, item, text, why);
    case CONF_BOOL:
        return set_bool(key, item, text, why);
    case CONF_MARK:
        return check_mark(key, text, why);
    case CONF_ENUM:
        return set_enum(key, item, text, why);
    case CONF_STRING:
    case CONF_DOMAIN:
    case CONF_PATH:
        return set_text(key, item, text, folder, why);
    case CONF_NETWORKS:
    case CONF_ADDRESSES:
    case CONF_HOPS:
    case CONF_DOMAINS:
    case CONF_BLOCK_LISTS:
    case CONF_IDENTITIES:
    case CONF_ORIGINS:
        return append(key, item, text, why);
    case CONF_WORDS:
        return add_word(key, item, text, why);
    }
    return false;
}

void conf_value_set_default(const struct conf_key *key, void *item, const char *folder)
{
    struct span rest = span_cstr(key->standard);
    struct buf why;

    if (rest.len == 0)
        return;
    buf_init(&why, 0);
    while (rest.len > 0) {
        struct span text = conf_key_is_list(key) ? span_split(rest, ',', &rest) : rest;
        if (!conf_value_add(key, item, span_trim(text), folder, &why))
            abort(); /* the table is wrong */
        if (!conf_key_is_list(key))
            break;
    }
    buf_fini(&why);
}

void conf_value_free(const struct conf_key *key, void *item)
{
    if (key->type == CONF_WORDS) {
        *(unsigned *)conf_key_field(key, item) = 0;
    } else if (conf_key_is_list(key)) {
        void **list = conf_key_field(key, item);
        struct conf_hop *hops = key->type == CONF_HOPS ? *list : NULL;
        char **domains = key->type == CONF_DOMAINS ? *list : NULL;
        struct conf_block_list *zones = key->type == CONF_BLOCK_LISTS ? *list : NULL;
        struct conf_identity *identities = key->type == CONF_IDENTITIES ? *list : NULL;
        for (unsigned i = 0; hops != NULL && i < *count_field(key, item); i++)
            free(hops[i].host);
        for (unsigned i = 0; domains != NULL && i < *count_field(key, item); i++)
            free(domains[i]);
        for (unsigned i = 0; zones != NULL && i < *count_field(key, item); i++)
            free(zones[i].zone);
        for (unsigned i = 0; identities != NULL && i < *count_field(key, item); i++)
            free(identities[i].host);
        free(*list);
        *list = NULL;
        *count_field(key, item) = 0;
    } else if (key->type == CONF_STRING || key->type == CONF_DOMAIN || key->type == CONF_PATH) {
        char *text = *text_field(key, item);
        if (key->is_secret && text != NULL)
            explicit_bzero(text, strlen(text));
        free(text);
        *text_field(key, item) = NULL;
    }
}

void conf_print_quoted(const char *text, struct buf *out)
{
    buf_addf(out, "\"");
    for (; text != NULL && *text != '\0'; text++)
        buf_addf(out, strchr("\"\\$", *text) != NULL ? "\\%c" : "%c", *text);
    buf_addf(out, "\"");
}

static void print_list(const struct conf_key *key, const void *item, struct buf *out)
{
    const void *list = *(void **)conf_key_field(key, item);

    buf_addf(out, "{");
    for (unsigned i = 0; i < *count_field(key, item); i++) {
        buf_addf(out, i == 0 ? "\"" : ", \"");
        if (key->type == CONF_NETWORKS)
            conf_network_print((const struct conf_network *)list + i, out);
        else if (key->type == CONF_ADDRESSES)
            conf_address_print((const struct conf_address *)list + i, out);
        else if (key->type == CONF_DOMAINS)
            buf_addf(out, "%s", ((char *const *)list)[i]);
        else if (key->type == CONF_BLOCK_LISTS)
            conf_block_list_print((const struct conf_block_list *)list + i, out);
        else if (key->type == CONF_IDENTITIES)
            conf_identity_print((const struct conf_identity *)list + i, out);
        else if (key->type == CONF_ORIGINS)
            conf_origin_print((const struct conf_origin_address *)list + i, out);
        else
            conf_hop_print((const struct conf_hop *)list + i, out);
        buf_addf(out, "\"");
    }
    buf_addf(out, "}");
}

static void print_word_list(const struct conf_key *key, const void *item, struct buf *out)
{
    unsigned set = *(const unsigned *)conf_key_field(key, item);
    const char *between = "";

    buf_addf(out, "{");
    for (unsigned i = 0; key->words[i] != NULL; i++) {
        if ((set & 1u << i) == 0)
            continue;
        buf_addf(out, "%s\"%s\"", between, key->words[i]);
        between = ", ";
    }
    buf_addf(out, "}");
}

void conf_value_print(const struct conf_key *key, const void *item, struct buf *out)
{
    switch (key->type) {
    case CONF_NUMBER:
    case CONF_SIZE:
    case CONF_DURATION:
        print_scaled(units_of(key), number_of(key, item), out);
        break;
    case CONF_BOOL:
        buf_addf(out, *(const bool *)conf_key_field(key, item) ? "yes" : "no");
        break;
    case CONF_MARK:
        buf_addf(out, "yes");
        break;
    case CONF_ENUM:
        buf_addf(out, "%s", key->words[*(const unsigned *)conf_key_field(key, item)]);
        break;
    case CONF_STRING:
    case CONF_DOMAIN:
    case CONF_PATH:
        conf_print_quoted(
            key->is_secret && *text_field(key, item) != NULL ? "***" : *text_field(key, item), out);
        break;
    case CONF_NETWORKS:
    case CONF_ADDRESSES:
    case CONF_HOPS:
    case CONF_DOMAINS:
    case CONF_BLOCK_LISTS:
    case CONF_IDENTITIES:
    case CONF_ORIGINS:
        print_list(key, item, out);
        break;
    case CONF_WORDS:
        print_word_list(key, item, out);
        break;
    }
}

char *conf_folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    char *folder = mem_strdup(slash != NULL ? file : ".");

    if (slash != NULL)
        folder[slash == file ? 1 : slash - file] = '\0';
    char *absolute = realpath(folder, NULL);
    if (absolute == NULL)
        return folder;
    free(folder);
    return absolute;
}
