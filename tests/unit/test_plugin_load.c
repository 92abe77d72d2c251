/* plugins/host: what is loaded, with which options, and what is refused with which words. */
#include "support/plugin_rig.h"

#include "support/scratch.h"

static bool tells(const struct plugin_rig *rig, const char *text)
{
    struct span all = buf_span(&rig->messages);

    if (all.len > 0 && memmem(all.ptr, all.len, text, strlen(text)) != NULL)
        return true;
    print_message("%.*s", SPAN_ARG(all));
    return false;
}

static unsigned lines(const struct plugin_rig *rig)
{
    struct span all = buf_span(&rig->messages);
    unsigned count = 0;

    for (size_t i = 0; i < all.len; i++)
        count += all.ptr[i] == '\n';
    return count;
}

static void test_without_plugins_nobody_is_asked(void **state)
{
    struct plugin_rig rig;

    (void)state;
    assert_false(plugin_worker_wants(NULL, SMARTHOP_ON_ROUTE));
    plugin_rig_start(&rig);
    assert_false(plugin_worker_wants(rig.worker, SMARTHOP_ON_ROUTE));
    assert_true(plugin_rig_load(&rig, ""));
    assert_false(plugin_worker_wants(rig.worker, SMARTHOP_ON_ROUTE));
    assert_int_equal(plugin_chain_count(rig.chain), 0);
    plugin_rig_stop(&rig);
}

static void test_only_hooks_that_a_plugin_has_are_wanted(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {0};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    assert_true(plugin_worker_wants(rig.worker, SMARTHOP_ON_ROUTE));
    assert_false(plugin_worker_wants(rig.worker, SMARTHOP_ON_BOUNCE));
    const struct plugin_view *view = VIEW(&rig, 0);
    assert_string_equal(view->name, "a");
    assert_string_equal(view->version, "1.0");
    assert_true(view->hooks & 1u << SMARTHOP_ON_RCPT);
    assert_false(view->hooks & 1u << SMARTHOP_ON_HELO);
    plugin_rig_stop(&rig);
    assert_int_equal(desk.starts, 1);
    assert_int_equal(desk.stops, 1);
}

/* ---- options ------------------------------------------------------------------------------ */

static int read_defaults(struct plugin_desk *desk)
{
    const struct smarthop_host *host = desk->host;

    assert_string_equal(host->option_text(desk->self, "text", 0), "some");
    assert_int_equal(host->option_number(desk->self, "number", 0), 7);
    assert_int_equal(host->option_number(desk->self, "bytes", 0), 4096);
    assert_int_equal(host->option_number(desk->self, "time", 0), 2000);
    assert_int_equal(host->option_number(desk->self, "flag", 0), 1);
    assert_int_equal(host->option_count(desk->self, "words"), 0);
    assert_null(host->option_text(desk->self, "words", 0));
    assert_null(host->option_text(desk->self, "path", 0));
    assert_null(host->option_text(desk->self, "no-such", 0));
    return 0;
}

static int read_given(struct plugin_desk *desk)
{
    const struct smarthop_host *host = desk->host;

    assert_string_equal(host->option_text(desk->self, "text", 0), "other");
    assert_int_equal(host->option_number(desk->self, "number", 0), 100);
    assert_int_equal(host->option_number(desk->self, "bytes", 0), 1 << 20);
    assert_int_equal(host->option_number(desk->self, "time", 0), 300);
    assert_int_equal(host->option_number(desk->self, "flag", 0), 0);
    assert_int_equal(host->option_count(desk->self, "words"), 2);
    assert_string_equal(host->option_text(desk->self, "words", 1), "two");
    assert_null(host->option_text(desk->self, "words", 2));
    assert_string_equal(host->option_text(desk->self, "path", 0), "/tmp/x");
    return 0;
}

