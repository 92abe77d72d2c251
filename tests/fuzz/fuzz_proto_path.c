/* What is accepted as arguments of MAIL or RCPT is accepted again in its plain form. */
#include "base/buf.h"
#include "proto/smtp_path.h"
#include "tests/support/fuzz.h"

static void check_params(const struct smtp_params *params, struct span args)
{
    MUST(params->count <= SMTP_PARAMS_MAX);
    for (size_t i = 0; i < params->count; i++) {
        const struct smtp_param *param = &params->list[i];
        MUST(param->keyword.len > 0 && fuzz_is_inside(param->keyword, args));
        MUST(param->has_value == (param->value.len > 0) && fuzz_is_inside(param->value, args));
        MUST(smtp_param_find(params, param->keyword) == param);
    }
}

static void check_rcpt(struct span args, unsigned flags)
{
    struct smtp_rcpt_args parsed, again;
    struct buf plain;

    if (smtp_parse_rcpt(args, flags, &parsed) != SMTP_PATH_OK)
        return;
    MUST(parsed.path.kind != ADDRESS_NULL);
    MUST(fuzz_is_inside(parsed.path.text, args));
    check_params(&parsed.params, args);
    buf_init(&plain, 0);
    buf_add(&plain, SPAN("TO:<"));
    buf_add(&plain, parsed.path.text);
    buf_add(&plain, SPAN(">"));
    MUST(smtp_parse_rcpt(buf_span(&plain), flags, &again) == SMTP_PATH_OK);
    MUST(span_equal(parsed.path.local, again.path.local));
    MUST(span_equal(parsed.path.domain, again.path.domain));
    buf_fini(&plain);
}

static void check_mail(struct span args, unsigned flags)
{
    struct smtp_mail_args parsed;

    if (smtp_parse_mail(args, flags, &parsed) != SMTP_PATH_OK)
        return;
    MUST(parsed.path.kind != ADDRESS_POSTMASTER);
    MUST(!parsed.path.utf8 || (flags & SMTP_PATH_ALLOW_UTF8) != 0);
    check_params(&parsed.params, args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned flag_sets[] = {
        0,
        SMTP_PATH_ALLOW_UTF8,
        SMTP_PATH_ALLOW_SPACE | SMTP_PATH_ALLOW_NO_BRACKETS,
        SMTP_PATH_ALLOW_UTF8 | SMTP_PATH_ALLOW_UNDERSCORE | SMTP_PATH_ALLOW_LONG_LOCAL |
            SMTP_PATH_ALLOW_SPACE | SMTP_PATH_ALLOW_NO_BRACKETS,
    };
    struct span args = span_of((const char *)data, size);

    for (size_t i = 0; i < sizeof flag_sets / sizeof flag_sets[0]; i++) {
        check_mail(args, flag_sets[i]);
        check_rcpt(args, flag_sets[i]);
    }
    return 0;
}
