/* base/loop and mailbox: deferred calls, posts from other threads, deadlines, work elsewhere. */
#include "support/loop_turn.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

struct noted {
    struct call call;
    struct loop *loop;
    unsigned again; /* defers itself so often */
    unsigned runs;
    unsigned order;
};

static unsigned order;

static void on_noted(struct call *call)
{
    struct noted *n = container_of(call, struct noted, call);

    n->runs++;
    n->order = ++order;
    if (n->again > 0) {
        n->again--;
        loop_defer(n->loop, &n->call);
    }
}

static void noted_init(struct noted *n, struct loop *loop)
{
    *n = (struct noted){.loop = loop, .call.done = on_noted};
    list_init(&n->call.link);
    order = 0;
}

/* ---- deferred calls ----------------------------------------------------------------------- */

static void test_defer_keeps_the_order(void **state)
{
    struct loop *loop = turn_loop_create();
    struct noted calls[3];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        noted_init(&calls[i], loop);
        loop_defer(loop, &calls[i].call);
        assert_int_equal(calls[i].runs, 0);
    }
    TURN_UNTIL(loop, calls[2].runs == 1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(calls[i].order, i + 1);
    loop_free(loop);
}

static void test_a_deferred_call_can_be_taken_back(void **state)
{
    struct loop *loop = turn_loop_create();
    struct noted kept, dropped;

    (void)state;
    noted_init(&dropped, loop);
    noted_init(&kept, loop);
    loop_defer(loop, &dropped.call);
    loop_defer(loop, &kept.call);
    list_remove(&dropped.call.link);
    TURN_UNTIL(loop, kept.runs == 1);
    assert_int_equal(dropped.runs, 0);
    loop_free(loop);
}

/* A chain longer than the loop runs in one go must neither be lost nor keep timers from firing. */
static void test_a_long_chain_does_not_starve_timers(void **state)
{
    struct loop *loop = turn_loop_create();
    struct turn_alarm alarm = {.rang = false};
    struct noted endless;

    (void)state;
    noted_init(&endless, loop);
    endless.again = UINT_MAX;
    loop_defer(loop, &endless.call);
    timer_start(loop, &alarm.timer, 5, turn_on_alarm);
    TURN_UNTIL(loop, alarm.rang);
    assert_true(endless.runs > 64);
    endless.again = 0;
    unsigned runs = endless.runs;
    TURN_UNTIL(loop, endless.runs == runs + 1);
    loop_free(loop);
}

/* ---- posts -------------------------------------------------------------------------------- */

enum { POSTERS = 4, POSTS = 2000 };

struct poster {
    pthread_t thread;
    struct loop *loop;
    struct noted posts[POSTS];
};

static void *post_all(void *context)
{
    struct poster *p = context;

    for (unsigned i = 0; i < POSTS; i++)
        loop_post(p->loop, &p->posts[i].call);
    return NULL;
}

static void test_posts_of_a_thread_keep_their_order(void **state)
{
    struct loop *loop = turn_loop_create();
    static struct poster posters[POSTERS];

    (void)state;
    for (unsigned t = 0; t < POSTERS; t++) {
        posters[t].loop = loop;
        for (unsigned i = 0; i < POSTS; i++)
            noted_init(&posters[t].posts[i], loop);
    }
    for (unsigned t = 0; t < POSTERS; t++)
        assert_int_equal(pthread_create(&posters[t].thread, NULL, post_all, &posters[t]), 0);
    TURN_UNTIL(loop, order == POSTERS * POSTS);
    for (unsigned t = 0; t < POSTERS; t++) {
        pthread_join(posters[t].thread, NULL);
        for (unsigned i = 1; i < POSTS; i++)
            assert_true(posters[t].posts[i].order > posters[t].posts[i - 1].order);
    }
    loop_free(loop);
}

static void *run_loop(void *loop)
{
    loop_run(loop);
    return NULL;
}

/* Again and again, so that a stop that races with the wake-up shows under a sanitizer. */
static void test_stop_from_another_thread(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct loop *loop = turn_loop_create();
        pthread_t thread;
        struct noted n;
        noted_init(&n, loop);
        assert_int_equal(pthread_create(&thread, NULL, run_loop, loop), 0);
        loop_post(loop, &n.call);
        loop_stop(loop);
        pthread_join(thread, NULL);
        assert_int_equal(n.runs, 1);
        loop_free(loop);
    }
}

static void *stop_loop(void *loop)
{
    loop_stop(loop);
    return NULL;
}

/* Who posts is not through with the mailbox when the call that was posted runs. */
static void test_a_loop_that_was_stopped_may_go_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct loop *loop = turn_loop_create();
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, stop_loop, loop), 0);
        loop_run(loop);
        loop_free(loop);
        pthread_join(thread, NULL);
    }
}

static void test_stop_before_it_runs(void **state)
{
    struct loop *loop = turn_loop_create();

    (void)state;
    loop_stop(loop);
    loop_run(loop);
    loop_free(loop);
    loop_free(NULL);
}

