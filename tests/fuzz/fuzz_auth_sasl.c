/* A whole SASL exchange, of the server or of the client: the first byte chooses which and by what
 * mechanism, each line that follows is a message of the other side. Passwords are not known to the
 * fuzzer, but those of its corpus. */
#include "auth/sasl_client.h"
#include "tests/support/fuzz.h"

#include <stdio.h>

/* RFC 7677 3: "pencil". */
static const char users_text[] =
    "user:*:scram=SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";

static const struct crypto_secret secret = {"not very secret"};

enum { SIDE_CLIENT = 0x80, NO_INITIAL = 0x40, WITH_PLUS = 0x20, MECHANISM_MASK = 0x07 };

static void check_server(struct sasl_server *server, enum sasl_result result)
{
    MUST(sasl_server_challenge(server).len <= SASL_CHALLENGE_MAX);
    MUST((result == SASL_FAILED) == (sasl_server_failure(server) != SASL_FAIL_NONE));
    MUST(result != SASL_DONE || sasl_server_user(server).len > 0);
    MUST(result != SASL_VERIFY || sasl_server_password(server).len > 0);
}

static void run_server(const struct users *users, unsigned char choice, struct span lines)
{
    enum sasl_mechanism mechanism = (enum sasl_mechanism)(choice & MECHANISM_MASK);
    struct sasl_setting setting = {
        .offered = ~0u & ~((choice & WITH_PLUS) != 0 ? 0u : 1u << SASL_SCRAM_SHA_256_PLUS),
        .users = users,
        .secret = &secret,
        .identity = SPAN("user"),
        .bindings = {SPAN("exporter"), SPAN("unique")},
        .nonce = SPAN("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"),
    };
    struct sasl_server *server = sasl_server_create(&setting);
    bool has_initial = (choice & NO_INITIAL) == 0;
    enum sasl_result result = sasl_server_start(
        server, mechanism, has_initial, has_initial ? span_split(lines, '\n', &lines) : SPAN_NONE);

    check_server(server, result);
    while (result == SASL_CHALLENGE && lines.len > 0) {
        result = sasl_server_step(server, span_split(lines, '\n', &lines));
        check_server(server, result);
    }
    if (result == SASL_VERIFY)
        MUST(sasl_server_verified(server, true) == SASL_DONE);
    sasl_server_free(server);
}

static void run_client(unsigned char choice, struct span lines)
{
    struct sasl_client_setting setting = {
        .mechanism = (enum sasl_mechanism)((choice & MECHANISM_MASK) % SASL_MECHANISMS),
        .user = SPAN("user"),
        .password = SPAN("pencil"),
        .binding_data = SPAN("exporter"),
        .nonce = SPAN("rOprNGfwEbeRWgbNEkqO"),
    };
    struct sasl_client *client = sasl_client_create(&setting);
    enum sasl_client_result result = sasl_client_start(client);

    while (result != SASL_CLIENT_FAILED && lines.len > 0) {
        struct span line = span_split(lines, '\n', &lines);
        result = sasl_client_step(client, line);
        if (result != SASL_CLIENT_DERIVE)
            continue;
        /* More would only be slow. */
        if (!span_ends_nocase(line, SPAN(",i=4096")))
            break;
        sasl_client_derive(client);
        result = sasl_client_derived(client);
    }
    MUST(result != SASL_CLIENT_FAILED || !sasl_client_is_convinced(client));
    sasl_client_free(client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct users *users;
    struct buf messages;

    if (users == NULL) {
        buf_init(&messages, 0);
        MUST(!err_is(users_parse(span_cstr(users_text), "users", &messages, &users)));
        buf_fini(&messages);
    }
    if (size == 0)
        return 0;
    struct span lines = span_of((const char *)data + 1, size - 1);
    if ((data[0] & SIDE_CLIENT) != 0)
        run_client(data[0], lines);
    else
        run_server(users, data[0], lines);
    return 0;
}
