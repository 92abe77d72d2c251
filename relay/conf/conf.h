/*
 * conf: relay.conf as an immutable, reference-counted snapshot.
 *
 * The keys are rows of one table (schema.c, schema_sections.c): name, type, unit, default, range,
 * reloadable, help. The loader, `smarthopd -t`, the sample file's check and relay.conf(5) come from
 * it. A reload makes a new snapshot; whoever holds the old one keeps it until it lets go. A
 * snapshot never changes, so any thread may read it.
 */
#ifndef SMARTHOP_CONF_CONF_H
#define SMARTHOP_CONF_CONF_H

#include "base/buf.h"
#include "base/err.h"
#include "base/fingerprint.h"
#include "base/log.h"
#include "base/span.h"

#include <netinet/in.h>
#include <stdatomic.h>

/* A socket address with its length, for bind and connect. */
struct conf_address {
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    };
};

struct conf_network {
    uint8_t bytes[16]; /* v4 in the first four */
    uint8_t prefix;
    uint8_t family; /* AF_INET or AF_INET6 */
};

struct conf_networks {
    struct conf_network *items;
    unsigned count;
};

/* Each a domain, or ".domain" for it and its subdomains. */
struct conf_domains {
    char **items;
    unsigned count;
};

enum conf_listener_tls { CONF_TLS_NONE, CONF_TLS_STARTTLS, CONF_TLS_IMPLICIT };

enum conf_tls_version { CONF_TLS_1_2, CONF_TLS_1_3 };

/* Who comes there, and so what is asked of them. */
enum conf_listener_role {
    CONF_ROLE_RELAY,      /* servers and known networks (relay_networks) */
    CONF_ROLE_SUBMISSION, /* users, who must log in (RFC 6409) */
    CONF_ROLE_LMTP,       /* as relay, in the language of RFC 2033; also of lmtp_socket */
    CONF_ROLE_LOCAL,      /* programs on this machine, by submission_socket; not for listeners */
};

enum conf_client_certificates {
    CONF_CERTIFICATES_NO,
    CONF_CERTIFICATES_ASK,
    CONF_CERTIFICATES_REQUIRE, /* no mail without one that counts */
};

/* Whose certificate it may be. */
enum conf_identity_kind {
    CONF_IDENTITY_VERIFIED, /* anybody's that client_ca vouches for */
    CONF_IDENTITY_FINGERPRINT,
    CONF_IDENTITY_HOST, /* one that client_ca vouches for and that names this host */
};

struct conf_identity {
    enum conf_identity_kind kind;
    struct fingerprint fingerprint;
    char *host;
};

struct conf_listener {
    char *name;
    struct conf_address *addresses; /* port 0 = a free one, shown in the log */
    unsigned address_count;
    enum conf_listener_tls tls;
    enum conf_listener_role role;
    bool auth;                           /* AUTH is offered; always so for submission */
    bool proxy;                          /* connections begin with a PROXY header */
    struct conf_networks relay_networks; /* these hold only where the listener has them; */
    struct conf_domains relay_domains;   /* see conf_relay_networks and conf_relay_domains */
    bool has_relay_networks;
    bool has_relay_domains;
    enum conf_client_certificates client_certificates;
    char *client_ca; /* PEM; NULL = certificates are taken as they are */
    struct conf_identity *relay_certificates;
    unsigned relay_certificate_count;
};

/* ESMTP extensions that can be switched off: bits of conf->extensions_off. */
enum conf_extension {
    CONF_EXT_PIPELINING,
    CONF_EXT_SIZE,
    CONF_EXT_8BITMIME,
    CONF_EXT_SMTPUTF8,
    CONF_EXT_CHUNKING,
    CONF_EXT_BINARYMIME,
    CONF_EXT_DSN,
    CONF_EXT_LIMITS,
    CONF_EXT_REQUIRETLS,
    CONF_EXT_MT_PRIORITY,
    CONF_EXT_FUTURERELEASE,
    CONF_EXT_DELIVERBY,
    CONF_EXT_COUNT,
};

