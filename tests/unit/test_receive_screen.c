/* receive/: what a client meets before it is let speak, and what is found out about it meanwhile.
 */
#include "support/dns_server.h"
#include "support/receive_rig.h"
#include "support/receive_script.h"
#include "support/stream.h"
#include "support/tls_for_tests.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define FOLLOW(client, ...) talk_follow((client), (const char *const[]){__VA_ARGS__, NULL})

enum { SCRIPT_MAX = 48 };

#define EARLY "S:521 5.5.0 You talk before the greeting", "!eof"
#define HASTY "S:521 5.5.0 Commands sent before PIPELINING was offered", "!eof"

/* Clients are whom the PROXY header tells of. */
#define PROXIED "proxy_networks = \"127.0.0.0/8\"\nrelay_networks = \"198.51.100.0/24\"\n"
#define CLIENT  "R:PROXY TCP4 192.0.2.1 192.0.2.9 1 25\r\n"
#define CLIENT6 "R:PROXY TCP6 2001:db8::1 2001:db8::9 1 25\r\n"
#define FRIEND  "R:PROXY TCP4 198.51.100.1 192.0.2.9 1 25\r\n"

struct dialogue {
    const char *name;
    const char *conf;
    const char *zone; /* NULL: no name server */
    const char *script[SCRIPT_MAX];
    struct receive_listener kind;
};

static struct tls_server *tls;

static void run(const struct dialogue *d)
{
    struct dns_server *dns = d->zone != NULL ? dns_server_start() : NULL;
    struct receive_rig rig;
    struct talk client;

    if (dns != NULL)
        dns_server_set_zone(dns, d->zone);
    receive_rig_open_with(&rig, d->conf, tls, CONF_TLS_STARTTLS,
                          dns != NULL ? dns_server_address(dns) : NULL);
    rig.kind.role = d->kind.role;
    rig.kind.proxy = d->kind.proxy;
    receive_rig_connect(&rig, &client);
    talk_follow(&client, d->script);
    talk_close(&client);
    receive_rig_close(&rig);
    if (dns != NULL)
        dns_server_stop(dns);
}

static void test_dialogue(void **state)
{
    run(*state);
}

/* ---- clients that do not wait ------------------------------------------------------------- */

