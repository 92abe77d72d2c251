/* The users file: what it may say, what is told of mistakes, editing, and following it. */
#include "auth/password.h"
#include "auth/prepare.h"
#include "auth/users_edit.h"
#include "base/log.h"
#include "support/scratch.h"
#include "unit/auth_users.h"

#include <pthread.h>
#include <stdatomic.h>

static char folder[SCRATCH_PATH];

#define DIGITS_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGITS_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define DIGITS_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define DIGITS_D "abababababababababababababababababababababababababababababababab"

static int enter(void **state)
{
    (void)state;
    scratch_make(folder);
    return chdir(folder);
}

static int leave(void **state)
{
    (void)state;
    scratch_remove(folder);
    return chdir("/");
}

static void write_users(const char *text)
{
    int fd = open("users.new", O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    assert_int_equal(rename("users.new", "users"), 0);
}

static void read_users(char *text, size_t size)
{
    int fd = open("users", O_RDONLY);
    ssize_t len = read(fd, text, size - 1);

    assert_true(fd >= 0 && len >= 0);
    text[len] = '\0';
    close(fd);
}

static void reads_users(void **state)
{
    struct users *users =
        users_of("# comment: with a colon\n\n" PENCIL_USER "Bob@Example.com:" PENCIL_HASH
                 ":send_as=bob@example.com,send_as=@b.example,"
                 "send_as=%22a%2Cb%22@example.com,messages_per_hour=50\n"
                 "b\xC3\xBC:*\nlast:" PENCIL_HASH);

    (void)state;
    assert_int_equal(users_count(users), 4);
    const struct users_entry *bob = users_find(users, SPAN("bob@example.com"));
    assert_non_null(bob);
    assert_string_equal(bob->hash, PENCIL_HASH);
    assert_false(bob->has_keys);
    assert_int_equal(bob->line, 4);
    assert_int_equal(bob->send_as_count, 3);
    assert_true(span_equal(bob->send_as[1], SPAN("@b.example")));
    assert_true(span_equal(bob->send_as[2], SPAN("\"a,b\"@example.com")));
    assert_true(users_have_rates(users));
    assert_int_equal(bob->messages_per_hour, 50);
    assert_int_equal(bob->recipients_per_hour, USERS_NO_RATE);
    const struct users_entry *user = users_find(users, SPAN("user"));
    assert_true(user->has_keys && user->keys.iterations == 4096 && user->send_as_count == 0);
    assert_null(users_find(users, SPAN("b\xC3\xBC"))->hash);
    assert_string_equal(users_find(users, SPAN("last"))->hash, PENCIL_HASH);
    assert_null(users_find(users, SPAN("Bob@Example.com")));
    assert_null(users_find(users, SPAN("use")));
    assert_null(users_find(users, SPAN("users")));
    assert_null(users_find(users, SPAN("")));
    for (unsigned i = 0; i < users_count(users); i++)
        assert_ptr_equal(users_find(users, users_at(users, i)->name), users_at(users, i));
    assert_ptr_equal(users_ref(users), users);
    users_unref(users);
    users_unref(users);
    users_unref(NULL);
}

static struct fingerprint fingerprint_of(const char *digits)
{
    struct fingerprint fingerprint;
    char text[FINGERPRINT_TEXT_SIZE];

    snprintf(text, sizeof text, "sha256:%s", digits);
    assert_true(fingerprint_parse(span_cstr(text), &fingerprint));
    return fingerprint;
}

static const struct users_entry *owner_of(const struct users *users, const char *digits)
{
    struct fingerprint fingerprint = fingerprint_of(digits);

    return users_find_certificate(users, &fingerprint);
}

static void certificates_have_one_owner(void **state)
{
    struct users *users = users_of("z:*:certificate=sha256:" DIGITS_B "\n"
                                   "m:*:certificate=sha256:" DIGITS_C ",send_as=@x,"
                                   "certificate=sha256:" DIGITS_A "\na:*\n");

    (void)state;
    assert_ptr_equal(owner_of(users, DIGITS_A), users_find(users, SPAN("m")));
    assert_ptr_equal(owner_of(users, DIGITS_C), users_find(users, SPAN("m")));
    assert_ptr_equal(owner_of(users, DIGITS_B), users_find(users, SPAN("z")));
    assert_int_equal(users_find(users, SPAN("m"))->certificate_count, 2);
    assert_int_equal(users_find(users, SPAN("a"))->certificate_count, 0);
    assert_null(owner_of(users, DIGITS_D));
    users_unref(users);
    users = users_of("");
    assert_null(owner_of(users, DIGITS_A));
    users_unref(users);
}

static void tells_each_mistake(void **state)
{
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"user\n", "users:1: expected name:hash or name:hash:key=value,...\n"},
        {":*\n", "users:1: this is no name: UTF-8 without blanks is expected, 255 bytes at most\n"},
        {"a b:*\n",
         "users:1: this is no name: UTF-8 without blanks is expected, 255 bytes at most\n"},
        {"\xFF:*\n",
         "users:1: this is no name: UTF-8 without blanks is expected, 255 bytes at most\n"},
        {"a:*\r\n", "users:1: the line has a control character in it\n"},
        {"a:\n", "users:1: the hash is none that libcrypt takes and thinks safe; * stands for "
                 "none\n"},
        {"a:plain\n", "users:1: the hash is none that libcrypt takes and thinks safe; * stands for "
                      "none\n"},
        {"a:$1$abcdefgh$abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\n",
         "users:1: the hash is none that libcrypt takes and thinks safe; * stands for none\n"},
        {"a:$y$j9T$4j74JKpAIg7WEFX5MHyiF.\n",
         "users:1: the hash is none that libcrypt takes and thinks safe; * stands for none\n"},
        {"\n#\na:*\nA:*\n", "users:4: a is already in line 3\n"},
        {"a:*:quota=5\n", "users:1: there is no key \"quota\"; scram, send_as, certificate, "
                          "messages_per_hour and recipients_per_hour are known\n"},
        {"a:*:=\n", "users:1: there is no key \"\"; scram, send_as, certificate, messages_per_hour "
                    "and recipients_per_hour are known\n"},
        {"a:*:scram=x\n", "users:1: scram: expected SCRAM-SHA-256$iterations:salt$key:key\n"},
        {"a:*:scram=" PENCIL_KEYS ",scram=" PENCIL_KEYS "\n", "users:1: scram is given twice\n"},
        {"a:*:messages_per_hour=x\n",
         "users:1: messages_per_hour: expected a number up to 1000000, 0 for no bound\n"},
        {"a:*:recipients_per_hour=1000001\n",
         "users:1: recipients_per_hour: expected a number up to 1000000, 0 for no bound\n"},
        {"a:*:messages_per_hour=1,messages_per_hour=1\n",
         "users:1: messages_per_hour is given twice\n"},
        {"a:*:send_as=x\n", "users:1: send_as: expected an address, @domain or *\n"},
        {"a:*:send_as=x@\n", "users:1: send_as: expected an address, @domain or *\n"},
        {"a:*:send_as=%2\n", "users:1: send_as: % begins a byte in hexadecimal, as in %2C\n"},
        {"a:*:send_as=%zz@x\n", "users:1: send_as: % begins a byte in hexadecimal, as in %2C\n"},
        {"a:*:certificate=sha1:" DIGITS_A "\n",
         "users:1: certificate: expected sha256: and 64 hexadecimal digits\n"},
        {"a:*:certificate=sha256:" DIGITS_A "\nb:*:certificate=SHA256:" DIGITS_A "\n",
         "users:2: this certificate is already in line 1\n"},
        {"a:*:certificate=sha256:" DIGITS_A ",certificate=sha256:" DIGITS_A "\n",
         "users:1: this certificate is already in line 1\n"},
        {"a\nb\n", "users:1: expected name:hash or name:hash:key=value,...\n"
                   "users:2: expected name:hash or name:hash:key=value,...\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct users *users;
        struct buf messages;
        buf_init(&messages, 0);
        assert_int_equal(users_parse(span_cstr(cases[i].text), "users", &messages, &users).kind,
                         ERR_INVALID);
        assert_null(users);
        if (!span_equal(buf_span(&messages), span_cstr(cases[i].want)))
            fail_msg("%s gave %.*s", cases[i].text, SPAN_ARG(buf_span(&messages)));
        buf_fini(&messages);
    }
}

