/* The keys of the sections. */
#include "conf/schema_rows.h"

static const char *const listener_tls[] = {"none", "starttls", "implicit", NULL};
static const char *const listener_roles[] = {"relay", "submission", "lmtp", NULL};
static const char *const route_protocols[] = {"smtp", "lmtp", NULL};
static const char *const client_certificates[] = {"no", "ask", "require", NULL};
static const char *const route_balance[] = {"ordered", "weighted", "sticky-tenant", "sticky-domain",
                                            NULL};
static const char *const route_tls[] = {"none", "opportunistic", "required", NULL};

static const struct conf_key listener_keys[] = {
    {.name = "address",
     LIST(conf_listener, addresses, address_count),
     .type = CONF_ADDRESSES,
     .standard = "",
     .example = "\"127.0.0.1:25\", \"[::1]:25\"",
     .min = 1,
     .max = 256,
     .is_required = true,
     .help = "Where to listen: \"127.0.0.1:25\" or \"[::1]:25\". Port 0: any free port; the log "
             "tells which."},
    {FIELD(conf_listener, tls), .type = CONF_ENUM, .standard = "none", .words = listener_tls,
     .help = "none; starttls: offered; implicit: from the first byte."},
    {FIELD(conf_listener, role), .type = CONF_ENUM, .standard = "relay", .words = listener_roles,
     .help = "relay: for servers and relay_networks; submission: for users, who must log in before "
             "MAIL, and whose messages get the Date, Message-ID and From that they lack; lmtp: as "
             "relay, by LMTP (RFC 2033), not on port 25."},
    {.name = "relay_networks",
     LIST(conf_listener, relay_networks.items, relay_networks.count),
     .given_offset = offsetof(struct conf_listener, has_relay_networks),
     .type = CONF_NETWORKS,
     .standard = "",
     .max = LIST_MAX,
     .example = "\"10.0.0.0/8\"",
     .inherits = true,
     .reloadable = true,
     .help = "Clients that may send mail to any domain by this listener, instead of the global "
             "relay_networks. None: nobody may."},
    {.name = "relay_domains",
     LIST(conf_listener, relay_domains.items, relay_domains.count),
     .given_offset = offsetof(struct conf_listener, has_relay_domains),
     .type = CONF_DOMAINS,
     .standard = "",
     .max = LIST_MAX,
     .example = "\"example.org\", \".example.net\"",
     .inherits = true,
     .reloadable = true,
     .help = "Domains to which everybody may send mail by this listener, instead of the global "
             "relay_domains. None: to none."},
    {FIELD(conf_listener, auth), .type = CONF_BOOL, .standard = "no",
     .help = "Offer AUTH. A user who has logged in may relay. Always so for submission."},
    {FIELD(conf_listener, proxy), .type = CONF_BOOL, .standard = "no",
     .help = "Every connection begins with a PROXY header, version 1 or 2, from proxy_networks."},
    {FIELD(conf_listener, client_certificates), .type = CONF_ENUM, .standard = "no",
     .words = client_certificates,
     .help = "no: clients are not asked for a certificate; ask: they may show one, to relay by it "
             "or to log in by it (EXTERNAL); require: without one that counts MAIL and AUTH are "
             "refused with 530."},
    {FIELD(conf_listener, client_ca), .type = CONF_PATH, .standard = "", .max = PATH_LENGTH_MAX,
     .example = "var/tls/clients.pem", .reloadable = true,
     .help = "Certificates of authorities, PEM: only client certificates that come from one of "
             "these count. Empty: each counts, by its fingerprint alone; nothing that it says of "
             "itself is believed."},
    {.name = "relay_certificates",
     LIST(conf_listener, relay_certificates, relay_certificate_count),
     .type = CONF_IDENTITIES,
     .standard = "",
     .example = "\"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
     .max = LIST_MAX,
     .reloadable = true,
     .help = "Clients that may relay by their certificate, as if they were in relay_networks: the "
             "fingerprint of the certificate as a whole; with client_ca also \"dns:host\", which "
             "the certificate must name as a dNSName (wildcards in it do not count), or \"*\" for "
             "every certificate from there."},
};

