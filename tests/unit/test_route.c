/* route/: the text form of next hops, their keys, and where the configuration sends a recipient. */
#include "route/route.h"

#include "support/conf_text.h"
#include "support/loop_turn.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void assert_span(struct span s, const char *text)
{
    if (!span_equal(s, span_cstr(text)))
        fail_msg("wanted \"%s\", got \"%.*s\"", text, SPAN_ARG(s));
}

/* ---- text --------------------------------------------------------------------------------- */

static void test_next_hops_that_are_read(void **state)
{
    static const struct {
        const char *text, *name;
        unsigned hosts;
        uint16_t port;
        bool use_mx, is_address;
        enum conf_route_tls tls;
        bool implicit_tls;
    } cases[] = {
        {"mx:rcpt.test:25;tls=none", "rcpt.test", 1, 25, true, false, CONF_ROUTE_TLS_NONE, false},
        {"hosts:a.test:587;tls=required", "a.test", 1, 587, false, false, CONF_ROUTE_TLS_REQUIRED,
         false},
        {"hosts:[192.0.2.1]:25,b.test:26;tls=opportunistic", "192.0.2.1", 2, 25, false, true,
         CONF_ROUTE_TLS_OPPORTUNISTIC, false},
        {"hosts:[2001:db8::1]:25;tls=none", "2001:db8::1", 1, 25, false, true, CONF_ROUTE_TLS_NONE,
         false},
        {"hosts:unix:/run/lmtp:1;tls=none;proto=lmtp", "/run/lmtp:1", 1, 0, false, false,
         CONF_ROUTE_TLS_NONE, false},
        {"hosts:a.test:24,unix:/run/lmtp;tls=none;proto=lmtp;xforward=yes", "a.test", 2, 24, false,
         false, CONF_ROUTE_TLS_NONE, false},
        {"hosts:a.test:26;tls=required;auth=provider-1", "a.test", 1, 26, false, false,
         CONF_ROUTE_TLS_REQUIRED, false},
        {"hosts:a.test:26;tls=none;xforward=yes;auth=x;auth_without_tls=yes", "a.test", 1, 26,
         false, false, CONF_ROUTE_TLS_NONE, false},
        {"hosts:a.test:26;tls=none;xforward=yes", "a.test", 1, 26, false, false,
         CONF_ROUTE_TLS_NONE, false},
        {"hosts:a.test:26*3,[192.0.2.1]:25*1000;tls=none;balance=weighted", "a.test", 2, 26, false,
         false, CONF_ROUTE_TLS_NONE, false},
        {"hosts:unix:/run/a*b*2,a.test:24;tls=none;proto=lmtp;balance=weighted", "/run/a*b", 2, 0,
         false, false, CONF_ROUTE_TLS_NONE, false},
        {"mx:a.test:25;tls=none;source=warm-1", "a.test", 1, 25, true, false, CONF_ROUTE_TLS_NONE,
         false},
        {"hosts:a.test:25;tls=none;auth=x;source=warm;balance=sticky-tenant", "a.test", 1, 25,
         false, false, CONF_ROUTE_TLS_NONE, false},
        {"hosts:a.test:25;tls=none;balance=sticky-domain;for=rcpt.test", "a.test", 1, 25, false,
         false, CONF_ROUTE_TLS_NONE, false},
        {"hosts:smtps:a.test:465;tls=required", "a.test", 1, 465, false, false,
         CONF_ROUTE_TLS_REQUIRED, true},
        {"hosts:smtps:[192.0.2.1]:4465*3,a.test:25;tls=opportunistic;balance=weighted", "192.0.2.1",
         2, 4465, false, true, CONF_ROUTE_TLS_OPPORTUNISTIC, true},
        {"hosts:smtps:[2001:db8::1]:465;tls=none", "2001:db8::1", 1, 465, false, true,
         CONF_ROUTE_TLS_NONE, true},
        {"hosts:smtps:465;tls=none", "smtps", 1, 465, false, false, CONF_ROUTE_TLS_NONE, false},
        {"mx:smtps:25;tls=none", "smtps", 1, 25, true, false, CONF_ROUTE_TLS_NONE, false},
    };
    struct arena arena;

    (void)state;
    arena_init(&arena);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct route_next_hop hop;
        assert_true(route_next_hop_parse(span_cstr(cases[i].text), &hop));
        assert_int_equal(hop.host_count, cases[i].hosts);
        assert_int_equal(hop.use_mx, cases[i].use_mx);
        assert_int_equal(hop.tls, cases[i].tls);
        assert_int_equal(hop.hosts[0].port, cases[i].port);
        assert_int_equal(hop.hosts[0].is_address, cases[i].is_address);
        assert_int_equal(hop.hosts[0].implicit_tls, cases[i].implicit_tls);
        assert_span(hop.hosts[0].name, cases[i].name);
        assert_span(route_next_hop_format(&arena, &hop), cases[i].text); /* and back */
    }
    arena_fini(&arena);
}

