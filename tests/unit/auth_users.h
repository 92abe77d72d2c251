/* Users of the tests of auth: their password is "pencil", as in RFC 7677 section 3. */
#ifndef SMARTHOP_TESTS_AUTH_USERS_H
#define SMARTHOP_TESTS_AUTH_USERS_H

#include "auth/users.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* bcrypt at its cheapest: it is not libcrypt that is tested. */
#define PENCIL_HASH "$2b$04$YFDeT72gzOc7.4sKPWpHQ.G262DH1nWQA9xp2BWc1/zrTu7oBA.TO"
/* Of the salt of RFC 7677 section 3. */
#define PENCIL_KEYS                                                                                \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"    \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define PENCIL_USER "user:" PENCIL_HASH ":scram=" PENCIL_KEYS "\n"

static inline struct users *users_of(const char *text)
{
    struct users *users;
    struct buf messages;

    buf_init(&messages, 0);
    struct err e = users_parse(span_cstr(text), "users", &messages, &users);
    if (err_is(e))
        fail_msg("%.*s", SPAN_ARG(buf_span(&messages)));
    assert_int_equal(buf_len(&messages), 0);
    buf_fini(&messages);
    return users;
}

#endif
