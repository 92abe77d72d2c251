#include "deliver/verdict.h"

#define AT(state) (1u << DELIVER_STATE_##state)
#define ANYWHERE  (~0u)
/* The host has not shown yet that it takes mail: trouble is the host's, not the message's. */
#define OPENING                                                                                    \
    (AT(CONNECT) | AT(GREETING) | AT(EHLO) | AT(HELO) | AT(STARTTLS) | AT(HANDSHAKE) |             \
     AT(EHLO_TLS) | AT(AUTH) | AT(DERIVE))
#define BETWEEN (AT(READY) | AT(IDLE) | AT(DECLINED) | AT(RSET))
#define FIRST   (AT(XFORWARD) | AT(MAIL)) /* of a transaction */
#define IN_DATA (AT(DATA) | AT(BODY) | AT(FINAL))
#define OF_ONE  (AT(RCPT) | AT(FINAL_EACH)) /* recipient */
/* Where a 2yz is the good answer. */
#define GRANTS                                                                                     \
    (AT(GREETING) | AT(EHLO) | AT(HELO) | AT(STARTTLS) | AT(EHLO_TLS) | AT(AUTH) | FIRST |         \
     OF_ONE | AT(FINAL) | AT(RSET))

enum reading {
    AS_SAID,
    TEMPORARY, /* even where it says 5yz: another host, or this one later, may do better */
    NONSENSE,  /* no answer to what was asked */
};

struct reply_row {
    unsigned states;
    uint16_t from, to;
    bool (*applies)(const struct verdict_reply *said); /* NULL = always */
    enum reading reading;
    enum status_scope scope;
    struct enhanced_code enhanced; /* for a reply without one; absent = the generic one */
};

/* A server that has enough of a connection says nothing about the host. Where it was idle, the 421
 * may look like the reply to the next command. */
static bool is_reused(const struct verdict_reply *said)
{
    return said->reused;
}

/* RFC 5321 4.5.3.1.10: 552 for too many recipients is an old slip for 452. A full mailbox (x.2.2)
 * or a message too large (x.3.4) says so in its enhanced code. */
static bool is_too_many(const struct verdict_reply *said)
{
    const struct enhanced_code *code = &said->reply->enhanced;

    return code->klass == 0 || (code->subject == 5 && code->detail == 3);
}

/* The first row that fits holds. */
static const struct reply_row reply_rows[] = {
    {BETWEEN | FIRST, 421, 421, is_reused, TEMPORARY, STATUS_SCOPE_SESSION, {4, 4, 2}},
    {ANYWHERE, 421, 421, NULL, TEMPORARY, STATUS_SCOPE_HOST, {4, 3, 2}},
    {AT(STARTTLS), 400, 599, NULL, TEMPORARY, STATUS_SCOPE_HOST, {4, 7, 4}},
    {AT(AUTH), 400, 599, NULL, TEMPORARY, STATUS_SCOPE_HOST, {4, 7, 8}},
    {OPENING, 400, 599, NULL, TEMPORARY, STATUS_SCOPE_HOST, {0}},
    {AT(XFORWARD), 400, 599, NULL, AS_SAID, STATUS_SCOPE_RECIPIENT, {0}},
    /* RFC 3207 4, RFC 4954 6: TLS or AUTH first. That is about us, not about the message. */
    {AT(MAIL), 530, 530, NULL, TEMPORARY, STATUS_SCOPE_HOST, {4, 7, 0}},
    {AT(MAIL), 400, 599, NULL, AS_SAID, STATUS_SCOPE_MESSAGE, {0}},
    {AT(RCPT), 552, 552, is_too_many, TEMPORARY, STATUS_SCOPE_RECIPIENT, {4, 5, 3}},
    {OF_ONE, 400, 599, NULL, AS_SAID, STATUS_SCOPE_RECIPIENT, {0}},
    {IN_DATA, 400, 599, NULL, AS_SAID, STATUS_SCOPE_MESSAGE, {0}},
    {AT(RSET), 400, 599, NULL, TEMPORARY, STATUS_SCOPE_SESSION, {0}},
    {GRANTS, 200, 299, NULL, AS_SAID, STATUS_SCOPE_RECIPIENT, {0}},
    {OPENING, 200, 599, NULL, NONSENSE, STATUS_SCOPE_HOST, {4, 5, 0}},
    {ANYWHERE, 200, 599, NULL, NONSENSE, STATUS_SCOPE_SESSION, {4, 5, 0}},
};

