/* schedule/: the envelope of a queued message is changed. */
#include "support/schedule_rig.h"

static const char dead_hop[] = "hosts:[127.0.0.1]:1;tls=none";
static const char dead_route[] = "route \"*\" { hosts = {\"[127.0.0.1]:1\"}\n tls = \"none\" }\n"
                                 "route \"gone.test\" { reject = \"5.1.2 No more\" }\n";

struct asked {
    struct schedule_operation operation;
    struct schedule_reroute reroute;
};

/* The change, and what the store has of the message then; NULL = nothing. */
static struct queue_message *edit(struct schedule_rig *rig, struct asked *asked, uint64_t id,
                                  struct schedule_edit what)
{
    struct queue_message *after;

    *asked = (struct asked){.reroute = {.names_recipients = true, .edit = what}};
    arena_init(&asked->reroute.arena);
    asked->operation =
        schedule_rig_run(rig, &(struct schedule_operation){
                                  .verb = SCHEDULE_REROUTE, .id = id, .reroute = &asked->reroute});
    return err_is(queue_load(rig->queue, id, QUEUE_ALL_GROUPS, &after)) ? NULL : after;
}

static void end(struct asked *asked, struct queue_message *after)
{
    arena_fini(&asked->reroute.arena);
    queue_message_unref(after);
}

/* Three recipients: x@, y@ and x@a.test. */
static struct queue_message *make(struct schedule_rig *rig)
{
    struct queue_message *m = schedule_rig_message(rig, dead_hop, 3);

    m->groups[0].recipients[0].address = SPAN("x@a.test");
    m->groups[0].recipients[1].address = SPAN("y@a.test");
    m->groups[0].recipients[2].address = SPAN("X@a.test");
    return m;
}

static struct schedule_edit change_x(void)
{
    return (struct schedule_edit){
        .kind = SCHEDULE_EDIT_CHANGE, .recipient = SPAN("x@A.TEST"), .to = SPAN("z@a.test")};
}

static void test_change(void **state)
{
    struct schedule_rig rig;
    struct asked asked;

    (void)state;
    schedule_rig_open(&rig, dead_route);
    struct queue_message *m = make(&rig);
    m->groups[0].tries = 3;
    m->groups[0].recipients[0].notify = ESMTP_NOTIFY_NEVER;
    m->groups[0].recipients[0].last = STATUS(450, 4, 2, 0, "later");
    m->groups[0].recipients[2].original = SPAN("rfc822;first@b.test");
    uint64_t id = schedule_rig_add(&rig, m, false);
    struct queue_message *after = edit(&rig, &asked, id, change_x());
    assert_int_equal(asked.operation.affected, 1);
    assert_int_equal(after->group_count, 2);
    assert_true(span_equal(after->groups[0].recipients[0].address, SPAN("y@a.test")));
    const struct queue_group *split = &after->groups[1];
    assert_int_equal(split->recipient_count, 2);
    assert_int_equal(split->tries, 3);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(span_equal(split->recipients[i].address, SPAN("z@a.test")));
        assert_int_equal(split->recipients[i].last.code, 0);
    }
    assert_int_equal(split->recipients[0].notify, ESMTP_NOTIFY_NEVER);
    assert_true(span_equal(split->recipients[0].original, SPAN("rfc822;x@a.test")));
    assert_true(span_equal(split->recipients[1].original, SPAN("rfc822;first@b.test")));
    end(&asked, after);
    schedule_rig_close(&rig);
}

/* Its reverse-path names one recipient. */
static void test_no_group_is_shared_beside_verp(void **state)
{
    struct schedule_rig rig;
    struct asked asked;

    (void)state;
    for (int verp = 0; verp < 2; verp++) {
        schedule_rig_open(&rig, dead_route);
        struct queue_message *m = make(&rig);
        m->flags |= verp ? QUEUE_VERP : 0u;
        uint64_t id = schedule_rig_add(&rig, m, false);
        struct queue_message *after = edit(&rig, &asked, id, change_x());
        assert_int_equal(after->group_count, verp ? 3 : 2);
        end(&asked, after);
        schedule_rig_close(&rig);
    }
}

static void test_what_is_early_stays_so(void **state)
{
    struct schedule_rig rig;
    struct asked asked;

    (void)state;
    schedule_rig_open(&rig, dead_route);
    struct queue_message *m = make(&rig);
    m->groups[0].state = QUEUE_GROUP_FUTURE;
    m->release = m->groups[0].due = clock_steady_ms() + 86400000;
    uint64_t due = m->release, id = schedule_rig_add(&rig, m, false);
    struct queue_message *after = edit(&rig, &asked, id, change_x());
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(after->groups[i].state, QUEUE_GROUP_FUTURE);
        assert_int_equal(after->groups[i].due, due);
    }
    end(&asked, after);
    after = edit(&rig, &asked, id,
                 (struct schedule_edit){.kind = SCHEDULE_EDIT_ADD, .to = SPAN("new@a.test")});
    assert_int_equal(after->group_count, 3);
    assert_int_equal(after->groups[2].state, QUEUE_GROUP_FUTURE);
    end(&asked, after);
    schedule_rig_close(&rig);
}

