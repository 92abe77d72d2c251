#include "proto/smtp_path.h"

#include "proto/utf8.h"

/* RFC 5321 4.1.2: (ALPHA / DIGIT) *(ALPHA / DIGIT / "-") */
static bool keyword_is_valid(struct span keyword)
{
    if (keyword.len == 0 || keyword.ptr[0] == '-')
        return false;
    for (size_t i = 0; i < keyword.len; i++)
        if (!ascii_is_alnum(keyword.ptr[i]) && keyword.ptr[i] != '-')
            return false;
    return true;
}

/* RFC 5321 4.1.2: one or more of "!".."~" but "="; UTF-8 as well by RFC 6531 3.3. */
static bool value_is_valid(struct span value, unsigned flags)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c <= ' ' || c == '=' || c == 0x7f)
            return false;
    }
    if (value.len == 0 || utf8_is_ascii(value))
        return value.len > 0;
    return (flags & SMTP_PATH_ALLOW_UTF8) != 0 && utf8_is_valid(value);
}

static enum smtp_path_error parse_param(struct span text, unsigned flags,
                                        struct smtp_params *params)
{
    struct smtp_param param;

    param.keyword = span_split(text, '=', &param.value);
    param.has_value = param.keyword.len < text.len;
    if (!keyword_is_valid(param.keyword))
        return SMTP_PATH_PARAM_SYNTAX;
    if (param.has_value && !value_is_valid(param.value, flags))
        return SMTP_PATH_PARAM_SYNTAX;
    if (smtp_param_find(params, param.keyword) != NULL)
        return SMTP_PATH_PARAM_REPEATED;
    if (params->count == SMTP_PARAMS_MAX)
        return SMTP_PATH_PARAMS_TOO_MANY;
    params->list[params->count++] = param;
    return SMTP_PATH_OK;
}

static enum smtp_path_error parse_params(struct span text, unsigned flags,
                                         struct smtp_params *params)
{
    while (text.len > 0) {
        struct span param = span_split(text, ' ', &text);
        if (param.len == 0)
            continue;
        enum smtp_path_error error = parse_param(param, flags, params);
        if (error != SMTP_PATH_OK)
            return error;
    }
    return SMTP_PATH_OK;
}

/* The path at the start of *rest, which is moved behind it. */
static enum smtp_path_error parse_path(struct span *rest, unsigned flags, struct address *path,
                                       enum address_error *address_error)
{
    size_t len;

    if (rest->len > 0 && rest->ptr[0] == '<') {
        *address_error = address_parse_path(*rest, flags, path, &len);
    } else {
        if ((flags & SMTP_PATH_ALLOW_NO_BRACKETS) == 0 || rest->len == 0)
            return SMTP_PATH_NO_BRACKETS;
        len = span_index(*rest, ' ');
        *address_error = address_parse(span_head(*rest, len), flags, path);
    }
    if (*address_error != ADDRESS_OK)
        return SMTP_PATH_ADDRESS;
    *rest = span_from(*rest, len);
    if (rest->len > 0 && rest->ptr[0] != ' ')
        return SMTP_PATH_TRAILING;
    return SMTP_PATH_OK;
}

static enum smtp_path_error parse_args(struct span args, struct span keyword, unsigned flags,
                                       struct address *path, struct smtp_params *params,
                                       enum address_error *address_error)
{
    *path = (struct address){0};
    params->count = 0;
    *address_error = ADDRESS_OK;
    if (!span_starts_nocase(args, keyword))
        return SMTP_PATH_NO_KEYWORD;
    struct span rest = span_from(args, keyword.len);
    if (rest.len > 0 && rest.ptr[0] == ' ') {
        if ((flags & SMTP_PATH_ALLOW_SPACE) == 0)
            return SMTP_PATH_SPACE;
        rest = span_trim(rest);
    }
    enum smtp_path_error error = parse_path(&rest, flags, path, address_error);
    return error == SMTP_PATH_OK ? parse_params(rest, flags, params) : error;
}

enum smtp_path_error smtp_parse_mail(struct span args, unsigned flags, struct smtp_mail_args *out)
{
    enum smtp_path_error error =
        parse_args(args, SPAN("FROM:"), flags, &out->path, &out->params, &out->address_error);

    if (error != SMTP_PATH_OK)
        return error;
    /* Postmaster without a domain is a forward-path only. */
    if (out->path.kind == ADDRESS_POSTMASTER) {
        out->address_error = ADDRESS_NO_DOMAIN;
        return SMTP_PATH_ADDRESS;
    }
    if (out->path.utf8 && smtp_param_find(&out->params, SPAN("SMTPUTF8")) == NULL)
        return SMTP_PATH_NEEDS_SMTPUTF8;
    return SMTP_PATH_OK;
}

enum smtp_path_error smtp_parse_rcpt(struct span args, unsigned flags, struct smtp_rcpt_args *out)
{
    enum smtp_path_error error =
        parse_args(args, SPAN("TO:"), flags, &out->path, &out->params, &out->address_error);

    if (error == SMTP_PATH_OK && out->path.kind == ADDRESS_NULL)
        return SMTP_PATH_NULL_RECIPIENT;
    return error;
}

const struct smtp_param *smtp_param_find(const struct smtp_params *params, struct span keyword)
{
    for (size_t i = 0; i < params->count; i++)
        if (span_equal_nocase(params->list[i].keyword, keyword))
            return &params->list[i];
    return NULL;
}

const char *smtp_path_error_text(enum smtp_path_error error)
{
    static const char *const texts[] = {
        [SMTP_PATH_OK] = "ok",
        [SMTP_PATH_NO_KEYWORD] = "FROM: or TO: expected",
        [SMTP_PATH_SPACE] = "space after the colon",
        [SMTP_PATH_NO_BRACKETS] = "path without angle brackets",
        [SMTP_PATH_ADDRESS] = "malformed address",
        [SMTP_PATH_NULL_RECIPIENT] = "null recipient",
        [SMTP_PATH_NEEDS_SMTPUTF8] = "address needs SMTPUTF8",
        [SMTP_PATH_TRAILING] = "unexpected text behind the path",
        [SMTP_PATH_PARAM_SYNTAX] = "malformed parameter",
        [SMTP_PATH_PARAM_REPEATED] = "parameter repeated",
        [SMTP_PATH_PARAMS_TOO_MANY] = "too many parameters",
    };

    return (size_t)error < sizeof texts / sizeof texts[0] ? texts[error] : "unknown";
}