static const struct dialogue early_dialogues[] = {
    {"talking in the delay", "greeting_delay = 20s\n", NULL, {"C:EHLO client.test", EARLY}, {0}},
    {"a byte in the delay", "greeting_delay = 20s\n", NULL, {"R:x", EARLY}, {0}},
    {"talking in the delay, and allowed to",
     "greeting_delay = 30ms\nrefuse_early_talkers = no\n",
     NULL,
     {"R:EHLO client.test\r\nNOOP\r\n", "!shut", "S:220 ", "S:250 HELP", "S:250 2.0.0", "!eof"},
     {0}},
    {"waiting", "greeting_delay = 30ms\n", NULL, {HELLO, MAIL, BYE}, {0}},
    {"leaving in the delay", "greeting_delay = 20s\n", NULL, {"!shut", "!eof"}, {0}},
    {"too long a session, in the delay",
     "greeting_delay = 20s\nsession_timeout = 20ms\n",
     NULL,
     {"S:421 4.4.2", "!eof"},
     {0}},
    {"no delay for users",
     "greeting_delay = 20s\n",
     NULL,
     {HELLO, BYE},
     {.role = CONF_ROLE_SUBMISSION}},
    {"no delay for local programs",
     "greeting_delay = 20s\n",
     NULL,
     {HELLO, BYE},
     {.role = CONF_ROLE_LOCAL}},
    {"talking behind the PROXY header",
     PROXIED,
     NULL,
     {CLIENT "EHLO client.test\r\n", EARLY},
     {.proxy = true}},
    {"talking behind the PROXY header, and allowed to",
     PROXIED "refuse_early_talkers = no\n",
     NULL,
     {CLIENT "EHLO client.test\r\n", "S:220 ", "S:250 HELP", BYE},
     {.proxy = true}},
    {"users behind a PROXY header",
     PROXIED,
     NULL,
     {CLIENT "EHLO client.test\r\n", "S:220 ", "S:250 ", BYE},
     {.proxy = true, .role = CONF_ROLE_SUBMISSION}},

    {"EHLO and more", "", NULL, {"S:220 ", "R:EHLO c.test\r\nMAIL FROM:<>\r\n", HASTY}, {0}},
    {"EHLO and a part of more", "", NULL, {"S:220 ", "R:EHLO c.test\r\nM", HASTY}, {0}},
    {"HELO and more", "", NULL, {"S:220 ", "R:HELO c.test\r\nMAIL FROM:<>\r\n", HASTY}, {0}},
    {"behind HELO",
     "",
     NULL,
     {"S:220 ", "C:HELO c.test", "S:250 ", "R:MAIL FROM:<>\r\nQUIT\r\n", HASTY},
     {0}},
    {"behind an EHLO that was refused",
     "",
     NULL,
     {"S:220 ", "C:EHLO", "S:501 ", "R:NOOP\r\nNOOP\r\n", HASTY},
     {0}},
    {"HELO takes the offer back",
     "",
     NULL,
     {HELLO, "R:NOOP\r\nNOOP\r\n", "S:250 ", "S:250 ", "C:HELO c.test", "S:250 ",
      "R:NOOP\r\nNOOP\r\n", HASTY},
     {0}},
    {"a request by HTTP",
     "",
     NULL,
     {"S:220 ", "R:POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO c.test\r\n", HASTY},
     {0}},
    {"XCLIENT takes the offer back",
     "xclient_networks = \"127.0.0.0/8\"\n",
     NULL,
     {HELLO, "C:XCLIENT ADDR=192.0.2.1", "S:220 ", "R:NOOP\r\nNOOP\r\n", HASTY},
     {0}},
    {"STARTTLS takes the offer back",
     "",
     NULL,
     {HELLO, "C:STARTTLS", "S:220 ", "!tls", "R:NOOP\r\nNOOP\r\n", HASTY},
     {0}},
    {"users must wait too",
     "",
     NULL,
     {"S:220 ", "R:EHLO c.test\r\nNOOP\r\n", HASTY},
     {.role = CONF_ROLE_SUBMISSION}},
    {"local programs need not",
     "",
     NULL,
     {"S:220 ", "R:EHLO c.test\r\nQUIT\r\n", "S:250 ", "S:221 ", "!eof"},
     {.role = CONF_ROLE_LOCAL}},
    {"allowed to",
     "refuse_early_talkers = no\n",
     NULL,
     {"S:220 ", "R:EHLO c.test\r\nQUIT\r\n", "S:250 ", "S:221 ", "!eof"},
     {0}},
    {"what is behind QUIT", "", NULL, {"S:220 ", "R:QUIT\r\nNOOP\r\n", "S:221 ", "!eof"}, {0}},
    {"a bare LF is told as such",
     "",
     NULL,
     {"S:220 ", "R:NOOP\nNOOP\r\nNOOP\r\n", "S:521 5.5.2", "!eof"},
     {0}},
    {"EHLO in pieces",
     "",
     NULL,
     {"S:220 ", "R:EH", "R:LO c.test\r", "R:\n", "S:250 ", "R:NOOP\r\nNOOP\r\n", "S:250 ", "S:250 ",
      BYE},
     {0}},
};

static void test_the_greeting_waits(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    receive_rig_open(&rig, "greeting_delay = 80ms\n", NULL, CONF_TLS_NONE);
    receive_rig_connect(&rig, &client);
    TURN_UNTIL(rig.loop, receive_limits_sessions(rig.limits) == 1);
    uint64_t began = loop_now(rig.loop);
    FOLLOW(&client, HELLO);
    assert_true(loop_now(rig.loop) - began >= 70); /* the loop's clock may have been a bit old */
    FOLLOW(&client, BYE);
    talk_close(&client);
    receive_rig_close(&rig);
}