static void test_added_ones_have_places_of_their_own(void **state)
{
    struct schedule_rig rig;
    struct asked asked;

    (void)state;
    schedule_rig_open(&rig, dead_route);
    struct queue_message *m = make(&rig);
    for (unsigned i = 0; i < 3; i++)
        m->groups[0].recipients[i].index = i;
    uint64_t id = schedule_rig_add(&rig, m, false);
    for (unsigned i = 1; i <= 2; i++) {
        struct queue_message *after =
            edit(&rig, &asked, id,
                 (struct schedule_edit){.kind = SCHEDULE_EDIT_ADD, .to = SPAN("new@a.test")});
        assert_int_equal(asked.operation.affected, 1);
        assert_string_equal(asked.reroute.rows[0].fate, "added");
        assert_int_equal(after->group_count, 1 + i);
        assert_int_equal(after->groups[i].recipients[0].index, 2 + i);
        end(&asked, after);
    }
    schedule_rig_close(&rig);
}

static void test_no_way(void **state)
{
    static const enum schedule_edit_kind kinds[] = {SCHEDULE_EDIT_CHANGE, SCHEDULE_EDIT_ADD};
    struct schedule_rig rig;
    struct asked asked;

    (void)state;
    schedule_rig_open(&rig, dead_route);
    uint64_t id = schedule_rig_add(&rig, make(&rig), false);
    for (size_t i = 0; i < 2; i++) {
        struct queue_message *after =
            edit(&rig, &asked, id,
                 (struct schedule_edit){
                     .kind = kinds[i], .recipient = SPAN("y@a.test"), .to = SPAN("x@gone.test")});
        assert_int_equal(asked.operation.affected, 0);
        assert_int_equal(asked.reroute.row_count, 1);
        assert_string_equal(asked.reroute.rows[0].fate, "undecided");
        assert_int_equal(after->group_count, 1);
        assert_int_equal(after->groups[0].recipient_count, 3);
        end(&asked, after);
    }
    schedule_rig_close(&rig);
}

static void test_drop(void **state)
{
    struct schedule_rig rig;
    struct asked asked;

    (void)state;
    schedule_rig_open(&rig, dead_route);
    uint64_t id = schedule_rig_add(&rig, make(&rig), false);
    struct schedule_edit what = {.kind = SCHEDULE_EDIT_DROP, .recipient = SPAN("x@a.test")};
    struct queue_message *after = edit(&rig, &asked, id, what);
    assert_int_equal(asked.operation.affected, 1);
    assert_int_equal(asked.reroute.row_count, 2);
    assert_int_equal(after->groups[0].recipient_count, 1);
    end(&asked, after);
    after = edit(&rig, &asked, id, what);
    assert_int_equal(asked.operation.affected, 0);
    assert_int_equal(asked.operation.result.kind, ERR_NOT_FOUND);
    end(&asked, after);
    what.recipient = SPAN("y@a.test");
    assert_null(edit(&rig, &asked, id, what));
    assert_int_equal(asked.operation.affected, 1);
    end(&asked, NULL);
    schedule_rig_close(&rig);
}

/* A notification has nobody to tell, and gets nobody. */
static void test_sender(void **state)
{
    static const struct schedule_edit what = {.kind = SCHEDULE_EDIT_SENDER,
                                              .to = {"new@b.test", 10}};
    struct schedule_rig rig;
    struct asked asked;

    (void)state;
    for (int is_null = 0; is_null < 2; is_null++) {
        schedule_rig_open(&rig, dead_route);
        struct queue_message *m = make(&rig);
        if (is_null)
            m->reverse_path = SPAN_NONE;
        uint64_t id = schedule_rig_add(&rig, m, false);
        for (int again = 0; again < 2; again++) {
            struct queue_message *after = edit(&rig, &asked, id, what);
            assert_int_equal(asked.operation.affected, !is_null && !again);
            assert_int_equal(after->groups[0].has_sender, !is_null);
            assert_true(span_equal(after->groups[0].reverse_path, is_null ? SPAN_NONE : what.to));
            assert_int_equal(after->groups[0].recipient_count, 3);
            end(&asked, after);
        }
        schedule_rig_close(&rig);
    }
}

static void test_a_store_that_refuses(void **state)
{
    struct schedule_rig rig;
    struct asked asked;

    (void)state;
    schedule_rig_open(&rig, dead_route);
    uint64_t id = schedule_rig_add(&rig, make(&rig), false);
    queue_memory_fail_next(rig.queue, err_make(ERR_NOT_FOUND, "test"));
    struct queue_message *after = edit(&rig, &asked, id, change_x());
    assert_int_equal(asked.operation.busy, 1);
    assert_int_equal(after->group_count, 1);
    end(&asked, after);
    schedule_rig_close(&rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_change),
        cmocka_unit_test(test_no_group_is_shared_beside_verp),
        cmocka_unit_test(test_what_is_early_stays_so),
        cmocka_unit_test(test_added_ones_have_places_of_their_own),
        cmocka_unit_test(test_no_way),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_sender),
        cmocka_unit_test(test_a_store_that_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, schedule_rig_forget_loaded);
}
