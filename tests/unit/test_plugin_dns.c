/* relay/plugin_dns: what plugins look up, asked of a real resolver and a scripted name server. */
#include "plugin_dns.h"
#include "support/loop_turn.h"
#include "support/resolver_rig.h"

static const char zone[] = "mail.test A 60 192.0.2.1\n"
                           "mail.test AAAA 60 2001:db8::1\n"
                           "alone.test A 60 192.0.2.9\n"
                           "many.test MX 60 20 second.test\n"
                           "many.test MX 60 10 mail.test\n"
                           "second.test A 60 192.0.2.2\n"
                           "nobody.test MX 60 10 gone.test\n"
                           "null.test MX 60 0 .\n"
                           "text.test TXT 60 v=one| two\n"
                           "broken.test * !servfail\n"
                           "1.2.0.192.in-addr.arpa PTR 60 mail.test\n"
                           "2.2.0.192.in-addr.arpa PTR 60 mail.test\n";

struct lookup_rig {
    struct rig rig;
    struct plugin_dns dns;
    struct plugin_lookup lookup;
    struct arena arena;
    unsigned done;
};

static void on_done(struct call *call)
{
    container_of(call, struct lookup_rig, lookup.call)->done++;
}

static void begin(struct lookup_rig *r, enum smarthop_record record, const char *name)
{
    arena_fini(&r->arena);
    arena_init(&r->arena);
    r->done = 0;
    r->lookup = (struct plugin_lookup){
        .call.done = on_done, .record = record, .name = span_cstr(name), .arena = &r->arena};
    list_init(&r->lookup.call.link);
    r->dns.backend.lookup(r->dns.backend.context, &r->lookup);
    assert_int_equal(r->done, 0);
}

static const struct smarthop_dns_answer *ask(struct lookup_rig *r, enum smarthop_record record,
                                             const char *name)
{
    begin(r, record, name);
    TURN_UNTIL(r->rig.loop, r->done > 0);
    assert_int_equal(r->done, 1);
    return &r->lookup.answer;
}

static void assert_record(const struct smarthop_dns_answer *answer, unsigned at, const char *text)
{
    assert_true(at < answer->count);
    assert_true(smarthop_equal(answer->records[at], smarthop_span_of(text, strlen(text))));
}

static int setup(void **state)
{
    struct lookup_rig *r = mem_zalloc(sizeof *r);

    rig_open(&r->rig, zone);
    plugin_dns_init(&r->dns, r->rig.loop, r->rig.resolver);
    arena_init(&r->arena);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct lookup_rig *r = *state;

    arena_fini(&r->arena);
    rig_close(&r->rig);
    free(r);
    return 0;
}

static void test_addresses(void **state)
{
    const struct smarthop_dns_answer *answer = ask(*state, SMARTHOP_DNS_ADDRESS, "mail.test");

    assert_int_equal(answer->result, SMARTHOP_DNS_OK);
    assert_int_equal(answer->count, 2);
    assert_record(answer, 0, "2001:db8::1");
    assert_record(answer, 1, "192.0.2.1");
    assert_true(answer->ttl_s >= 1 && answer->ttl_s <= 60);
    assert_null(answer->preferences);
    assert_record(ask(*state, SMARTHOP_DNS_ADDRESS, "192.0.2.77"), 0, "192.0.2.77");
}

static void test_mail_hosts_are_told_once_each(void **state)
{
    const struct smarthop_dns_answer *answer = ask(*state, SMARTHOP_DNS_MX, "many.test");

    assert_int_equal(answer->count, 2);
    assert_record(answer, 0, "mail.test");
    assert_record(answer, 1, "second.test");
    assert_int_equal(answer->preferences[0], 10);
    assert_int_equal(answer->preferences[1], 20);
    assert_record(ask(*state, SMARTHOP_DNS_MX, "alone.test"), 0, "alone.test");
}