static const struct conf_key certificate_keys[] = {
    {FIELD(conf_certificate, certificate), .type = CONF_PATH, .standard = "",
     .example = "var/tls/mail.pem", .min = 1, .max = PATH_LENGTH_MAX, .is_required = true,
     .reloadable = true, .help = "The certificate chain, PEM."},
    {FIELD(conf_certificate, key), .type = CONF_PATH, .standard = "", .example = "var/tls/mail.key",
     .min = 1, .max = PATH_LENGTH_MAX, .is_required = true, .reloadable = true,
     .help = "Its private key, PEM."},
};

static const struct conf_key credentials_keys[] = {
    {FIELD(conf_credentials, user), .type = CONF_STRING, .standard = "",
     .example = "relay@example.org", .min = 1, .max = CONF_USER_MAX, .is_required = true,
     .reloadable = true, .help = "The name to log in with."},
    {FIELD(conf_credentials, password), .type = CONF_STRING, .standard = "", .example = "secret",
     .max = CONF_PASSWORD_MAX, .is_secret = true, .reloadable = true,
     .help = "The password; or rather password_file."},
    {FIELD(conf_credentials, password_file), .type = CONF_PATH, .standard = "",
     .example = "provider.password", .max = PATH_LENGTH_MAX, .reloadable = true,
     .help = "A file whose first line is the password, read at the start and at each reload. It "
             "must not be readable by everybody."},
};

static const struct conf_key route_keys[] = {
    {.name = "hosts",
     LIST(conf_route, hosts, host_count),
     .type = CONF_HOPS,
     .standard = "",
     .example = "\"[192.0.2.1]:25\", \"relay.example\"",
     .min = 1,
     .max = 256,
     .is_choice = true,
     .choice = CONF_ROUTE_HOSTS,
     .reloadable = true,
     .help =
         "Hosts, used as balance says: \"host\", \"host:port\", \"[192.0.2.1]:port\", "
         "\"[2001:db8::1]:port\"; with protocol = lmtp also \"unix:/path\". Their addresses are "
         "looked up, never their MX; brackets around a name change nothing. A weight from 1 to "
         "1000 may follow: \"host:port*3\". \"smtps:host\" is a host with TLS from the first byte "
         "(RFC 8314), at port 465 where none is written."},
    {.name = "mx",
     .offset = offsetof(struct conf_route, mx_domain),
     .type = CONF_DOMAIN,
     .standard = "",
     .example = "example.org",
     .min = 1,
     .max = DOMAIN_MAX,
     .is_choice = true,
     .choice = CONF_ROUTE_MX,
     .reloadable = true,
     .help = "Deliver to the MX hosts of this domain."},
    {.name = "use_mx",
     .type = CONF_MARK,
     .standard = "",
     .example = "yes",
     .is_choice = true,
     .choice = CONF_ROUTE_MX,
     .reloadable = true,
     .help = "Deliver to the MX hosts of the recipient's own domain."},
    {.name = "reject",
     .offset = offsetof(struct conf_route, text),
     .type = CONF_STRING,
     .standard = "",
     .example = "5.7.1 no mail for this domain",
     .min = 1,
     .max = 400,
     .is_choice = true,
     .choice = CONF_ROUTE_REJECT,
     .reloadable = true,
     .help = "Refuse the recipient for good, with this enhanced status code and text."},
    {.name = "discard",
     .type = CONF_MARK,
     .standard = "",
     .example = "yes",
     .is_choice = true,
     .choice = CONF_ROUTE_DISCARD,
     .reloadable = true,
     .help = "Accept the mail and drop it."},
    {.name = "hold",
     .offset = offsetof(struct conf_route, text),
     .type = CONF_STRING,
     .standard = "",
     .example = "moving house",
     .min = 1,
     .max = 400,
     .is_choice = true,
     .choice = CONF_ROUTE_HOLD,
     .reloadable = true,
     .help = "Keep the mail in the queue, for this reason, until an operator releases it."},
    {FIELD(conf_route, port), .type = CONF_NUMBER, .standard = "25", .min = 1, .max = 65535,
     .reloadable = true, .help = "The port of MX hosts, and of hosts written without one."},
    {FIELD(conf_route, tls), .type = CONF_ENUM, .standard = "opportunistic", .words = route_tls,
     .reloadable = true,
     .help =
         "none: in clear; opportunistic: encrypted where the host offers it; required: "
         "encrypted, by a host with a valid certificate for its name, or not at all. With a host "
         "after smtps: all is encrypted, and required says that its certificate has to be "
         "right."},
    {FIELD(conf_route, protocol), .type = CONF_ENUM, .standard = "smtp", .words = route_protocols,
     .reloadable = true,
     .help = "smtp; lmtp: the hosts are mail stores that take it by LMTP (RFC 2033) and answer for "
             "each recipient."},
    {FIELD(conf_route, xforward), .type = CONF_BOOL, .standard = "no", .reloadable = true,
     .help = "Tell the hosts, where they list XFORWARD, from which client a message came. For a "
             "content filter, or another relay of your own."},
    {FIELD(conf_route, credentials), .type = CONF_STRING, .standard = "", .example = "provider",
     .max = 64, .reloadable = true,
     .help = "Log in at the hosts with the credentials of that name. Only with hosts. Unless "
             "auth_without_tls says otherwise a host must show a certificate for its name; without "
             "logging in nothing is sent to it."},
    {FIELD(conf_route, auth_without_tls), .type = CONF_BOOL, .standard = "no", .reloadable = true,
     .help = "Log in also where there is no TLS, or where the host's certificate is not verified. "
             "The password is then open to whoever is on the way."},
    {FIELD(conf_route, balance), .type = CONF_ENUM, .standard = "ordered", .words = route_balance,
     .reloadable = true,
     .help = "ordered: the first of the hosts that serves; weighted: each gets its share of the "
             "messages, by the weights written with the hosts; sticky-tenant: each tenant keeps "
             "its host as long as that serves; sticky-domain: likewise each recipient domain. "
             "With the last two each host counts as a site of its own."},
    {FIELD(conf_route, source), .type = CONF_STRING, .standard = "", .example = "warm", .max = 64,
     .reloadable = true, .help = "Connect from the addresses of the source of that name."},
};