/* With TLS it is seen without a delay: what comes in one read with the end of the handshake. */
static void test_talking_behind_a_handshake(void **state)
{
    static const char *const confs[] = {"", "greeting_delay = 20s\n",
                                        "refuse_early_talkers = no\n"};
    static const char ehlo[] = "EHLO client.test\r\n";

    (void)state;
    for (size_t i = 0; i < COUNT(confs); i++) {
        struct receive_rig rig;
        struct talk client;
        receive_rig_open(&rig, confs[i], tls, CONF_TLS_IMPLICIT);
        receive_rig_connect(&rig, &client);
        stream_no_delay(client.fd); /* what it says may leave before its last flight is confirmed */
        talk_secure(&client);
        assert_int_equal(SSL_write(client.ssl, ehlo, sizeof ehlo - 1), sizeof ehlo - 1);
        if (i < 2)
            FOLLOW(&client, EARLY);
        else
            FOLLOW(&client, "S:220 ", "S:250 HELP", BYE);
        talk_close(&client);
        receive_rig_close(&rig);
    }
}

static void test_waiting_behind_a_handshake(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    receive_rig_open(&rig, "greeting_delay = 30ms\n", tls, CONF_TLS_IMPLICIT);
    receive_rig_connect(&rig, &client);
    FOLLOW(&client, "!tls", HELLO, MAIL, BYE);
    talk_close(&client);
    receive_rig_close(&rig);
}

/* ---- the client's name -------------------------------------------------------------------- */

#define PTR1 "1.2.0.192.in-addr.arpa PTR 60 a.test\n"

struct name_case {
    const char *title;
    const char *conf;
    const char *zone;
    const char *client;
    const char *from; /* what Received says */
};

static const struct name_case name_cases[] = {
    {"verified", "", PTR1 "a.test A 60 192.0.2.1", CLIENT, "client.test (a.test [192.0.2.1])\r\n"},
    {"verified, while the greeting waits anyway", "greeting_delay = 50ms\n",
     PTR1 "a.test A 60 192.0.2.1", CLIENT, "client.test (a.test [192.0.2.1])\r\n"},
    {"verified late", "greeting_delay = 20ms\n", PTR1 "a.test A 60 192.0.2.1\na.test A !delay 60",
     CLIENT, "client.test (a.test [192.0.2.1])\r\n"},
    {"IPv6", "",
     "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR 60 a.test\n"
     "a.test AAAA 60 2001:db8::1",
     CLIENT6, "client.test (a.test [IPv6:2001:db8::1])\r\n"},
    {"forged", "", PTR1 "a.test A 60 192.0.2.2", CLIENT, "client.test ([192.0.2.1])\r\n"},
    {"none", "", "", CLIENT, "client.test ([192.0.2.1])\r\n"},
    {"failure", "", PTR1 "a.test * !servfail", CLIENT, "client.test ([192.0.2.1])\r\n"},
    {"silence", "client_lookup_timeout = 30ms\n", PTR1 "a.test * !silent", CLIENT,
     "client.test ([192.0.2.1])\r\n"},
    {"silence, while the greeting waits anyway",
     "client_lookup_timeout = 60ms\ngreeting_delay = 20ms\n", PTR1 "a.test * !silent", CLIENT,
     "client.test ([192.0.2.1])\r\n"},
    {"silence, while the greeting waits longer",
     "client_lookup_timeout = 20ms\ngreeting_delay = 50ms\n", PTR1 "a.test * !silent", CLIENT,
     "client.test ([192.0.2.1])\r\n"},
    {"a client that is not known", "", "", "R:PROXY UNKNOWN\r\n", "client.test (unknown)\r\n"},
};

static void open_proxied(struct receive_rig *rig, struct dns_server *dns, const char *conf,
                         const char *more)
{
    struct buf text;

    buf_init(&text, 0);
    buf_addf(&text, "%s%s%c", conf, more, '\0');
    receive_rig_open_with(rig, buf_span(&text).ptr, tls, CONF_TLS_NONE, dns_server_address(dns));
    rig->kind.proxy = true;
    buf_fini(&text);
}