static const char *const doing[DELIVER_STATE_COUNT] = {
    [DELIVER_STATE_CONNECT] = "connecting",
    [DELIVER_STATE_RECONNECT] = "connecting again",
    [DELIVER_STATE_GREETING] = "waiting for the greeting",
    [DELIVER_STATE_EHLO] = "waiting for the reply to EHLO",
    [DELIVER_STATE_HELO] = "waiting for the reply to HELO",
    [DELIVER_STATE_STARTTLS] = "waiting for the reply to STARTTLS",
    [DELIVER_STATE_HANDSHAKE] = "in the TLS handshake",
    [DELIVER_STATE_EHLO_TLS] = "waiting for the reply to EHLO under TLS",
    [DELIVER_STATE_AUTH] = "waiting for the reply to AUTH",
    [DELIVER_STATE_DERIVE] = "working out the proof for AUTH",
    [DELIVER_STATE_READY] = "idle",
    [DELIVER_STATE_IDLE] = "idle",
    [DELIVER_STATE_DECLINED] = "idle",
    [DELIVER_STATE_XFORWARD] = "waiting for the reply to XFORWARD",
    [DELIVER_STATE_MAIL] = "waiting for the reply to MAIL",
    [DELIVER_STATE_RCPT] = "waiting for the reply to RCPT",
    [DELIVER_STATE_DATA] = "waiting for the reply to DATA",
    [DELIVER_STATE_BODY] = "sending the message",
    [DELIVER_STATE_FINAL] = "waiting for the reply to the end of data",
    [DELIVER_STATE_FINAL_EACH] = "waiting for a recipient's reply to the end of data",
    [DELIVER_STATE_RSET] = "waiting for the reply to RSET",
    [DELIVER_STATE_QUIT] = "waiting for the reply to QUIT",
    [DELIVER_STATE_CLOSED] = "closing",
};

static const struct reply_row *find_row(const struct verdict_reply *said)
{
    const struct reply_row *row = reply_rows; /* the last one fits everything */

    while ((row->states & (1u << said->state)) == 0 || said->reply->code < row->from ||
           said->reply->code > row->to || (row->applies != NULL && !row->applies(said)))
        row++;
    return row;
}

/* Whole UTF-8 characters of at most VERDICT_TEXT_MAX bytes. */
static struct span bounded(struct span text)
{
    size_t len = VERDICT_TEXT_MAX;

    if (text.len <= len)
        return text;
    while (len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
        len--;
    return span_head(text, len);
}

struct status verdict_of_reply(const struct verdict_reply *said, struct arena *arena)
{
    const struct reply_row *row = find_row(said);
    struct smtp_reply reply = *said->reply;

