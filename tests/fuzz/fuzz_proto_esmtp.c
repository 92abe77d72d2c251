/* What the parameters of MAIL and RCPT are taken for keeps its bounds, and decoded text holds
 * nothing that could end a line. */
#include "proto/esmtp.h"
#include "proto/rfc3339.h"
#include "proto/utf8.h"
#include "tests/support/fuzz.h"

static void check_text(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        MUST((unsigned char)text.ptr[i] >= ' ' && text.ptr[i] != 0x7f);
}

static void check_mail(const struct smtp_params *params, const struct esmtp_offer *offer,
                       struct span args, struct arena *arena)
{
    struct esmtp_mail mail;
    struct span culprit;

    enum esmtp_error error = esmtp_parse_mail(params, offer, arena, &mail, &culprit);
    if (error != ESMTP_OK) {
        MUST(culprit.len > 0 && fuzz_is_inside(culprit, args));
        MUST(esmtp_error_status(error).code >= 500);
        return;
    }
    MUST(params->count == 0 || offer->extensions != 0);
    MUST(mail.priority >= -9 && mail.priority <= 9);
    MUST(mail.by != ESMTP_BY_RETURN || mail.by_seconds > 0);
    MUST(mail.envid.len <= ESMTP_ENVID_MAX && mail.auth.len <= ESMTP_AUTH_MAX);
    check_text(mail.envid);
    check_text(mail.auth);
}

static void check_rcpt(const struct smtp_params *params, const struct esmtp_offer *offer,
                       struct span args, struct arena *arena)
{
    struct esmtp_rcpt rcpt;
    struct span culprit;

    if (esmtp_parse_rcpt(params, offer, arena, &rcpt, &culprit) != ESMTP_OK)
        return;
    MUST(rcpt.notify == ESMTP_NOTIFY_NEVER || (rcpt.notify & ESMTP_NOTIFY_NEVER) == 0);
    MUST(rcpt.orcpt.len <= ESMTP_ORCPT_MAX && fuzz_is_inside(rcpt.orcpt, args));
    MUST(fuzz_is_inside(rcpt.orcpt_type, args));
    MUST(utf8_is_valid(rcpt.orcpt_address));
    check_text(rcpt.orcpt_address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span args = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&args);
    struct esmtp_offer offer = {.extensions = seed & 1 ? ~0u : seed << 2,
                                .hold_for_max = 1000,
                                .hold_until_max = UINT32_MAX,
                                .deliver_by_min = seed};
    struct smtp_mail_args mail;
    struct smtp_rcpt_args rcpt;
    struct arena arena;
    uint64_t seconds;

    arena_init(&arena);
    if (smtp_parse_mail(args, SMTP_PATH_ALLOW_UTF8, &mail) == SMTP_PATH_OK)
        check_mail(&mail.params, &offer, args, &arena);
    if (smtp_parse_rcpt(args, SMTP_PATH_ALLOW_UTF8, &rcpt) == SMTP_PATH_OK)
        check_rcpt(&rcpt.params, &offer, args, &arena);
    if (rfc3339_parse(args, &seconds)) {
        char text[RFC3339_MAX];
        uint64_t again;
        MUST(seconds < 1ULL << 40);
        MUST(rfc3339_parse(span_of(text, rfc3339_format(seconds, text)), &again));
        MUST(again == seconds);
    }
    arena_fini(&arena);
    return 0;
}
