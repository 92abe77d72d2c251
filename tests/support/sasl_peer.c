/*
 * sasl_peer: one side of a SASL exchange over standard input and output, for checking it against
 * another implementation.
 *
 *   sasl_peer server MECHANISM USERS-FILE [BINDING-NAME BINDING-DATA]
 *   sasl_peer client MECHANISM USER PASSWORD [BINDING-NAME BINDING-DATA]
 *
 * Reads messages of the other side, a line each, in base64. Writes a line for each of its own:
 * "say BASE64", then at last "done NAME" or "failed". A client begins; a server waits.
 */
#include "auth/password.h"
#include "auth/sasl_client.h"

#include <stdio.h>
#include <stdlib.h>

static char message[SASL_RESPONSE_MAX];

static void die(const char *why)
{
    fprintf(stderr, "sasl_peer: %s\n", why);
    exit(2);
}

static void say(struct span bytes)
{
    char text[BASE64_TEXT_LEN(SASL_RESPONSE_MAX)];

    printf("say %.*s\n", (int)base64_encode(bytes, text), text);
    fflush(stdout);
}

static bool hear(struct span *out)
{
    char line[SASL_LINE_MAX];
    size_t len;

    if (fgets(line, sizeof line, stdin) == NULL)
        return false;
    line[strcspn(line, "\n")] = '\0';
    if (!base64_decode(span_cstr(line), message, sizeof message, &len))
        die("this is not base64");
    *out = span_of(message, len);
    return true;
}

static enum sasl_binding binding_named(const char *name)
{
    for (unsigned i = 0; i < SASL_BINDINGS; i++)
        if (strcmp(name, sasl_binding_name((enum sasl_binding)i)) == 0)
            return (enum sasl_binding)i;
    die("there is no such binding");
    return SASL_BINDINGS;
}

static struct users *load(const char *file)
{
    struct users *users;
    struct buf messages;

    buf_init(&messages, 0);
    if (err_is(users_load(file, &messages, &users))) {
        fprintf(stderr, "%.*s", SPAN_ARG(buf_span(&messages)));
        exit(2);
    }
    buf_fini(&messages);
    return users;
}

static bool is_good(const struct users *users, struct sasl_server *server)
{
    const struct users_entry *entry = users_find(users, sasl_server_user(server));

    return entry != NULL && entry->hash != NULL &&
           password_matches(sasl_server_password(server), entry->hash);
}

static bool serve(enum sasl_mechanism mechanism, char **words)
{
    struct crypto_secret secret;
    struct users *users = load(words[0]);
    struct sasl_setting setting = {.offered = 1u << mechanism, .users = users, .secret = &secret};
    struct span heard;

    crypto_random(secret.bytes, sizeof secret.bytes);
    if (words[1] != NULL)
        setting.bindings[binding_named(words[1])] = span_cstr(words[2]);
    struct sasl_server *server = sasl_server_create(&setting);
    enum sasl_result result = sasl_server_start(server, mechanism, false, SPAN_NONE);
    while (result == SASL_CHALLENGE) {
        say(sasl_server_challenge(server));
        if (!hear(&heard))
            break;
        result = sasl_server_step(server, heard);
    }
    if (result == SASL_VERIFY)
        result = sasl_server_verified(server, is_good(users, server));
    if (result == SASL_DONE)
        printf("done %.*s\n", SPAN_ARG(sasl_server_user(server)));
    sasl_server_free(server);
    users_unref(users);
    return result == SASL_DONE;
}

static bool log_in(enum sasl_mechanism mechanism, char **words)
{
    struct sasl_client_setting setting = {
        .mechanism = mechanism, .user = span_cstr(words[0]), .password = span_cstr(words[1])};
    struct span heard;

    if (words[2] != NULL) {
        setting.binding = binding_named(words[2]);
        setting.binding_data = span_cstr(words[3]);
    }
    struct sasl_client *client = sasl_client_create(&setting);
    if (client == NULL)
        die("this setting cannot be");
    enum sasl_client_result result = sasl_client_start(client);
    while (result != SASL_CLIENT_FAILED) {
        if (result == SASL_CLIENT_DERIVE) {
            sasl_client_derive(client);
            result = sasl_client_derived(client);
        }
        if (result == SASL_CLIENT_SEND)
            say(sasl_client_response(client));
        if (sasl_client_is_convinced(client) || !hear(&heard))
            break;
        result = sasl_client_step(client, heard);
    }
    bool convinced = sasl_client_is_convinced(client);
    if (convinced)
        printf("done %s\n", words[0]);
    sasl_client_free(client);
    return convinced;
}

int main(int argc, char **argv)
{
    enum sasl_mechanism mechanism;

    if (argc < 4 || !sasl_mechanism_find(span_cstr(argv[2]), &mechanism))
        die("usage: sasl_peer server|client MECHANISM ...");
    bool is_server = strcmp(argv[1], "server") == 0;
    if (argc != (is_server ? 4 : 5) && argc != (is_server ? 6 : 7))
        die("this is not the right number of arguments");
    bool worked = is_server ? serve(mechanism, argv + 3) : log_in(mechanism, argv + 3);
    if (!worked)
        puts("failed");
    return worked ? 0 : 1;
}
