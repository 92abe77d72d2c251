#include "dns_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    RULES_MAX = 256,
    SEEN_MAX = 4096,
    DELAYED_MAX = 64,
    MESSAGE_MAX = 8192,
    NAME_SIZE = 256,
    HEADER_SIZE = 12,
    FOLLOW_MAX = 16,
    SOA_MINIMUM = 300,
    PORT_TRIES = 50,
};

enum {
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_PTR = 12,
    TYPE_MX = 15,
    TYPE_TXT = 16,
    TYPE_AAAA = 28,
};
enum { TYPE_ANY = 255, TYPE_NONE = 0 };
enum { RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3, RCODE_REFUSED = 5 };

struct rule {
    char name[NAME_SIZE];
    uint16_t type;
    unsigned number;      /* the TTL, or the action's argument */
    char text[NAME_SIZE]; /* the data, or "!action" */
};

struct seen {
    char name[NAME_SIZE];
    uint16_t type;
    bool is_tcp;
};

struct reply {
    uint8_t data[MESSAGE_MAX];
    size_t size;
};

struct delayed {
    uint64_t due;
    struct sockaddr_in peer;
    struct reply reply;
};

struct dns_server {
    pthread_t thread;
    int udp;
    int tcp;
    int stop[2];
    struct sockaddr_in address;
    pthread_mutex_t lock; /* of all below but `delayed` */
    struct rule rules[RULES_MAX];
    unsigned rule_count;
    struct seen seen[SEEN_MAX];
    unsigned seen_count;
    struct delayed *delayed[DELAYED_MAX]; /* the thread's */
};

static void need(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "dns_server: %s: %s\n", what, strerror(errno));
    abort();
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the zone ---- */

static uint16_t type_number(const char *text)
{
    static const struct {
        const char *text;
        uint16_t number;
    } types[] = {{"A", TYPE_A},       {"NS", TYPE_NS},   {"CNAME", TYPE_CNAME}, {"MX", TYPE_MX},
                 {"AAAA", TYPE_AAAA}, {"PTR", TYPE_PTR}, {"TXT", TYPE_TXT},     {"*", TYPE_ANY}};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].text, text) == 0)
            return types[i].number;
    return TYPE_NONE;
}

static void add_rule(struct dns_server *server, const char *line)
{
    struct rule *rule = &server->rules[server->rule_count];
    char type[16];
    char third[32];
    int used = 0;

    need(server->rule_count < RULES_MAX, "too many rules");
    need(sscanf(line, "%255s %15s %31s %n", rule->name, type, third, &used) == 3, line);
    rule->type = type_number(type);
    need(rule->type != TYPE_NONE, line);
    if (third[0] == '!') {
        snprintf(rule->text, sizeof rule->text, "%s", third);
        rule->number = line[used] ? (unsigned)strtoul(line + used, NULL, 10) : SOA_MINIMUM;
    } else {
        snprintf(rule->text, sizeof rule->text, "%s", line + used);
        rule->number = (unsigned)strtoul(third, NULL, 10);
    }
    server->rule_count++;
}

void dns_server_set_zone(struct dns_server *server, const char *zone)
{
    char *copy = strdup(zone);
    char *rest = copy;

    need(copy != NULL, "strdup");
    pthread_mutex_lock(&server->lock);
    server->rule_count = 0;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        line += strspn(line, " \t");
        if (*line != '\0')
            add_rule(server, line);
    }
    pthread_mutex_unlock(&server->lock);
    free(copy);
}

static bool has_name(const struct dns_server *server, const char *name)
{
    for (unsigned i = 0; i < server->rule_count; i++)
        if (strcasecmp(server->rules[i].name, name) == 0)
            return true;
    return false;
}

static const struct rule *find_action(const struct dns_server *server, const char *name,
                                      uint16_t type, const char *action)
{
    for (unsigned i = 0; i < server->rule_count; i++) {
        const struct rule *rule = &server->rules[i];
        if ((rule->type == type || rule->type == TYPE_ANY) && strcmp(rule->text, action) == 0 &&
            strcasecmp(rule->name, name) == 0)
            return rule;
    }
    return NULL;
}

/* ---- writing a reply ---- */

static void put(struct reply *reply, const void *bytes, size_t size)
{
    need(reply->size + size <= MESSAGE_MAX, "the reply is too long");
    memcpy(reply->data + reply->size, bytes, size);
    reply->size += size;
}

