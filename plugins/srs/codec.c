/* Rewritten addresses, both ways. */
#include "codec.h"

#include <ctype.h>
#include <strings.h>

enum { DAY_S = 24 * 60 * 60, DAYS = 1024, DAY_LEN = 2, TAG_LEN = 4 };

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static struct smarthop_span behind(struct smarthop_span text, size_t len)
{
    return smarthop_span_of(text.ptr + len, text.len - len);
}

/* ---- writing -------------------------------------------------------------------------------- */

/* Past SRS_ADDRESS_MAX only the length goes on. */
static void put(struct srs_address *out, struct smarthop_span text)
{
    if (out->len + text.len <= SRS_ADDRESS_MAX && text.len > 0)
        memcpy(out->text + out->len, text.ptr, text.len);
    out->len += text.len;
}

static void put_char(struct srs_address *out, char c)
{
    put(out, smarthop_span_of(&c, 1));
}

static enum srs_result end(const struct srs *srs, struct srs_address *out, bool is_quoted)
{
    if (is_quoted)
        put_char(out, '"');
    put_char(out, '@');
    put(out, srs->domain);
    return out->len <= SRS_ADDRESS_MAX ? SRS_DONE : SRS_UNFIT;
}

static void begin(const struct srs *srs, struct srs_address *out, const char *tag,
                  struct smarthop_span hash, bool is_quoted)
{
    out->len = 0;
    if (is_quoted)
        put_char(out, '"');
    put(out, smarthop_span_of(tag, TAG_LEN));
    put_char(out, srs->separator);
    put(out, hash);
    put_char(out, '=');
}

/* The parts of a signature's text, one behind the other. */
struct signed_text {
    size_t len;
    char text[2 * SRS_ADDRESS_MAX];
};

static bool add(struct signed_text *text, struct smarthop_span part)
{
    if (part.len > sizeof text->text - text->len)
        return false;
    if (part.len > 0)
        memcpy(text->text + text->len, part.ptr, part.len);
    text->len += part.len;
    return true;
}

static struct smarthop_span all_of(const struct signed_text *text)
{
    return smarthop_span_of(text->text, text->len);
}

/* ---- local parts ---------------------------------------------------------------------------- */

/* Without quotes; what is escaped in between stays so. */
static bool unquote(struct smarthop_span *local)
{
    if (local->len < 2 || local->ptr[0] != '"' || local->ptr[local->len - 1] != '"')
        return false;
    *local = smarthop_span_of(local->ptr + 1, local->len - 2);
    return true;
}

/* The text up to the next `=`, which is passed too. */
static bool take(struct smarthop_span *rest, struct smarthop_span *part)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '=', rest->len) : NULL;

    if (end == NULL || end == rest->ptr)
        return false;
    *part = smarthop_span_of(rest->ptr, (size_t)(end - rest->ptr));
    *rest = behind(*rest, part->len + 1);
    return true;
}

static bool has_tag(struct smarthop_span local, const char *tag)
{
    return local.len > TAG_LEN && strncasecmp(local.ptr, tag, TAG_LEN) == 0 &&
           memchr("=-+", local.ptr[TAG_LEN], 3) != NULL;
}

/* Of a name: what else there may be behind an @ would not be good in a local part. */
static bool is_host(struct smarthop_span host)
{
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.ptr[i];
        if (!isalnum(c) && c != '.' && c != '-' && c != '_' && c < 0x80)
            return false;
    }
    return host.len > 0;
}

/* ---- forward -------------------------------------------------------------------------------- */

static void write_day(uint64_t now, char day[DAY_LEN])
{
    uint64_t number = now / DAY_S;

    day[0] = base32[number >> 5 & 31];
    day[1] = base32[number & 31];
}

static enum srs_result wrap(const struct srs *srs, struct smarthop_span user,
                            struct smarthop_span host, uint64_t now, bool is_quoted,
                            struct srs_address *out)
{
    struct signed_text text = {0};
    char hash[KEYS_HASH_MAX], day[DAY_LEN];

    write_day(now, day);
    if (!add(&text, smarthop_span_of(day, DAY_LEN)) || !add(&text, host) || !add(&text, user))
        return SRS_UNFIT;
    keys_sign(srs->keys, all_of(&text), hash, srs->hash_len);
    begin(srs, out, "SRS0", smarthop_span_of(hash, srs->hash_len), is_quoted);
    put(out, smarthop_span_of(day, DAY_LEN));
    put_char(out, '=');
    put(out, host);
    put_char(out, '=');
    put(out, user);
    return end(srs, out, is_quoted);
}

/* Of an address that another forwarder has made: the one that made it first is what is kept. `rest`
 * begins with that one's separator. */
static enum srs_result guard(const struct srs *srs, struct smarthop_span host,
                             struct smarthop_span rest, bool is_quoted, struct srs_address *out)
{
    struct signed_text text = {0};
    char hash[KEYS_HASH_MAX];

