/* plugins/srs: rewritten addresses, both ways. */
#include "srs/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* 2020-01-01 00:01 UTC, for which other implementations have published what they make. */
enum { NOW = 1577836860, DAY = 86400 };

static struct smarthop_span text_of(const char *text)
{
    return smarthop_span_of(text, strlen(text));
}

static struct srs srs_with(struct keys *keys)
{
    return (struct srs){.keys = keys,
                        .domain = text_of("example.com"),
                        .separator = '=',
                        .hash_len = 4,
                        .hash_min = 4,
                        .max_age_days = 21};
}

static struct srs srs_make(const char *secrets)
{
    struct keys *keys = keys_parse(text_of(secrets));

    assert_non_null(keys);
    return srs_with(keys);
}

static void srs_end(struct srs *srs)
{
    keys_free((struct keys *)srs->keys);
}

static void assert_address(const struct srs_address *address, const char *text)
{
    assert_int_equal(address->len, strlen(text));
    assert_memory_equal(address->text, text, address->len);
}

static struct smarthop_span local_of(const struct srs_address *address)
{
    const char *at = memrchr(address->text, '@', address->len);

    assert_non_null(at);
    return smarthop_span_of(address->text, (size_t)(at - address->text));
}

static void test_as_others_write_it(void **state)
{
    struct srs srs = srs_make("tops3cr3t");
    struct srs_address made;

    (void)state;
    assert_int_equal(srs_forward(&srs, text_of("test@otherdomain.com"), NOW, &made), SRS_DONE);
    assert_address(&made, "SRS0=vmyz=2W=otherdomain.com=test@example.com");
    srs_end(&srs);
}

static void test_there_and_back(void **state)
{
    static const char *const senders[] = {
        "test@otherdomain.com", "a=b=c@d.test",         "\"a b\"@d.test",
        "\"a\\\"@b\"@d.test",   "x@xn--bcher-kva.test", "J\xc3\xb6rg@b\xc3\xbc.test",
        "srs0@d.test",          "SRS1=no@d.test",       "SRS1=a=b c=d@e.test",
    };
    struct srs srs = srs_make("secret");
    struct srs_address made, back;

    (void)state;
    for (unsigned i = 0; i < sizeof senders / sizeof senders[0]; i++) {
        assert_int_equal(srs_forward(&srs, text_of(senders[i]), NOW, &made), SRS_DONE);
        assert_int_equal(srs_reverse(&srs, local_of(&made), NOW, &back), SRS_DONE);
        assert_address(&back, senders[i]);
    }
    srs_end(&srs);
}

/* a.test -> one.test -> two.test -> example.com: only the first and the last are named. */
static void test_over_several_forwarders(void **state)
{
    struct srs srs = srs_make("secret"), other = srs_make("their secret");
    struct srs_address made, again, last, back;

    (void)state;
    other.domain = text_of("one.test");
    other.separator = '+';
    assert_int_equal(srs_forward(&other, text_of("u@a.test"), NOW, &made), SRS_DONE);
    struct smarthop_span first = smarthop_span_of(made.text, made.len);
    assert_memory_equal(made.text, "SRS0+", 5);
    assert_int_equal(srs_forward(&srs, first, NOW, &again), SRS_DONE);
    assert_memory_equal(again.text, "SRS1=", 5);
    assert_memory_equal(again.text + 9, "=one.test=+", 11);
    assert_int_equal(srs_reverse(&srs, local_of(&again), NOW, &back), SRS_DONE);
    assert_int_equal(back.len, first.len);
    assert_memory_equal(back.text, first.ptr, first.len);

    struct srs third = srs_make("a third secret");
    third.domain = text_of("three.test");
    assert_int_equal(srs_forward(&third, smarthop_span_of(again.text, again.len), NOW, &last),
                     SRS_DONE);
    assert_memory_equal(last.text + 9, "=one.test=+", 11);
    assert_int_equal(srs_reverse(&third, local_of(&last), NOW, &back), SRS_DONE);
    assert_memory_equal(back.text, first.ptr, first.len);
    srs_end(&srs);
    srs_end(&other);
    srs_end(&third);
}

static enum srs_result reverse(const struct srs *srs, const char *local, uint64_t now)
{
    struct srs_address back;

    return srs_reverse(srs, text_of(local), now, &back);
}

