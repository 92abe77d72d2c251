/*
 * search_match: whether a plan finds a message. Three answers besides: what a key needs may have to
 * be waited for, and then so has the whole message; or the store may fail.
 */
#include "plugins/drop/imap/search_private.h"

enum { DAY_SECONDS = 86400, MINUTE_SECONDS = 60 };

/* Days since 1970, before it too. */
static int64_t search_day(int64_t seconds, int zone)
{
    int64_t local = seconds + (int64_t)zone * MINUTE_SECONDS;

    return local >= 0 ? local / DAY_SECONDS : -((DAY_SECONDS - 1 - local) / DAY_SECONDS);
}

static bool search_ranges_hold(const struct mailstore_range *ranges, unsigned count, uint32_t uid)
{
    unsigned low = 0, high = count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (ranges[middle].last < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && ranges[low].first <= uid;
}

static enum search_answer answer_of(bool is_so)
{
    return is_so ? SEARCH_YES : SEARCH_NO;
}

/* By an entry's own columns. */
static bool match_entry(const struct search_plan *plan, const struct search_node *node,
                        const struct mailstore_entry *entry)
{
    int64_t received = search_day(entry->internal_date, entry->internal_zone);
    int64_t saved = search_day(entry->save_date, 0);
    int64_t number = (int64_t)node->number; /* days and seconds; days may lie before 1970 */
    char id[IMAP_EMAIL_ID_MAX];

    switch (node->key) {
    case IMAP_KEY_ALL:
    case IMAP_KEY_SAVE_DATE_SUPPORTED:
        return true;
    case IMAP_KEY_SEQUENCE:
    case IMAP_KEY_UID:
        return search_ranges_hold(node->ranges, node->range_count, entry->uid);
    case IMAP_KEY_FLAG:
        return (entry->flags & node->flag) != 0;
    case IMAP_KEY_KEYWORD:
        return (entry->keywords & node->number) != 0;
    case IMAP_KEY_RECENT:
        return entry->uid >= plan->recent_from && entry->uid < plan->recent_end;
    case IMAP_KEY_BEFORE:
        return received < number;
    case IMAP_KEY_ON:
        return received == number;
    case IMAP_KEY_SINCE:
        return received >= number;
    case IMAP_KEY_SAVED_BEFORE:
        return saved < number;
    case IMAP_KEY_SAVED_ON:
        return saved == number;
    case IMAP_KEY_SAVED_SINCE:
        return saved >= number;
    case IMAP_KEY_LARGER:
        return entry->size > node->number;
    case IMAP_KEY_SMALLER:
        return entry->size < node->number;
    case IMAP_KEY_OLDER:
        return entry->internal_date <= number;
    case IMAP_KEY_YOUNGER:
        return entry->internal_date >= number;
    case IMAP_KEY_MODSEQ:
        return entry->modseq >= node->number;
    case IMAP_KEY_EMAILID:
        return span_equal(node->text, imap_email_id(entry->message, id));
    default:
        return false;
    }
}

/* RFC 9051 6.4.4: the date as it is written, whatever its time and zone are. */
static enum search_answer match_sent(const struct search_node *node, struct search_message *m)
{
    enum search_answer answer = search_message_header(m);
    int64_t seconds;
    int zone;

    if (answer != SEARCH_YES)
        return answer;
    if (!search_message_sent(m, &seconds, &zone))
        return SEARCH_NO;
    int64_t day = search_day(seconds, zone);
    int64_t number = (int64_t)node->number;
    if (node->key == IMAP_KEY_SENT_BEFORE)
        return answer_of(day < number);
    return answer_of(node->key == IMAP_KEY_SENT_ON ? day == number : day >= number);
}

static enum search_answer match_thread(const struct search_node *node, struct search_message *m)
{
    enum search_answer answer = search_message_header(m);
    char id[IMAP_THREAD_ID_MAX];

    if (answer != SEARCH_YES)
        return answer;
    return answer_of(
        span_equal(node->text, imap_thread_id(buf_span(&m->header), m->entry->message, id)));
}

/* AND ends with the first no, OR with the first yes; both with what is neither. */
static enum search_answer match_children(const struct search_plan *plan,
                                         const struct search_node *node, struct search_message *m)
{
    enum search_answer goes_on = node->key == IMAP_KEY_OR ? SEARCH_NO : SEARCH_YES;

    for (const struct search_node *child = node->child; child != NULL; child = child->next) {
        enum search_answer answer = search_match(plan, child, m);

        if (answer != goes_on)
            return answer;
    }
    return goes_on;
}

enum search_answer search_match(const struct search_plan *plan, const struct search_node *node,
                                struct search_message *m)
{
    enum search_answer answer;

    switch (node->key) {
    case IMAP_KEY_AND:
    case IMAP_KEY_OR:
        return match_children(plan, node, m);
    case IMAP_KEY_NOT:
        answer = match_children(plan, node, m);
        if (answer == SEARCH_YES || answer == SEARCH_NO)
            return answer_of(answer == SEARCH_NO);
        return answer;
    case IMAP_KEY_HEADER:
        return search_text_header(m, node);
    case IMAP_KEY_BODY:
        return search_text_body(m, node);
    case IMAP_KEY_TEXT:
        return search_text_all(m, node);
    case IMAP_KEY_SENT_BEFORE:
    case IMAP_KEY_SENT_ON:
    case IMAP_KEY_SENT_SINCE:
        return match_sent(node, m);
    case IMAP_KEY_THREADID:
        return match_thread(node, m);
    default:
        return answer_of(match_entry(plan, node, m->entry));
    }
}