static void test_names_in_received(void **state)
{
    const struct name_case *c = *state;
    struct dns_server *dns = dns_server_start();
    struct receive_rig rig;
    struct talk client;

    dns_server_set_zone(dns, c->zone);
    /* relay_networks does not matter to names; here everybody may send. */
    open_proxied(&rig, dns,
                 "proxy_networks = \"127.0.0.0/8\"\nclient_names = yes\n"
                 "relay_networks = {\"0.0.0.0/0\", \"::/0\"}\n",
                 c->conf);
    receive_rig_connect(&rig, &client);
    FOLLOW(&client, c->client, HELLO, MAIL);
    if (strstr(c->from, "unknown") != NULL) {
        FOLLOW(&client, BYE); /* such a one may not relay */
    } else {
        FOLLOW(&client, RCPT, DATA, "R:" BODY, END, QUEUED, BYE);
        struct span trace = rig.accepted[0]->trace;
        bool verified = strstr(c->from, "a.test") != NULL;
        assert_true(
            span_starts_nocase(span_from(trace, strlen("Received: from ")), span_cstr(c->from)));
        assert_true(span_equal(rig.accepted[0]->client_name, verified ? SPAN("a.test") : SPAN("")));
    }
    talk_close(&client);
    receive_rig_close(&rig);
    dns_server_stop(dns);
}