static void test_mx_records_alone(void **state)
{
    const struct smarthop_dns_answer *answer = ask(*state, SMARTHOP_DNS_MX_ONLY, "many.test");

    assert_int_equal(answer->result, SMARTHOP_DNS_OK);
    assert_int_equal(answer->count, 2);
    assert_record(answer, 0, "mail.test");
    assert_record(answer, 1, "second.test");
    assert_int_equal(answer->preferences[0], 10);
    assert_int_equal(answer->preferences[1], 20);
    assert_true(answer->ttl_s >= 1 && answer->ttl_s <= 60);
    answer = ask(*state, SMARTHOP_DNS_MX_ONLY, "nobody.test");
    assert_int_equal(answer->count, 1); /* that has no address */
    assert_record(answer, 0, "gone.test");
    answer = ask(*state, SMARTHOP_DNS_MX_ONLY, "null.test");
    assert_int_equal(answer->result, SMARTHOP_DNS_OK);
    assert_record(answer, 0, ".");
    assert_int_equal(answer->preferences[0], 0);
    assert_int_equal(ask(*state, SMARTHOP_DNS_MX, "null.test")->result, SMARTHOP_DNS_NONE);
    answer = ask(*state, SMARTHOP_DNS_MX_ONLY, "alone.test");
    assert_int_equal(answer->result, SMARTHOP_DNS_NONE);
    assert_int_equal(answer->count, 0);
    assert_int_equal(ask(*state, SMARTHOP_DNS_MX_ONLY, "192.0.2.1")->result, SMARTHOP_DNS_NONE);
}

static void test_texts(void **state)
{
    assert_record(ask(*state, SMARTHOP_DNS_TXT, "text.test"), 0, "v=one two");
}

static void test_names_of_addresses(void **state)
{
    assert_record(ask(*state, SMARTHOP_DNS_PTR, "192.0.2.1"), 0, "mail.test");
    assert_int_equal(ask(*state, SMARTHOP_DNS_PTR, "192.0.2.2")->result, SMARTHOP_DNS_NONE);
    assert_int_equal(ask(*state, SMARTHOP_DNS_PTR, "2001:db8::1")->result, SMARTHOP_DNS_NONE);
    assert_int_equal(ask(*state, SMARTHOP_DNS_PTR, "no address")->result, SMARTHOP_DNS_NONE);
    assert_int_equal(((struct lookup_rig *)*state)->lookup.answer.count, 0);
}

static void test_what_is_not_there_and_what_is_not_found_out(void **state)
{
    for (enum smarthop_record record = 0; record <= SMARTHOP_DNS_MX_ONLY; record++) {
        if (record == SMARTHOP_DNS_PTR)
            continue;
        assert_int_equal(ask(*state, record, "nowhere.test")->result, SMARTHOP_DNS_NONE);
        assert_int_equal(ask(*state, record, "broken.test")->result, SMARTHOP_DNS_RETRY);
    }
}

static void test_cancelling_completes(void **state)
{
    struct lookup_rig *r = *state;

    dns_server_set_zone(r->rig.server, "quiet.test * !silent\n");
    begin(r, SMARTHOP_DNS_MX, "quiet.test");
    r->dns.backend.cancel(r->dns.backend.context, &r->lookup);
    TURN_UNTIL(r->rig.loop, r->done == 1);
    begin(r, SMARTHOP_DNS_PTR, "no address");
    r->dns.backend.cancel(r->dns.backend.context, &r->lookup);
    TURN_UNTIL(r->rig.loop, r->done == 1);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_addresses),
        WITH_RIG(test_mail_hosts_are_told_once_each),
        WITH_RIG(test_mx_records_alone),
        WITH_RIG(test_texts),
        WITH_RIG(test_names_of_addresses),
        WITH_RIG(test_what_is_not_there_and_what_is_not_found_out),
        WITH_RIG(test_cancelling_completes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
