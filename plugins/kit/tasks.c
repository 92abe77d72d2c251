/* What plugins asked to be done later, by the made-up clock: the clock jumps to what is next. Only
 * while a descriptor is watched, or the plugin has threads of its own, does it go with the real
 * one, since what those wait for is real. */
#include "plugins/kit/private.h"

#include "base/clock.h"
#include "base/memory.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAIT_MOST_MS = 10 };

/* TASK_STORED and TASK_WORK are done whatever becomes of their event. */
enum task_kind { TASK_TIMER, TASK_DNS, TASK_WORK, TASK_STORED };

struct task {
    struct list link;
    uint64_t id;
    uint64_t token;
    uint64_t due;
    enum task_kind kind;
    void *context;
    void (*fire)(void *context); /* of a timer; of work: done */
    void (*run)(void *context);
    void (*stored)(void *context, int error);
    void (*found)(void *context, const struct smarthop_dns_answer *answer);
    enum smarthop_record record;
    char *name;
};

struct watch {
    struct list link;
    uint64_t id;
    uint64_t token;
    int descriptor;
    int events;
    void (*ready)(void *context, int events);
    void *context;
};

static void wake(struct kit *kit)
{
    uint64_t one = 1;

    if (write(kit->wake, &one, sizeof one) < 0)
        abort();
}

static void task_free(struct task *task)
{
    list_remove(&task->link);
    free(task->name);
    free(task);
}

static bool is_over(struct kit *kit, uint64_t token)
{
    const struct asking *asking = token != 0 ? asking_find(kit, token) : NULL;

    return token != 0 && (asking == NULL || asking->is_over);
}

static uint64_t task_add(struct kit *kit, const struct task *model, uint64_t delay)
{
    struct task *task = mem_alloc(sizeof *task);

    pthread_mutex_lock(&kit->lock);
    bool is_late = model->kind <= TASK_DNS && is_over(kit, model->token);
    uint64_t id = is_late ? 0 : ++kit->last_id;
    if (is_late) {
        free(model->name);
        free(task);
    } else {
        *task = *model;
        task->id = id;
        task->due = bounded_sum(kit->now, delay);
        list_init(&task->link);
        list_append(&kit->tasks, &task->link);
    }
    pthread_mutex_unlock(&kit->lock);
    wake(kit);
    return id;
}

uint64_t kit_timer_start(struct smarthop_self *self, uint64_t token, uint64_t delay,
                         void (*fire)(void *context), void *context)
{
    struct task task = {.token = token, .kind = TASK_TIMER, .fire = fire, .context = context};

    return task_add(self->kit, &task, delay);
}

void kit_timer_stop(struct smarthop_self *self, uint64_t id)
{
    struct kit *kit = self->kit;

    pthread_mutex_lock(&kit->lock);
    for (struct list *node = kit->tasks.next; node != &kit->tasks; node = node->next) {
        struct task *task = container_of(node, struct task, link);
        if (task->id == id && task->kind == TASK_TIMER) {
            task_free(task);
            break;
        }
    }
    pthread_mutex_unlock(&kit->lock);
}

void kit_work(struct smarthop_self *self, uint64_t token, void (*run)(void *context),
              void (*done)(void *context), void *context)
{
    struct task task = {
        .token = token, .kind = TASK_WORK, .run = run, .fire = done, .context = context};

    task_add(self->kit, &task, 0);
}

void kit_stored(struct kit *kit, uint64_t token, void (*done)(void *context, int error),
                void *context)
{
    struct task task = {.token = token, .kind = TASK_STORED, .stored = done, .context = context};

    task_add(kit, &task, 0);
}

/* ---- names --------------------------------------------------------------------------------- */

/* Of MX there are two ways to ask. */
static bool has_preferences(enum smarthop_record record)
{
    return record == SMARTHOP_DNS_MX || record == SMARTHOP_DNS_MX_ONLY;
}

static bool fits(const struct name_row *row, enum smarthop_record record, struct span name)
{
    bool is_it = row->record == record || (has_preferences(row->record) && has_preferences(record));

    return is_it && span_equal_nocase(span_cstr(row->name), name);
}

void kit_dns(struct smarthop_self *self, uint64_t token, enum smarthop_record record,
             struct smarthop_span name,
             void (*done)(void *context, const struct smarthop_dns_answer *answer), void *context)
{
    struct kit *kit = self->kit;
    struct span wanted = plugin_span(name);
    struct task task = {.token = token,
                        .kind = TASK_DNS,
                        .found = done,
                        .context = context,
                        .record = record,
                        .name = span_to_text(wanted)};
    uint64_t delay = 0;

    for (unsigned i = 0; i < kit->names.count; i++)
        if (fits(&kit->names.rows[i], record, wanted) && kit->names.rows[i].delay > delay)
            delay = kit->names.rows[i].delay;
    task_add(kit, &task, delay);
}