static void test_what_comes_back(void **state)
{
    static const struct {
        const char *local;
        enum srs_result result;
    } cases[] = {
        {"SRS0=vmyz=2W=otherdomain.com=test", SRS_DONE},
        {"srs0=VMYZ=2w=OTHERDOMAIN.com=Test", SRS_DONE},
        {"SRS0+vmyz=2W=otherdomain.com=test", SRS_DONE},
        {"SRS0-vmyzABC=2W=otherdomain.com=test", SRS_DONE},
        {"SRS0=vmy=2W=otherdomain.com=test", SRS_FORGED},
        {"SRS0=vmyx=2W=otherdomain.com=test", SRS_FORGED},
        {"SRS0=vmyz=2X=otherdomain.com=test", SRS_FORGED},
        {"SRS0=vmyz=2W=otherdomain.com=tes", SRS_FORGED},
        {"SRS0=vmyz=2W=otherdomain.org=test", SRS_FORGED},
        {"SRS0=vmyz=2W=otherdomain.com=", SRS_BROKEN},
        {"SRS0=vmyz=2W=otherdomain.com", SRS_BROKEN},
        {"SRS0=vmyz=2W==test", SRS_BROKEN},
        {"SRS0=vmyz=2=otherdomain.com=test", SRS_BROKEN},
        {"SRS0=vmyz=21=otherdomain.com=test", SRS_BROKEN},
        {"SRS0=vmyz=2W=other domain=test", SRS_BROKEN},
        {"SRS0=", SRS_BROKEN},
        {"SRS1=", SRS_BROKEN},
        {"SRS1=vmyz=a.test=", SRS_BROKEN},
        {"SRS1=vmyz=a.test==x=y", SRS_FORGED},
        {"SRS0", SRS_UNFIT},
        {"SRS2=vmyz=2W=otherdomain.com=test", SRS_UNFIT},
        {"test", SRS_UNFIT},
        {"", SRS_UNFIT},
        {"\"", SRS_UNFIT},
        {"\"\"", SRS_UNFIT},
    };
    struct srs srs = srs_make("tops3cr3t");

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (reverse(&srs, cases[i].local, NOW) != cases[i].result)
            fail_msg("%s", cases[i].local);
    srs_end(&srs);
}

static void test_age(void **state)
{
    static const char local[] = "SRS0=vmyz=2W=otherdomain.com=test";
    struct srs srs = srs_make("tops3cr3t");

    (void)state;
    assert_int_equal(reverse(&srs, local, NOW + 21 * DAY), SRS_DONE);
    assert_int_equal(reverse(&srs, local, NOW + 22 * DAY), SRS_EXPIRED);
    assert_int_equal(reverse(&srs, local, NOW - DAY), SRS_EXPIRED);
    assert_int_equal(reverse(&srs, local, NOW + UINT64_C(1024) * DAY), SRS_DONE);
    srs_end(&srs);
}

static void test_secrets(void **state)
{
    struct srs old = srs_make("one"), both = srs_make("# ours\n\n  two  \r\none"),
               two = srs_make("two\n");
    struct srs_address made, by_two, back;

    (void)state;
    assert_null(keys_parse(text_of("")));
    assert_null(keys_parse(text_of("# none\n\n")));
    assert_int_equal(srs_forward(&old, text_of("a@b.test"), NOW, &made), SRS_DONE);
    assert_int_equal(srs_reverse(&both, local_of(&made), NOW, &back), SRS_DONE);
    assert_int_equal(srs_reverse(&two, local_of(&made), NOW, &back), SRS_FORGED);
    assert_int_equal(srs_forward(&both, text_of("a@b.test"), NOW, &made), SRS_DONE);
    assert_int_equal(srs_forward(&two, text_of("a@b.test"), NOW, &by_two), SRS_DONE);
    assert_int_equal(made.len, by_two.len);
    assert_memory_equal(made.text, by_two.text, made.len);
    srs_end(&old);
    srs_end(&both);
    srs_end(&two);
}

static void test_what_cannot_be_rewritten(void **state)
{
    struct srs srs = srs_make("secret");
    struct srs_address made;
    char sender[SRS_ADDRESS_MAX + 1];
    size_t most = 0;

    (void)state;
    assert_int_equal(srs_forward(&srs, text_of("local"), NOW, &made), SRS_UNFIT);
    assert_int_equal(srs_forward(&srs, text_of("@b.test"), NOW, &made), SRS_UNFIT);
    assert_int_equal(srs_forward(&srs, text_of("a@"), NOW, &made), SRS_UNFIT);
    assert_int_equal(srs_forward(&srs, text_of("\"\"@b.test"), NOW, &made), SRS_UNFIT);
    assert_int_equal(srs_forward(&srs, text_of("a@[192.0.2.1]"), NOW, &made), SRS_UNFIT);
    for (size_t len = 1; len + 7 < sizeof sender; len++) {
        memset(sender, 'a', len);
        memcpy(sender + len, "@b.test", 8);
        if (srs_forward(&srs, text_of(sender), NOW, &made) == SRS_DONE)
            most = made.len;
    }
    assert_int_equal(most, SRS_ADDRESS_MAX);
    srs_end(&srs);
}

/* Nothing that has been cut or changed is taken for what was made. */
static void test_every_cut_and_change(void **state)
{
    static const char right[] = "SRS0=vmyz=2W=otherdomain.com=test";
    struct srs srs = srs_make("tops3cr3t");
    struct srs_address back;

    (void)state;
    for (size_t len = 0; len < sizeof right - 1; len++) {
        char *cut = malloc(len + 1);
        memcpy(cut, right, len);
        assert_int_not_equal(srs_reverse(&srs, smarthop_span_of(cut, len), NOW, &back), SRS_DONE);
        free(cut);
    }
    for (size_t at = 5; at < sizeof right - 1; at++) {
        char changed[sizeof right];
        memcpy(changed, right, sizeof right);
        changed[at] = changed[at] == 'q' ? 'r' : 'q';
        assert_int_not_equal(reverse(&srs, changed, NOW), SRS_DONE);
    }
    srs_end(&srs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_others_write_it),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_over_several_forwarders),
        cmocka_unit_test(test_what_comes_back),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_what_cannot_be_rewritten),
        cmocka_unit_test(test_every_cut_and_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