static void mistakes_are_bounded(void **state)
{
    struct buf text, messages;
    struct users *users;

    (void)state;
    buf_init(&text, 0);
    buf_init(&messages, 0);
    for (unsigned i = 0; i < 1000; i++)
        buf_addf(&text, "bad\n");
    assert_true(err_is(users_parse(buf_span(&text), "users", &messages, &users)));
    assert_true(span_ends_nocase(buf_span(&messages), SPAN("users: and 980 problems more\n")));
    buf_clear(&text);
    buf_clear(&messages);
    buf_addf(&text, "a:*:%0*d\n", USERS_LINE_MAX, 0);
    assert_true(err_is(users_parse(buf_span(&text), "users", &messages, &users)));
    assert_true(span_equal(buf_span(&messages), SPAN("users:1: the line is too long\n")));
    buf_fini(&text);
    buf_fini(&messages);
}

static void the_file_must_be_private(void **state)
{
    struct users *users;
    struct buf messages;

    (void)state;
    buf_init(&messages, 0);
    write_users(PENCIL_USER);
    chmod("users", 0644);
    assert_true(err_is(users_load("users", &messages, &users)));
    chmod("users", 0640);
    assert_false(err_is(users_load("users", &messages, &users)));
    users_unref(users);
    assert_true(err_is(users_load(".", &messages, &users)));
    assert_int_equal(users_load("missing", &messages, &users).kind, ERR_NOT_FOUND);
    buf_fini(&messages);
}

