#include "lookup.h"

_Static_assert((int)PACKET_TEXT_MAX == (int)RESOLVER_TEXT_MAX, "one bound of texts");

static const char *current_name(const struct lookup *lookup)
{
    return lookup->chain[lookup->chain_len - 1];
}

static void finish(struct lookup *lookup, enum lookup_result result)
{
    lookup->result = result;
    lookup->next = LOOKUP_DONE;
}

static void fail(struct lookup *lookup, const char *reason)
{
    lookup->reason = reason;
    finish(lookup, LOOKUP_FAILED);
}

static void ask_other(struct lookup *lookup, const char *reason)
{
    fail(lookup, reason); /* unless another server does better */
    lookup->next = LOOKUP_ASK_OTHER;
}

static void ask(struct lookup *lookup, enum channel_transport transport)
{
    lookup->transport = transport;
    channel_ask(lookup->servers->channels[lookup->server][transport], &lookup->question,
                current_name(lookup), (int)lookup->type);
}

/* Starts with the server that is well. Each is asked `tries` times in turn, one that refused only
 * once; where none is left the failure stands. */
static bool choose_server(struct lookup *lookup)
{
    const struct servers *servers = lookup->servers;

    while (lookup->attempt < servers->tries * servers->count) {
        unsigned server =
            lookup->attempt == 0 ? servers->first : (lookup->server + 1) % servers->count;
        lookup->attempt++;
        lookup->server = server;
        if ((lookup->refused & 1u << server) == 0)
            return true;
    }
    return false;
}

static void ask_first(struct lookup *lookup)
{
    lookup->attempt = 0;
    lookup->refused = 0;
    choose_server(lookup);
    ask(lookup, CHANNEL_UDP);
}

static void on_step(struct call *call)
{
    struct lookup *lookup = container_of(call, struct lookup, step);

    switch (lookup->next) {
    case LOOKUP_ASK_TCP:
        ask(lookup, CHANNEL_TCP);
        return;
    case LOOKUP_ASK_ON:
        ask_first(lookup);
        return;
    case LOOKUP_ASK_OTHER:
        if (choose_server(lookup)) {
            ask(lookup, CHANNEL_UDP);
            return;
        }
        break;
    case LOOKUP_DONE:
        break;
    }
    lookup->call.done(&lookup->call);
}

static void on_reply(struct question *question, enum question_result result, struct span packet)
{
    struct lookup *lookup = container_of(question, struct lookup, question);

    switch (result) {
    case QUESTION_REPLIED:
        lookup_read(lookup, packet);
        break;
    case QUESTION_TIMED_OUT:
        servers_failed(lookup->servers, lookup->server);
        ask_other(lookup, "timed out");
        break;
    case QUESTION_UNREACHABLE:
        servers_failed(lookup->servers, lookup->server);
        lookup->refused |= 1u << lookup->server;
        ask_other(lookup, "name server unreachable");
        break;
    case QUESTION_NEVER_ASKED:
        finish(lookup, LOOKUP_NO_NAME);
        break;
    case QUESTION_ABANDONED:
        return; /* the owner is being closed and knows */
    }
    lookup->defer(lookup, &lookup->step);
}

void lookup_start(struct lookup *lookup, const char *name)
{
    lookup->chain[0] = name;
    lookup->chain_len = 1;
    lookup->ttl = INT32_MAX;
    lookup->step.done = on_step;
    lookup->question.replied = on_reply;
    ask_first(lookup);
}

static void note_ttl(struct lookup *lookup, uint32_t ttl)
{
    lookup->has_ttl = true;
    if (ttl < lookup->ttl)
        lookup->ttl = ttl;
}

/* False where the chain ends in failure. */
static bool follow(struct lookup *lookup, const char *target)
{
    char name[NAME_MAX_LENGTH + 1];

    bool is_reverse = lookup->type == PACKET_PTR;
    if (is_reverse ? !name_normalize_reverse(span_cstr(target), name)
                   : !name_normalize(span_cstr(target), name)) {
        fail(lookup, "a CNAME leads to what is no host name");
        return false;
    }
    for (unsigned i = 0; i < lookup->chain_len; i++) {
        if (strcmp(lookup->chain[i], name) == 0) {
            fail(lookup, "CNAMEs go in a circle");
            return false;
        }
    }
    if (lookup->chain_len > LOOKUP_CHAIN_MAX) {
        fail(lookup, "too many CNAMEs");
        return false;
    }
    lookup->chain[lookup->chain_len++] = arena_dup(lookup->arena, span_cstr(name)).ptr;
    return true;
}

static bool is_owned_by(const struct packet_record *record, const char *name)
{
    return span_equal_nocase(span_cstr(record->owner), span_cstr(name));
}

/* Keeps the best of too many, in the order of preference. */
static void keep_host(struct lookup *lookup, const struct packet_record *record)
{
    unsigned place = lookup->count;

    while (place > 0 && lookup->records[place - 1].preference > record->preference)
        place--;
    if (place == LOOKUP_RECORDS_MAX)
        return;
    unsigned moved = lookup->count - place;
    if (lookup->count == LOOKUP_RECORDS_MAX)
        moved--;
    else
        lookup->count++;
    memmove(&lookup->records[place + 1], &lookup->records[place],
            moved * sizeof lookup->records[0]);
    lookup->records[place] = (struct lookup_record){
        .preference = record->preference,
        .host = arena_dup(lookup->arena, span_cstr(record->target)).ptr,
    };
}

