#include "conf/identity.h"

#include "conf/address.h"

bool conf_identity_parse(struct span text, struct conf_identity *out, struct buf *why)
{
    const struct span dns = SPAN("dns:");

    *out = (struct conf_identity){.kind = CONF_IDENTITY_VERIFIED};
    if (span_equal(text, SPAN("*")))
        return true;
    if (fingerprint_parse(text, &out->fingerprint)) {
        out->kind = CONF_IDENTITY_FINGERPRINT;
        return true;
    }
    if (span_starts_nocase(text, dns) && conf_is_domain(span_from(text, dns.len))) {
        out->kind = CONF_IDENTITY_HOST;
        out->host = span_to_text(span_from(text, dns.len));
        return true;
    }
    buf_addf(why, "is not one; expected sha256: with 64 hexadecimal digits, dns:host or *");
    return false;
}

void conf_identity_print(const struct conf_identity *identity, struct buf *out)
{
    char text[FINGERPRINT_TEXT_SIZE];

    switch (identity->kind) {
    case CONF_IDENTITY_VERIFIED:
        buf_addf(out, "*");
        break;
    case CONF_IDENTITY_FINGERPRINT:
        buf_addf(out, "%s", fingerprint_format(&identity->fingerprint, text));
        break;
    case CONF_IDENTITY_HOST:
        buf_addf(out, "dns:%s", identity->host);
        break;
    }
}