    if (!add(&text, host) || !add(&text, rest))
        return SRS_UNFIT;
    keys_sign(srs->keys, all_of(&text), hash, srs->hash_len);
    begin(srs, out, "SRS1", smarthop_span_of(hash, srs->hash_len), is_quoted);
    put(out, host);
    put_char(out, '=');
    put(out, rest);
    return end(srs, out, is_quoted);
}

enum srs_result srs_forward(const struct srs *srs, struct smarthop_span sender, uint64_t now,
                            struct srs_address *out)
{
    const char *at = sender.len > 0 ? memrchr(sender.ptr, '@', sender.len) : NULL;
    struct smarthop_span hash, first;

    if (at == NULL || at == sender.ptr)
        return SRS_UNFIT;
    struct smarthop_span user = smarthop_span_of(sender.ptr, (size_t)(at - sender.ptr));
    struct smarthop_span host = behind(sender, user.len + 1);
    bool is_quoted = unquote(&user);
    if (user.len == 0 || !is_host(host))
        return SRS_UNFIT;
    if (has_tag(user, "SRS0"))
        return guard(srs, host, behind(user, TAG_LEN), is_quoted, out);
    if (has_tag(user, "SRS1")) {
        struct smarthop_span rest = behind(user, TAG_LEN + 1);
        if (take(&rest, &hash) && take(&rest, &first) && is_host(first) && rest.len > 0)
            return guard(srs, first, rest, is_quoted, out);
    }
    return wrap(srs, user, host, now, is_quoted, out);
}

/* ---- reverse -------------------------------------------------------------------------------- */

static bool read_day(struct smarthop_span day, uint64_t *number_out)
{
    *number_out = 0;
    if (day.len != DAY_LEN)
        return false;
    for (size_t i = 0; i < DAY_LEN; i++) {
        const char *digit = memchr(base32, toupper((unsigned char)day.ptr[i]), 32);
        if (digit == NULL)
            return false;
        *number_out = *number_out << 5 | (uint64_t)(digit - base32);
    }
    return true;
}

/* Days come again after 1024 of them, so one that is to come is long past. */
static bool is_in_time(const struct srs *srs, uint64_t day, uint64_t now)
{
    return (now / DAY_S - day) % DAYS <= srs->max_age_days;
}

static bool is_signed(const struct srs *srs, const struct signed_text *text,
                      struct smarthop_span hash)
{
    if (hash.len < srs->hash_min)
        return false;
    if (hash.len > srs->hash_len)
        hash.len = srs->hash_len;
    return keys_check(srs->keys, all_of(text), hash);
}

static enum srs_result write_original(struct srs_address *out, const char *tag,
                                      struct smarthop_span user, struct smarthop_span host,
                                      bool is_quoted)
{
    out->len = 0;
    if (is_quoted)
        put_char(out, '"');
    put(out, smarthop_span_of(tag, strlen(tag)));
    put(out, user);
    if (is_quoted)
        put_char(out, '"');
    put_char(out, '@');
    put(out, host);
    return out->len <= SRS_ADDRESS_MAX ? SRS_DONE : SRS_BROKEN;
}

static enum srs_result unwrap(const struct srs *srs, struct smarthop_span rest, uint64_t now,
                              bool is_quoted, struct srs_address *out)
{
    struct smarthop_span hash, day, host;
    struct signed_text text = {0};
    uint64_t number;

    if (!take(&rest, &hash) || !take(&rest, &day) || !take(&rest, &host) || rest.len == 0 ||
        !is_host(host) || !read_day(day, &number) || !add(&text, day) || !add(&text, host) ||
        !add(&text, rest))
        return SRS_BROKEN;
    if (!is_signed(srs, &text, hash))
        return SRS_FORGED;
    if (!is_in_time(srs, number, now))
        return SRS_EXPIRED;
    return write_original(out, "", rest, host, is_quoted);
}

/* Its day is for the forwarder to look at that has written it. */
static enum srs_result unguard(const struct srs *srs, struct smarthop_span rest, bool is_quoted,
                               struct srs_address *out)
{
    struct smarthop_span hash, host;
    struct signed_text text = {0};

    if (!take(&rest, &hash) || !take(&rest, &host) || rest.len == 0 || !is_host(host) ||
        !add(&text, host) || !add(&text, rest))
        return SRS_BROKEN;
    if (!is_signed(srs, &text, hash))
        return SRS_FORGED;
    return write_original(out, "SRS0", rest, host, is_quoted);
}

enum srs_result srs_reverse(const struct srs *srs, struct smarthop_span local, uint64_t now,
                            struct srs_address *out)
{
    bool is_quoted = unquote(&local);

    if (has_tag(local, "SRS0"))
        return unwrap(srs, behind(local, TAG_LEN + 1), now, is_quoted, out);
    if (has_tag(local, "SRS1"))
        return unguard(srs, behind(local, TAG_LEN + 1), is_quoted, out);
    return SRS_UNFIT;
}