/* In the order in which they were sent. */
static void keep_name(struct lookup *lookup, const struct packet_record *record)
{
    if (lookup->count < LOOKUP_RECORDS_MAX)
        lookup->records[lookup->count++].host =
            arena_dup(lookup->arena, span_cstr(record->target)).ptr;
}

static void keep_text(struct lookup *lookup, const struct packet_record *record)
{
    if (lookup->count < LOOKUP_RECORDS_MAX)
        lookup->records[lookup->count++].data =
            arena_dup(lookup->arena, span_of(record->text, record->text_len));
}

static void keep_address(struct lookup *lookup, const struct packet_record *record)
{
    if (lookup->count == LOOKUP_RECORDS_MAX)
        return;
    union resolver_address *address = &lookup->records[lookup->count++].address;
    if (record->type == PACKET_A) {
        address->in4.sin_family = AF_INET;
        address->in4.sin_addr = record->in4;
    } else {
        address->in6.sin6_family = AF_INET6;
        address->in6.sin6_addr = record->in6;
    }
}

static void keep(struct lookup *lookup, const struct packet_record *record)
{
    note_ttl(lookup, record->ttl);
    switch (record->type) {
    case PACKET_MX:
        keep_host(lookup, record);
        break;
    case PACKET_PTR:
        keep_name(lookup, record);
        break;
    case PACKET_TXT:
        keep_text(lookup, record);
        break;
    default:
        keep_address(lookup, record);
        break;
    }
}

/* One walk over the records for the chain's last name. */
struct walk {
    unsigned found;
    bool has_alias;
    bool has_soa;
    bool has_referral;
    uint32_t alias_ttl;
    uint32_t negative_ttl;
    char alias[PACKET_NAME_SIZE];
};

static void note_authority(struct walk *walk, const struct packet_record *record)
{
    if (record->type == PACKET_NS)
        walk->has_referral = true;
    if (record->type == PACKET_SOA) {
        walk->has_soa = true;
        walk->negative_ttl = record->ttl;
    }
}

static void note_alias(struct walk *walk, const struct packet_record *record)
{
    walk->has_alias = true;
    walk->alias_ttl = record->ttl;
    memcpy(walk->alias, record->target, strlen(record->target) + 1);
}

static bool walk_records(struct lookup *lookup, struct packet *packet, struct walk *walk)
{
    struct packet_record record;
    enum packet_step step;

    packet_rewind(packet);
    while ((step = packet_next(packet, &record)) == PACKET_RECORD) {
        if (record.is_authority) {
            note_authority(walk, &record);
        } else if (!is_owned_by(&record, current_name(lookup))) {
            continue;
        } else if (record.type == lookup->type) {
            keep(lookup, &record);
            walk->found++;
        } else if (record.type == PACKET_CNAME && !walk->has_alias) {
            note_alias(walk, &record);
        }
    }
    return step == PACKET_END;
}

/* There is nothing at the end of the chain. */
static void read_nothing(struct lookup *lookup, const struct packet *packet,
                         const struct walk *walk, bool was_aliased)
{
    /* RFC 6604 section 3: the code speaks of the last name of a chain. A chain that ends without
     * an SOA was cut off by a server that does not know the rest. */
    if (packet->rcode == PACKET_NOERROR && !walk->has_soa) {
        if (was_aliased) {
            lookup->next = LOOKUP_ASK_ON;
            return;
        }
        if (walk->has_referral) { /* RFC 2308 section 2.2: not a "no" */
            ask_other(lookup, "a referral instead of an answer");
            return;
        }
    }
    finish(lookup, packet->rcode == PACKET_NXDOMAIN ? LOOKUP_NO_NAME : LOOKUP_NO_DATA);
    if (walk->has_soa)
        note_ttl(lookup, walk->negative_ttl);
    else
        lookup->has_ttl = false;
}

/* The records may come in any order: down the chain, then to what is at its end. */
static void read_records(struct lookup *lookup, struct packet *packet)
{
    unsigned asked = lookup->chain_len;

    for (;;) {
        struct walk walk = {0};
        lookup->count = 0;
        if (!walk_records(lookup, packet, &walk)) {
            ask_other(lookup, "a broken reply");
            return;
        }
        if (walk.found > 0) {
            finish(lookup, LOOKUP_FOUND);
            return;
        }
        if (!walk.has_alias) {
            read_nothing(lookup, packet, &walk, lookup->chain_len > asked);
            return;
        }
        note_ttl(lookup, walk.alias_ttl);
        if (!follow(lookup, walk.alias))
            return;
    }
}

static const char *rcode_text(unsigned rcode)
{
    switch (rcode) {
    case PACKET_FORMERR:
        return "format error";
    case PACKET_SERVFAIL:
        return "server failure";
    case PACKET_NOTIMP:
        return "not implemented by the server";
    case PACKET_REFUSED:
        return "refused by the server";
    default:
        return "an unknown response code";
    }
}

void lookup_read(struct lookup *lookup, struct span bytes)
{
    struct packet packet;

    if (!packet_open(&packet, bytes)) {
        ask_other(lookup, "a broken reply");
        return;
    }
    if (packet.rcode != PACKET_NOERROR && packet.rcode != PACKET_NXDOMAIN) {
        lookup->refused |= 1u << lookup->server;
        ask_other(lookup, rcode_text(packet.rcode));
        return;
    }
    if (packet.truncated && lookup->transport == CHANNEL_UDP) {
        lookup->next = LOOKUP_ASK_TCP;
        return;
    }
    read_records(lookup, &packet);
}