static void test_options_have_the_values_of_schema_and_file(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk defaults = {.start = read_defaults}, given = {.start = read_given};
    char text[2 * SECTION_ROOM];

    (void)state;
    plugin_rig_start(&rig);
    snprintf(text, sizeof text, "%s%s", SECTION(&defaults, "a", ""),
             SECTION(&given, "b",
                     "text = other number = 100 bytes = \"1MiB\" time = \"300ms\" flag = no "
                     "words = { one, two } path = x"));
    assert_true(plugin_rig_load(&rig, text));
    plugin_rig_stop(&rig);
    assert_int_equal(defaults.starts + given.starts, 2);
}

/* The test's section is the third line of its file. */
static void test_a_bad_option_is_told_by_its_line(void **state)
{
    static const struct {
        const char *rest;
        const char *told;
    } cases[] = {
        {"number = 101", ":3: number: \"101\""},
        {"number = 0", ":3: number: \"0\""},
        {"number = many", ":3: number: \"many\""},
        {"text = \"much too long\"", ":3: text: \"much too long\""},
        {"text = { a, b }", ":3: text takes one value, not a list"},
        {"bytes = 3s", ":3: bytes: \"3s\""},
        {"time = 3KiB", ":3: time: \"3KiB\""},
        {"flag = perhaps", ":3: flag: \"perhaps\""},
        {"nonsense = 1", ":3: unknown key nonsense in plugin \"a\""},
    };
    struct plugin_rig rig;
    struct plugin_desk desk = {0};

    (void)state;
    plugin_rig_start(&rig);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(plugin_rig_load(&rig, SECTION(&desk, "a", cases[i].rest)));
        assert_true(tells(&rig, cases[i].told));
        assert_true(tells(&rig, "/tmp/"));
    }
    plugin_rig_stop(&rig);
    assert_int_equal(desk.starts + desk.stops, 0);
}

static void test_all_problems_are_told_at_once(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {0};
    char text[2 * SECTION_ROOM];

    (void)state;
    plugin_rig_start(&rig);
    snprintf(text, sizeof text, "%s%s", SECTION(&desk, "a", "number = 0 flag = perhaps"),
             SECTION_OF(&desk, "b", "not-there", ""));
    assert_false(plugin_rig_load(&rig, text));
    assert_int_equal(lines(&rig), 3);
    assert_true(tells(&rig, ":3: number"));
    assert_true(tells(&rig, ":3: flag"));
    assert_true(tells(&rig, "not-there.so"));
    plugin_rig_stop(&rig);
}

static int refuse_option(struct plugin_desk *desk)
{
    desk->host->option_problem(desk->self, "number", 0, "is an odd one");
    return -1;
}

static int refuse_default(struct plugin_desk *desk)
{
    desk->host->option_problem(desk->self, "number", 0, "is an odd one");
    desk->host->option_problem(desk->self, NULL, 0, "nothing fits");
    return -1;
}

static int refuse_silently(struct plugin_desk *desk)
{
    (void)desk;
    return -1;
}

static void test_a_start_that_refuses_is_told_and_not_stopped(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.start = refuse_option};

    (void)state;
    plugin_rig_start(&rig);
    assert_false(plugin_rig_load(&rig, SECTION(&desk, "a", "number = 3")));
    assert_true(tells(&rig, ":3: number: is an odd one"));
    desk.start = refuse_default;
    assert_false(plugin_rig_load(&rig, SECTION(&desk, "a", "")));
    assert_true(tells(&rig, ": plugin \"a\": number: is an odd one"));
    assert_true(tells(&rig, ": plugin \"a\": nothing fits"));
    desk.start = refuse_silently;
    assert_false(plugin_rig_load(&rig, SECTION(&desk, "a", "")));
    assert_true(tells(&rig, "plugin \"a\" does not start, and does not say why"));
    plugin_rig_stop(&rig);
    assert_int_equal(desk.starts, 3);
    assert_int_equal(desk.stops, 0);
}

static void test_what_fails_its_own_test_is_stopped_and_not_used(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.self_test = 1};

    (void)state;
    plugin_rig_start(&rig);
    assert_false(plugin_rig_load(&rig, SECTION(&desk, "a", "")));
    assert_true(tells(&rig, "plugin \"a\" does not pass its own test"));
    TURN_UNTIL(rig.loop, desk.stops == 1);
    plugin_rig_stop(&rig);
    assert_int_equal(desk.stops, 1);
}

