#include "proto/esmtp.h"

#include "proto/rfc3339.h"
#include "proto/utf8.h"
#include "proto/xtext.h"

enum {
    SIZE_DIGITS_MAX = 20, /* RFC 1870 5 */
    HOLD_DIGITS_MAX = 9,  /* RFC 4865 4 */
    BY_DIGITS_MAX = 9,    /* RFC 2852 4 */
};

/* One command's parameters under way; `mail` or `rcpt` is NULL. */
struct parsing {
    const struct esmtp_offer *offer;
    struct arena *arena;
    struct esmtp_mail *mail;
    struct esmtp_rcpt *rcpt;
};

struct rule {
    struct span keyword;
    unsigned extensions; /* one of them must be offered */
    enum esmtp_error (*take)(struct parsing *p, const struct smtp_param *param);
};

struct word {
    struct span text;
    unsigned value;
};

static const struct word ret_words[] = {
    {{"FULL", 4}, ESMTP_RET_FULL},
    {{"HDRS", 4}, ESMTP_RET_HEADERS},
};

static const struct word notify_words[] = {
    {{"NEVER", 5}, ESMTP_NOTIFY_NEVER},
    {{"SUCCESS", 7}, ESMTP_NOTIFY_SUCCESS},
    {{"FAILURE", 7}, ESMTP_NOTIFY_FAILURE},
    {{"DELAY", 5}, ESMTP_NOTIFY_DELAY},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool find_word(const struct word *words, size_t count, struct span text, unsigned *out)
{
    for (size_t i = 0; i < count; i++)
        if (span_equal_nocase(words[i].text, text)) {
            *out = words[i].value;
            return true;
        }
    return false;
}

/* RFC 3461 4.2, 4.4: what is decoded goes into the fields of a notification. */
static bool is_printable(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < ' ' || text.ptr[i] > '~')
            return false;
    return true;
}

static bool parse_number(struct span text, size_t digits_max, uint64_t *out)
{
    return text.len <= digits_max && span_parse_u64(text, out);
}

/* Twenty digits may be more than 64 bits hold; that is too large (552), but no fault of syntax. */
static bool parse_size(struct span text, uint64_t *out)
{
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_digit(text.ptr[i]))
            return false;
    if (text.len == 0 || text.len > SIZE_DIGITS_MAX)
        return false;
    if (!span_parse_u64(text, out))
        *out = UINT64_MAX;
    return true;
}

static enum esmtp_error take_size(struct parsing *p, const struct smtp_param *param)
{
    p->mail->has_size = true;
    return parse_size(param->value, &p->mail->size) ? ESMTP_OK : ESMTP_SIZE;
}

static enum esmtp_error take_body(struct parsing *p, const struct smtp_param *param)
{
    static const struct word words[] = {
        {{"7BIT", 4}, ESMTP_BODY_7BIT},
        {{"8BITMIME", 8}, ESMTP_BODY_8BITMIME},
        {{"BINARYMIME", 10}, ESMTP_BODY_BINARYMIME},
    };
    unsigned body;

    if (!find_word(words, COUNT(words), param->value, &body))
        return ESMTP_BODY;
    unsigned needed = body == ESMTP_BODY_BINARYMIME ? SMTP_EXT_BINARYMIME : SMTP_EXT_8BITMIME;
    if ((p->offer->extensions & needed) == 0)
        return ESMTP_BODY;
    p->mail->body = (enum esmtp_body)body;
    return ESMTP_OK;
}

static enum esmtp_error take_smtputf8(struct parsing *p, const struct smtp_param *param)
{
    p->mail->smtputf8 = true;
    return param->has_value ? ESMTP_SMTPUTF8 : ESMTP_OK;
}

static enum esmtp_error take_ret(struct parsing *p, const struct smtp_param *param)
{
    unsigned ret;

    if (!find_word(ret_words, COUNT(ret_words), param->value, &ret))
        return ESMTP_RET;
    p->mail->ret = (enum esmtp_ret)ret;
    return ESMTP_OK;
}

static enum esmtp_error take_envid(struct parsing *p, const struct smtp_param *param)
{
    if (param->value.len == 0 || param->value.len > ESMTP_ENVID_MAX ||
        !xtext_decode(param->value, p->arena, &p->mail->envid) || !is_printable(p->mail->envid))
        return ESMTP_ENVID;
    return ESMTP_OK;
}