static void test_next_hops_that_are_none(void **state)
{
    static const char *const texts[] = {
        "",
        "mx",
        "mx:",
        "mx:a.test",
        "mx:a.test:25",
        "mx:a.test:25;",
        "mx:a.test:25;tls=",
        "mx:a.test:25;tls=maybe",
        "mx:a.test:25;xforward=yes",
        "mx:a.test:25;tls=none;xforward=no",
        "mx:a.test:25;tls=none;xforward",
        "mx:a.test:25;tls=none;auth=",
        "mx:a.test:25;tls=none;proto=smtp",
        "hosts:unix:lmtp;tls=none",
        "mx:a.test:25;tls=none;auth_without_tls=maybe",
        "mx:a.test:25;tls=none;yforward=yes",
        "mx:a.test:x;tls=none",
        "mx:a.test:65536;tls=none",
        "mx::25;tls=none",
        "mx:a.test:25,b.test:25;tls=none",
        "hosts:;tls=none",
        "hosts:a.test:25*0;tls=none",
        "hosts:a.test:25*65536;tls=none",
        "hosts:a.test:25*;tls=none",
        "hosts:a.test:25*x;tls=none",
        "hosts:a.test:25;tls=none;balance=ordered",
        "hosts:a.test:25;tls=none;for=",
        "hosts:a.test:25;tls=none;source=",
        "hosts:[]:25;tls=none",
        "hosts:smtps:;tls=none",
        "hosts:smtps::465;tls=none",
        "hosts:smtps:a.test;tls=none",
        "hosts:smtps:unix:/run/lmtp;tls=none;proto=lmtp",
        "hosts:smtps:a.test:465;tls=none;proto=lmtp",
        "mx:smtps:a.test:465;tls=none",
        "hosts:[192.0.2.1:25;tls=none",
        "ftp:a.test:25;tls=none",
        ("hosts:a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9,a:10,a:11,a:12,a:13,a:14,a:15,a:16,a:17;tls="
         "none"),
    };
    struct route_next_hop hop;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        if (route_next_hop_parse(span_cstr(texts[i]), &hop))
            fail_msg("\"%s\" was read", texts[i]);
}

static void test_a_list_that_is_too_long(void **state)
{
    static char name[100];
    struct route_next_hop hop = {.host_count = ROUTE_HOSTS_MAX};
    struct arena arena;

    (void)state;
    arena_init(&arena);
    memset(name, 'x', sizeof name);
    for (unsigned i = 0; i < ROUTE_HOSTS_MAX; i++)
        hop.hosts[i] = (struct route_host){.name = span_of(name, sizeof name), .port = 25};
    assert_int_equal(route_next_hop_format(&arena, &hop).len, 0);
    arena_fini(&arena);
}

/* Keys are bounded, and differ where the next hops do. */
/* ---- wishes ------------------------------------------------------------------------------- */

static void test_wishes_as_text(void **state)
{
    static const char *const texts[] = {"", "tls=none", "tls=opportunistic", "auth=a",
                                        "tls=required;auth=a;source=b.1;limits=c_d"};
    static const char *const none[] = {
        "tls", "tls=", "tls=maybe", "auth=", "limits", "=x", ";", "colour=red"};
    struct route_wishes wishes;
    struct arena arena;

    (void)state;
    arena_init(&arena);
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_true(route_wishes_parse(span_cstr(texts[i]), &wishes));
        assert_int_equal(route_wishes_exist(&wishes), i > 0);
        assert_span(route_wishes_format(&arena, &wishes), texts[i]);
    }
    for (size_t i = 0; i < COUNT(none); i++)
        if (route_wishes_parse(span_cstr(none[i]), &wishes))
            fail_msg("\"%s\" was read", none[i]);
    arena_fini(&arena);
}