/* ---- timers ------------------------------------------------------------------------------- */

enum { TIMERS = 200 };

struct deadline {
    struct timer timer;
    struct loop *loop;
    uint64_t wanted; /* loop time */
    uint64_t fired;  /* when; 0 = it has not */
    unsigned place;  /* among all that have fired: 1, 2, ... */
    unsigned times;
    uint64_t again; /* arms itself again so often, with no delay */
};

static unsigned fired_count;

static void on_deadline(struct timer *timer)
{
    struct deadline *d = container_of(timer, struct deadline, timer);

    assert_false(timer_is_active(timer));
    d->fired = loop_now(d->loop);
    d->place = ++fired_count;
    d->times++;
    if (d->again > 0) {
        d->again--;
        timer_start(d->loop, timer, 0, on_deadline);
    }
}

static void deadline_start(struct deadline *d, struct loop *loop, uint64_t delay)
{
    d->loop = loop;
    d->wanted = loop_now(loop) + delay;
    timer_start(loop, &d->timer, delay, on_deadline);
}

static void test_timers_fire_in_time(void **state)
{
    struct loop *loop = turn_loop_create();
    static struct deadline timers[TIMERS];

    (void)state;
    for (unsigned i = 0; i < TIMERS; i++)
        deadline_start(&timers[i], loop, (i * 37) % 60 + 1);
    turn_for(loop, 70);
    for (unsigned i = 0; i < TIMERS; i++) {
        assert_int_equal(timers[i].times, 1);
        assert_true(timers[i].fired >= timers[i].wanted);
    }
    loop_free(loop);
}

static void test_moved_timers(void **state)
{
    struct loop *loop = turn_loop_create();
    struct deadline later = {0}, earlier = {0}, stopped = {0}, twice = {0};

    (void)state;
    deadline_start(&later, loop, 2);
    deadline_start(&later, loop, 30);
    deadline_start(&earlier, loop, 10000);
    deadline_start(&earlier, loop, 5);
    deadline_start(&stopped, loop, 3);
    timer_stop(loop, &stopped.timer);
    timer_stop(loop, &stopped.timer);
    deadline_start(&twice, loop, 1);
    deadline_start(&twice, loop, 40);
    deadline_start(&twice, loop, 4);
    assert_true(timer_is_active(&twice.timer) && !timer_is_active(&stopped.timer));
    turn_for(loop, 50);
    assert_int_equal(later.times, 1);
    assert_true(later.fired >= later.wanted);
    assert_int_equal(earlier.times, 1);
    assert_int_equal(stopped.times, 0);
    assert_int_equal(twice.times, 1);
    assert_true(twice.fired >= twice.wanted && twice.place < later.place);
    loop_free(loop);
}

/* Plugins choose them. */
static void test_a_delay_beyond_all_time_does_not_wrap_round(void **state)
{
    struct loop *loop = turn_loop_create();
    struct deadline never = {0}, hardly = {0}, soon = {0};

    (void)state;
    deadline_start(&never, loop, UINT64_MAX);
    deadline_start(&hardly, loop, UINT64_MAX - loop_now(loop) + 1);
    deadline_start(&soon, loop, 5);
    TURN_UNTIL(loop, soon.times == 1);
    assert_int_equal(never.times + hardly.times, 0);
    timer_stop(loop, &never.timer);
    timer_stop(loop, &hardly.timer);
    loop_free(loop);
}

/* One that always wants to be next lets sockets and other timers have their turn. */
static void test_a_timer_may_arm_itself_anew(void **state)
{
    struct loop *loop = turn_loop_create();
    struct deadline restless = {.again = UINT64_MAX};

    (void)state;
    deadline_start(&restless, loop, 0);
    for (unsigned turns = 1; restless.times < 3; turns++) {
        turn_once(loop);
        assert_in_range(restless.times, 0, turns);
    }
    restless.again = 0;
    timer_stop(loop, &restless.timer);
    loop_free(loop);
}

struct stopper {
    struct timer timer;
    struct loop *loop;
    struct timer *victim;
};

static void on_stopper(struct timer *timer)
{
    struct stopper *s = container_of(timer, struct stopper, timer);

    timer_stop(s->loop, s->victim);
}

static void test_a_timer_may_stop_one_that_is_due(void **state)
{
    struct loop *loop = turn_loop_create();
    struct deadline victim = {0};
    struct stopper stopper = {.loop = loop, .victim = &victim.timer};

    (void)state;
    timer_start(loop, &stopper.timer, 2, on_stopper);
    deadline_start(&victim, loop, 3);
    uint64_t until = loop_now(loop) + 5;
    while (uv_hrtime() / 1000000 < until) /* both are due when the loop looks */
        ;
    turn_for(loop, 10);
    assert_int_equal(victim.times, 0);
    loop_free(loop);
}

static void test_an_armed_timer_outlives_its_loop(void **state)
{
    struct loop *loop = turn_loop_create();
    struct deadline d = {0};

    (void)state;
    deadline_start(&d, loop, 10000);
    loop_free(loop);
    assert_false(timer_is_active(&d.timer));
}

