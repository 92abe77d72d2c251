/* private: what the files of rules share. */
#ifndef SMARTHOP_HEADER_PRIVATE_H
#define SMARTHOP_HEADER_PRIVATE_H

#include "rules.h"
#include "token.h"

#include <stdatomic.h>
#include <strings.h>

enum subject {
    SUBJECT_ANY,
    SUBJECT_FIELD,
    SUBJECT_SENDER,
    SUBJECT_RECIPIENT,
    SUBJECT_USER,
    SUBJECT_TENANT,
    SUBJECT_HELO,
    SUBJECT_CLIENT_NAME,
    SUBJECT_LISTENER,
    SUBJECT_CLIENT,
    SUBJECT_SIZE,
    SUBJECT_TIME,
    SUBJECT_DAYS,
};

enum test {
    TEST_PRESENT,
    TEST_EQUAL,  /* in any case */
    TEST_DOMAIN, /* an address of this domain */
    TEST_BELOW,  /* an address of this domain, or of one below it */
    TEST_PATTERN,
};

struct network {
    int family; /* AF_INET, AF_INET6 */
    unsigned char bytes[16];
    unsigned bits;
};

struct condition {
    enum subject subject;
    enum test test;
    bool is_negated;
    uint32_t field; /* of rules.names */
    struct smarthop_span text;
    struct pattern *pattern;
    struct network network;
    uint64_t from, to; /* sizes, both included; minutes of the day, `to` not included */
    unsigned days;     /* 1 << 0 is Sunday */
};

enum { RULE_WHY_MAX = 32, RULE_CONDITIONS_MAX = 100 };

struct rule {
    struct condition *conditions;
    uint32_t condition_count;
    struct smarthop_verdict verdict; /* points to the next two, and into the file's content */
    struct smarthop_next_hop *next_hops;
    struct smarthop_span *tags;
    char why[RULE_WHY_MAX];
};

struct rules {
    atomic_uint refs;
    char *text;
    struct rule *rules;
    uint32_t rule_count;
    struct smarthop_span *names; /* of the fields that rules look at, each once */
    uint32_t name_count;
};

struct parser {
    struct rules *rules;
    struct tokens tokens;
    struct token token; /* the next one */
    const struct pattern_limits *limits;
    const char *file;
    char *problem;
};

/* The array with room for one more, zeroed. */
void *rules_grow(void *array, uint32_t count, size_t size);

void parser_next(struct parser *parser);
/* Always false. */
bool parser_fail(struct parser *parser, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The token has to be a word or a text: `what` names it. */
bool parser_take(struct parser *parser, const char *what, struct smarthop_span *text_out);
/* A number, and what is behind it. */
bool number_of(struct smarthop_span text, uint64_t *number_out, struct smarthop_span *rest_out);

bool parse_condition(struct parser *parser, struct condition *condition);
bool parse_action(struct parser *parser, struct rule *rule);

/* A field that a rule asks for. */
struct field {
    struct field *next;
    uint32_t name;
    struct smarthop_span value; /* unfolded, without blanks around it */
};

/* Those of the header whose names rules ask for, in their order, in the event's memory. */
struct field *fields_find(const struct rules *rules, struct rules_asking *asking,
                          struct smarthop_span header);

bool network_parse(struct smarthop_span text, struct network *out);
bool network_holds(const struct network *network, const struct network *address);

#define TEXT_ARG(span) (int)(span).len, (span).ptr

#endif