/* XCLIENT makes it another's session; what the proxy says of a name is not what we checked. */
static void test_names_of_others(void **state)
{
    static const struct {
        const char *xclient;
        const char *from;
    } cases[] = {
        {"C:XCLIENT LOGIN=alice", "client.test (a.test [192.0.2.1])\r\n"},
        {"C:XCLIENT PORT=25", "client.test (a.test [192.0.2.1])\r\n"},
        {"C:XCLIENT ADDR=192.0.2.1", "client.test ([192.0.2.1])\r\n"},
        {"C:XCLIENT ADDR=192.0.2.2", "client.test ([192.0.2.2])\r\n"},
        {"C:XCLIENT NAME=b.test", "client.test ([192.0.2.1])\r\n"},
        {"C:XCLIENT NAME=b.test ADDR=192.0.2.2", "client.test ([192.0.2.2])\r\n"},
        {"C:XCLIENT NAME=[UNAVAILABLE]", "client.test ([192.0.2.1])\r\n"},
        {"C:XCLIENT NAME=[TEMPUNAVAIL]", "client.test ([192.0.2.1])\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct dns_server *dns = dns_server_start();
        struct receive_rig rig;
        struct talk client;
        dns_server_set_zone(dns, PTR1 "a.test A 60 192.0.2.1");
        open_proxied(&rig, dns,
                     "proxy_networks = \"127.0.0.0/8\"\nclient_names = yes\n"
                     "relay_networks = \"192.0.2.0/24\"\nsender_must_match = no\n",
                     "xclient_networks = \"192.0.2.1/32\"\n");
        receive_rig_connect(&rig, &client);
        FOLLOW(&client, CLIENT, HELLO, cases[i].xclient, HELLO, MAIL, RCPT, DATA, "R:" BODY, END,
               QUEUED, BYE);
        struct span trace = rig.accepted[0]->trace;
        if (!span_starts_nocase(span_from(trace, strlen("Received: from ")),
                                span_cstr(cases[i].from)))
            fail_msg("%s: %.*s", cases[i].xclient, SPAN_ARG(trace));
        talk_close(&client);
        receive_rig_close(&rig);
        dns_server_stop(dns);
    }
}

static void test_nothing_is_asked_unless_wanted(void **state)
{
    static const struct {
        const char *conf;
        const char *client;
        enum conf_listener_role role;
        unsigned queries;
    } cases[] = {
        {"", CLIENT, CONF_ROLE_RELAY, 0},
        {"client_names = yes\n", CLIENT, CONF_ROLE_RELAY, 1},
        {"client_names = yes\n", CLIENT, CONF_ROLE_SUBMISSION, 0},
        {"block_lists = \"l.test\"\n", CLIENT, CONF_ROLE_RELAY, 1},
        {"block_lists = {\"l.test\", \"m.test\"}\n", CLIENT, CONF_ROLE_RELAY, 2},
        {"block_lists = \"l.test\"\n", CLIENT6, CONF_ROLE_RELAY, 1},
        {"block_lists = \"l.test\"\n", CLIENT, CONF_ROLE_SUBMISSION, 0},
        {"block_lists = \"l.test\"\n", FRIEND, CONF_ROLE_RELAY, 0},
        {"block_lists = \"l.test\"\nlimit_exempt_networks = \"192.0.2.0/24\"\n", CLIENT,
         CONF_ROLE_RELAY, 0},
        {"block_lists = \"l.test\"\nclient_names = yes\n", "R:PROXY UNKNOWN\r\n", CONF_ROLE_RELAY,
         0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct dns_server *dns = dns_server_start();
        struct receive_rig rig;
        struct talk client;
        open_proxied(&rig, dns, PROXIED, cases[i].conf);
        rig.kind.role = cases[i].role;
        receive_rig_connect(&rig, &client);
        FOLLOW(&client, cases[i].client, HELLO, BYE);
        assert_int_equal(dns_server_count(dns, NULL, NULL), cases[i].queries);
        talk_close(&client);
        receive_rig_close(&rig);
        dns_server_stop(dns);
    }
}

/* ---- block lists -------------------------------------------------------------------------- */

#define LISTS    PROXIED "block_lists = {\"l.test\"}\n"
#define LISTED   "1.2.0.192.l.test A 60 127.0.0.2\n"
#define STRANGER "S:550 5.7.1 Relaying"
#define TO_B     "C:RCPT TO:<b@rcpt.test>"

#define LIST_CASE(title_, conf_, zone_, client_, ...)                                              \
    {                                                                                              \
        title_, conf_, zone_, {client_, HELLO, MAIL, __VA_ARGS__, BYE},                            \
        {                                                                                          \
            .proxy = true                                                                          \
        }                                                                                          \
    }

static const struct dialogue list_dialogues[] = {
    LIST_CASE("listed", LISTS, LISTED "1.2.0.192.l.test TXT 60 See https://l.test/", CLIENT, TO_B,
              "S:554 5.7.1 [192.0.2.1] is listed by l.test: See https://l.test/",
              "C:RCPT TO:<Postmaster>", "S:250 2.1.5", "C:RCPT TO:<POSTMASTER@mx.test>",
              "S:250 2.1.5"),
    LIST_CASE("listed without a reason", LISTS, LISTED, CLIENT, TO_B,
              "S:554 5.7.1 [192.0.2.1] is listed by l.test"),
    LIST_CASE("listed, and the reason does not come", LISTS "client_lookup_timeout = 40ms\n",
              LISTED "1.2.0.192.l.test TXT !silent", CLIENT, TO_B,
              "S:554 5.7.1 [192.0.2.1] is listed by l.test"),
    LIST_CASE("a reason with bytes that no reply may have", LISTS,
              LISTED "1.2.0.192.l.test TXT 60 a\tb\x01\xc3\xa4%s", CLIENT, TO_B,
              "S:554 5.7.1 [192.0.2.1] is listed by l.test: a?b???%s"),
    LIST_CASE("IPv6", LISTS,
              "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.l.test A 60 "
              "127.0.0.2",
              CLIENT6, TO_B, "S:554 5.7.1 [IPv6:2001:db8::1] is listed by l.test"),
    LIST_CASE("by the second of two", PROXIED "block_lists = {\"k.test\", \"l.test\"}\n", LISTED,
              CLIENT, TO_B, "S:554 5.7.1 [192.0.2.1] is listed by l.test"),
    LIST_CASE("only marked", LISTS "block_list_action = mark\n", LISTED, CLIENT, TO_B, STRANGER),
    LIST_CASE("not listed", LISTS, "", CLIENT, TO_B, STRANGER),
    LIST_CASE("failure", LISTS, "1.2.0.192.l.test * !servfail", CLIENT, TO_B, STRANGER),
    LIST_CASE("silence", LISTS "client_lookup_timeout = 30ms\n", "1.2.0.192.l.test * !silent",
              CLIENT, TO_B, STRANGER),
    LIST_CASE("an answer that is none", LISTS, "1.2.0.192.l.test A 60 192.0.2.2", CLIENT, TO_B,
              STRANGER),
    LIST_CASE("the list's error", LISTS, "1.2.0.192.l.test A 60 127.255.255.254", CLIENT, TO_B,
              STRANGER),
    LIST_CASE("the list's error, asked for", PROXIED "block_lists = \"l.test=127.255.255.254\"\n",
              "1.2.0.192.l.test A 60 127.255.255.254", CLIENT, TO_B, STRANGER),
    LIST_CASE("an answer that counts",
              PROXIED "block_lists = \"l.test=127.0.0.2,127.0.0.4-127.0.0.7\"\n",
              "1.2.0.192.l.test A 60 127.0.0.3\n1.2.0.192.l.test A 60 127.0.0.5", CLIENT, TO_B,
              "S:554 5.7.1"),
    LIST_CASE("answers that do not count",
              PROXIED "block_lists = \"l.test=127.0.0.2,127.0.0.4-127.0.0.7\"\n",
              "1.2.0.192.l.test A 60 127.0.0.3\n1.2.0.192.l.test A 60 127.0.0.8", CLIENT, TO_B,
              STRANGER),
    LIST_CASE("who may relay is not looked up", LISTS "route \"*\" { hold = \"x\" }\n",
              "1.100.51.198.l.test A 60 127.0.0.2", FRIEND, TO_B, "S:250 2.1.5"),
    LIST_CASE("who has logged in", LISTS "xclient_networks = \"192.0.2.1/32\"\n", LISTED, CLIENT,
              TO_B, "S:554 5.7.1", "C:RSET", "S:250 ", "C:XCLIENT LOGIN=a@sender.test", HELLO, MAIL,
              TO_B, "S:250 2.1.5", "C:RSET", "S:250 ", "C:XCLIENT LOGIN=[UNAVAILABLE]", HELLO, MAIL,
              TO_B, "S:554 5.7.1"),
    LIST_CASE("another client by XCLIENT", LISTS "xclient_networks = \"192.0.2.1/32\"\n", LISTED,
              CLIENT, "C:RSET", "S:250 ", "C:XCLIENT ADDR=192.0.2.2", HELLO, MAIL, TO_B, STRANGER),
};

/* ---- ends --------------------------------------------------------------------------------- */

#define SLOW "1.2.0.192.in-addr.arpa * !silent\n1.2.0.192.l.test * !silent\n"

static void open_slow(struct receive_rig *rig, struct talk *client, struct dns_server *dns)
{
    dns_server_set_zone(dns, SLOW);
    open_proxied(rig, dns, LISTS, "client_names = yes\nclient_lookup_timeout = 20s\n");
    receive_rig_connect(rig, client);
    FOLLOW(client, CLIENT);
    TURN_UNTIL(rig->loop, dns_server_count(dns, NULL, NULL) == 2);
}

static void test_the_client_leaves_meanwhile(void **state)
{
    struct dns_server *dns = dns_server_start();
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_slow(&rig, &client, dns);
    talk_close(&client);
    TURN_UNTIL(rig.loop, receive_limits_sessions(rig.limits) == 0);
    receive_rig_close(&rig);
    dns_server_stop(dns);
}

static void test_the_client_talks_meanwhile(void **state)
{
    struct dns_server *dns = dns_server_start();
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_slow(&rig, &client, dns);
    FOLLOW(&client, "C:EHLO client.test", EARLY);
    talk_close(&client);
    receive_rig_close(&rig);
    dns_server_stop(dns);
}

static void test_the_server_stops_meanwhile(void **state)
{
    struct dns_server *dns = dns_server_start();
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_slow(&rig, &client, dns);
    receive_rig_stop(&rig);
    FOLLOW(&client, "S:421 4.3.2", "!eof");
    talk_close(&client);
    TURN_UNTIL(rig.loop, rig.has_stopped);
    receive_rig_close(&rig);
    dns_server_stop(dns);
}

static void test_the_resolver_goes_meanwhile(void **state)
{
    struct dns_server *dns = dns_server_start();
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_slow(&rig, &client, dns);
    resolver_close(rig.resolver);
    FOLLOW(&client, HELLO, BYE);
    talk_close(&client);
    rig.resolver = NULL;
    receive_rig_close(&rig);
    dns_server_stop(dns);
}

/* A session keeps the lists and times that it began with. */
static void test_a_new_configuration_meanwhile(void **state)
{
    struct dns_server *dns = dns_server_start();
    struct receive_rig rig;
    struct talk client;

    (void)state;
    dns_server_set_zone(dns, "1.2.0.192.l.test A 60 127.0.0.2\n1.2.0.192.l.test A !delay 50");
    open_proxied(&rig, dns, LISTS, "");
    receive_rig_connect(&rig, &client);
    FOLLOW(&client, CLIENT);
    TURN_UNTIL(rig.loop, dns_server_count(dns, NULL, NULL) == 1);
    struct conf *conf = conf_from_text(PROXIED);
    receive_server_configure(rig.server, conf, NULL);
    conf_unref(rig.conf);
    rig.conf = conf;
    FOLLOW(&client, HELLO, MAIL, TO_B, "S:554 5.7.1 [192.0.2.1] is listed by l.test", BYE,
           "!close");
    receive_rig_connect(&rig, &client);
    FOLLOW(&client, CLIENT, HELLO, MAIL, TO_B, STRANGER, BYE, "!close");
    receive_rig_close(&rig);
    dns_server_stop(dns);
}

static int make_tls(void **state)
{
    (void)state;
    tls = tls_server_for_tests("mx.test");
    return 0;
}

static int free_tls(void **state)
{
    (void)state;
    tls_server_unref(tls);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest singles[] = {
        cmocka_unit_test(test_the_greeting_waits),
        cmocka_unit_test(test_talking_behind_a_handshake),
        cmocka_unit_test(test_waiting_behind_a_handshake),
        cmocka_unit_test(test_names_of_others),
        cmocka_unit_test(test_nothing_is_asked_unless_wanted),
        cmocka_unit_test(test_the_client_leaves_meanwhile),
        cmocka_unit_test(test_the_client_talks_meanwhile),
        cmocka_unit_test(test_the_server_stops_meanwhile),
        cmocka_unit_test(test_the_resolver_goes_meanwhile),
        cmocka_unit_test(test_a_new_configuration_meanwhile),
    };
    struct CMUnitTest
        tests[COUNT(singles) + COUNT(early_dialogues) + COUNT(list_dialogues) + COUNT(name_cases)];
    size_t count = COUNT(singles);

    memcpy(tests, singles, sizeof singles);
    for (size_t i = 0; i < COUNT(early_dialogues); i++)
        tests[count++] =
            (struct CMUnitTest){.name = early_dialogues[i].name,
                                .test_func = test_dialogue,
                                .initial_state = (void *)(uintptr_t)&early_dialogues[i]};
    for (size_t i = 0; i < COUNT(list_dialogues); i++)
        tests[count++] =
            (struct CMUnitTest){.name = list_dialogues[i].name,
                                .test_func = test_dialogue,
                                .initial_state = (void *)(uintptr_t)&list_dialogues[i]};
    for (size_t i = 0; i < COUNT(name_cases); i++)
        tests[count++] = (struct CMUnitTest){.name = name_cases[i].title,
                                             .test_func = test_names_in_received,
                                             .initial_state = (void *)(uintptr_t)&name_cases[i]};
    return cmocka_run_group_tests(tests, make_tls, free_tls);
}