/* ---- what is no plugin -------------------------------------------------------------------- */

static void test_what_does_not_fit_the_interface_is_refused_clearly(void **state)
{
    static const struct {
        const char *file;
        const char *told;
    } cases[] = {
        {"wrong_magic", "its smarthop_plugin is no descriptor of a plugin"},
        {"wrong_major", "it was built for version 99.1 of the plugin interface, this server has "
                        "1.1; build it again with this server's smarthop_plugin.h"},
        {"wrong_minor", "it was built for version 1.7 of the plugin interface"},
        {"short", "its descriptor is shorter than that of version 1.0"},
        {"nameless", "its descriptor has no name, version or summary"},
        {"startless", "its descriptor has no start"},
        {"taken", "its option 8, timeout has the name of a key of the server's own"},
        {"double", "its option 8, flag has the name of another one"},
        {"unwritten", "its option 8, a key has a name that is not of [a-z0-9_]"},
        {"stranger", "it does not export smarthop_plugin"},
    };
    struct plugin_rig rig;
    struct plugin_desk desk = {0};
    char file[64];

    (void)state;
    plugin_rig_start(&rig);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(plugin_rig_load(&rig, SECTION_OF(&desk, "a", cases[i].file, "")));
        assert_int_equal(lines(&rig), 1);
        snprintf(file, sizeof file, "/%s.so: plugin \"a\" cannot be used: ", cases[i].file);
        assert_true(tells(&rig, file));
        assert_true(tells(&rig, cases[i].told));
    }
    plugin_rig_stop(&rig);
    assert_int_equal(desk.starts, 0);
}

static void test_what_is_of_an_older_interface_is_used(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {0};

    (void)state;
    plugin_rig_start(&rig);
    assert_true(plugin_rig_load(&rig, SECTION_OF(&desk, "a", "older", "")));
    assert_int_equal(desk.starts, 1);
    plugin_rig_stop(&rig);
}

static void test_what_is_no_library_is_refused(void **state)
{
    struct plugin_rig rig;
    char folder[SCRATCH_PATH], text[2 * SCRATCH_PATH], path[SCRATCH_PATH + 16];

    (void)state;
    plugin_rig_start(&rig);
    scratch_make(folder);
    snprintf(path, sizeof path, "%s/text.so", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("#!/bin/sh\n", file);
    fclose(file);
    snprintf(text, sizeof text, "plugin_path = \"%s\"\nplugin \"text\" { }\n", folder);
    assert_false(plugin_rig_load(&rig, text));
    assert_int_equal(lines(&rig), 1);
    assert_true(tells(&rig, "/text.so: plugin \"text\" cannot be loaded: file too short"));
    snprintf(text, sizeof text, "plugin_path = \"%s\"\nplugin \"none\" { }\n", folder);
    assert_false(plugin_rig_load(&rig, text));
    assert_int_equal(lines(&rig), 1);
    assert_true(tells(&rig, "/none.so: plugin \"none\" cannot be loaded: open file: No such"));
    scratch_remove(folder);
    plugin_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_plugins_nobody_is_asked),
        cmocka_unit_test(test_only_hooks_that_a_plugin_has_are_wanted),
        cmocka_unit_test(test_options_have_the_values_of_schema_and_file),
        cmocka_unit_test(test_a_bad_option_is_told_by_its_line),
        cmocka_unit_test(test_all_problems_are_told_at_once),
        cmocka_unit_test(test_a_start_that_refuses_is_told_and_not_stopped),
        cmocka_unit_test(test_what_fails_its_own_test_is_stopped_and_not_used),
        cmocka_unit_test(test_what_does_not_fit_the_interface_is_refused_clearly),
        cmocka_unit_test(test_what_is_of_an_older_interface_is_used),
        cmocka_unit_test(test_what_is_no_library_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