/* A name that the script does not have does not exist. */
static void tell_found(struct kit *kit, const struct task *task)
{
    struct smarthop_dns_answer answer = {
        .size = sizeof answer, .result = SMARTHOP_DNS_NONE, .ttl_s = 300};
    struct smarthop_span *records = mem_zalloc((kit->names.count + 1) * sizeof *records);
    uint16_t *preferences = mem_zalloc((kit->names.count + 1) * sizeof *preferences);

    for (unsigned i = 0; i < kit->names.count; i++) {
        const struct name_row *row = &kit->names.rows[i];
        if (!fits(row, task->record, span_cstr(task->name)))
            continue;
        answer.result = row->result;
        answer.authenticated = row->is_secure;
        if (row->value == NULL)
            continue;
        records[answer.count] = smarthop_span_of(row->value, strlen(row->value));
        preferences[answer.count++] = row->preference;
    }
    if (answer.result == SMARTHOP_DNS_OK)
        answer.records = records;
    if (answer.result == SMARTHOP_DNS_OK && has_preferences(task->record))
        answer.preferences = preferences;
    task->found(task->context, &answer);
    free(records);
    free(preferences);
}

/* ---- descriptors --------------------------------------------------------------------------- */

uint64_t kit_watch(struct smarthop_self *self, uint64_t token, int descriptor, int events,
                   void (*ready)(void *context, int events), void *context)
{
    struct kit *kit = self->kit;
    struct watch *watch = mem_zalloc(sizeof *watch);

    watch->token = token;
    watch->descriptor = descriptor;
    watch->events = events;
    watch->ready = ready;
    watch->context = context;
    list_init(&watch->link);
    pthread_mutex_lock(&kit->lock);
    uint64_t id = is_over(kit, token) ? 0 : ++kit->last_id;
    watch->id = id;
    if (id != 0)
        list_append(&kit->watches, &watch->link);
    else
        free(watch);
    pthread_mutex_unlock(&kit->lock);
    wake(kit);
    return id;
}

static void watch_free(struct watch *watch)
{
    list_remove(&watch->link);
    free(watch);
}

static struct watch *find_watch(struct kit *kit, uint64_t id)
{
    for (struct list *node = kit->watches.next; node != &kit->watches; node = node->next) {
        struct watch *watch = container_of(node, struct watch, link);
        if (watch->id == id)
            return watch;
    }
    return NULL;
}

void kit_unwatch(struct smarthop_self *self, uint64_t id)
{
    struct kit *kit = self->kit;

    pthread_mutex_lock(&kit->lock);
    struct watch *watch = find_watch(kit, id);
    if (watch != NULL)
        watch_free(watch);
    pthread_mutex_unlock(&kit->lock);
}

static short poll_events(int events)
{
    return (short)((events & SMARTHOP_READABLE ? POLLIN : 0) |
                   (events & SMARTHOP_WRITABLE ? POLLOUT : 0));
}

static int ready_events(const struct watch *watch, short found)
{
    int events = found & POLLOUT ? SMARTHOP_WRITABLE : 0;

    if (found & (POLLIN | POLLHUP | POLLERR))
        events |= SMARTHOP_READABLE;
    if (found & (POLLHUP | POLLERR))
        events |= watch->events;
    return events & watch->events;
}

/* The first watch that is ready; it may be gone again, so it is looked for by its id. */
static bool tell_ready(struct kit *kit, const struct pollfd *polls, const uint64_t *ids,
                       unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (polls[i].revents == 0)
            continue;
        pthread_mutex_lock(&kit->lock);
        const struct watch *watch = find_watch(kit, ids[i]);
        struct watch copy = watch != NULL ? *watch : (struct watch){0};
        pthread_mutex_unlock(&kit->lock);
        if (copy.ready == NULL)
            continue;
        kit_phase(kit, "a watched descriptor");
        copy.ready(copy.context, ready_events(&copy, polls[i].revents));
        return true;
    }
    return false;
}

/* ---- the clock ----------------------------------------------------------------------------- */

static unsigned count_watches(struct kit *kit)
{
    unsigned count = 0;

    for (struct list *node = kit->watches.next; node != &kit->watches; node = node->next)
        count++;
    return count;
}

/* By the links of their folder: a listing misses some while others end. */
nlink_t count_threads(void)
{
    struct stat st;

    if (stat("/proc/self/task", &st) != 0)
        abort();
    return st.st_nlink;
}