/* Mechanisms of AUTH that can be switched off: bits of conf->auth_mechanisms_off. */
enum conf_mechanism {
    CONF_MECHANISM_PLAIN,
    CONF_MECHANISM_LOGIN,
    CONF_MECHANISM_SCRAM_SHA_256,
    CONF_MECHANISM_SCRAM_SHA_256_PLUS,
    CONF_MECHANISM_EXTERNAL,
    CONF_MECHANISM_COUNT,
};

/* What comes of a bare CR or LF within a message. */
enum conf_bare_line_ends { CONF_BARE_REFUSE, CONF_BARE_NORMALIZE };

/* A certificate for one server name (SNI); the global pair serves all others. */
struct conf_certificate {
    char *server_name; /* or "*.domain" */
    char *certificate;
    char *key;
};

struct conf_hop {
    char *host; /* name, address without brackets, or a Unix socket's path */
    uint16_t port;
    bool is_path;
    bool is_address;   /* a numeric address: nothing is looked up */
    bool use_mx;       /* look up the MX of `host` rather than its addresses */
    bool implicit_tls; /* from the first byte */
    unsigned weight;   /* its share among the hosts of its route, from 1 */
};

/* Answers of a DNS block list, in host order, both ends included. */
struct conf_answer_range {
    uint32_t first;
    uint32_t last;
};

enum { CONF_ANSWER_RANGES_MAX = 8, CONF_BLOCK_LISTS_MAX = 16 };

/* A DNS block list (RFC 5782). */
struct conf_block_list {
    char *zone;
    struct conf_answer_range ranges[CONF_ANSWER_RANGES_MAX]; /* answers that count */
    unsigned range_count;                                    /* 0 = all in 127.0.0.0/8 do */
};

/* What becomes of a client that a block list holds. */
enum conf_list_action {
    CONF_LIST_REFUSE, /* its recipients are refused */
    CONF_LIST_MARK,   /* it is only told of */
};

enum conf_route_tls { CONF_ROUTE_TLS_NONE, CONF_ROUTE_TLS_OPPORTUNISTIC, CONF_ROUTE_TLS_REQUIRED };

enum conf_route_protocol { CONF_ROUTE_SMTP, CONF_ROUTE_LMTP };

/* Which of its hosts a route's mail goes to. */
enum conf_balance {
    CONF_BALANCE_ORDERED,       /* the first one in order that serves */
    CONF_BALANCE_WEIGHTED,      /* each has its share, by its weight */
    CONF_BALANCE_STICKY_TENANT, /* a tenant keeps its host while that serves */
    CONF_BALANCE_STICKY_DOMAIN, /* likewise a recipient's domain */
};

enum conf_route_action {
    CONF_ROUTE_HOSTS,
    CONF_ROUTE_MX,
    CONF_ROUTE_REJECT,
    CONF_ROUTE_DISCARD,
    CONF_ROUTE_HOLD
};

/* credentials "NAME" { }: how to log in at a next hop. */
struct conf_credentials {
    char *name;
    char *user;
    char *password;      /* as written; NULL where it is in a file */
    char *password_file; /* NULL where it is not */
    char *secret;        /* the password, wherever it came from */
};

enum { CONF_USER_MAX = 255, CONF_PASSWORD_MAX = 511 };

/* route "PATTERN" { }: an exact domain, ".domain" (it and its subdomains), or "*". */
struct conf_route {
    char *pattern;
    enum conf_route_action action;
    struct conf_hop *hosts; /* CONF_ROUTE_HOSTS: tried in this order */
    unsigned host_count;
    char *mx_domain; /* CONF_ROUTE_MX: the MX of this domain; NULL = of the recipient's own */
    uint16_t port;   /* for MX */
    enum conf_route_tls tls;
    enum conf_route_protocol protocol;
    bool xforward;
    char *credentials; /* name of those with which to log in; NULL = not at all */
    bool auth_without_tls;
    enum conf_balance balance;
    char *source; /* name of the addresses to connect from; NULL = any */
    char *text;   /* CONF_ROUTE_REJECT, CONF_ROUTE_HOLD: the reason */
};

struct conf_origin_address {
    struct conf_address address; /* port 0 */
    unsigned weight;             /* its share among those of its family, from 1 */
};