/* ---- work --------------------------------------------------------------------------------- */

struct task {
    struct work work;
    pthread_t ran_on, done_on;
    unsigned runs, dones;
};

static void task_run(struct work *work)
{
    struct task *task = container_of(work, struct task, work);

    task->ran_on = pthread_self();
    task->runs++;
}

static void task_done(struct call *call)
{
    struct task *task = container_of(call, struct task, work.call);

    task->done_on = pthread_self();
    task->dones++;
}

static void test_work_is_done_elsewhere_and_told_here(void **state)
{
    enum { TASKS = 50 };
    struct loop *loop = turn_loop_create();
    static struct task tasks[TASKS];

    (void)state;
    for (unsigned i = 0; i < TASKS; i++) {
        tasks[i].work.run = task_run;
        tasks[i].work.call.done = task_done;
        loop_work(loop, &tasks[i].work);
        assert_int_equal(tasks[i].dones, 0);
    }
    for (unsigned i = 0; i < TASKS; i++) {
        TURN_UNTIL(loop, tasks[i].dones > 0);
        assert_int_equal(tasks[i].runs, 1);
        assert_int_equal(tasks[i].dones, 1);
        assert_false(pthread_equal(tasks[i].ran_on, pthread_self()));
        assert_true(pthread_equal(tasks[i].done_on, pthread_self()));
    }
    loop_free(loop);
}

/* ---- signals ------------------------------------------------------------------------------ */

static unsigned caught;

static void on_caught(struct loop_signal *signal)
{
    (void)signal;
    caught++;
}

static void test_signals(void **state)
{
    struct loop *loop = turn_loop_create();
    struct loop_signal user = {.caught = on_caught};

    (void)state;
    assert_false(err_is(loop_catch(loop, &user, SIGUSR1)));
    raise(SIGUSR1);
    TURN_UNTIL(loop, caught == 1);
    raise(SIGUSR1);
    TURN_UNTIL(loop, caught == 2);
    loop_free(loop);
}

/* ---- descriptors -------------------------------------------------------------------------- */

struct seen_ready {
    struct loop_watch watch;
    int fd;
    int events; /* of the last time */
    unsigned times;
};

/* Reads a byte; at the end of what comes it stops watching, from within. */
static void on_seen_ready(struct loop_watch *watch, int events)
{
    struct seen_ready *seen = container_of(watch, struct seen_ready, watch);
    char byte;

    seen->times++;
    seen->events = events;
    if (read(seen->fd, &byte, 1) == 1)
        return;
    loop_watch_stop(watch);
    close(seen->fd);
}

static void test_a_descriptor_is_watched(void **state)
{
    struct loop *loop = turn_loop_create();
    struct seen_ready seen = {.watch.ready = on_seen_ready};
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    seen.fd = ends[0];
    assert_false(err_is(loop_watch_start(loop, &seen.watch, ends[0], LOOP_READABLE)));
    assert_int_equal(write(ends[1], "ab", 2), 2);
    assert_int_equal(seen.times, 0);
    TURN_UNTIL(loop, seen.times == 2);
    assert_int_equal(seen.events, LOOP_READABLE);
    close(ends[1]);
    TURN_UNTIL(loop, seen.watch.handle == NULL);
    loop_watch_stop(&seen.watch);
    loop_free(loop);
    assert_int_equal(seen.times, 3);
}

static void test_what_cannot_be_watched_is_an_error(void **state)
{
    struct loop *loop = turn_loop_create();
    struct seen_ready seen = {.watch.ready = on_seen_ready};
    FILE *file = tmpfile();

    (void)state;
    assert_true(err_is(loop_watch_start(loop, &seen.watch, fileno(file), LOOP_READABLE)));
    assert_true(err_is(loop_watch_start(loop, &seen.watch, -1, LOOP_READABLE)));
    assert_null(seen.watch.handle);
    fclose(file);
    loop_free(loop);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defer_keeps_the_order),
        cmocka_unit_test(test_a_deferred_call_can_be_taken_back),
        cmocka_unit_test(test_a_long_chain_does_not_starve_timers),
        cmocka_unit_test(test_posts_of_a_thread_keep_their_order),
        cmocka_unit_test(test_stop_from_another_thread),
        cmocka_unit_test(test_a_loop_that_was_stopped_may_go_at_once),
        cmocka_unit_test(test_stop_before_it_runs),
        cmocka_unit_test(test_timers_fire_in_time),
        cmocka_unit_test(test_moved_timers),
        cmocka_unit_test(test_a_delay_beyond_all_time_does_not_wrap_round),
        cmocka_unit_test(test_a_timer_may_arm_itself_anew),
        cmocka_unit_test(test_a_timer_may_stop_one_that_is_due),
        cmocka_unit_test(test_an_armed_timer_outlives_its_loop),
        cmocka_unit_test(test_work_is_done_elsewhere_and_told_here),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_a_descriptor_is_watched),
        cmocka_unit_test(test_what_cannot_be_watched_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