/* The later counts, but the strictest use of TLS. */
static void test_wishes_that_come_behind(void **state)
{
    static const struct {
        const char *text, *next, *sum;
    } cases[] = {
        {"", "tls=none;source=b", "tls=none;source=b"},
        {"tls=required;auth=a;source=a;limits=a", "tls=none",
         "tls=required;auth=a;source=a;limits=a"},
        {"tls=opportunistic;auth=a", "tls=required;auth=b;limits=b",
         "tls=required;auth=b;limits=b"},
    };
    struct route_wishes into, next;
    struct arena arena;

    (void)state;
    arena_init(&arena);
    for (size_t i = 0; i < COUNT(cases); i++) {
        route_wishes_parse(span_cstr(cases[i].text), &into);
        route_wishes_parse(span_cstr(cases[i].next), &next);
        route_wishes_add(&into, &next);
        assert_span(route_wishes_format(&arena, &into), cases[i].sum);
    }
    arena_fini(&arena);
}

static void test_next_hops_with_wishes(void **state)
{
    static const struct {
        const char *hop, *wishes, *with;
        unsigned told;
    } cases[] = {
        {"mx:a.test:25;tls=none", "tls=none;limits=l", "mx:a.test:25;tls=none;limits=l", 0},
        {"mx:a.test:25;tls=none", "tls=opportunistic", "mx:a.test:25;tls=opportunistic", 0},
        {"mx:a.test:25;tls=required;auth=a;source=a;limits=a",
         "tls=opportunistic;auth=b;source=b;limits=b",
         "mx:a.test:25;tls=required;auth=b;source=b;limits=b", 0},
        {"mx:a.test:25;tls=none;auth=a;source=a;limits=a", "tls=required;auth=b;source=b;limits=b",
         "mx:a.test:25;tls=required;auth=b;source=a;limits=a",
         ROUTE_TOLD_SOURCE | ROUTE_TOLD_LIMITS},
        {"mx:a.test:25;tls=none;auth=a", "auth=b", "mx:a.test:25;tls=none;auth=a",
         ROUTE_TOLD_CREDENTIALS},
        {"refused:550 5.7.1 no", "source=b", "refused:550 5.7.1 no", 0},
    };
    struct route_wishes wishes;
    struct arena arena;

    (void)state;
    arena_init(&arena);
    for (size_t i = 0; i < COUNT(cases); i++) {
        route_wishes_parse(span_cstr(cases[i].wishes), &wishes);
        assert_span(route_next_hop_with(&arena, span_cstr(cases[i].hop), &wishes, cases[i].told),
                    cases[i].with);
    }
    arena_fini(&arena);
}

static void test_destinations(void **state)
{
    static char text[2][600];
    struct arena arena;

    (void)state;
    arena_init(&arena);
    struct span hop = SPAN("mx:a.test:25;tls=none");
    assert_span(route_destination(&arena, hop, SPAN_NONE), "mx:a.test:25;tls=none");
    struct span key = route_destination(&arena, hop, SPAN("b c"));
    assert_span(key, "mx:a.test:25;tls=none;tenant=b c");
    assert_span(route_destination_place(key), "mx:a.test:25;tls=none");
    assert_span(route_destination_place(hop), "mx:a.test:25;tls=none");
    for (int i = 0; i < 2; i++) {
        memset(text[i], 'x', sizeof text[i]);
        text[i][599] = (char)('0' + i);
    }
    struct span one = span_of(text[0], 600), two = span_of(text[1], 600);
    struct span keys[] = {route_destination(&arena, one, one), route_destination(&arena, one, two),
                          route_destination(&arena, two, one),
                          route_destination(&arena, two, SPAN_NONE)};
    for (int i = 0; i < 4; i++) {
        assert_true(keys[i].len <= ROUTE_DESTINATION_MAX);
        for (int other = 0; other < i; other++)
            assert_false(span_equal(keys[i], keys[other]));
    }
    assert_true(span_equal(keys[0], route_destination(&arena, one, one)));
    assert_true(span_equal(route_destination_place(keys[0]), route_destination_place(keys[1])));
    assert_true(span_equal(route_destination_place(keys[2]), keys[3]));
    arena_fini(&arena);
}