static struct err edit(enum users_edit_kind kind, const char *name, const char *password)
{
    struct buf messages;

    buf_init(&messages, 0);
    struct users_edit wanted = {
        .kind = kind, .name = span_cstr(name), .password = span_cstr(password)};
    struct err e = users_edit("users", &wanted, &messages);
    buf_fini(&messages);
    return e;
}

static void assert_password(const char *name, const char *password)
{
    struct users *users;
    struct buf messages;

    buf_init(&messages, 0);
    assert_false(err_is(users_load("users", &messages, &users)));
    const struct users_entry *entry = users_find(users, span_cstr(name));
    assert_non_null(entry);
    assert_true(password_matches(span_cstr(password), entry->hash));
    assert_false(password_matches(SPAN("another"), entry->hash));
    assert_true(scram_keys_match(&entry->keys, span_cstr(password)));
    users_unref(users);
}

static void edits(void **state)
{
    static const char before[] = "# ours\n\nUser:" PENCIL_HASH ":send_as=*,scram=" PENCIL_KEYS
                                 ",send_as=@x\n# between\nother:*\nlast:*:send_as=a@b";
    static const char after[] = "# ours\n\n# between\nother:*\nlast:*:send_as=a@b\n";
    char text[4096];
    struct stat st;

    (void)state;
    assert_int_equal(edit(USERS_CHANGE, "user", "x").kind, ERR_NOT_FOUND);
    write_users(before);
    assert_int_equal(edit(USERS_ADD, "user", "x").kind, ERR_CONFLICT);
    assert_int_equal(edit(USERS_CHANGE, "use", "x").kind, ERR_NOT_FOUND);
    assert_int_equal(edit(USERS_REMOVE, "use", "").kind, ERR_NOT_FOUND);
    read_users(text, sizeof text);
    assert_string_equal(text, before);

    chmod("users", 0440);
    assert_false(err_is(edit(USERS_CHANGE, "user", "pa\xC3\x9Fword, $% =")));
    assert_password("user", "pa\xC3\x9Fword, $% =");
    read_users(text, sizeof text);
    assert_non_null(strstr(text, "# ours\n\nUser:$y$"));
    assert_non_null(strstr(text, ",send_as=*,send_as=@x\n# between\nother:*\nlast:"));
    stat("users", &st);
    assert_int_equal(st.st_mode & 0777, 0640);

    assert_false(err_is(edit(USERS_REMOVE, "user", "")));
    read_users(text, sizeof text);
    assert_string_equal(text, after);
    assert_false(err_is(edit(USERS_ADD, "new", "secret")));
    assert_password("new", "secret");
    read_users(text, sizeof text);
    assert_memory_equal(text, after, sizeof after - 1);
}

