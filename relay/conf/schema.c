/* The global keys. */
#include "conf/schema_rows.h"

static const char *const log_targets[] = {"stderr", "journal", NULL};
static const char *const rule_tables[] = {"builtin", "none", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const ip_preferences[] = {"any", "ipv4", "ipv6", NULL};
static const char *const list_actions[] = {"refuse", "mark", NULL};
static const char *const mechanisms[] = {
    [CONF_MECHANISM_PLAIN] = "PLAIN",
    [CONF_MECHANISM_LOGIN] = "LOGIN",
    [CONF_MECHANISM_SCRAM_SHA_256] = "SCRAM-SHA-256",
    [CONF_MECHANISM_SCRAM_SHA_256_PLUS] = "SCRAM-SHA-256-PLUS",
    [CONF_MECHANISM_EXTERNAL] = "EXTERNAL",
    [CONF_MECHANISM_COUNT] = NULL,
};
static const char *const extensions[] = {
    [CONF_EXT_PIPELINING] = "PIPELINING",
    [CONF_EXT_SIZE] = "SIZE",
    [CONF_EXT_8BITMIME] = "8BITMIME",
    [CONF_EXT_SMTPUTF8] = "SMTPUTF8",
    [CONF_EXT_CHUNKING] = "CHUNKING",
    [CONF_EXT_BINARYMIME] = "BINARYMIME",
    [CONF_EXT_DSN] = "DSN",
    [CONF_EXT_LIMITS] = "LIMITS",
    [CONF_EXT_REQUIRETLS] = "REQUIRETLS",
    [CONF_EXT_MT_PRIORITY] = "MT-PRIORITY",
    [CONF_EXT_FUTURERELEASE] = "FUTURERELEASE",
    [CONF_EXT_DELIVERBY] = "DELIVERBY",
    [CONF_EXT_COUNT] = NULL,
};
static const char *const eight_bit_words[] = {"convert", "bounce", "send", NULL};
static const char *const tls_versions[] = {"1.2", "1.3", NULL};
static const char *const bare_line_ends[] = {"refuse", "normalize", NULL};

static const struct conf_key global_keys[] = {
    {FIELD(conf, hostname), .type = CONF_DOMAIN, .standard = "", .max = DOMAIN_MAX,
     .reloadable = true,
     .help = "The name by which this relay greets and signs its trace fields. "
             "Empty: the machine's own name, fully qualified where it has such a name."},
    {FIELD(conf, workers), .type = CONF_NUMBER, .unit = "threads", .standard = "0", .max = 256,
     .help = "Threads that serve connections. 0: one for each processor."},
    {FIELD(conf, user), .type = CONF_STRING, .standard = "", .max = 256,
     .help = "The user to become once the ports are bound. Empty: stay."},

    {FIELD(conf, store_path), .type = CONF_PATH, .standard = "var/queue", .min = 1,
     .max = PATH_LENGTH_MAX, .help = "The folder of the queue."},
    {FIELD(conf, store_map_size), .type = CONF_SIZE, .standard = "256GiB", .min = MIB,
     .max = 64 * TIB,
     .help = "The most that the queue may ever hold. Address space, not disk: the file is sparse."},
    {FIELD(conf, store_low_water), .type = CONF_SIZE, .standard = "64MiB", .max = TIB,
     .help = "New mail is refused with 452 while less disk or map than this is free."},
    {FIELD(conf, store_low_inodes), .type = CONF_NUMBER, .unit = "inodes", .standard = "200",
     .max = 1000 * MILLION,
     .help = "New mail is refused with 452 while fewer inodes than this are free."},
    {FIELD(conf, store_reserve), .type = CONF_SIZE, .standard = "8MiB", .max = GIB,
     .help = "A file kept allocated, to be given up when a full disk stops even deleting."},
    {FIELD(conf, store_gather), .type = CONF_DURATION, .standard = "3ms", .max = 100 * MS,
     .help = "While much mail comes, a commit waits this long for more of it; a lone message "
             "never waits. 0 turns it off."},

    {FIELD(conf, control_socket), .type = CONF_PATH, .standard = "var/control.sock", .min = 1,
     .max = SOCKET_PATH_MAX, .help = "The socket by which smarthopctl talks to the daemon."},
    {FIELD(conf, users_file), .type = CONF_PATH, .standard = "", .max = PATH_LENGTH_MAX,
     .help = "Who may log in; see smarthop-users(5). Read anew when it changes. Empty: nobody."},
    {FIELD(conf, auth_without_tls), .type = CONF_BOOL, .standard = "no", .reloadable = true,
     .help = "Offer AUTH also on connections without TLS. Passwords are then open to whoever "
             "listens on the way."},
    {FIELD(conf, auth_mechanisms_off), .type = CONF_WORDS, .standard = "", .words = mechanisms,
     .max = CONF_MECHANISM_COUNT, .reloadable = true,
     .help = "Mechanisms of AUTH that SMTP neither offers nor takes. Some clients choose "
             "SCRAM-SHA-256-PLUS wherever it is offered, and fail, as they cannot bind to TLS."},
    {FIELD(conf, auth_recall), .type = CONF_DURATION, .standard = "10m", .max = 24 * HOURS,
     .reloadable = true,
     .help = "A password that was right is not hashed again for this long, as long as the users "
             "file has the same hash for it: hashing is made to be slow. Digests of such passwords "
             "are then in memory. 0: each is hashed."},
    {FIELD(conf, sender_must_match), .type = CONF_BOOL, .standard = "yes", .reloadable = true,
     .help = "A user who has logged in may use as sender only the own address and those that the "
             "users file names."},
    {FIELD(conf, submission_socket), .type = CONF_PATH, .standard = "", .max = SOCKET_PATH_MAX,
     .help = "The socket by which sendmail(8) hands mail in; whoever may open it may send. Empty: "
             "none."},
    {FIELD(conf, lmtp_socket), .type = CONF_PATH, .standard = "", .max = SOCKET_PATH_MAX,
     .help = "A socket for LMTP (RFC 2033), with mode 0660: the daemon's user and its group may "
             "open it, and may send mail to any domain. Empty: none."},
    {FIELD(conf, log_target), .type = CONF_PATH, .standard = "stderr", .words = log_targets,
     .min = 1, .max = PATH_LENGTH_MAX,
     .help = "Where the log goes: stderr, journal (systemd), or a file to append to."},
    {FIELD(conf, event_log), .type = CONF_PATH, .standard = "", .max = PATH_LENGTH_MAX,
     .example = "/var/log/smarthop/events.json",
     .help = "A file that gets a JSON line for each outcome of each recipient, for programs; see "
             "OPERATING.md. Empty: none."},
    {FIELD(conf, log_level), .type = CONF_ENUM, .standard = "info", .words = log_levels,
     .reloadable = true,
     .help = "The least important lines that are written. error: an operator must act; "
             "warn: odd; info: mail flow; debug: everything."},

    {FIELD(conf, tls_certificate), .type = CONF_PATH, .standard = "", .max = PATH_LENGTH_MAX,
     .example = "var/tls/cert.pem", .reloadable = true,
     .help = "The certificate chain, PEM, for listeners with TLS. Empty: none."},
    {FIELD(conf, tls_key), .type = CONF_PATH, .standard = "", .max = PATH_LENGTH_MAX,
     .example = "var/tls/key.pem", .reloadable = true,
     .help = "The private key, PEM, that goes with tls_certificate."},
    {FIELD(conf, tls_min_version), .type = CONF_ENUM, .standard = "1.2", .words = tls_versions,
     .reloadable = true, .help = "The oldest version of TLS that listeners take."},
    {FIELD(conf, tls_ciphers), .type = CONF_STRING, .standard = "", .max = 4096,
     .example = "ECDHE+AESGCM:ECDHE+CHACHA20", .reloadable = true,
     .help =
         "What listeners offer with TLS 1.2, as ciphers(1) writes it. Empty: OpenSSL's choice."},
    {FIELD(conf, tls_cipher_suites), .type = CONF_STRING, .standard = "", .max = 4096,
     .example = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256", .reloadable = true,
     .help = "The same with TLS 1.3: names of cipher suites with colons between them."},
    {FIELD(conf, tls_handshake_timeout), .type = CONF_DURATION, .standard = "30s", .min = 10 * MS,
     .max = 10 * MINUTES, .reloadable = true,
     .help = "How long a TLS handshake may take, on either side."},

    {.name = "relay_networks",
     LIST(conf, relay_networks.items, relay_networks.count),
     .type = CONF_NETWORKS,
     .standard = "127.0.0.0/8, ::1",
     .max = LIST_MAX,
     .reloadable = true,
     .help = "Clients that may send mail to any domain."},
    {.name = "relay_domains",
     LIST(conf, relay_domains.items, relay_domains.count),
     .type = CONF_DOMAINS,
     .standard = "",
     .max = LIST_MAX,
     .reloadable = true,
     .help = "Domains to which everybody may send mail: those for which this relay is a gateway. "
             "A domain, or .domain for it and its subdomains. Where their mail goes is for the "
             "routes to say."},
    {FIELD(conf, postmaster_address), .type = CONF_STRING, .standard = "", .max = ADDRESS_MAX,
     .reloadable = true,
     .help = "Where mail for <postmaster> goes, and for postmaster at the hostname. Empty: to "
             "postmaster at the hostname, as the routes say."},
    {FIELD(conf, recipients_file), .type = CONF_PATH, .standard = "", .max = PATH_LENGTH_MAX,
     .reloadable = true,
     .help = "The recipients that there are in relay_domains and in the domains of this file; see "
             "smarthop-recipients(5). All others there are refused. Read anew when it changes. "
             "Empty: recipients are not checked."},
    {FIELD(conf, recipient_delimiter), .type = CONF_STRING, .standard = "", .max = DELIMITERS_MAX,
     .reloadable = true,
     .help = "Bytes that begin an extension of an address: with \"+\" the recipients file's "
             "user@domain stands for user+anything@domain, too. Empty: none."},
    {.name = "proxy_networks",
     LIST(conf, proxy_networks.items, proxy_networks.count),
     .type = CONF_NETWORKS,
     .standard = "",
     .max = LIST_MAX,
     .reloadable = true,
     .help = "Load balancers whose PROXY header is believed, on listeners with proxy = yes."},
    {.name = "xclient_networks",
     LIST(conf, xclient_networks.items, xclient_networks.count),
     .type = CONF_NETWORKS,
     .standard = "",
     .max = LIST_MAX,
     .reloadable = true,
     .help = "Proxies that may tell by XCLIENT who their client is, and who has logged in there."},
    {.name = "limit_exempt_networks",
     LIST(conf, limit_exempt_networks.items, limit_exempt_networks.count),
     .type = CONF_NETWORKS,
     .standard = "127.0.0.0/8, ::1",
     .max = LIST_MAX,
     .reloadable = true,
     .help = "Clients that sessions_per_client, client_memory_max and the rates of clients, "
             "client_..._per_minute and client_..._per_hour, do not bind."},
    {FIELD(conf, sessions_max), .type = CONF_NUMBER, .unit = "sessions", .standard = "20000",
     .min = 1, .max = MILLION, .reloadable = true,
     .help = "Sessions at a time, of all clients together."},
    {FIELD(conf, sessions_per_client), .type = CONF_NUMBER, .unit = "sessions", .standard = "100",
     .min = 1, .max = MILLION, .reloadable = true,
     .help = "Sessions at a time of one client address."},
    {FIELD(conf, client_handshakes_per_minute), .type = CONF_NUMBER, .unit = "handshakes",
     .standard = "600", .max = MILLION, .reloadable = true,
     .help = "TLS handshakes that one client address (of IPv6: one /64) may begin in a minute. "
             "0: no bound."},
    {FIELD(conf, greeting_delay), .type = CONF_DURATION, .standard = "0", .max = 30 * SECONDS,
     .reloadable = true,
     .help = "How long clients of a relay listener wait for the greeting. Programs that send junk "
             "often talk before it."},
    {FIELD(conf, refuse_early_talkers), .type = CONF_BOOL, .standard = "yes", .reloadable = true,
     .help = "Refuse, with 521, clients of a relay listener that talk before the greeting, and all "
             "clients but local ones that send several commands at once before EHLO has offered "
             "them PIPELINING."},
    {FIELD(conf, client_names), .type = CONF_BOOL, .standard = "no", .reloadable = true,
     .help = "Look up the name of each client of a relay listener before the greeting, and the "
             "addresses of that name. A name that has the client's address is told in Received "
             "and in the log."},
    {FIELD(conf, client_lookup_timeout), .type = CONF_DURATION, .standard = "5s", .min = 10 * MS,
     .max = MINUTES, .reloadable = true,
     .help = "How long the greeting waits for what is looked up of a client: client_names and "
             "block_lists."},
    {.name = "block_lists",
     LIST(conf, block_lists, block_list_count),
     .type = CONF_BLOCK_LISTS,
     .standard = "",
     .max = CONF_BLOCK_LISTS_MAX,
     .example = "\"zen.example\", \"list.example=127.0.0.2,127.0.0.4-127.0.0.7\"",
     .reloadable = true,
     .help = "DNS block lists in which clients of relay listeners are looked up before the "
             "greeting, but for those in relay_networks and limit_exempt_networks. Behind \"=\" "
             "are the answers that count, addresses or ranges; without it all in 127.0.0.0/8 do. "
             "127.255.255.0/24, by which lists tell of errors, never counts, and no answer is no "
             "listing."},
    {FIELD(conf, block_list_action), .type = CONF_ENUM, .standard = "refuse", .words = list_actions,
     .reloadable = true,
     .help = "What becomes of a client that a block list holds. refuse: its recipients are "
             "refused, but for postmaster and unless it may relay; mark: it is only logged."},
    {FIELD(conf, command_line_max), .type = CONF_SIZE, .standard = "4KiB", .min = 512,
     .max = 64 * KIB, .reloadable = true,
     .help = "The longest SMTP command line, with its line end."},
    {FIELD(conf, text_line_max), .type = CONF_SIZE, .standard = "1MiB", .min = 1000,
     .max = 64 * MIB, .reloadable = true,
     .help = "The longest line of a message, with its line end."},
    {FIELD(conf, bare_line_ends), .type = CONF_ENUM, .standard = "refuse", .words = bare_line_ends,
     .reloadable = true,
     .help = "What comes of a CR or LF within a message that is no part of a CRLF. refuse: the "
             "message is refused; normalize: an LF becomes CRLF and a CR a space, but not in what "
             "is sent as BINARYMIME. Only CRLF \".\" CRLF ends the data, either way, and commands "
             "end by CRLF only."},
    {FIELD(conf, header_size_max), .type = CONF_SIZE, .standard = "1MiB", .min = KIB,
     .max = 16 * MIB, .reloadable = true, .help = "The largest header section of a message."},
    {FIELD(conf, header_fields_max), .type = CONF_NUMBER, .unit = "fields", .standard = "5000",
     .min = 10, .max = 100000, .reloadable = true, .help = "The most header fields of a message."},
    {FIELD(conf, hops_max), .type = CONF_NUMBER, .unit = "fields", .standard = "100", .min = 1,
     .max = 1000, .reloadable = true,
     .help = "The most Received fields of a message; one with more is caught in a loop."},
    {FIELD(conf, recipients_max), .type = CONF_NUMBER, .unit = "recipients", .standard = "1000",
     .min = 100, .max = 100000, .reloadable = true,
     .help = "The most recipients of one transaction. RFC 5321 asks for at least 100."},
    {FIELD(conf, message_size_max), .type = CONF_SIZE, .standard = "100MiB", .min = KIB,
     .max = 4 * GIB, .reloadable = true, .help = "The largest message."},
    {FIELD(conf, memory_body_max), .type = CONF_SIZE, .standard = "2MiB", .min = 4 * KIB,
     .max = 16 * MIB, .reloadable = true,
     .help = "The largest message kept in memory while it arrives; a larger one is written to "
             "the store piece by piece."},
    {FIELD(conf, receive_memory_max), .type = CONF_SIZE, .standard = "64MiB", .min = MIB,
     .max = TIB, .reloadable = true,
     .help = "Message bodies held in memory while they arrive, all workers together; beyond it "
             "every one is written to the store piece by piece."},
    {FIELD(conf, client_memory_max), .type = CONF_SIZE, .standard = "16MiB", .min = 64 * KIB,
     .max = TIB, .reloadable = true,
     .help = "Of them, those of one client address; beyond it that client's likewise. Not for "
             "limit_exempt_networks."},
    {FIELD(conf, extensions_off), .type = CONF_WORDS, .standard = "", .words = extensions,
     .max = CONF_EXT_COUNT, .reloadable = true,
     .help = "SMTP extensions that are neither offered nor taken. BINARYMIME "
             "goes with CHUNKING, SMTPUTF8 with 8BITMIME."},
    {FIELD(conf, future_release_max), .type = CONF_DURATION, .standard = "7d", .max = 366 * DAYS,
     .reloadable = true,
     .help = "How long clients that submit mail may have it kept before it is sent "
             "(FUTURERELEASE). 0: not at all."},
    {FIELD(conf, deliver_by_min), .type = CONF_DURATION, .standard = "0", .max = DAYS,
     .reloadable = true,
     .help = "The shortest time in which a client may ask a message to be delivered or returned "
             "(DELIVERBY with R). 0: any."},
    {FIELD(conf, commands_without_mail_max), .type = CONF_NUMBER, .unit = "commands",
     .standard = "1000", .min = 1, .max = MILLION, .reloadable = true,
     .help = "Commands a client may send without sending mail before it is shown the door."},
    {FIELD(conf, errors_max), .type = CONF_NUMBER, .unit = "errors", .standard = "20", .min = 1,
     .max = 10000, .reloadable = true,
     .help = "Errors a client may make in one session before it is shown the door."},
    {FIELD(conf, command_timeout), .type = CONF_DURATION, .standard = "5m", .min = 10 * MS,
     .max = HOURS, .reloadable = true, .help = "How long a session waits for a command."},
    {FIELD(conf, data_timeout), .type = CONF_DURATION, .standard = "3m", .min = 10 * MS,
     .max = HOURS, .reloadable = true,
     .help = "How long a session waits for the next piece of a message."},
    {FIELD(conf, session_timeout), .type = CONF_DURATION, .standard = "2h", .max = 7 * DAYS,
     .reloadable = true, .help = "How long a session may last in all. 0: no bound."},
    {FIELD(conf, stress_threshold), .type = CONF_NUMBER, .unit = "percent", .standard = "80",
     .min = 1, .max = 100, .reloadable = true,
     .help = "While more of sessions_max than this is taken, sessions wait shorter. 100: never."},
    {FIELD(conf, stress_command_timeout), .type = CONF_DURATION, .standard = "10s", .min = 10 * MS,
     .max = HOURS, .reloadable = true,
     .help = "What command_timeout and tls_handshake_timeout then are at most."},
    {FIELD(conf, stress_data_timeout), .type = CONF_DURATION, .standard = "30s", .min = 10 * MS,
     .max = HOURS, .reloadable = true, .help = "What data_timeout then is at most."},
    {FIELD(conf, stress_idle_min), .type = CONF_DURATION, .standard = "1s", .max = HOURS,
     .reloadable = true,
     .help = "How long a session that has done nothing yet must have waited to be ended where a "
             "new one finds no place."},

    {FIELD(conf, plugin_path), .type = CONF_PATH, .standard = "", .example = "/usr/lib/smarthop",
     .max = PATH_LENGTH_MAX, .reloadable = true,
     .help = "The folder of plugins that are named without a file. Empty: lib/smarthop beside the "
             "folder of the program."},
    {FIELD(conf, plugin_store_path), .type = CONF_PATH, .standard = "var/plugins", .min = 1,
     .max = PATH_LENGTH_MAX,
     .help = "The folder of what plugins keep over restarts; made only where one of them does."},
    {FIELD(conf, guard_path), .type = CONF_PATH, .standard = "var/guard", .min = 1,
     .max = PATH_LENGTH_MAX,
     .help = "The folder in which the rates and the greylisting below are kept over restarts; made "
             "only where one of them is used."},
    {FIELD(conf, guard_entries_max), .type = CONF_NUMBER, .unit = "entries", .standard = "100000",
     .min = 1000, .max = MILLION, .reloadable = true,
     .help = "Users, clients and greylisted triplets remembered, about 200 bytes each. Beyond it "
             "the least lately used of what there is most of is forgotten."},
    {FIELD(conf, guard_save_interval), .type = CONF_DURATION, .standard = "5s", .min = 10 * MS,
     .max = HOURS, .reloadable = true,
     .help = "How often what has changed of them is written; a kill loses at most that."},
    {FIELD(conf, user_messages_per_hour), .type = CONF_NUMBER, .unit = "messages", .standard = "0",
     .max = MILLION, .reloadable = true,
     .help = "Messages of one user who has logged in; then 452 until there is room again. The "
             "users file may have another number for a user. 0: no bound."},
    {FIELD(conf, user_recipients_per_hour), .type = CONF_NUMBER, .unit = "recipients",
     .standard = "0", .max = MILLION, .reloadable = true,
     .help = "The same for recipients, each of each message."},
    {FIELD(conf, client_sessions_per_minute), .type = CONF_NUMBER, .unit = "sessions",
     .standard = "0", .max = MILLION, .reloadable = true,
     .help = "Sessions that one client, an IPv4 address or an IPv6 /64, may begin; then 421. This "
             "and the next three do not bind limit_exempt_networks and users who have logged in. "
             "0: no bound."},
    {FIELD(conf, client_messages_per_hour), .type = CONF_NUMBER, .unit = "messages",
     .standard = "0", .max = MILLION, .reloadable = true,
     .help = "Messages of one client; then 450. 0: no bound."},
    {FIELD(conf, client_recipients_per_hour), .type = CONF_NUMBER, .unit = "recipients",
     .standard = "0", .max = MILLION, .reloadable = true,
     .help = "Recipients of one client; then 450. 0: no bound."},
    {FIELD(conf, client_errors_per_hour), .type = CONF_NUMBER, .unit = "errors", .standard = "0",
     .max = MILLION, .reloadable = true,
     .help = "Errors of one client, such as commands and recipients refused for good; then its new "
             "sessions get 421. 0: no bound."},
    {FIELD(conf, greylist), .type = CONF_BOOL, .standard = "no", .reloadable = true,
     .help = "Put off, with 451, recipients of mail from a client network (IPv4 /24, IPv6 /64) "
             "that has not brought this sender and recipient before, until it comes again. On "
             "listeners of role relay, not for users who have logged in, and not for postmaster."},
    {FIELD(conf, greylist_delay), .type = CONF_DURATION, .standard = "5m", .max = DAYS,
     .reloadable = true, .help = "How long it is put off."},
    {FIELD(conf, greylist_window), .type = CONF_DURATION, .standard = "2d", .min = SECONDS,
     .max = 100 * DAYS, .reloadable = true,
     .help = "When it must have come again; later it counts as new."},
    {FIELD(conf, greylist_lifetime), .type = CONF_DURATION, .standard = "36d", .min = SECONDS,
     .max = 1000 * DAYS, .reloadable = true,
     .help = "How long one that has come again is let through, from its last time on."},
    {FIELD(conf, greylist_known_after), .type = CONF_NUMBER, .unit = "triplets", .standard = "5",
     .max = MILLION, .reloadable = true,
     .help = "Once so many senders and recipients of a client network have come again, all of its "
             "mail is let through. 0: never."},
    {.name = "greylist_exempt_networks",
     LIST(conf, greylist_exempt_networks.items, greylist_exempt_networks.count),
     .type = CONF_NETWORKS,
     .standard = "",
     .max = LIST_MAX,
     .reloadable = true,
     .help = "Clients that are never put off. None: those of relay_networks."},

    {.name = "dns_servers",
     LIST(conf, dns_servers, dns_server_count),
     .type = CONF_ADDRESSES,
     .standard = "",
     .max = 16,
     .default_port = 53,
     .example = "\"127.0.0.1:53\"",
     .help = "The name servers to ask. None: those of resolv.conf(5)."},
    {FIELD(conf, dns_timeout), .type = CONF_DURATION, .standard = "5s", .min = 10 * MS,
     .max = MINUTES, .help = "How long one try of a look-up waits for its answer."},
    {FIELD(conf, dns_tries), .type = CONF_NUMBER, .unit = "tries", .standard = "3", .min = 1,
     .max = 10, .help = "Tries of a look-up, each at the next server."},
    {FIELD(conf, dns_cache_max), .type = CONF_NUMBER, .unit = "names", .standard = "10000",
     .min = 1, .max = 10 * MILLION, .help = "Answers kept, in each worker."},
    {FIELD(conf, dns_negative_ttl_max), .type = CONF_DURATION, .standard = "15m", .max = DAYS,
     .help = "The longest that the absence of a name is remembered."},
    {FIELD(conf, dns_ttl_max), .type = CONF_DURATION, .standard = "1d", .max = 7 * DAYS,
     .help = "The longest that an answer is remembered."},

    {FIELD(conf, connect_timeout), .type = CONF_DURATION, .standard = "30s", .min = 10 * MS,
     .max = 10 * MINUTES, .reloadable = true,
     .help = "How long connecting to one address may take."},
    {FIELD(conf, connect_attempt_delay), .type = CONF_DURATION, .standard = "250ms",
     .max = 10 * SECONDS, .reloadable = true,
     .help = "How long connecting to a host by IPv6 or IPv4 may take before its address of the "
             "other family is connected to as well; the first to be connected is used (RFC 8305). "
             "0: not at all."},
    {FIELD(conf, greeting_timeout), .type = CONF_DURATION, .standard = "5m", .min = 10 * MS,
     .max = HOURS, .reloadable = true, .help = "How long a peer may take to greet."},
    {FIELD(conf, hello_timeout), .type = CONF_DURATION, .standard = "5m", .min = 10 * MS,
     .max = HOURS, .reloadable = true,
     .help = "How long a peer may take to answer EHLO, STARTTLS, AUTH or RSET."},
    {FIELD(conf, mail_timeout), .type = CONF_DURATION, .standard = "5m", .min = 10 * MS,
     .max = HOURS, .reloadable = true,
     .help = "How long a peer may take to answer MAIL or XFORWARD."},
    {FIELD(conf, rcpt_timeout), .type = CONF_DURATION, .standard = "5m", .min = 10 * MS,
     .max = HOURS, .reloadable = true, .help = "How long a peer may take to answer RCPT."},
    {FIELD(conf, data_init_timeout), .type = CONF_DURATION, .standard = "2m", .min = 10 * MS,
     .max = HOURS, .reloadable = true, .help = "How long a peer may take to answer DATA."},
    {FIELD(conf, data_block_timeout), .type = CONF_DURATION, .standard = "3m", .min = 10 * MS,
     .max = HOURS, .reloadable = true,
     .help = "How long a peer may take to accept a piece of a message."},
    {FIELD(conf, data_final_timeout), .type = CONF_DURATION, .standard = "10m", .min = 10 * MS,
     .max = HOURS, .reloadable = true,
     .help = "How long a peer may take to answer the end of a message. Giving up early means "
             "sending twice."},
    {FIELD(conf, quit_timeout), .type = CONF_DURATION, .standard = "10s", .min = 10 * MS,
     .max = HOURS, .reloadable = true, .help = "How long a peer may take to answer QUIT."},
    {FIELD(conf, connection_idle_timeout), .type = CONF_DURATION, .standard = "5s",
     .max = 10 * MINUTES, .reloadable = true,
     .help = "How long an open connection waits for a next message. 0: not at all."},
    {FIELD(conf, connections_per_destination), .type = CONF_NUMBER, .unit = "connections",
     .standard = "20", .min = 1, .max = 10000, .reloadable = true,
     .help = "Connections at a time to one destination."},
    {FIELD(conf, connections_max), .type = CONF_NUMBER, .unit = "connections", .standard = "20000",
     .min = 1, .max = MILLION, .reloadable = true,
     .help = "Outgoing connections at a time, to all destinations together; never more than three "
             "quarters of the descriptors that the daemon may have."},
    {FIELD(conf, messages_per_connection), .type = CONF_NUMBER, .unit = "messages",
     .standard = "1000", .min = 1, .max = MILLION, .reloadable = true,
     .help = "Messages sent through one connection before it is closed."},
    {FIELD(conf, pipeline_messages), .type = CONF_BOOL, .standard = "yes", .reloadable = true,
     .help = "Where a host offers PIPELINING and messages wait for all connections to it, the "
             "commands of the next message leave with the end of the one before (RFC 2920)."},
    {FIELD(conf, recipients_per_transaction), .type = CONF_NUMBER, .unit = "recipients",
     .standard = "100", .min = 1, .max = 10000, .reloadable = true,
     .help = "Recipients named in one transaction; a message with more goes out in several."},
    {FIELD(conf, eight_bit_conversion), .type = CONF_ENUM, .standard = "convert",
     .words = eight_bit_words, .reloadable = true,
     .help = "What becomes of an 8-bit message on its way to a host that does not offer 8BITMIME. "
             "convert: its parts that are labelled 8bit become quoted-printable, and what cannot "
             "be converted (what is signed, or not labelled) is returned; bounce: it is returned; "
             "send: it goes as it is."},
    {FIELD(conf, window_per_destination), .type = CONF_NUMBER, .unit = "messages",
     .standard = "1000", .min = 1, .max = MILLION, .reloadable = true,
     .help = "Messages of one destination held in memory; the others wait in the store."},
    {FIELD(conf, queue_jobs_max), .type = CONF_NUMBER, .unit = "messages", .standard = "20000",
     .min = 100, .max = 100 * MILLION, .reloadable = true,
     .help = "The same for all destinations together; beyond it each keeps just enough to go on."},
    {FIELD(conf, queue_command_wait), .type = CONF_DURATION, .standard = "30s",
     .max = 300 * SECONDS, .reloadable = true,
     .help =
         "How long a command on mail that is being delivered waits for the end of that attempt, "
         "to be carried out then; behind it the mail is left as it is. 0: not at all."},
    {FIELD(conf, bulk_size), .type = CONF_SIZE, .standard = "256KiB", .min = KIB, .max = TIB,
     .reloadable = true,
     .help = "Messages larger than this let smaller ones for the same destination pass, but for "
             "every fourth turn."},
    {FIELD(conf, queue_memory_max), .type = CONF_SIZE, .standard = "64MiB", .max = TIB,
     .reloadable = true,
     .help = "Message bodies held in memory until their first delivery, all workers together; "
             "the others are read back from the store."},
    {FIELD(conf, ip_preference), .type = CONF_STRING, .standard = "any", .words = ip_preferences,
     .max = 8, .help = "Which addresses of a host are tried first."},

    {FIELD(conf, response_rules), .type = CONF_PATH, .standard = "builtin", .words = rule_tables,
     .min = 1, .max = PATH_LENGTH_MAX, .reloadable = true,
     .help =
         "What the replies of next hops mean: the table that comes with the program, none "
         "(replies mean what RFC 5321 says), or a file, which is read anew when it changes; see "
         "smarthop-rules(5)."},
    {FIELD(conf, retry_first), .type = CONF_DURATION, .standard = "1m", .min = 10 * MS, .max = DAYS,
     .reloadable = true, .help = "The wait before the second try of a delivery."},
    {FIELD(conf, retry_max), .type = CONF_DURATION, .standard = "1h", .min = 10 * MS,
     .max = 7 * DAYS, .reloadable = true,
     .help = "The longest wait between two tries; waits grow from retry_first to this."},
    {FIELD(conf, host_retry_first), .type = CONF_DURATION, .standard = "1m", .min = 10 * MS,
     .max = DAYS, .reloadable = true,
     .help = "How long a host that failed is passed over while others of its next hop serve. Then "
             "one connection tries it; each time that fails the wait doubles."},
    {FIELD(conf, host_retry_max), .type = CONF_DURATION, .standard = "15m", .min = 10 * MS,
     .max = DAYS, .reloadable = true, .help = "The longest such wait."},
    {FIELD(conf, expire_after), .type = CONF_DURATION, .standard = "5d", .min = 10 * MS,
     .max = 100 * DAYS, .reloadable = true,
     .help = "The age at which an undelivered message is returned to its sender."},
    {FIELD(conf, bounce_expire_after), .type = CONF_DURATION, .standard = "1d", .min = 10 * MS,
     .max = 100 * DAYS, .reloadable = true,
     .help = "The same for messages with a null reverse-path, which are dropped."},
    {FIELD(conf, delay_warning_after), .type = CONF_DURATION, .standard = "4h", .max = 100 * DAYS,
     .reloadable = true,
     .help = "The age at which the sender is told that a message is late. 0: never."},
    {FIELD(conf, dsn_return_max), .type = CONF_SIZE, .standard = "64KiB", .max = 10 * MIB,
     .reloadable = true,
     .help = "The largest message that comes back whole in a delivery report; of a larger one "
             "only the header does."},
    {FIELD(conf, dsn_return_headers_only), .type = CONF_BOOL, .standard = "no", .reloadable = true,
     .help = "Whether delivery reports hold no more than the header, unless the sender asked for "
             "all of the message (RET=FULL)."},
    {FIELD(conf, dsn_postmaster_copy), .type = CONF_STRING, .standard = "", .max = ADDRESS_MAX,
     .example = "postmaster@example.org", .reloadable = true,
     .help = "An address that gets a copy of each delivery report that tells a sender of a "
             "failure, with the header of the message only. Empty: there are no copies."},
    {FIELD(conf, verp_sender), .type = CONF_STRING, .standard = "", .max = ADDRESS_MAX,
     .example = "*-bounces@lists.example.org", .reloadable = true,
     .help = "Mail from such senders, when it comes, is to be sent to each recipient in a "
             "transaction of its own, with a reverse-path that names the recipient: for "
             "user@example.net that of list@example.org becomes "
             "list+user=example.net@example.org. * stands for any text, ? for one byte, [ab] for "
             "one of these. Empty: no mail is."},
};

const struct conf_section conf_globals = {
    .name = "globals",
    .keys = global_keys,
    .key_count = COUNT(global_keys),
};
_Static_assert(COUNT(global_keys) <= CONF_KEYS_MAX, "raise CONF_KEYS_MAX");