static bool has_threads(const struct kit *kit)
{
    return count_threads() > kit->own_threads;
}

bool kit_has_more(struct kit *kit)
{
    pthread_mutex_lock(&kit->lock);
    bool has = !list_is_empty(&kit->tasks) || !list_is_empty(&kit->watches);
    pthread_mutex_unlock(&kit->lock);
    return has || has_threads(kit);
}

/* With the lock held. */
static struct task *earliest(struct kit *kit)
{
    struct task *first = NULL;

    for (struct list *node = kit->tasks.next; node != &kit->tasks; node = node->next) {
        struct task *task = container_of(node, struct task, link);
        if (first == NULL || task->due < first->due)
            first = task;
    }
    return first;
}

/* Waits for real, at most until then, and brings the clock up to date. The end of a thread wakes
 * nobody, so it is looked for again soon. */
static void wait_for_real(struct kit *kit, uint64_t until)
{
    uint64_t began = clock_mono_ms();
    uint64_t wait = until - kit->now < WAIT_MOST_MS ? until - kit->now : WAIT_MOST_MS;
    uint64_t drained;

    pthread_mutex_lock(&kit->lock);
    unsigned count = 0, most = count_watches(kit);
    struct pollfd *polls = mem_zalloc((most + 1) * sizeof *polls);
    uint64_t *ids = mem_zalloc((most + 1) * sizeof *ids);
    for (struct list *node = kit->watches.next; node != &kit->watches; node = node->next) {
        const struct watch *watch = container_of(node, struct watch, link);
        ids[count] = watch->id;
        polls[count++] = (struct pollfd){watch->descriptor, poll_events(watch->events), 0};
    }
    pthread_mutex_unlock(&kit->lock);
    polls[count] = (struct pollfd){kit->wake, POLLIN, 0};
    bool came = poll(polls, count + 1, (int)wait) > 0;
    uint64_t spent = clock_mono_ms() - began;
    pthread_mutex_lock(&kit->lock);
    kit->now += !came || spent > wait ? wait : spent;
    pthread_mutex_unlock(&kit->lock);
    if (polls[count].revents != 0 && read(kit->wake, &drained, sizeof drained) < 0)
        abort();
    if (came)
        tell_ready(kit, polls, ids, count);
    free(polls);
    free(ids);
}

static void run_task(struct kit *kit, struct task *task)
{
    switch (task->kind) {
    case TASK_TIMER:
        kit_phase(kit, "a timer");
        task->fire(task->context);
        break;
    case TASK_DNS:
        kit_phase(kit, "an answer of the DNS");
        tell_found(kit, task);
        break;
    case TASK_WORK:
        kit_phase(kit, "work");
        kit->working = task->token;
        task->run(task->context);
        kit->working = 0;
        kit_phase(kit, "the end of work");
        task->fire(task->context);
        break;
    case TASK_STORED:
        kit_phase(kit, "the end of a write");
        task->stored(task->context, 0);
        break;
    }
    task_free(task);
}

bool kit_step(struct kit *kit, uint64_t until)
{
    pthread_mutex_lock(&kit->lock);
    struct task *task = earliest(kit);
    bool is_due = task != NULL && task->due <= kit->now;
    bool is_real = !list_is_empty(&kit->watches) || has_threads(kit);
    uint64_t next = task != NULL && task->due < until ? task->due : until;
    if (!is_due && !is_real && task != NULL) {
        kit->now = next;
        is_due = task->due <= until;
    }
    if (is_due)
        list_remove(&task->link);
    pthread_mutex_unlock(&kit->lock);
    if (is_due)
        run_task(kit, task);
    else if (is_real)
        wait_for_real(kit, next);
    return is_due || (is_real && kit->now < until);
}

/* ---- ends ---------------------------------------------------------------------------------- */

void tasks_drop(struct kit *kit, uint64_t token)
{
    struct list *next;

    for (struct list *node = kit->tasks.next; node != &kit->tasks; node = next) {
        struct task *task = container_of(node, struct task, link);
        next = node->next;
        if (task->token == token && task->kind <= TASK_DNS)
            task_free(task);
    }
    for (struct list *node = kit->watches.next; node != &kit->watches; node = next) {
        struct watch *watch = container_of(node, struct watch, link);
        next = node->next;
        if (watch->token == token)
            watch_free(watch);
    }
}

void tasks_free(struct kit *kit)
{
    while (!list_is_empty(&kit->tasks))
        task_free(container_of(kit->tasks.next, struct task, link));
    while (!list_is_empty(&kit->watches))
        watch_free(container_of(kit->watches.next, struct watch, link));
}