static struct err allow(enum users_edit_kind kind, const char *password, const char *sender,
                        const char *digits, struct buf *messages)
{
    struct span senders[] = {span_cstr(sender), SPAN("@own.example")};
    struct fingerprint certificate = fingerprint_of(digits);
    struct users_edit wanted = {
        .kind = kind,
        .name = SPAN("user"),
        .password = span_cstr(password),
        .send_as = senders,
        .send_as_count = 2,
        .certificates = &certificate,
        .certificate_count = 1,
    };

    buf_clear(messages);
    return users_edit("users", &wanted, messages);
}

static void grants_are_added(void **state)
{
    static const char added[] = "user:*:send_as=%25a%2Cb@x,send_as=@own.example,"
                                "certificate=sha256:" DIGITS_A "\n";
    static const char allowed[] = "user:*:send_as=%25a%2Cb@x,send_as=@own.example,"
                                  "certificate=sha256:" DIGITS_A ",send_as=*,"
                                  "certificate=sha256:" DIGITS_B "\n";
    char text[4096];
    struct buf messages;

    (void)state;
    buf_init(&messages, 0);
    write_users("other:*:certificate=sha256:" DIGITS_C "\n");
    assert_int_equal(allow(USERS_ALLOW, "", "*", DIGITS_A, &messages).kind, ERR_NOT_FOUND);
    assert_false(err_is(allow(USERS_ADD, "", "%a,b@x", DIGITS_A, &messages)));
    read_users(text, sizeof text);
    assert_non_null(strstr(text, added));
    assert_false(err_is(allow(USERS_ALLOW, "", "*", DIGITS_B, &messages)));
    assert_false(err_is(allow(USERS_ALLOW, "", "*", DIGITS_B, &messages)));
    read_users(text, sizeof text);
    assert_non_null(strstr(text, allowed));
    assert_int_equal(allow(USERS_ALLOW, "", "none", DIGITS_B, &messages).kind, ERR_INVALID);
    assert_non_null(memmem(messages.data, messages.end, ":2: send_as: expected", 21));
    assert_int_equal(allow(USERS_ALLOW, "", "*", DIGITS_C, &messages).kind, ERR_INVALID);
    assert_non_null(memmem(messages.data, messages.end, ":2: this certificate is already", 31));
    assert_false(err_is(allow(USERS_CHANGE, "secret", "*", DIGITS_A, &messages)));
    assert_password("user", "secret");
    assert_false(err_is(allow(USERS_ALLOW, "", "*", DIGITS_D, &messages)));
    assert_password("user", "secret");
    assert_false(err_is(allow(USERS_CHANGE, "", "*", DIGITS_D, &messages)));
    read_users(text, sizeof text);
    assert_null(strstr(text, "scram="));
    assert_non_null(strstr(text, "\nuser:*:send_as="));
    buf_fini(&messages);
}

static void a_new_file_is_private(void **state)
{
    struct stat st;

    (void)state;
    umask(0);
    assert_false(err_is(edit(USERS_ADD, "first", "secret")));
    assert_password("first", "secret");
    stat("users", &st);
    assert_int_equal(st.st_mode & 0777, 0600);
    write_users("broken\n");
    assert_int_equal(edit(USERS_ADD, "second", "x").kind, ERR_INVALID);
    assert_int_equal(symlink("users", "link"), 0);
    write_users("");
    struct buf messages;
    buf_init(&messages, 0);
    assert_false(err_is(users_edit(
        "link", &(struct users_edit){USERS_ADD, .name = SPAN("a"), .password = SPAN("b")},
        &messages)));
    buf_fini(&messages);
    assert_password("a", "b");
}

static void *add_some(void *names)
{
    for (const char *name = names; *name != '\0'; name += 2)
        if (err_is(edit(USERS_ADD, (const char[]){name[0], '\0'}, "secret")))
            abort();
    return NULL;
}