static void put16(struct reply *reply, unsigned value)
{
    put(reply, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void put32(struct reply *reply, unsigned value)
{
    put16(reply, value >> 16);
    put16(reply, value & 0xffff);
}

static void put_name(struct reply *reply, const char *name)
{
    while (*name != '\0' && strcmp(name, ".") != 0) {
        size_t label = strcspn(name, ".");
        put(reply, (uint8_t[]){(uint8_t)label}, 1);
        put(reply, name, label);
        name += label + (name[label] == '.');
    }
    put(reply, "", 1);
}

static void count_up(struct reply *reply, size_t at)
{
    reply->data[at + 1]++;
    if (reply->data[at + 1] == 0)
        reply->data[at]++;
}

enum { ANSWER_COUNT_AT = 6, AUTHORITY_COUNT_AT = 8 };

/* Returns where the data's length goes. The name is a pointer to the question where it can be. */
static size_t begin_record(struct reply *reply, const char *name, const char *question,
                           uint16_t type, unsigned ttl)
{
    if (strcasecmp(name, question) == 0)
        put16(reply, 0xc000 | HEADER_SIZE);
    else
        put_name(reply, name);
    put16(reply, type);
    put16(reply, 1);
    put32(reply, ttl);
    put16(reply, 0);
    return reply->size - 2;
}

static void end_record(struct reply *reply, size_t length_at, size_t count_at)
{
    size_t length = reply->size - length_at - 2;

    reply->data[length_at] = (uint8_t)(length >> 8);
    reply->data[length_at + 1] = (uint8_t)length;
    count_up(reply, count_at);
}

static void put_strings(struct reply *reply, const char *text)
{
    for (bool more = true; more;) {
        size_t len = strcspn(text, "|");
        put(reply, (uint8_t[]){(uint8_t)len}, 1);
        put(reply, text, len);
        more = text[len] == '|';
        text += len + more;
    }
}

static void put_data(struct reply *reply, const struct rule *rule)
{
    struct in6_addr address;
    char host[NAME_SIZE];
    unsigned preference;

    switch (rule->type) {
    case TYPE_A:
        need(inet_pton(AF_INET, rule->text, &address) == 1, rule->text);
        put(reply, &address, sizeof(struct in_addr));
        break;
    case TYPE_AAAA:
        need(inet_pton(AF_INET6, rule->text, &address) == 1, rule->text);
        put(reply, &address, sizeof address);
        break;
    case TYPE_MX:
        need(sscanf(rule->text, "%u %255s", &preference, host) == 2, rule->text);
        put16(reply, preference);
        put_name(reply, host);
        break;
    case TYPE_TXT:
        put_strings(reply, rule->text);
        break;
    default:
        put_name(reply, rule->text);
        break;
    }
}

static void put_soa(struct reply *reply, const char *name, unsigned minimum)
{
    size_t at = begin_record(reply, "test", name, TYPE_SOA, 86400);

    put_name(reply, "ns.test");
    put_name(reply, "hostmaster.test");
    for (int i = 0; i < 4; i++)
        put32(reply, 3600);
    put32(reply, minimum);
    end_record(reply, at, AUTHORITY_COUNT_AT);
}

static void put_referral(struct reply *reply)
{
    size_t at = begin_record(reply, "test", "", TYPE_NS, 3600);

    put_name(reply, "ns.elsewhere.test");
    end_record(reply, at, AUTHORITY_COUNT_AT);
}

/* ---- answering ---- */

static const struct rule *put_records(struct dns_server *server, struct reply *reply,
                                      const char *question, const char *name, uint16_t type)
{
    const struct rule *last = NULL;

    for (unsigned i = 0; i < server->rule_count; i++) {
        const struct rule *rule = &server->rules[i];
        if (rule->type != type || rule->text[0] == '!' || strcasecmp(rule->name, name) != 0)
            continue;
        size_t at = begin_record(reply, name, question, type, rule->number);
        put_data(reply, rule);
        end_record(reply, at, ANSWER_COUNT_AT);
        last = rule;
    }
    return last;
}

static void set_rcode(struct reply *reply, uint8_t rcode)
{
    reply->data[3] = (uint8_t)((reply->data[3] & 0xf0) | rcode);
}

/* Down the CNAMEs that the zone knows, to records or to a "no". */
static void answer_from_zone(struct dns_server *server, struct reply *reply, const char *question,
                             uint16_t type)
{
    const char *name = question;

    for (int step = 0; step < FOLLOW_MAX; step++) {
        const struct rule *rule;
        if ((rule = find_action(server, name, type, "!nodata")) != NULL) {
            put_soa(reply, question, rule->number);
            return;
        }
        rule = find_action(server, name, type, "!nxdomain");
        if (rule != NULL || !has_name(server, name)) {
            set_rcode(reply, RCODE_NXDOMAIN);
            put_soa(reply, question, rule ? rule->number : SOA_MINIMUM);
            return;
        }
        if (put_records(server, reply, question, name, type) != NULL ||
            find_action(server, name, type, "!empty") != NULL)
            return;
        const struct rule *alias = put_records(server, reply, question, name, TYPE_CNAME);
        if (alias == NULL) {
            put_soa(reply, question, SOA_MINIMUM);
            return;
        }
        if (find_action(server, name, type, "!no-follow") != NULL)
            return;
        name = alias->text;
    }
}

struct query {
    const uint8_t *data;
    size_t size;
    char name[NAME_SIZE];
    uint16_t type;
    size_t question_end;
    bool is_tcp;
};

static bool read_query(struct query *query)
{
    size_t at = HEADER_SIZE;
    size_t len = 0;

    while (at < query->size && query->data[at] != 0) {
        size_t label = query->data[at++];
        if (label > 63 || at + label >= query->size || len + label + 2 > NAME_SIZE)
            return false;
        memcpy(query->name + len, query->data + at, label);
        len += label;
        query->name[len++] = '.';
        at += label;
    }
    if (at + 5 > query->size)
        return false;
    query->name[len > 0 ? len - 1 : 0] = '\0';
    query->type = (uint16_t)(query->data[at + 1] << 8 | query->data[at + 2]);
    query->question_end = at + 5;
    return true;
}

static bool has_action(struct dns_server *server, const struct query *query, const char *action)
{
    return find_action(server, query->name, query->type, action) != NULL;
}

static void make_reply(struct dns_server *server, const struct query *query, struct reply *reply)
{
    static const uint8_t flags_and_counts[] = {0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0};

    reply->size = 0;
    put(reply, query->data, 2);
    put(reply, flags_and_counts, sizeof flags_and_counts);
    put(reply, query->data + HEADER_SIZE, query->question_end - HEADER_SIZE);
    if (has_action(server, query, "!wrong-id"))
        reply->data[0] ^= 0xff;
    if (has_action(server, query, "!truncated") && !query->is_tcp) {
        reply->data[2] |= 0x02;
    } else if (has_action(server, query, "!servfail")) {
        set_rcode(reply, RCODE_SERVFAIL);
    } else if (has_action(server, query, "!refused")) {
        set_rcode(reply, RCODE_REFUSED);
    } else if (has_action(server, query, "!referral")) {
        put_referral(reply);
    } else {
        answer_from_zone(server, reply, query->name, query->type);
        if (has_action(server, query, "!malformed"))
            reply->size -= 3;
    }
}

/* False where nothing is to be said. */
static bool answer(struct dns_server *server, struct query *query, struct reply *reply,
                   unsigned *delay_out)
{
    if (!read_query(query))
        return false;
    pthread_mutex_lock(&server->lock);
    need(server->seen_count < SEEN_MAX, "too many queries");
    struct seen *seen = &server->seen[server->seen_count++];
    memcpy(seen->name, query->name, sizeof seen->name);
    seen->type = query->type;
    seen->is_tcp = query->is_tcp;
    bool is_silent = has_action(server, query, "!silent");
    const struct rule *delay = find_action(server, query->name, query->type, "!delay");
    *delay_out = delay != NULL ? delay->number : 0;
    if (!is_silent)
        make_reply(server, query, reply);
    pthread_mutex_unlock(&server->lock);
    return !is_silent;
}

/* ---- the thread ---- */

static void send_later(struct dns_server *server, const struct reply *reply,
                       const struct sockaddr_in *peer, unsigned delay)
{
    for (unsigned i = 0; i < DELAYED_MAX; i++) {
        if (server->delayed[i] != NULL)
            continue;
        struct delayed *delayed = malloc(sizeof *delayed);
        need(delayed != NULL, "malloc");
        *delayed = (struct delayed){now_ms() + delay, *peer, *reply};
        server->delayed[i] = delayed;
        return;
    }
    need(false, "too many delayed replies");
}

static void send_udp(struct dns_server *server, const struct reply *reply,
                     const struct sockaddr_in *peer)
{
    sendto(server->udp, reply->data, reply->size, 0, (const struct sockaddr *)peer, sizeof *peer);
}

/* Milliseconds until the next one is due, or -1. */
static int send_due(struct dns_server *server)
{
    uint64_t now = now_ms();
    int wait = -1;

    for (unsigned i = 0; i < DELAYED_MAX; i++) {
        struct delayed *delayed = server->delayed[i];
        if (delayed == NULL)
            continue;
        if (delayed->due <= now) {
            send_udp(server, &delayed->reply, &delayed->peer);
            free(delayed);
            server->delayed[i] = NULL;
        } else if (wait < 0 || delayed->due - now < (uint64_t)wait) {
            wait = (int)(delayed->due - now);
        }
    }
    return wait;
}

static void serve_udp(struct dns_server *server)
{
    uint8_t data[MESSAGE_MAX];
    struct sockaddr_in peer;
    socklen_t peer_size = sizeof peer;
    struct reply reply;
    unsigned delay;

    ssize_t size =
        recvfrom(server->udp, data, sizeof data, 0, (struct sockaddr *)&peer, &peer_size);
    struct query query = {.data = data, .size = size > 0 ? (size_t)size : 0};
    if (!answer(server, &query, &reply, &delay))
        return;
    if (delay > 0)
        send_later(server, &reply, &peer, delay);
    else
        send_udp(server, &reply, &peer);
}

/* One query a connection, read and answered at once: the clients are ours. */
static void serve_tcp(struct dns_server *server)
{
    struct timeval limit = {.tv_sec = 2};
    uint8_t data[MESSAGE_MAX];
    struct reply reply;
    unsigned delay;

    int fd = accept(server->tcp, NULL, NULL);
    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (recv(fd, data, 2, MSG_WAITALL) == 2) {
        size_t size = (size_t)(data[0] << 8 | data[1]);
        struct query query = {.data = data, .size = size, .is_tcp = true};
        if (size <= sizeof data && recv(fd, data, size, MSG_WAITALL) == (ssize_t)size &&
            answer(server, &query, &reply, &delay)) {
            uint8_t prefix[2] = {(uint8_t)(reply.size >> 8), (uint8_t)reply.size};
            send(fd, prefix, sizeof prefix, MSG_NOSIGNAL | MSG_MORE);
            send(fd, reply.data, reply.size, MSG_NOSIGNAL);
        }
    }
    close(fd);
}

static void *run(void *arg)
{
    struct dns_server *server = arg;
    struct pollfd fds[] = {{.fd = server->udp, .events = POLLIN},
                           {.fd = server->tcp, .events = POLLIN},
                           {.fd = server->stop[0], .events = POLLIN}};

    for (;;) {
        poll(fds, 3, send_due(server));
        if (fds[2].revents != 0)
            return NULL;
        if (fds[0].revents != 0)
            serve_udp(server);
        if (fds[1].revents != 0)
            serve_tcp(server);
    }
}

/* ---- outside ---- */

/* The number of a free UDP port may be taken for TCP: then the next is tried. */
static bool try_bind(struct dns_server *server)
{
    struct sockaddr_in *address = &server->address;
    socklen_t size = sizeof *address;

    *address = (struct sockaddr_in){.sin_family = AF_INET};
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    server->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(server->udp >= 0 && server->tcp >= 0, "socket");
    if (bind(server->udp, (struct sockaddr *)address, size) == 0 &&
        getsockname(server->udp, (struct sockaddr *)address, &size) == 0 &&
        bind(server->tcp, (struct sockaddr *)address, size) == 0 && listen(server->tcp, 16) == 0)
        return true;
    close(server->udp);
    close(server->tcp);
    return false;
}

struct dns_server *dns_server_start(void)
{
    struct dns_server *server = calloc(1, sizeof *server);
    bool is_bound = false;

    need(server != NULL, "calloc");
    for (int i = 0; i < PORT_TRIES && !is_bound; i++)
        is_bound = try_bind(server);
    need(is_bound, "bind");
    need(pipe(server->stop) == 0, "pipe");
    pthread_mutex_init(&server->lock, NULL);
    need(pthread_create(&server->thread, NULL, run, server) == 0, "pthread_create");
    return server;
}

void dns_server_stop(struct dns_server *server)
{
    need(write(server->stop[1], "x", 1) == 1, "write");
    pthread_join(server->thread, NULL);
    for (unsigned i = 0; i < DELAYED_MAX; i++)
        free(server->delayed[i]);
    close(server->udp);
    close(server->tcp);
    close(server->stop[0]);
    close(server->stop[1]);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

const struct sockaddr *dns_server_address(const struct dns_server *server)
{
    return (const struct sockaddr *)&server->address;
}

unsigned dns_server_count(struct dns_server *server, const char *name, const char *type)
{
    uint16_t number = type != NULL ? type_number(type) : TYPE_ANY;
    unsigned count = 0;

    pthread_mutex_lock(&server->lock);
    for (unsigned i = 0; i < server->seen_count; i++) {
        const struct seen *seen = &server->seen[i];
        if ((number == TYPE_ANY || seen->type == number) &&
            (name == NULL || strcasecmp(seen->name, name) == 0))
            count++;
    }
    pthread_mutex_unlock(&server->lock);
    return count;
}

unsigned dns_server_count_tcp(struct dns_server *server)
{
    unsigned count = 0;

    pthread_mutex_lock(&server->lock);
    for (unsigned i = 0; i < server->seen_count; i++)
        count += server->seen[i].is_tcp;
    pthread_mutex_unlock(&server->lock);
    return count;
}
