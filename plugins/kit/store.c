/* What a plugin keeps, and what it counts: in memory. */
#include "plugins/kit/private.h"

#include "base/memory.h"

#include <string.h>

enum { KEY_MOST = 400 };

struct value {
    struct list link;
    struct span key;
    struct span bytes;
};

static struct value *find(struct kit *kit, struct smarthop_span key)
{
    for (struct list *node = kit->values.next; node != &kit->values; node = node->next) {
        struct value *value = container_of(node, struct value, link);
        if (span_equal(value->key, plugin_span(key)))
            return value;
    }
    return NULL;
}

static void value_free(struct value *value)
{
    list_remove(&value->link);
    free((char *)(uintptr_t)value->key.ptr);
    free((char *)(uintptr_t)value->bytes.ptr);
    free(value);
}

static bool is_key(struct kit *kit, struct smarthop_span key)
{
    if (key.len > 0 && key.len <= KEY_MOST)
        return true;
    record_problem(kit, "the key of a value has not 1 to 400 bytes");
    return false;
}

int64_t kit_kv_get(struct smarthop_self *self, struct smarthop_span key, void *bytes, size_t len)
{
    struct kit *kit = self->kit;
    int64_t found = -1;

    if (!is_key(kit, key))
        return -1;
    pthread_mutex_lock(&kit->lock);
    const struct value *value = find(kit, key);
    if (value != NULL) {
        found = (int64_t)value->bytes.len;
        memcpy(bytes, value->bytes.ptr, len < value->bytes.len ? len : value->bytes.len);
    }
    pthread_mutex_unlock(&kit->lock);
    return found;
}

void kit_kv_put(struct smarthop_self *self, uint64_t token, struct smarthop_span key,
                struct smarthop_span value, void (*done)(void *context, int error), void *context)
{
    struct kit *kit = self->kit;

    if (!is_key(kit, key))
        return;
    pthread_mutex_lock(&kit->lock);
    struct value *old = find(kit, key);
    if (old != NULL)
        value_free(old);
    if (value.len > 0) {
        struct value *new = mem_zalloc(sizeof *new);
        new->key = span_of(span_to_text(plugin_span(key)), key.len);
        new->bytes = span_of(span_to_text(plugin_span(value)), value.len);
        list_init(&new->link);
        list_append(&kit->values, &new->link);
    }
    pthread_mutex_unlock(&kit->lock);
    if (done != NULL)
        kit_stored(kit, token, done, context);
}

struct metric {
    struct list link;
    char *name;
    uint64_t count;
    uint64_t sum;
};

uint32_t kit_metric(struct smarthop_self *self, enum smarthop_metric kind, const char *name,
                    const char *help)
{
    struct kit *kit = self->kit;
    struct metric *metric;

    if (kind > SMARTHOP_HISTOGRAM || !metric_is_name(name)) {
        record_problem(kit, "a metric whose kind or name cannot be: of [a-z0-9_], 64 at most");
        return 0;
    }
    if (help == NULL || help[0] == '\0')
        record_problem(kit, "a metric without a help text");
    metric = mem_zalloc(sizeof *metric);
    metric->name = mem_strdup(name);
    list_init(&metric->link);
    pthread_mutex_lock(&kit->lock);
    list_append(&kit->metrics, &metric->link);
    uint32_t number = ++kit->metric_count;
    pthread_mutex_unlock(&kit->lock);
    return number;
}

void kit_metric_add(struct smarthop_self *self, uint32_t number, uint64_t value)
{
    struct kit *kit = self->kit;

    pthread_mutex_lock(&kit->lock);
    bool is_known = number > 0 && number <= kit->metric_count;
    struct list *node = &kit->metrics;
    for (uint32_t i = 0; is_known && i < number; i++)
        node = node->next;
    if (is_known) {
        struct metric *metric = container_of(node, struct metric, link);
        metric->count++;
        metric->sum += value;
    }
    pthread_mutex_unlock(&kit->lock);
    if (!is_known)
        record_problem(kit, "it adds to a metric that it has not made");
}

void metrics_tell(struct kit *kit)
{
    for (struct list *node = kit->metrics.next; node != &kit->metrics; node = node->next) {
        const struct metric *metric = container_of(node, struct metric, link);
        record_metric(kit, metric->name, metric->count, metric->sum);
    }
}

void store_free(struct kit *kit)
{
    while (!list_is_empty(&kit->values))
        value_free(container_of(kit->values.next, struct value, link));
    for (struct list *node; (node = list_pop(&kit->metrics)) != NULL;) {
        struct metric *metric = container_of(node, struct metric, link);
        free(metric->name);
        free(metric);
    }
}