static void editors_take_turns(void **state)
{
    static char lists[2][8] = {"a b c ", "d e f "};
    pthread_t threads[2];
    struct users *users;
    struct buf messages;

    (void)state;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_some, lists[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    buf_init(&messages, 0);
    assert_false(err_is(users_load("users", &messages, &users)));
    assert_int_equal(users_count(users), 6);
    users_unref(users);
}

static void follows_the_file(void **state)
{
    struct follow *source;
    struct buf messages;

    (void)state;
    buf_init(&messages, 0);
    assert_true(err_is(users_follow("users", &messages, &source)));
    assert_null(source);
    buf_clear(&messages);
    write_users("a:*\n");
    assert_false(err_is(users_follow("users", &messages, &source)));
    struct users *first = follow_get(source);
    assert_false(follow_poll(source));
    write_users("a:*\nb:*\n");
    assert_true(follow_poll(source));
    assert_false(follow_poll(source));
    struct users *second = follow_get(source);
    assert_int_equal(users_count(first), 1);
    assert_int_equal(users_count(second), 2);
    users_unref(first);

    write_users("a:*\nbroken\n");
    assert_false(follow_poll(source));
    unlink("users");
    assert_false(follow_poll(source));
    assert_false(follow_poll(source));
    first = follow_get(source);
    assert_ptr_equal(first, second);
    write_users("c:*\n");
    assert_true(follow_poll(source));
    users_unref(first);
    follow_free(source);
    follow_free(NULL);
    assert_int_equal(users_count(second), 2);
    users_unref(second);
    buf_fini(&messages);
}

static atomic_bool readers_end;

static void *look_up(void *source)
{
    while (!atomic_load(&readers_end)) {
        struct users *users = follow_get(source);
        const struct users_entry *entry = users_find(users, SPAN("user"));
        if (entry == NULL || strcmp(entry->hash, PENCIL_HASH) != 0 || users_count(users) > 2)
            abort();
        users_unref(users);
    }
    return NULL;
}

static void readers_see_whole_files(void **state)
{
    struct follow *source;
    struct buf messages;
    pthread_t readers[3];

    (void)state;
    buf_init(&messages, 0);
    log_set_level(LOG_WARN);
    write_users(PENCIL_USER);
    assert_false(err_is(users_follow("users", &messages, &source)));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, look_up, source), 0);
    for (unsigned i = 0; i < 200; i++) {
        write_users(i % 2 == 0 ? PENCIL_USER "other:*\n" : PENCIL_USER);
        assert_true(follow_poll(source));
    }
    atomic_store(&readers_end, true);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(readers[i], NULL);
    follow_free(source);
}

static void names_and_passwords(void **state)
{
    char out[AUTH_NAME_MAX];
    static char longer[AUTH_PASSWORD_MAX + 1];

    (void)state;
    assert_true(auth_name_prepare(SPAN("Ab.C+d@E\xC3\x84"), out));
    assert_memory_equal(out, "ab.c+d@e\xC3\x84", 10);
    memset(longer, 'x', sizeof longer);
    assert_true(auth_password_is_valid(span_of(longer, AUTH_PASSWORD_MAX)));
    assert_false(auth_password_is_valid(span_of(longer, sizeof longer)));
    assert_false(auth_name_prepare(span_of(longer, AUTH_NAME_MAX + 1), out));
    assert_false(auth_password_is_valid(SPAN("")));
    assert_false(auth_password_is_valid(SPAN("a\xC2\x80")));
    assert_true(auth_password_is_valid(SPAN("a b: \xC2\xA0")));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_users),
        cmocka_unit_test(certificates_have_one_owner),
        cmocka_unit_test(tells_each_mistake),
        cmocka_unit_test(mistakes_are_bounded),
        cmocka_unit_test(names_and_passwords),
        IN_FOLDER(the_file_must_be_private),
        IN_FOLDER(edits),
        IN_FOLDER(grants_are_added),
        IN_FOLDER(a_new_file_is_private),
        IN_FOLDER(editors_take_turns),
        IN_FOLDER(follows_the_file),
        IN_FOLDER(readers_see_whole_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