/* source "NAME" { }: our own addresses to connect from. */
struct conf_origin {
    char *name;
    struct conf_origin_address *addresses;
    unsigned address_count;
    char *hello;               /* NULL = hostname */
    uint64_t messages_per_day; /* by each address; 0 = no bound */
};

/* What becomes of an 8-bit message on its way to a host without 8BITMIME. */
enum conf_eight_bit { CONF_EIGHT_BIT_CONVERT, CONF_EIGHT_BIT_BOUNCE, CONF_EIGHT_BIT_SEND };
/* destination "PATTERN" { }: how much of us a site takes. 0 = what holds for all. */
struct conf_destination {
    char *pattern;
    unsigned connections;
    unsigned messages_per_connection;
    unsigned recipients_per_transaction;
    uint64_t messages_per_second; /* 0 = no bound, likewise the following */
    uint64_t messages_per_minute;
    uint64_t messages_per_hour;
    uint64_t messages_per_day;
    uint64_t retry_first; /* milliseconds, likewise the following */
    uint64_t retry_max;
    uint64_t expire_after;
    uint64_t delay_warning_after;
};

/* tenant "NAME" { }: a share for those who send on its behalf. */
struct conf_tenant {
    char *name;
    unsigned weight;
};

/* A key of a plugin's own, as written; what it means the plugin's schema says. */
struct conf_option {
    char *name;
    char **values;
    unsigned *lines; /* of each value */
    unsigned count;
};

enum conf_plugin_fail {
    CONF_PLUGIN_FAIL_DEFAULT, /* as the plugin declares it */
    CONF_PLUGIN_FAIL_OPEN,
    CONF_PLUGIN_FAIL_DEFER,
};

/* plugin "NAME" { }: asked in the order of the file. */
struct conf_plugin {
    char *name;
    char *file;   /* NULL = NAME.so in plugin_path */
    bool process; /* in a process of its own */
    char *user;   /* of that process; NULL = as the daemon */
    bool shadow;  /* asked, but without effect */
    enum conf_plugin_fail fail;
    uint64_t timeout;           /* milliseconds, of a pending answer */
    uint64_t budget;            /* milliseconds, of one call on a thread that serves mail */
    unsigned strikes;           /* answers over either in a row, until it is bypassed */
    uint64_t rest;              /* milliseconds for which it is bypassed then */
    uint64_t store_max;         /* bytes */
    uint64_t memory_max;        /* bytes, of its own process */
    bool network;               /* that process may open sockets */
    char *process_writes;       /* the folder in which it may write; NULL = none */
    uint64_t process_queue_max; /* bytes, for each worker */
    uint64_t process_start_max; /* milliseconds, as all that follow */
    uint64_t process_stop_max;
    uint64_t process_rest_min;
    uint64_t process_rest_max;
    uint64_t process_command_max;
    struct conf_option *options;
    unsigned option_count;
};

struct conf {
    atomic_uint references;
    char *file; /* where it was read from */

    char *hostname;
    unsigned workers; /* 0 = one a processor */
    char *user;       /* to become after binding; NULL = stay */

    char *store_path;
    uint64_t store_map_size;
    uint64_t store_low_water;
    uint64_t store_low_inodes;
    uint64_t store_reserve;
    uint64_t store_gather; /* milliseconds */

    char *control_socket;
    char *users_file; /* NULL = nobody can log in */
    bool auth_without_tls;
    unsigned auth_mechanisms_off; /* bits 1 << enum conf_mechanism */
    uint64_t auth_recall;
    bool sender_must_match;
    char *submission_socket;
    char *lmtp_socket; /* NULL = none */
    char *event_log;   /* NULL = none */
    char *log_target;
    enum log_level log_level;

    struct conf_listener *listeners;
    unsigned listener_count;
    struct conf_certificate *certificates;
    unsigned certificate_count;
    char *tls_certificate; /* NULL = no TLS */
    char *tls_key;
    enum conf_tls_version tls_min_version;
    char *tls_ciphers;              /* NULL = OpenSSL's choice */
    char *tls_cipher_suites;        /* likewise */
    uint64_t tls_handshake_timeout; /* all times in milliseconds */

