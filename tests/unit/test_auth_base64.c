/* RFC 4648's vectors, and all that is not base64. */
#include "auth/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *bytes;
    const char *text;
} vectors[] = {
    /* RFC 4648 10 */
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xFB\xEF\xBE\xFF\xFF\xFF", "++++////"},
};

static void reads_and_writes_the_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct span bytes = span_cstr(vectors[i].bytes), text = span_cstr(vectors[i].text);
        char out[16];
        size_t len;
        assert_int_equal(base64_encode(bytes, out), text.len);
        assert_int_equal(BASE64_TEXT_LEN(bytes.len), text.len);
        assert_true(span_equal(span_of(out, text.len), text));
        assert_true(base64_decode(text, out, bytes.len, &len));
        assert_true(span_equal(span_of(out, len), bytes));
        if (bytes.len > 0)
            assert_false(base64_decode(text, out, bytes.len - 1, &len));
    }
}

static void refuses_all_else(void **state)
{
    static const char *const bad[] = {
        "Z",        "Zg",       "Zg=",      "Zm9vY",   "=",       "====",       "Z===",
        "Zh==",     "Zm9=",     "Zg==Zg==", "Zm=v",    "Z=9v",    "Zm9v ",      " Zm9v",
        "Zm9v\r\n", "Zm\n9",    "Zm9v\n",   "Zm9-",    "Zm9_",    "Zg==\n",     "Zm9vYmFy=",
        "Zm9vYm=y", "Zm9v====", "Zm9v=Zg=", "Zm9\x80", "Zg=\x01", "\xC3\xA9Zm",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char out[32];
        size_t len;
        if (base64_decode(span_cstr(bad[i]), out, sizeof out, &len))
            fail_msg("%s was taken", bad[i]);
    }
    char out[4];
    size_t len;
    assert_false(base64_decode(span_of("Zg=\0", 4), out, sizeof out, &len));
}

static void reads_what_it_has_written(void **state)
{
    char bytes[256], text[BASE64_TEXT_LEN(sizeof bytes)], back[sizeof bytes];

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 197 + 11);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        size_t got = 0;
        size_t text_len = base64_encode(span_of(bytes, len), text);
        assert_true(base64_decode(span_of(text, text_len), back, sizeof back, &got));
        assert_true(span_equal(span_of(back, got), span_of(bytes, len)));
        /* In its own place. */
        assert_true(base64_decode(span_of(text, text_len), text, sizeof text, &got));
        assert_true(span_equal(span_of(text, got), span_of(bytes, len)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_the_vectors),
        cmocka_unit_test(refuses_all_else),
        cmocka_unit_test(reads_what_it_has_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