#define RATE(period)                                                                               \
    {                                                                                              \
        FIELD(conf_destination, messages_per_##period),                                            \
            .type = CONF_NUMBER, .unit = "messages", .standard = "0", .max = 1000 * MILLION,       \
            .reloadable = true,                                                                    \
            .help = "Messages sent in one " #period ", evenly spread. 0: as many as there are."    \
    }

static const struct conf_key destination_keys[] = {
    {FIELD(conf_destination, connections), .type = CONF_NUMBER, .unit = "connections",
     .standard = "0", .max = 10000, .reloadable = true,
     .help = "Connections at a time. 0: connections_per_destination."},
    {FIELD(conf_destination, messages_per_connection), .type = CONF_NUMBER, .unit = "messages",
     .standard = "0", .max = MILLION, .reloadable = true,
     .help = "Messages sent through one connection. 0: as everywhere."},
    {FIELD(conf_destination, recipients_per_transaction), .type = CONF_NUMBER, .unit = "recipients",
     .standard = "0", .max = 10000, .reloadable = true,
     .help = "Recipients named in one transaction. 0: as everywhere."},
    RATE(second),
    RATE(minute),
    RATE(hour),
    RATE(day),
    {FIELD(conf_destination, retry_first), .type = CONF_DURATION, .standard = "0", .max = DAYS,
     .reloadable = true, .help = "The wait before the second try. 0: as everywhere."},
    {FIELD(conf_destination, retry_max), .type = CONF_DURATION, .standard = "0", .max = 7 * DAYS,
     .reloadable = true, .help = "The longest wait between two tries. 0: as everywhere."},
    {FIELD(conf_destination, expire_after), .type = CONF_DURATION, .standard = "0",
     .max = 100 * DAYS, .reloadable = true,
     .help = "The age at which an undelivered message is returned to its sender. 0: as everywhere. "
             "For this and the next key only the domain counts, or the first host of a route, not "
             "the names of MX hosts."},
    {FIELD(conf_destination, delay_warning_after), .type = CONF_DURATION, .standard = "0",
     .max = 100 * DAYS, .reloadable = true,
     .help = "The age at which the sender is told that a message is late. 0: as everywhere; longer "
             "than expire_after: never."},
};

static const struct conf_key origin_keys[] = {
    {.name = "addresses",
     LIST(conf_origin, addresses, address_count),
     .type = CONF_ORIGINS,
     .standard = "",
     .example = "\"192.0.2.1*3\", \"192.0.2.2\", \"2001:db8::1\"",
     .min = 1,
     .max = 256,
     .is_required = true,
     .reloadable = true,
     .help = "Addresses of this machine. Each connection leaves from one of the host's family, by "
             "turns; with a weight, as \"192.0.2.1*3\", more often than others. A host of a "
             "family that is not here is passed over."},
    {FIELD(conf_origin, hello), .type = CONF_DOMAIN, .standard = "", .example = "out.example.org",
     .max = DOMAIN_MAX, .reloadable = true, .help = "The name said in EHLO. Empty: hostname."},
    {FIELD(conf_origin, messages_per_day), .type = CONF_NUMBER, .unit = "messages", .standard = "0",
     .max = 1000 * MILLION, .reloadable = true,
     .help = "Messages sent from each of the addresses in one day, evenly spread: for addresses "
             "that are new to their receivers. 0: as many as there are."},
};

static const char *const plugin_fail[] = {"default", "open", "defer", NULL};

static const struct conf_key plugin_keys[] = {
    {FIELD(conf_plugin, file), .type = CONF_PATH, .standard = "", .example = "table.so",
     .max = PATH_LENGTH_MAX, .reloadable = true,
     .help = "The plugin. Not given: NAME.so in plugin_path."},
    {FIELD(conf_plugin, process), .type = CONF_BOOL, .standard = "no", .reloadable = true,
     .help = "Run it in a process of its own (smarthop-plugin(8)), without rights: what it does "
             "there harms only what it was asked at that moment. The process is started again "
             "when it has ended."},
    {FIELD(conf_plugin, user), .type = CONF_STRING, .standard = "", .example = "nobody", .max = 64,
     .reloadable = true,
     .help = "The user of that process, other than root. Empty: the daemon's own. Only a smarthopd "
             "that is started as root can give it another one; where it becomes a `user` itself, "
             "only one that relay.conf named for a process when it was started, so that a new one "
             "needs a restart."},
    {FIELD(conf_plugin, memory_max), .type = CONF_SIZE, .standard = "512MiB", .min = 16 * MIB,
     .max = TIB, .reloadable = true,
     .help = "The most memory that process may have; files that it maps are not counted."},
    {FIELD(conf_plugin, network), .type = CONF_BOOL, .standard = "no", .reloadable = true,
     .help = "Whether that process may open sockets. It never may run programs."},
    {FIELD(conf_plugin, process_writes), .type = CONF_PATH, .standard = "", .example = "cache",
     .max = PATH_LENGTH_MAX, .reloadable = true,
     .help = "A folder in which that process may change files, and nowhere else, such as the one "
             "where a plugin keeps what it has compiled. Empty: none, or with a user of its own "
             "what that user may."},
    {FIELD(conf_plugin, process_queue_max), .type = CONF_SIZE, .standard = "16MiB", .min = 1 * MIB,
     .max = GIB, .reloadable = true,
     .help = "How much of what it is asked may wait for that process to read it, for each worker. "
             "What is more is answered by its fail mode."},
    {FIELD(conf_plugin, process_start_max), .type = CONF_DURATION, .standard = "1m",
     .min = 100 * MS, .max = 1 * HOURS, .reloadable = true,
     .help = "How long that process may take to start, with all that the plugin loads. smarthopd "
             "waits for it when it starts and at a reload."},
    {FIELD(conf_plugin, process_stop_max), .type = CONF_DURATION, .standard = "5s", .min = 10 * MS,
     .max = 5 * MINUTES, .reloadable = true,
     .help = "How long that process may take to stop before it is killed."},
    {FIELD(conf_plugin, process_rest_min), .type = CONF_DURATION, .standard = "100ms",
     .min = 1 * MS, .max = 1 * HOURS, .reloadable = true,
     .help = "How long after its end that process is started again; each time that does not help "
             "twice as long."},
    {FIELD(conf_plugin, process_rest_max), .type = CONF_DURATION, .standard = "30s", .min = 1 * MS,
     .max = 1 * DAYS, .reloadable = true,
     .help = "The longest such rest, and how long a process has to serve for the next rest to be "
             "short again."},
    {FIELD(conf_plugin, process_command_max), .type = CONF_DURATION, .standard = "1m",
     .min = 100 * MS, .max = 1 * HOURS, .reloadable = true,
     .help = "How long \"smarthopctl plugin command\" waits for that process."},
    {FIELD(conf_plugin, shadow), .type = CONF_BOOL, .standard = "no", .reloadable = true,
     .help = "Ask it, but do without it: the log tells where it would have decided differently."},
    {FIELD(conf_plugin, fail), .type = CONF_ENUM, .standard = "default", .words = plugin_fail,
     .reloadable = true,
     .help = "When it cannot answer. open: as if it had no opinion; defer: the client or the "
             "message has to try again later; default: as the plugin itself declares."},
    {FIELD(conf_plugin, timeout), .type = CONF_DURATION, .standard = "10s", .min = 10 * MS,
     .max = 10 * MINUTES, .reloadable = true,
     .help = "How long an answer that it has promised is waited for."},
    {FIELD(conf_plugin, budget), .type = CONF_DURATION, .standard = "100ms", .min = 1 * MS,
     .max = 10 * SECONDS, .reloadable = true,
     .help = "How long it may keep a thread that serves mail from doing so."},
    {FIELD(conf_plugin, strikes), .type = CONF_NUMBER, .unit = "answers", .standard = "10",
     .min = 1, .max = 1000, .reloadable = true,
     .help = "After so many answers in a row that broke timeout or budget it is not asked for "
             "`rest`; its fail mode holds meanwhile. Then it is asked once."},
    {FIELD(conf_plugin, rest), .type = CONF_DURATION, .standard = "10s", .min = 10 * MS,
     .max = 1 * DAYS, .reloadable = true, .help = "See strikes."},
    {FIELD(conf_plugin, store_max), .type = CONF_SIZE, .standard = "16MiB", .min = 1 * MIB,
     .max = TIB, .help = "The most that it may keep in its store."},
};

static const struct conf_key tenant_keys[] = {
    {FIELD(conf_tenant, weight), .type = CONF_NUMBER, .standard = "1", .min = 1, .max = 1000,
     .reloadable = true,
     .help = "Its share of a destination that is busy, beside the other tenants' shares."},
};

const struct conf_section conf_sections[CONF_SECTIONS] = {
    [CONF_LISTENER] = {.name = "listener",
                       .title = "name",
                       .keys = listener_keys,
                       .help = "One place where mail comes in. At least one is needed.",
                       .key_count = COUNT(listener_keys),
                       .item_size = sizeof(struct conf_listener),
                       .title_offset = offsetof(struct conf_listener, name),
                       .items_offset = offsetof(struct conf, listeners),
                       .count_offset = offsetof(struct conf, listener_count)},
    [CONF_CERTIFICATE] = {.name = "certificate",
                          .title = "server.name",
                          .keys = certificate_keys,
                          .help = "A certificate for clients that ask for this server name, or "
                                  "for any name in the domain where it is \"*.domain\". "
                                  "All others see tls_certificate.",
                          .key_count = COUNT(certificate_keys),
                          .item_size = sizeof(struct conf_certificate),
                          .title_offset = offsetof(struct conf_certificate, server_name),
                          .items_offset = offsetof(struct conf, certificates),
                          .count_offset = offsetof(struct conf, certificate_count)},
    [CONF_CREDENTIALS] = {.name = "credentials",
                          .title = "name",
                          .keys = credentials_keys,
                          .help = "A name and a password with which to log in at next hops; routes "
                                  "name them. Each has either password or password_file.",
                          .key_count = COUNT(credentials_keys),
                          .item_size = sizeof(struct conf_credentials),
                          .title_offset = offsetof(struct conf_credentials, name),
                          .items_offset = offsetof(struct conf, credentials),
                          .count_offset = offsetof(struct conf, credentials_count)},
    [CONF_ORIGIN] = {.name = "source",
                     .title = "name",
                     .keys = origin_keys,
                     .help = "Addresses to connect from; routes name them.",
                     .key_count = COUNT(origin_keys),
                     .item_size = sizeof(struct conf_origin),
                     .title_offset = offsetof(struct conf_origin, name),
                     .items_offset = offsetof(struct conf, origins),
                     .count_offset = offsetof(struct conf, origin_count)},
    [CONF_ROUTE] = {.name = "route",
                    .title = "pattern",
                    .keys = route_keys,
                    .help = "Where mail for a domain goes. The pattern is a domain, \".domain\" "
                            "for a domain with its subdomains, or \"*\". The exact domain wins, "
                            "then the longest \".domain\", then \"*\"; the order in the file does "
                            "not matter. Each route has exactly one of hosts, mx, use_mx, "
                            "reject, discard and hold.",
                    .key_count = COUNT(route_keys),
                    .item_size = sizeof(struct conf_route),
                    .title_offset = offsetof(struct conf_route, pattern),
                    .items_offset = offsetof(struct conf, routes),
                    .count_offset = offsetof(struct conf, route_count)},
    [CONF_DESTINATION] = {.name = "destination",
                          .title = "pattern",
                          .help = "How much of us a site takes: the hosts of a route, or the MX "
                                  "hosts of a domain; domains with the same MX hosts are one "
                                  "site. The pattern is that of a route. It is looked for by the "
                                  "name of the first MX host, then by the domain; for a route's "
                                  "hosts by the name of the first.",
                          .keys = destination_keys,
                          .key_count = COUNT(destination_keys),
                          .item_size = sizeof(struct conf_destination),
                          .title_offset = offsetof(struct conf_destination, pattern),
                          .items_offset = offsetof(struct conf, destinations),
                          .count_offset = offsetof(struct conf, destination_count)},
    [CONF_TENANT] = {.name = "tenant",
                     .title = "name",
                     .help = "On whose behalf mail is sent: the user who has logged in, or else "
                             "the domain of the sender. Each tenant has its own line at each "
                             "destination, and they are served by turns.",
                     .keys = tenant_keys,
                     .key_count = COUNT(tenant_keys),
                     .item_size = sizeof(struct conf_tenant),
                     .title_offset = offsetof(struct conf_tenant, name),
                     .items_offset = offsetof(struct conf, tenants),
                     .count_offset = offsetof(struct conf, tenant_count)},
    [CONF_PLUGIN] = {.name = "plugin",
                     .title = "name",
                     .help = "A plugin that is asked where mail goes, and what becomes of it; see "
                             "docs/PLUGINS.md. They are asked in the order of the file. Other keys "
                             "than these are the plugin's own.",
                     .keys = plugin_keys,
                     .key_count = COUNT(plugin_keys),
                     .item_size = sizeof(struct conf_plugin),
                     .title_offset = offsetof(struct conf_plugin, name),
                     .items_offset = offsetof(struct conf, plugins),
                     .count_offset = offsetof(struct conf, plugin_count),
                     .options_offset = offsetof(struct conf_plugin, options),
                     .option_count_offset = offsetof(struct conf_plugin, option_count),
                     .is_open = true},
};

const struct conf_key *conf_key_find(const struct conf_section *section, struct span name)
{
    for (unsigned i = 0; i < section->key_count; i++) {
        if (span_equal(span_cstr(section->keys[i].name), name))
            return &section->keys[i];
    }
    return NULL;
}

const struct conf_section *conf_section_find(struct span name)
{
    for (unsigned i = 0; i < CONF_SECTIONS; i++) {
        if (span_equal(span_cstr(conf_sections[i].name), name))
            return &conf_sections[i];
    }
    return NULL;
}

unsigned conf_section_count(const struct conf *conf, const struct conf_section *section)
{
    return *(const unsigned *)(const void *)((const char *)conf + section->count_offset);
}

void *conf_section_item(const struct conf *conf, const struct conf_section *section, unsigned i)
{
    char *items = *(char *const *)(const void *)((const char *)conf + section->items_offset);

    return items + i * section->item_size;
}