static enum esmtp_error take_auth(struct parsing *p, const struct smtp_param *param)
{
    struct span *auth = &p->mail->auth;
    struct address address;

    if (param->value.len == 0 || param->value.len > ESMTP_AUTH_MAX ||
        !xtext_decode(param->value, p->arena, auth))
        return ESMTP_AUTH;
    p->mail->has_auth = true;
    if (span_equal(*auth, SPAN("<>"))) {
        *auth = SPAN_NONE;
        return ESMTP_OK;
    }
    unsigned flags = ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_UNDERSCORE | ADDRESS_ALLOW_LONG_LOCAL;
    return address_parse(*auth, flags, &address) == ADDRESS_OK ? ESMTP_OK : ESMTP_AUTH;
}

static enum esmtp_error take_requiretls(struct parsing *p, const struct smtp_param *param)
{
    p->mail->require_tls = true;
    return param->has_value ? ESMTP_REQUIRETLS : ESMTP_OK;
}

/* RFC 6710: one digit, with a minus before any but 0. */
static enum esmtp_error take_priority(struct parsing *p, const struct smtp_param *param)
{
    bool minus = param->value.len > 0 && param->value.ptr[0] == '-';
    struct span digit = span_from(param->value, minus ? 1 : 0);

    if (digit.len != 1 || digit.ptr[0] < (minus ? '1' : '0') || digit.ptr[0] > '9')
        return ESMTP_PRIORITY;
    p->mail->has_priority = true;
    p->mail->priority = (digit.ptr[0] - '0') * (minus ? -1 : 1);
    return ESMTP_OK;
}

static enum esmtp_error take_hold(struct esmtp_mail *mail, enum esmtp_hold kind, uint64_t max)
{
    if (mail->hold != ESMTP_HOLD_NONE)
        return ESMTP_HOLD_TWICE;
    mail->hold = kind;
    return mail->hold_value <= max ? ESMTP_OK : ESMTP_HOLD_TOO_LONG;
}

static enum esmtp_error take_hold_for(struct parsing *p, const struct smtp_param *param)
{
    if (!parse_number(param->value, HOLD_DIGITS_MAX, &p->mail->hold_value))
        return ESMTP_HOLD_FOR;
    return take_hold(p->mail, ESMTP_HOLD_SECONDS, p->offer->hold_for_max);
}

static enum esmtp_error take_hold_until(struct parsing *p, const struct smtp_param *param)
{
    if (!rfc3339_parse(param->value, &p->mail->hold_value))
        return ESMTP_HOLD_UNTIL;
    return take_hold(p->mail, ESMTP_HOLD_DATE, p->offer->hold_until_max);
}

/* RFC 2852 4: by-time ";" by-mode [by-trace]. Zero or less asks for a notification that the time
 * has run out on the way, so it goes with N only. */
static enum esmtp_error take_by(struct parsing *p, const struct smtp_param *param)
{
    static const struct word modes[] = {
        {{"R", 1}, ESMTP_BY_RETURN},
        {{"RT", 2}, ESMTP_BY_RETURN},
        {{"N", 1}, ESMTP_BY_NOTIFY},
        {{"NT", 2}, ESMTP_BY_NOTIFY},
    };
    struct span mode;
    struct span time = span_split(param->value, ';', &mode);
    bool minus = time.len > 0 && time.ptr[0] == '-';
    bool sign = minus || (time.len > 0 && time.ptr[0] == '+');
    unsigned by;
    uint64_t seconds;

    if (!parse_number(span_from(time, sign ? 1 : 0), BY_DIGITS_MAX, &seconds) ||
        !find_word(modes, COUNT(modes), mode, &by))
        return ESMTP_BY;
    p->mail->by = (enum esmtp_by)by;
    p->mail->by_seconds = minus ? -(int32_t)seconds : (int32_t)seconds;
    p->mail->by_trace = mode.len == 2;
    if (p->mail->by != ESMTP_BY_RETURN)
        return ESMTP_OK;
    if (p->mail->by_seconds <= 0)
        return ESMTP_BY;
    return seconds < p->offer->deliver_by_min ? ESMTP_BY_TOO_SOON : ESMTP_OK;
}

