/* What plugins ask for wherever a recipient goes, said before its route is asked for or in between.
 */
#include "route/private.h"

#include "base/log.h"

static const struct {
    enum smarthop_tls tls;
    struct span word;
} floors[] = {
    {SMARTHOP_TLS_NONE, {"none", 4}},
    {SMARTHOP_TLS_OPPORTUNISTIC, {"opportunistic", 13}},
    {SMARTHOP_TLS_REQUIRED, {"required", 8}},
};

enum { FLOORS = sizeof floors / sizeof floors[0], NAME_MOST = 255 };

bool route_wishes_exist(const struct route_wishes *wishes)
{
    return wishes->tls != SMARTHOP_TLS_UNSET || wishes->limits.len > 0 || wishes->source.len > 0 ||
           wishes->credentials.len > 0;
}

static void take(struct span *into, struct span next)
{
    if (next.len > 0)
        *into = next;
}

void route_wishes_add(struct route_wishes *into, const struct route_wishes *next)
{
    if (next->tls > into->tls)
        into->tls = next->tls;
    take(&into->limits, next->limits);
    take(&into->source, next->source);
    take(&into->credentials, next->credentials);
}

struct route_wishes route_wishes_of(const struct smarthop_verdict *verdict)
{
    return (struct route_wishes){
        .tls = (enum smarthop_tls)verdict->tls,
        .limits = plugin_span(verdict->limits),
        .source = plugin_span(verdict->source),
        .credentials = plugin_span(verdict->credentials),
    };
}

static bool is_plain(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_alnum(name.ptr[i]) && strchr("-_.", name.ptr[i]) == NULL)
            return false;
    return name.len <= NAME_MOST;
}

bool route_wishes_are_sound(const struct route_wishes *wishes, const struct conf *conf)
{
    return is_plain(wishes->limits) &&
           (wishes->source.len == 0 || conf_origin_find(conf, wishes->source)) &&
           (wishes->credentials.len == 0 || conf_credentials_find(conf, wishes->credentials));
}

static void log_given(struct log_line *line, const char *key, struct span value)
{
    if (value.len > 0)
        log_span(line, key, value);
}

struct status route_wishes_refuse(const struct route_wishes *wishes, const char *plugin,
                                  struct span recipient)
{
    struct log_line line;

    if (log_begin(&line, LOG_WARN, "plugin-next-hop-refused")) {
        log_given(&line, "plugin", span_cstr(plugin != NULL ? plugin : ""));
        log_given(&line, "recipient", recipient);
        log_given(&line, "limits", wishes->limits);
        log_given(&line, "source", wishes->source);
        log_given(&line, "credentials", wishes->credentials);
        log_text(&line, "text", "limits, a source or credentials that relay.conf does not have");
        log_end(&line);
    }
    return STATUS(451, 4, 3, 5, "The route cannot be used, try again later");
}

static void put(struct buf *out, struct span key, struct span value)
{
    if (value.len == 0)
        return;
    if (buf_len(out) > 0)
        buf_add(out, SPAN(";"));
    buf_add(out, key);
    buf_add(out, value);
}

struct span route_wishes_format(struct arena *arena, const struct route_wishes *wishes)
{
    struct span text;
    struct buf out;

    if (!route_wishes_exist(wishes))
        return SPAN_NONE;
    buf_init(&out, 0);
    for (size_t i = 0; i < FLOORS; i++)
        if (floors[i].tls == wishes->tls)
            put(&out, SPAN("tls="), floors[i].word);
    put(&out, SPAN("auth="), wishes->credentials);
    put(&out, SPAN("source="), wishes->source);
    put(&out, SPAN("limits="), wishes->limits);
    text = buf_len(&out) <= ROUTE_WISHES_MAX ? arena_dup(arena, buf_span(&out)) : SPAN_NONE;
    buf_fini(&out);
    return text;
}

static bool parse_floor(struct span word, enum smarthop_tls *out)
{
    for (size_t i = 0; i < FLOORS; i++) {
        if (span_equal(word, floors[i].word)) {
            *out = floors[i].tls;
            return true;
        }
    }
    return false;
}

static bool parse_wish(struct span text, struct route_wishes *out)
{
    struct span value, key = span_split(text, '=', &value);

    if (span_equal(key, SPAN("tls")))
        return parse_floor(value, &out->tls);
    if (span_equal(key, SPAN("auth")))
        out->credentials = value;
    else if (span_equal(key, SPAN("source")))
        out->source = value;
    else if (span_equal(key, SPAN("limits")))
        out->limits = value;
    else
        return false;
    return value.len > 0;
}

bool route_wishes_parse(struct span text, struct route_wishes *out)
{
    *out = (struct route_wishes){0};
    while (text.len > 0)
        if (!parse_wish(span_split(text, ';', &text), out))
            return false;
    return true;
}

void wishes_apply(const struct route_wishes *wishes, struct route_next_hop *hop)
{
    if (wishes->tls == SMARTHOP_TLS_REQUIRED)
        hop->tls = CONF_ROUTE_TLS_REQUIRED;
    else if (wishes->tls == SMARTHOP_TLS_OPPORTUNISTIC && hop->tls == CONF_ROUTE_TLS_NONE)
        hop->tls = CONF_ROUTE_TLS_OPPORTUNISTIC;
    take(&hop->source, wishes->source);
    take(&hop->credentials, wishes->credentials);
    take(&hop->limits, wishes->limits);
}

static struct span unless(bool is_told, struct span text)
{
    return is_told ? SPAN_NONE : text;
}

struct span route_next_hop_with(struct arena *arena, struct span text,
                                const struct route_wishes *wishes, unsigned told)
{
    struct route_wishes left = {
        .tls = wishes->tls,
        .limits = unless(told & ROUTE_TOLD_LIMITS, wishes->limits),
        .source = unless(told & ROUTE_TOLD_SOURCE, wishes->source),
        .credentials = unless(told & ROUTE_TOLD_CREDENTIALS, wishes->credentials),
    };
    struct route_next_hop hop;

    if (!route_next_hop_parse(text, &hop))
        return SPAN_NONE;
    if (hop.refusal.len > 0)
        return text;
    wishes_apply(&left, &hop);
    return route_next_hop_format(arena, &hop);
}

unsigned wishes_told(const struct smarthop_verdict *verdict)
{
    return (verdict->limits.len > 0 ? ROUTE_TOLD_LIMITS : 0u) |
           (verdict->source.len > 0 ? ROUTE_TOLD_SOURCE : 0u) |
           (verdict->credentials.len > 0 ? ROUTE_TOLD_CREDENTIALS : 0u) |
           (verdict->tenant.len > 0 ? ROUTE_TOLD_TENANT : 0u);
}