    struct conf_networks relay_networks;   /* who may send anywhere */
    struct conf_domains relay_domains;     /* where anybody may send */
    char *postmaster_address;              /* who reads mail for Postmaster; never NULL */
    char *response_rules;                  /* "builtin", "none", or a file */
    char *recipients_file;                 /* NULL = recipients are not checked */
    char *recipient_delimiter;             /* bytes each of which ends the name in a local part */
    struct conf_networks proxy_networks;   /* whose PROXY header is believed */
    struct conf_networks xclient_networks; /* who may say XCLIENT */
    struct conf_networks limit_exempt_networks; /* not bound by sessions_per_client and client_* */
    unsigned sessions_max;                      /* of the whole process */
    unsigned sessions_per_client;
    unsigned client_handshakes_per_minute; /* TLS; 0 = no bound */
    uint64_t greeting_delay;
    bool refuse_early_talkers;
    bool client_names; /* looked up */
    uint64_t client_lookup_timeout;
    struct conf_block_list *block_lists;
    unsigned block_list_count;
    enum conf_list_action block_list_action;
    uint64_t command_line_max; /* bytes with CRLF */
    uint64_t text_line_max;
    enum conf_bare_line_ends bare_line_ends;
    uint64_t header_size_max;
    unsigned header_fields_max;
    unsigned hops_max; /* Received fields */
    unsigned recipients_max;
    uint64_t message_size_max;
    unsigned extensions_off;     /* bits 1 << enum conf_extension */
    uint64_t future_release_max; /* milliseconds; 0 = FUTURERELEASE is not offered */
    uint64_t deliver_by_min;     /* milliseconds, of BY=...;R; 0 = no least time */
    uint64_t memory_body_max;    /* larger bodies are staged in the store while they arrive */
    uint64_t receive_memory_max; /* bodies held while they arrive, all workers together */
    uint64_t client_memory_max;  /* of them, those of one client network */
    unsigned commands_without_mail_max;
    unsigned errors_max;
    uint64_t command_timeout;
    uint64_t data_timeout;
    uint64_t session_timeout;  /* the whole session; 0 = no bound */
    unsigned stress_threshold; /* percent of sessions_max */
    uint64_t stress_command_timeout;
    uint64_t stress_data_timeout;
    uint64_t stress_idle_min;

    char *guard_path;
    uint64_t guard_entries_max;
    uint64_t guard_save_interval;
    uint64_t user_messages_per_hour; /* of these six 0 = no bound */
    uint64_t user_recipients_per_hour;
    uint64_t client_sessions_per_minute;
    uint64_t client_messages_per_hour;
    uint64_t client_recipients_per_hour;
    uint64_t client_errors_per_hour;
    bool greylist;
    uint64_t greylist_delay;
    uint64_t greylist_window;
    uint64_t greylist_lifetime;
    unsigned greylist_known_after;                 /* 0 = never */
    struct conf_networks greylist_exempt_networks; /* none = relay_networks */

    struct conf_route *routes;
    unsigned route_count;
    struct conf_credentials *credentials;
    unsigned credentials_count;
    struct conf_origin *origins;
    unsigned origin_count;

    struct conf_destination *destinations;
    unsigned destination_count;
    struct conf_tenant *tenants;
    unsigned tenant_count;

    char *plugin_path;       /* folder of plugins */
    char *plugin_store_path; /* folder of their stores */
    struct conf_plugin *plugins;
    unsigned plugin_count;

    struct conf_address *dns_servers; /* none = those of resolv.conf */
    unsigned dns_server_count;
    uint64_t dns_timeout;
    unsigned dns_tries;
    unsigned dns_cache_max; /* names, in each worker */
    uint64_t dns_negative_ttl_max;
    uint64_t dns_ttl_max;