static enum esmtp_error take_notify(struct parsing *p, const struct smtp_param *param)
{
    struct span rest = param->value;
    size_t commas = 0;
    unsigned bit;

    for (size_t i = 0; i < rest.len; i++)
        commas += rest.ptr[i] == ',';
    for (size_t i = 0; i <= commas; i++) {
        struct span word = span_split(rest, ',', &rest);
        if (!find_word(notify_words, COUNT(notify_words), word, &bit))
            return ESMTP_NOTIFY;
        p->rcpt->notify |= bit;
    }
    bool never = (p->rcpt->notify & ESMTP_NOTIFY_NEVER) != 0;
    return never && p->rcpt->notify != ESMTP_NOTIFY_NEVER ? ESMTP_NOTIFY : ESMTP_OK;
}

/* RFC 3461 4.2: addr-type = atom */
static bool type_is_valid(struct span type)
{
    static const struct span specials = {"()<>@,;:\\\".[]", 13};

    for (size_t i = 0; i < type.len; i++)
        if (type.ptr[i] <= ' ' || type.ptr[i] > '~' ||
            span_index(specials, type.ptr[i]) < specials.len)
            return false;
    return type.len > 0;
}

bool esmtp_read_orcpt(struct span orcpt, struct arena *arena, struct span *type_out,
                      struct span *address_out)
{
    struct span address;

    *type_out = span_split(orcpt, ';', &address);
    if (orcpt.len > ESMTP_ORCPT_MAX || address.len == 0 || !type_is_valid(*type_out))
        return false;
    /* RFC 6533 3: in the form of utf-8-addr-unitext nothing is encoded as xtext is. */
    if (!utf8_is_ascii(address) && span_equal_nocase(*type_out, SPAN("utf-8"))) {
        *address_out = address;
        return utf8_is_valid(address);
    }
    return xtext_decode(address, arena, address_out) && is_printable(*address_out);
}

static enum esmtp_error take_orcpt(struct parsing *p, const struct smtp_param *param)
{
    struct esmtp_rcpt *rcpt = p->rcpt;

    rcpt->orcpt = param->value;
    return esmtp_read_orcpt(rcpt->orcpt, p->arena, &rcpt->orcpt_type, &rcpt->orcpt_address)
               ? ESMTP_OK
               : ESMTP_ORCPT;
}

static const struct rule mail_rules[] = {
    {{"SIZE", 4}, SMTP_EXT_SIZE, take_size},
    {{"BODY", 4}, SMTP_EXT_8BITMIME | SMTP_EXT_BINARYMIME, take_body},
    {{"SMTPUTF8", 8}, SMTP_EXT_SMTPUTF8, take_smtputf8},
    {{"RET", 3}, SMTP_EXT_DSN, take_ret},
    {{"ENVID", 5}, SMTP_EXT_DSN, take_envid},
    {{"AUTH", 4}, SMTP_EXT_AUTH, take_auth},
    {{"REQUIRETLS", 10}, SMTP_EXT_REQUIRETLS, take_requiretls},
    {{"MT-PRIORITY", 11}, SMTP_EXT_MT_PRIORITY, take_priority},
    {{"HOLDFOR", 7}, SMTP_EXT_FUTURERELEASE, take_hold_for},
    {{"HOLDUNTIL", 9}, SMTP_EXT_FUTURERELEASE, take_hold_until},
    {{"BY", 2}, SMTP_EXT_DELIVERBY, take_by},
};

static const struct rule rcpt_rules[] = {
    {{"NOTIFY", 6}, SMTP_EXT_DSN, take_notify},
    {{"ORCPT", 5}, SMTP_EXT_DSN, take_orcpt},
};

static const struct rule *find_rule(const struct rule *rules, size_t count, struct span keyword)
{
    for (size_t i = 0; i < count; i++)
        if (span_equal_nocase(rules[i].keyword, keyword))
            return &rules[i];
    return NULL;
}

static enum esmtp_error take_params(struct parsing *p, const struct smtp_params *params,
                                    const struct rule *rules, size_t count,
                                    struct span *culprit_out)
{
    unsigned seen = 0;

