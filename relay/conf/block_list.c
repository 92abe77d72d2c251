#include "conf/block_list.h"

#include "conf/address.h"

#include <arpa/inet.h>

enum { LOOPBACK = 127 };

/* The longest IPv6 address, reversed, must go before the zone: 64 of 253 bytes. */
enum { ZONE_MAX = 253 - 64 };

static bool parse_answer(struct span text, uint32_t *out)
{
    char copy[INET_ADDRSTRLEN];
    struct in_addr answer;

    if (text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, &answer) != 1)
        return false;
    *out = ntohl(answer.s_addr);
    return *out >> 24 == LOOPBACK;
}

/* "127.0.0.2" or "127.0.0.4-127.0.0.7" */
static bool parse_range(struct span text, struct conf_answer_range *out)
{
    struct span last;
    struct span first = span_trim(span_split(text, '-', &last));

    if (first.len == text.len)
        last = first;
    return parse_answer(first, &out->first) && parse_answer(span_trim(last), &out->last) &&
           out->first <= out->last;
}

bool conf_block_list_parse(struct span text, struct conf_block_list *out, struct buf *why)
{
    struct span answers;
    struct span zone = span_trim(span_split(text, '=', &answers));
    bool has_answers = span_index(text, '=') < text.len;

    *out = (struct conf_block_list){0};
    if (zone.len > ZONE_MAX || !conf_is_domain(zone)) {
        buf_addf(why, "is not a block list; expected one like zen.example or "
                      "zen.example=127.0.0.2,127.0.0.4-127.0.0.7");
        return false;
    }
    while (has_answers) {
        struct span one = span_trim(span_split(answers, ',', &answers));
        if (out->range_count == CONF_ANSWER_RANGES_MAX) {
            buf_addf(why, "has too many answers; expected at most %d", CONF_ANSWER_RANGES_MAX);
            return false;
        }
        if (!parse_range(one, &out->ranges[out->range_count++])) {
            buf_addf(why, "has a wrong answer; expected addresses like 127.0.0.2 or ranges like "
                          "127.0.0.4-127.0.0.7");
            return false;
        }
        has_answers = answers.len > 0;
    }
    out->zone = span_to_text(zone);
    return true;
}

static void print_answer(uint32_t answer, struct buf *out)
{
    buf_addf(out, "%u.%u.%u.%u", answer >> 24, answer >> 16 & 255, answer >> 8 & 255, answer & 255);
}

void conf_block_list_print(const struct conf_block_list *list, struct buf *out)
{
    buf_addf(out, "%s", list->zone);
    for (unsigned i = 0; i < list->range_count; i++) {
        buf_addf(out, i == 0 ? "=" : ",");
        print_answer(list->ranges[i].first, out);
        if (list->ranges[i].first == list->ranges[i].last)
            continue;
        buf_addf(out, "-");
        print_answer(list->ranges[i].last, out);
    }
}

bool conf_block_list_counts(const struct conf_block_list *list, struct in_addr answer)
{
    uint32_t number = ntohl(answer.s_addr);

    if (list->range_count == 0)
        return number >> 24 == LOOPBACK;
    for (unsigned i = 0; i < list->range_count; i++)
        if (number >= list->ranges[i].first && number <= list->ranges[i].last)
            return true;
    return false;
}