/* ---- the configuration's word ------------------------------------------------------------- */

static const char conf_text[] =
    "route \"hosts.test\" { hosts = {\"a.test\", \"[192.0.2.1]:26\"} }\n"
    "route \"submit.test\" { hosts = {\"smtps:a.test\", \"smtps:[192.0.2.1]:4465\", \"b.test\"}\n"
    "                       port = 587 tls = required }\n"
    "route \"one.test\" { hosts = \"relay.test\" tls = required }\n"
    "route \"other.test\" { mx = \"mx.test\" port = 2525 }\n"
    "route \"own.test\" { use_mx = yes tls = none }\n"
    "route \"store.test\" { hosts = {\"unix:/run/lmtp\", \"a.test:24\"} protocol = lmtp }\n"
    "credentials \"provider\" { user = u password = p }\n"
    "route \"smarthost.test\" { hosts = \"a.test\" credentials = provider }\n"
    "route \"naked.test\" { hosts = \"a.test\" tls = none credentials = provider\n"
    "                         auth_without_tls = yes }\n"
    "route \"filter.test\" { hosts = \"a.test:10025\" tls = none xforward = yes }\n"
    "source \"warm\" { addresses = \"192.0.2.9\" }\n"
    "route \"warm.test\" { use_mx = yes source = warm }\n"
    "route \"shares.test\" { hosts = {\"a.test*2\", \"b.test:26\"} balance = weighted }\n"
    "route \"keep.test\" { hosts = \"a.test\" balance = sticky-domain }\n"
    "route \"tenants.test\" { hosts = \"a.test\" balance = sticky-tenant source = warm }\n"
    "route \"no.test\" { reject = \"5.1.1 nobody here\" }\n"
    "route \"gone.test\" { discard = yes }\n"
    "route \"held.test\" { hold = \"moving house\" }\n"
    "route \".sub.test\" { reject = \"5.7.1 not below\" }\n";

struct asked {
    struct route_query query;
    struct arena arena;
    bool done;
};

static void on_done(struct call *call)
{
    container_of(call, struct asked, query.call)->done = true;
}

static void ask(struct asked *asked, struct loop *loop, const struct conf *conf, const char *domain)
{
    *asked = (struct asked){.query = {.conf = conf, .domain = span_cstr(domain)}};
    arena_init(&asked->arena);
    list_init(&asked->query.call.link);
    asked->query.call.done = on_done;
    asked->query.arena = &asked->arena;
    route_recipient(loop, &asked->query);
    assert_false(asked->done); /* never before the start has returned */
    TURN_UNTIL(loop, asked->done);
}