    for (size_t i = 0; i < params->count; i++) {
        const struct smtp_param *param = &params->list[i];
        const struct rule *rule = find_rule(rules, count, param->keyword);
        enum esmtp_error error = ESMTP_NOT_OFFERED;
        if (rule != NULL && (seen & 1u << (rule - rules)) != 0) {
            error = ESMTP_REPEATED;
        } else if (rule != NULL && (rule->extensions & p->offer->extensions) != 0) {
            seen |= 1u << (rule - rules);
            error = rule->take(p, param);
        }
        if (error == ESMTP_OK)
            continue;
        if (culprit_out != NULL)
            *culprit_out = param->keyword;
        return error;
    }
    return ESMTP_OK;
}

enum esmtp_error esmtp_parse_mail(const struct smtp_params *params, const struct esmtp_offer *offer,
                                  struct arena *arena, struct esmtp_mail *out,
                                  struct span *culprit_out)
{
    struct parsing p = {.offer = offer, .arena = arena, .mail = out};

    *out = (struct esmtp_mail){0};
    return take_params(&p, params, mail_rules, COUNT(mail_rules), culprit_out);
}

enum esmtp_error esmtp_parse_rcpt(const struct smtp_params *params, const struct esmtp_offer *offer,
                                  struct arena *arena, struct esmtp_rcpt *out,
                                  struct span *culprit_out)
{
    struct parsing p = {.offer = offer, .arena = arena, .rcpt = out};

    *out = (struct esmtp_rcpt){0};
    return take_params(&p, params, rcpt_rules, COUNT(rcpt_rules), culprit_out);
}

struct span esmtp_ret_format(enum esmtp_ret ret)
{
    for (size_t i = 0; i < COUNT(ret_words); i++)
        if (ret_words[i].value == (unsigned)ret)
            return ret_words[i].text;
    return SPAN_NONE;
}

size_t esmtp_notify_format(unsigned notify, char text[ESMTP_NOTIFY_TEXT_MAX])
{
    size_t len = 0;

    for (size_t i = 0; i < COUNT(notify_words); i++) {
        const struct word *word = &notify_words[i];
        if ((notify & word->value) == 0)
            continue;
        if (len > 0)
            text[len++] = ',';
        memcpy(text + len, word->text.ptr, word->text.len);
        len += word->text.len;
    }
    text[len] = '\0';
    return len;
}

struct status esmtp_error_status(enum esmtp_error error)
{
    static const struct {
        uint16_t code;
        const char *text;
    } replies[ESMTP_ERROR_COUNT] = {
        [ESMTP_OK] = {0, ""},
        [ESMTP_NOT_OFFERED] = {555, "parameter not offered here"},
        [ESMTP_REPEATED] = {501, "parameter repeated"},
        [ESMTP_SIZE] = {501, "SIZE takes a number of bytes"},
        [ESMTP_BODY] = {501, "no such BODY here"},
        [ESMTP_SMTPUTF8] = {501, "SMTPUTF8 takes no value"},
        [ESMTP_RET] = {501, "RET takes FULL or HDRS"},
        [ESMTP_ENVID] = {501, "ENVID takes at most 100 bytes of xtext"},
        [ESMTP_AUTH] = {501, "AUTH takes <> or a mailbox in xtext"},
        [ESMTP_REQUIRETLS] = {501, "REQUIRETLS takes no value"},
        [ESMTP_PRIORITY] = {501, "MT-PRIORITY takes a number from -9 to 9"},
        [ESMTP_HOLD_FOR] = {501, "HOLDFOR takes a number of seconds"},
        [ESMTP_HOLD_UNTIL] = {501, "HOLDUNTIL takes a date and time of RFC 3339"},
        [ESMTP_HOLD_TOO_LONG] = {501, "mail is not held for so long here"},
        [ESMTP_HOLD_TWICE] = {501, "HOLDFOR and HOLDUNTIL exclude each other"},
        [ESMTP_BY] = {501, "BY takes seconds and a mode, as in 120;R"},
        [ESMTP_BY_TOO_SOON] = {501, "BY asks for too much haste"},
        [ESMTP_NOTIFY] = {501, "NOTIFY takes NEVER, or some of SUCCESS,FAILURE,DELAY"},
        [ESMTP_ORCPT] = {501, "ORCPT takes a type and at most 500 bytes of xtext"},
    };

    if (error == ESMTP_OK)
        return (struct status){0};
    return (struct status){
        .code = replies[error].code, .enhanced = {5, 5, 4}, .text = span_cstr(replies[error].text)};
}
