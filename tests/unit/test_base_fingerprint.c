/* base/fingerprint: what is one, what is none, and that both ways agree. */
#include "base/fingerprint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HEX "00ff10a0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c"

static void test_both_ways(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"sha256:" HEX, true},
        {"SHA256:00FF10A0B1C2D3E4F5061728394A5B6C7D8E9FA0B1C2D3E4F5061728394A5B6C", true},
        {"sha256:00:FF:10:a0:B1:c2:d3:e4:f5:06:17:28:39:4a:5b:6c:7d:8e:9f:a0:b1:c2:d3:e4:f5:06:17:"
         "28:39:4A:5b:6C",
         true},
        {"sha256:00:ff10a0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c", true},
        {"", false},
        {HEX, false},
        {"sha1:" HEX, false},
        {"sha256:", false},
        {"sha256: " HEX, false},
        {"sha256::" HEX, false},
        {"sha256:" HEX ":", false},
        {"sha256:" HEX "00", false},
        {"sha256:0:0ff10a0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c", false},
        {"sha256:00::ff10a0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c", false},
        {"sha256:g0ff10a0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fingerprint fingerprint;
        char text[FINGERPRINT_TEXT_SIZE];
        if (fingerprint_parse(span_cstr(cases[i].text), &fingerprint) != cases[i].good)
            fail_msg("%s", cases[i].text);
        if (cases[i].good)
            assert_string_equal(fingerprint_format(&fingerprint, text), "sha256:" HEX);
    }
}

static void test_cut_short(void **state)
{
    const struct span whole = SPAN("sha256:" HEX);
    struct fingerprint fingerprint;

    (void)state;
    for (size_t len = 0; len < whole.len; len++)
        assert_false(fingerprint_parse(span_head(whole, len), &fingerprint));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_cut_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