static void test_answers(void **state)
{
    static const struct {
        const char *domain;
        enum route_verdict verdict;
        const char *next_hop, *text;
    } cases[] = {
        {"any.test", ROUTE_SEND, "mx:any.test:25;tls=opportunistic", ""},
        {"", ROUTE_REJECT, "", "The recipient's domain is not a valid name"},
        {"[192.0.2.9]", ROUTE_SEND, "hosts:[192.0.2.9]:25;tls=opportunistic", ""},
        {"[IPv6:2001:DB8::1]", ROUTE_SEND, "hosts:[2001:db8::1]:25;tls=opportunistic", ""},
        {"hosts.test", ROUTE_SEND, "hosts:a.test:25,[192.0.2.1]:26;tls=opportunistic", ""},
        {"submit.test", ROUTE_SEND,
         "hosts:smtps:a.test:465,smtps:[192.0.2.1]:4465,b.test:587;tls=required", ""},
        {"one.test", ROUTE_SEND, "hosts:relay.test:25;tls=required", ""},
        {"other.test", ROUTE_SEND, "mx:mx.test:2525;tls=opportunistic", ""},
        {"own.test", ROUTE_SEND, "mx:own.test:25;tls=none", ""},
        {"OWN.test", ROUTE_SEND, "mx:OWN.test:25;tls=none", ""},
        {"store.test", ROUTE_SEND, "hosts:unix:/run/lmtp,a.test:24;tls=opportunistic;proto=lmtp",
         ""},
        {"smarthost.test", ROUTE_SEND, "hosts:a.test:25;tls=opportunistic;auth=provider", ""},
        {"naked.test", ROUTE_SEND, "hosts:a.test:25;tls=none;auth=provider;auth_without_tls=yes",
         ""},
        {"filter.test", ROUTE_SEND, "hosts:a.test:10025;tls=none;xforward=yes", ""},
        {"warm.test", ROUTE_SEND, "mx:warm.test:25;tls=opportunistic;source=warm", ""},
        {"shares.test", ROUTE_SEND,
         "hosts:a.test:25*2,b.test:26;tls=opportunistic;balance=weighted", ""},
        {"keep.test", ROUTE_SEND,
         "hosts:a.test:25;tls=opportunistic;balance=sticky-domain;for=keep.test", ""},
        {"tenants.test", ROUTE_SEND,
         "hosts:a.test:25;tls=opportunistic;source=warm;balance=sticky-tenant", ""},
        {"no.test", ROUTE_REJECT, "", "nobody here"},
        {"sub.test", ROUTE_REJECT, "", "not below"},
        {"a.sub.test", ROUTE_REJECT, "", "not below"},
        {"gone.test", ROUTE_DISCARD, "", ""},
        {"held.test", ROUTE_HOLD, "mx:held.test:25;tls=opportunistic", "moving house"},
        {"[nonsense]", ROUTE_REJECT, "", "The recipient's domain is not a valid name"},
        {"-.test", ROUTE_REJECT, "", "The recipient's domain is not a valid name"},
    };
    struct loop *loop = turn_loop_create();
    struct conf *conf = conf_from_text(conf_text);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked;
        ask(&asked, loop, conf, cases[i].domain);
        assert_int_equal(asked.query.answer.verdict, cases[i].verdict);
        assert_span(asked.query.answer.next_hop, cases[i].next_hop);
        assert_span(asked.query.answer.destination, cases[i].next_hop);
        assert_span(asked.query.answer.status.text, cases[i].text);
        arena_fini(&asked.arena);
    }
    conf_unref(conf);
    loop_free(loop);
}

static void test_a_rejection_has_its_own_code(void **state)
{
    struct loop *loop = turn_loop_create();
    struct conf *conf = conf_from_text(conf_text);
    struct asked asked;

    (void)state;
    ask(&asked, loop, conf, "no.test");
    conf_unref(conf); /* what it says outlives the configuration */
    assert_int_equal(asked.query.answer.status.code, 550);
    assert_int_equal(asked.query.answer.status.enhanced.subject, 1);
    assert_int_equal(asked.query.answer.status.enhanced.detail, 1);
    assert_span(asked.query.answer.status.text, "nobody here");
    arena_fini(&asked.arena);
    loop_free(loop);
}

static void test_wishes_that_are_sound(void **state)
{
    static const struct {
        const char *text;
        bool is_sound;
    } cases[] = {
        {"", true},           {"tls=required", true},  {"source=warm", true},
        {"source=x", false},  {"auth=provider", true}, {"auth=x", false},
        {"limits=any", true}, {"limits=a b", false},
    };
    struct conf *conf = conf_from_text(conf_text);
    struct route_wishes wishes;
    char name[257];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(route_wishes_parse(span_cstr(cases[i].text), &wishes));
        assert_int_equal(route_wishes_are_sound(&wishes, conf), cases[i].is_sound);
    }
    memset(name, 'a', sizeof name);
    for (size_t len = 255; len < sizeof name; len++) {
        wishes = (struct route_wishes){.limits = span_of(name, len)};
        assert_int_equal(route_wishes_are_sound(&wishes, conf), len == 255);
    }
    conf_unref(conf);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_hops_that_are_read),
        cmocka_unit_test(test_next_hops_that_are_none),
        cmocka_unit_test(test_a_list_that_is_too_long),
        cmocka_unit_test(test_destinations),
        cmocka_unit_test(test_wishes_as_text),
        cmocka_unit_test(test_wishes_that_come_behind),
        cmocka_unit_test(test_next_hops_with_wishes),
        cmocka_unit_test(test_wishes_that_are_sound),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_a_rejection_has_its_own_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