    reply.text = bounded(reply.text);
    if (reply.enhanced.klass == 0)
        reply.enhanced = row->enhanced;
    struct status status = smtp_reply_status(&reply, arena);
    status.scope = row->scope;
    status.said = row->reading == AS_SAID || (row->reading == TEMPORARY && reply.code < 500);
    if (row->reading == AS_SAID)
        return status;
    const char *how = row->reading == TEMPORARY ? "refused" : "unexpected reply";
    if (row->reading == NONSENSE || reply.code >= 500)
        status.text = arena_printf(arena, "%s while %s: %u %.*s", how, doing[said->state],
                                   reply.code, SPAN_ARG(status.text));
    if (row->reading == NONSENSE) {
        status.code = 451;
        status.enhanced = row->enhanced;
    } else if (reply.code >= 500) {
        status.code = (uint16_t)(reply.code - 100);
        status.enhanced.klass = 4;
    }
    return status;
}

struct trouble_row {
    unsigned states;
    unsigned troubles;
    enum status_scope scope;
    struct enhanced_code enhanced;
};

#define ON(trouble) (1u << VERDICT_##trouble)
#define CUT_OFF     (ON(LOST) | ON(BROKEN) | ON(TIMEOUT))

static const struct trouble_row trouble_rows[] = {
    {AT(CONNECT), ANYWHERE, STATUS_SCOPE_HOST, {4, 4, 1}},
    {AT(HANDSHAKE), ANYWHERE, STATUS_SCOPE_HOST, {4, 7, 5}},
    {OPENING, CUT_OFF, STATUS_SCOPE_HOST, {4, 4, 2}},
    {OPENING, ON(GARBAGE), STATUS_SCOPE_HOST, {4, 5, 0}},
    {ANYWHERE, CUT_OFF, STATUS_SCOPE_SESSION, {4, 4, 2}},
    {ANYWHERE, ON(GARBAGE), STATUS_SCOPE_SESSION, {4, 5, 0}},
};

struct status verdict_of_trouble(enum deliver_state state, enum verdict_trouble trouble,
                                 const char *detail, struct arena *arena)
{
    static const char *const what[] = {
        [VERDICT_LOST] = "connection lost",
        [VERDICT_BROKEN] = "connection failed",
        [VERDICT_TIMEOUT] = "timed out",
        [VERDICT_GARBAGE] = "no SMTP reply",
    };
    const struct trouble_row *row = trouble_rows; /* the last two fit everything */

    while ((row->states & (1u << state)) == 0 || (row->troubles & (1u << trouble)) == 0)
        row++;
    struct status status = {.code = 451, .enhanced = row->enhanced, .scope = row->scope};
    status.text = detail == NULL
                      ? arena_printf(arena, "%s while %s", what[trouble], doing[state])
                      : arena_printf(arena, "%s while %s: %s", what[trouble], doing[state], detail);
    return status;
}

struct status verdict_of_own(enum verdict_own why)
{
    static const struct {
        uint16_t code;
        struct enhanced_code enhanced;
        enum status_scope scope;
        const char *text;
    } rows[] = {
        [VERDICT_NO_STARTTLS] = {451,
                                 {4, 7, 4},
                                 STATUS_SCOPE_HOST,
                                 "TLS is required but is not offered"},
        [VERDICT_UNVERIFIED] = {451,
                                {4, 7, 5},
                                STATUS_SCOPE_HOST,
                                "the host's certificate is not verified"},
        [VERDICT_INJECTED] = {451,
                              {4, 7, 5},
                              STATUS_SCOPE_HOST,
                              "plain text behind the reply to STARTTLS"},
        [VERDICT_NO_CREDENTIALS] = {451,
                                    {4, 7, 0},
                                    STATUS_SCOPE_HOST,
                                    "the configuration has none of that name any more"},
        [VERDICT_BAD_CREDENTIALS] =
            {451,
             {4, 7, 8},
             STATUS_SCOPE_HOST,
             "its user or its password is not valid UTF-8, or has blanks or control characters"},
        [VERDICT_LOGIN_UNSAFE] =
            {451,
             {4, 7, 5},
             STATUS_SCOPE_HOST,
             "the host is not proved to be the right one, so that the password is kept from it"},
        [VERDICT_NO_AUTH] = {451, {4, 7, 0}, STATUS_SCOPE_HOST, "the host offers no AUTH"},
        [VERDICT_NO_MECHANISM] = {451,
                                  {4, 7, 4},
                                  STATUS_SCOPE_HOST,
                                  "the host offers no mechanism of AUTH that is known here"},
        [VERDICT_LOGIN_NONSENSE] = {451,
                                    {4, 5, 0},
                                    STATUS_SCOPE_HOST,
                                    "the host's part of AUTH makes no sense"},
        [VERDICT_LOGIN_UNPROVED] = {451,
                                    {4, 7, 8},
                                    STATUS_SCOPE_HOST,
                                    "the host has not proved that it knows the password"},
        [VERDICT_TOO_LARGE] = {552,
                               {5, 3, 4},
                               STATUS_SCOPE_MESSAGE,
                               "larger than the host accepts"},
        [VERDICT_NEEDS_SMTPUTF8] = {550,
                                    {5, 6, 7},
                                    STATUS_SCOPE_MESSAGE,
                                    "the host does not offer SMTPUTF8"},
        [VERDICT_NEEDS_8BITMIME] =
            {554,
             {5, 6, 3},
             STATUS_SCOPE_MESSAGE,
             "the message is 8-bit and cannot be converted, and the host does not offer 8BITMIME"},
        [VERDICT_NEEDS_BINARYMIME] = {554,
                                      {5, 6, 3},
                                      STATUS_SCOPE_MESSAGE,
                                      "the message is BINARYMIME, which the host does not offer"},
        [VERDICT_NEEDS_TLS] = {550,
                               {5, 7, 10},
                               STATUS_SCOPE_MESSAGE,
                               "REQUIRETLS: there is no TLS with the host"},
        [VERDICT_TLS_FAILED] = {451,
                                {4, 7, 5},
                                STATUS_SCOPE_MESSAGE,
                                "REQUIRETLS: TLS with the host has failed"},
        [VERDICT_NEEDS_PROOF] = {550,
                                 {5, 7, 10},
                                 STATUS_SCOPE_MESSAGE,
                                 "REQUIRETLS: it is not proved that the host is the right one"},
        [VERDICT_NEEDS_REQUIRETLS] = {550,
                                      {5, 7, 30},
                                      STATUS_SCOPE_MESSAGE,
                                      "REQUIRETLS: the host does not offer REQUIRETLS"},
        [VERDICT_NEEDS_DELIVERBY] =
            {554,
             {5, 3, 3},
             STATUS_SCOPE_MESSAGE,
             "the host does not offer DELIVERBY, so that it cannot return the message in time"},
        [VERDICT_TOO_SOON] = {554,
                              {5, 4, 7},
                              STATUS_SCOPE_MESSAGE,
                              "the host does not promise delivery within the time that is left"},
        [VERDICT_TOO_LATE] = {554,
                              {5, 4, 7},
                              STATUS_SCOPE_MESSAGE,
                              "the time in which it was to be delivered has passed"},
        [VERDICT_DAMAGED] = {451, {4, 3, 0}, STATUS_SCOPE_MESSAGE, "the stored message is damaged"},
        [VERDICT_UNREADABLE] = {451,
                                {4, 3, 0},
                                STATUS_SCOPE_MESSAGE,
                                "the stored message could not be read"},
        [VERDICT_CANCELLED] = {451, {4, 3, 2}, STATUS_SCOPE_SESSION, "the delivery was cancelled"},
    };

    return (struct status){.code = rows[why].code,
                           .enhanced = rows[why].enhanced,
                           .scope = rows[why].scope,
                           .text = span_cstr(rows[why].text)};
}