    uint64_t connect_timeout;
    uint64_t connect_attempt_delay;
    uint64_t greeting_timeout;
    uint64_t hello_timeout;
    uint64_t mail_timeout;
    uint64_t rcpt_timeout;
    uint64_t data_init_timeout;
    uint64_t data_block_timeout;
    uint64_t data_final_timeout;
    uint64_t quit_timeout;
    uint64_t connection_idle_timeout; /* how long a connection waits for a next message */
    unsigned connections_per_destination;
    unsigned messages_per_connection;
    bool pipeline_messages;
    unsigned recipients_per_transaction;
    enum conf_eight_bit eight_bit_conversion;
    unsigned connections_max;        /* outgoing, of the whole process */
    unsigned window_per_destination; /* messages held in memory */
    unsigned queue_jobs_max;         /* the same of all destinations together */
    uint64_t queue_command_wait;     /* of an operator's word for mail that is being delivered */
    uint64_t bulk_size;              /* larger messages let smaller ones pass */
    uint64_t
        queue_memory_max; /* bodies that wait in memory for their delivery, all workers together */
    char *ip_preference;  /* "any", "ipv4", "ipv6" */

    uint64_t retry_first;
    uint64_t retry_max;
    uint64_t host_retry_first;
    uint64_t host_retry_max;
    uint64_t expire_after;
    uint64_t bounce_expire_after; /* messages with a null reverse-path */
    uint64_t delay_warning_after; /* 0 = none */
    uint64_t dsn_return_max;      /* bytes of the message returned in a DSN */
    bool dsn_return_headers_only;
    char *dsn_postmaster_copy; /* an address; NULL = no copies */
    char *verp_sender;         /* a pattern; NULL = none */
};

/* Reads and checks `file`. On failure *out is NULL and `messages` has one line a problem:
 * "file:line: what was wrong; what was expected; the nearest known key". Relative paths become
 * absolute ones from the folder of `file`. Blocks on files and, where hostname is not given, maybe
 * on the name server; one call at a time in the process, as libConfuse's lexer is global. */
struct err conf_load(const char *file, struct buf *messages, struct conf **out);
/* Likewise, without reading the files of passwords: for programs whose users may not. */
struct err conf_load_for_client(const char *file, struct buf *messages, struct conf **out);

struct conf *conf_ref(struct conf *conf);
void conf_unref(struct conf *conf);

/* Tells what of `next` cannot take effect without a restart, one line a key, into `messages`. */
void conf_restart_needed(const struct conf *now, const struct conf *next, struct buf *messages);

/* Every key with its effective value, as a relay.conf that would be read back the same, but for
 * passwords: they are shown as "***". */
void conf_print(const struct conf *conf, struct buf *out);
/* The section of a plugin, likewise. */
void conf_print_plugin(const struct conf *conf, unsigned index, struct buf *out);
/* The KEYS section of relay.conf(5), in roff. */
void conf_print_manual(struct buf *out);
/* relay.conf.sample's key reference: every key commented out with its default and help. */
void conf_print_reference(struct buf *out);

/* Whether this answer to a look-up in the list means that the client is listed. */
bool conf_block_list_counts(const struct conf_block_list *list, struct in_addr answer);

bool conf_networks_contain(const struct conf_networks *networks, const struct sockaddr *addr);
/* `domain` is in ASCII form. */
bool conf_domains_contain(const struct conf_domains *domains, struct span domain);

/* NULL = there is none of this name. */
const struct conf_listener *conf_listener_find(const struct conf *conf, const char *name);
/* What holds at this listener: its own list, or where it has none the global one, as for NULL. */
const struct conf_networks *conf_relay_networks(const struct conf *conf,
                                                const struct conf_listener *listener);
const struct conf_domains *conf_relay_domains(const struct conf *conf,
                                              const struct conf_listener *listener);

/* The first matching route: the exact domain, then the longest ".domain", then "*"; NULL = none. */
const struct conf_route *conf_route_find(const struct conf *conf, struct span domain);
/* NULL = there are none of that name. */
const struct conf_credentials *conf_credentials_find(const struct conf *conf, struct span name);
const struct conf_origin *conf_origin_find(const struct conf *conf, struct span name);
/* Likewise for a destination, by the name of a host or domain. */
const struct conf_destination *conf_destination_find(const struct conf *conf, struct span name);
/* 1 for one without a section. */
unsigned conf_tenant_weight(const struct conf *conf, struct span tenant);

#endif
