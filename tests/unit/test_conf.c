#include "unit/conf_folder.h"

#include <arpa/inet.h>

static struct conf *load_good(const char *text)
{
    struct conf *conf = NULL;
    struct buf messages;

    write_file("relay.conf", text);
    buf_init(&messages, 0);
    struct err e = conf_load("relay.conf", &messages, &conf);
    if (err_is(e))
        fail_msg("%.*s", SPAN_ARG(buf_span(&messages)));
    assert_int_equal(buf_len(&messages), 0);
    return conf;
}

static void test_defaults(void **state)
{
    struct conf *conf = load_good("hostname = \"mail.example\" // x\n" LISTENER);

    assert_string_equal(conf->hostname, "mail.example");
    assert_int_equal(conf->store_map_size, 256ULL << 30);
    assert_int_equal(conf->retry_first, 60000);
    assert_int_equal(conf->expire_after, 5ULL * 86400000);
    assert_int_equal(conf->log_level, LOG_INFO);
    assert_int_equal(conf->relay_networks.count, 2);
    assert_string_equal(conf->log_target, "stderr");
    assert_string_equal(conf->ip_preference, "any");
    assert_null(conf->user);
    assert_null(conf->tls_key);
    assert_int_equal(conf->dns_server_count, 0);
    assert_false(conf->dsn_return_headers_only);
    assert_int_equal(conf->listener_count, 1);
    assert_string_equal(conf->listeners[0].name, "smtp");
    assert_int_equal(conf->listeners[0].addresses[0].in4.sin_port, htons(25));
    struct buf path;
    buf_init(&path, 0);
    buf_addf(&path, "%s/var/queue", (const char *)*state);
    assert_true(span_equal(buf_span(&path), span_cstr(conf->store_path)));
    buf_fini(&path);
    assert_ptr_equal(conf_ref(conf), conf);
    conf_unref(conf);
    conf_unref(conf);
    conf_unref(NULL);
}

static void test_own_hostname(void **state)
{
    struct conf *conf = NULL;
    struct buf messages;

    (void)state;
    write_file("relay.conf", LISTENER);
    buf_init(&messages, 0);
    struct err e = conf_load("relay.conf", &messages, &conf);
    /* A machine may be named what no mail server can be. */
    if (err_is(e))
        assert_true(span_starts_nocase(buf_span(&messages), SPAN("relay.conf: hostname is not")));
    else
        assert_true(strlen(conf->hostname) > 0);
    buf_fini(&messages);
    conf_unref(conf);
}

static void test_notations(void **state)
{
    struct conf *conf = load_good(NAMED "retry_first = 100ms retry_max = '90s' quit_timeout = 7\n"
                                        "session_timeout = 0 message_size_max = 2048\n"
                                        "command_line_max = \"1KiB\" user = 'it\\'s'\n"
                                        "dsn_return_headers_only = on log_target = journal\n"
                                        "control_socket = ./c.sock store_path = \"/q\\x20\\\"\"\n"
                                        "dns_servers = {\"192.0.2.1\", \"[2001:db8::1]:54\"}\n");

    (void)state;
    assert_int_equal(conf->retry_first, 100);
    assert_int_equal(conf->retry_max, 90000);
    assert_int_equal(conf->quit_timeout, 7000);
    assert_int_equal(conf->session_timeout, 0);
    assert_int_equal(conf->message_size_max, 2048);
    assert_int_equal(conf->command_line_max, 1024);
    assert_string_equal(conf->user, "it's");
    assert_true(conf->dsn_return_headers_only);
    assert_string_equal(conf->log_target, "journal");
    assert_string_equal(conf->store_path, "/q \"");
    assert_null(strstr(conf->control_socket, "./"));
    assert_int_equal(conf->dns_servers[0].in4.sin_port, htons(53));
    assert_int_equal(conf->dns_servers[1].in6.sin6_port, htons(54));
    conf_unref(conf);
}

static bool counts(const struct conf_block_list *list, const char *answer)
{
    return conf_block_list_counts(list, (struct in_addr){inet_addr(answer)});
}

static void test_block_lists(void **state)
{
    static const char text[] =
        "block_lists = {\"zen.test\", \"l.test=127.0.0.2,127.0.0.4-127.0.0.6\"}\n";
    struct conf *conf = load_good(
        NAMED "block_lists = {zen.test, \"l.test = 127.0.0.2, 127.0.0.4 - 127.0.0.6\"}\n");
    struct buf printed;

    (void)state;
    assert_int_equal(conf->block_list_count, 2);
    assert_true(counts(&conf->block_lists[0], "127.0.0.2"));
    assert_true(counts(&conf->block_lists[0], "127.9.9.9"));
    assert_false(counts(&conf->block_lists[0], "192.0.2.1"));
    assert_string_equal(conf->block_lists[1].zone, "l.test");
    assert_true(counts(&conf->block_lists[1], "127.0.0.2"));
    assert_false(counts(&conf->block_lists[1], "127.0.0.3"));
    assert_true(counts(&conf->block_lists[1], "127.0.0.4"));
    assert_true(counts(&conf->block_lists[1], "127.0.0.6"));
    assert_false(counts(&conf->block_lists[1], "127.0.0.7"));
    buf_init(&printed, 0);
    conf_print(conf, &printed);
    assert_non_null(memmem(buf_span(&printed).ptr, buf_len(&printed), text, sizeof text - 1));
    buf_fini(&printed);
    conf_unref(conf);
}

static void test_include(void **state)
{
    (void)state;
    write_file("more.conf", LISTENER);
    conf_unref(load_good("hostname = a\ninclude(more.conf)\n"));
}

#define ROUTES                                                                                     \
    "route \"Example.org\" { hosts = {\"a.example\", \"[192.0.2.1]:26\", \"[b.example]\"} }\n"     \
    "route \".example.org\" { mx = mx.example tls = required port = 2525 }\n"                      \
    "route \".sub.example.org\" { discard = yes }\n"                                               \
    "route \"no.example\" { reject = \"5.7.1 no mail\" }\n"                                        \
    "route \"held.example\" { hold = \"moving \\\\ \\\"house\\\" $5\" }\n"                         \
    "route \"v6.example\" { hosts = {\"2001:db8::1\", \"[2001:db8::2]:25\"} port = 24 }\n"

static const char *pattern_for(const struct conf *conf, const char *domain)
{
    const struct conf_route *route = conf_route_find(conf, span_cstr(domain));

    return route != NULL ? route->pattern : "none";
}

static void test_route_find(void **state)
{
    static const struct {
        const char *domain;
        const char *pattern;
    } cases[] = {
        {"example.org", "example.org"},
        {"EXAMPLE.ORG", "example.org"},
        {"www.example.org", ".example.org"},
        {"sub.example.org", ".sub.example.org"},
        {"a.sub.Example.org", ".sub.example.org"},
        {"myexample.org", "*"},
        {"org", "*"},
        {"", "*"},
        {"no.example", "no.example"},
        {"x.no.example", "*"},
    };
    struct conf *conf = load_good(NAMED ROUTES "route \"*\" { use_mx = yes }\n");

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(pattern_for(conf, cases[i].domain), cases[i].pattern);
    char longer[400];
    memset(longer, 'a', sizeof longer);
    assert_string_equal(conf_route_find(conf, span_of(longer, sizeof longer))->pattern, "*");
    conf_unref(conf);

    conf = load_good(NAMED ROUTES);
    assert_string_equal(pattern_for(conf, "elsewhere.example"), "none");
    conf_unref(conf);
    conf = load_good(NAMED);
    assert_string_equal(pattern_for(conf, "elsewhere.example"), "none");
    conf_unref(conf);
}

static void test_route_fields(void **state)
{
    struct conf *conf = load_good(NAMED ROUTES);
    const struct conf_route *route = conf_route_find(conf, SPAN("example.org"));

    (void)state;
    assert_int_equal(route->action, CONF_ROUTE_HOSTS);
    assert_int_equal(route->tls, CONF_ROUTE_TLS_OPPORTUNISTIC);
    assert_int_equal(route->host_count, 3);
    assert_string_equal(route->hosts[0].host, "a.example");
    assert_int_equal(route->hosts[0].port, 25);
    assert_false(route->hosts[0].is_address || route->hosts[0].use_mx);
    assert_string_equal(route->hosts[1].host, "192.0.2.1");
    assert_int_equal(route->hosts[1].port, 26);
    assert_true(route->hosts[1].is_address);
    assert_string_equal(route->hosts[2].host, "b.example");
    assert_false(route->hosts[2].is_address);
    route = conf_route_find(conf, SPAN("a.example.org"));
    assert_int_equal(route->action, CONF_ROUTE_MX);
    assert_string_equal(route->mx_domain, "mx.example");
    assert_int_equal(route->port, 2525);
    assert_int_equal(route->tls, CONF_ROUTE_TLS_REQUIRED);
    assert_string_equal(conf_route_find(conf, SPAN("no.example"))->text, "5.7.1 no mail");
    route = conf_route_find(conf, SPAN("held.example"));
    assert_int_equal(route->action, CONF_ROUTE_HOLD);
    assert_string_equal(route->text, "moving \\ \"house\" $5");
    route = conf_route_find(conf, SPAN("v6.example"));
    assert_string_equal(route->hosts[0].host, "2001:db8::1");
    assert_int_equal(route->hosts[0].port, 24);
    assert_int_equal(route->hosts[1].port, 25);
    conf_unref(conf);
}

static bool network_holds(const struct conf *conf, const char *ip)
{
    struct conf_address address = {0};

    if (inet_pton(AF_INET, ip, &address.in4.sin_addr) == 1) {
        address.any.sa_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, ip, &address.in6.sin6_addr), 1);
        address.any.sa_family = AF_INET6;
    }
    return conf_networks_contain(&conf->relay_networks, &address.any);
}

static void test_networks(void **state)
{
    static const struct {
        const char *ip;
        bool inside;
    } cases[] = {
        {"10.0.0.1", true},
        {"10.255.255.255", true},
        {"11.0.0.0", false},
        {"::ffff:10.1.2.3", true},
        {"::ffff:11.1.2.3", false},
        {"192.0.2.127", true},
        {"192.0.2.128", false},
        {"2001:db8::1", true},
        {"2001:db9::1", false},
        {"198.51.100.7", true},
        {"198.51.100.8", false},
        {"172.16.3.4", true},
        {"::1", false},
    };
    struct conf *conf = load_good(NAMED "relay_networks = {\"10.0.0.0/8\", \"192.0.2.0/25\",\n"
                                        "\"2001:db8::/32\", \"198.51.100.7\",\n"
                                        "\"::ffff:172.16.0.0/108\"}\n");

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (network_holds(conf, cases[i].ip) != cases[i].inside)
            fail_msg("%s", cases[i].ip);
    }
    struct sockaddr local = {.sa_family = AF_UNIX};
    assert_false(conf_networks_contain(&conf->relay_networks, &local));
    conf_unref(conf);
}

#define GATEWAY                                                                                    \
    "relay_domains = {\"B.example\", \".a.example\", \"xn--bcher-kva.example\"}\n"                 \
    "listener own { address = \"127.0.0.1:1\" relay_networks = \"192.0.2.0/24\"\n"                 \
    "               relay_domains = c.example }\n"                                                 \
    "listener closed { address = \"127.0.0.1:2\" relay_networks = none relay_domains = {} }\n"

static void test_domains(void **state)
{
    static const struct {
        const char *domain;
        bool inside;
    } cases[] = {
        {"b.example", true},
        {"B.EXAMPLE", true},
        {"x.b.example", false},
        {"bb.example", false},
        {"a.example", true},
        {"x.a.example", true},
        {"y.x.A.example", true},
        {"xa.example", false},
        {"a.example.test", false},
        {"b.example.", false},
        {".b.example", false},
        {"example", false},
        {"", false},
        {"*", false},
        {"[127.0.0.1]", false},
        {"xn--bcher-kva.example", true},
        {"b\xC3\xBC.example", false},
        {"bc.example", false},
    };
    struct conf *conf = load_good(NAMED GATEWAY);

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (conf_domains_contain(&conf->relay_domains, span_cstr(cases[i].domain)) !=
            cases[i].inside)
            fail_msg("%s", cases[i].domain);
    }
    assert_false(conf_domains_contain(&conf->relay_domains, span_of("b.example\0", 10)));
    conf_unref(conf);
}

/* A list of its own, an empty one, or none and so the global one. */
static void test_inherited_lists(void **state)
{
    struct conf *conf = load_good(NAMED GATEWAY "relay_networks = none\n");
    const struct conf_listener *own = conf_listener_find(conf, "own");
    const struct conf_listener *closed = conf_listener_find(conf, "closed");
    const struct conf_listener *plain = conf_listener_find(conf, "smtp");

    (void)state;
    assert_int_equal(conf->relay_networks.count, 0);
    assert_int_equal(conf_relay_networks(conf, own)->count, 1);
    assert_string_equal(conf_relay_domains(conf, own)->items[0], "c.example");
    assert_int_equal(conf_relay_domains(conf, closed)->count, 0);
    assert_ptr_not_equal(conf_relay_networks(conf, closed), &conf->relay_networks);
    assert_ptr_equal(conf_relay_networks(conf, plain), &conf->relay_networks);
    assert_ptr_equal(conf_relay_domains(conf, plain), &conf->relay_domains);
    assert_ptr_equal(conf_relay_domains(conf, NULL), &conf->relay_domains);
    assert_null(conf_listener_find(conf, "gone"));
    assert_string_equal(conf->postmaster_address, "postmaster@mail.example");
    conf_unref(conf);
}

static void test_words(void **state)
{
    static const struct {
        const char *text;
        unsigned set;
    } cases[] = {
        {NAMED, 0},
        {NAMED "extensions_off = {}\n", 0},
        {NAMED "extensions_off = DSN\n", 1u << CONF_EXT_DSN},
        {NAMED "extensions_off = {\"mt-Priority\", PIPELINING, \"MT-PRIORITY\"}\n",
         1u << CONF_EXT_MT_PRIORITY | 1u << CONF_EXT_PIPELINING},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct conf *conf = load_good(cases[i].text);
        assert_int_equal(conf->extensions_off, cases[i].set);
        conf_unref(conf);
    }
}

#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ASKING                                                                                     \
    "listener asking {\n address = \"127.0.0.1:26\" tls = starttls\n"                              \
    "client_certificates = require client_ca = ca.pem\n"                                           \
    "relay_certificates = {\"SHA256:" DIGITS "\", \"dns:A.example\", \"*\"} }\n"

static void test_client_certificates(void **state)
{
    struct conf *conf =
        load_good("tls_certificate = c tls_key = k tls_min_version = 1.3\n" NAMED ASKING);
    const struct conf_listener *listener = conf_listener_find(conf, "asking");

    (void)state;
    assert_int_equal(conf->tls_min_version, CONF_TLS_1_3);
    assert_int_equal(listener->client_certificates, CONF_CERTIFICATES_REQUIRE);
    assert_true(span_ends_nocase(span_cstr(listener->client_ca), SPAN("/ca.pem")));
    assert_int_equal(listener->relay_certificate_count, 3);
    assert_int_equal(listener->relay_certificates[0].kind, CONF_IDENTITY_FINGERPRINT);
    assert_int_equal(listener->relay_certificates[0].fingerprint.bytes[1], 0x23);
    assert_int_equal(listener->relay_certificates[1].kind, CONF_IDENTITY_HOST);
    assert_string_equal(listener->relay_certificates[1].host, "A.example");
    assert_int_equal(listener->relay_certificates[2].kind, CONF_IDENTITY_VERIFIED);
    listener = conf_listener_find(conf, "smtp");
    assert_int_equal(listener->client_certificates, CONF_CERTIFICATES_NO);
    assert_null(conf_listener_find(conf, "asking "));
    conf_unref(conf);
}

static void test_round_trip(void **state)
{
    struct conf *first = load_good(
        NAMED ROUTES GATEWAY ASKING
        "route \"*\" { use_mx = yes }\n"
        "route submit.test { hosts = {\"smtps:a\", \"SMTPS:[::1]:4465\", \"smtps:25\"} }\n"
        "route lmtp.test { hosts = {\"unix:/run/l\", \"b:24\"} protocol = lmtp }\n"
        "tls_certificate = c tls_key = k workers = 7 retry_first = 1500ms\n"
        "extensions_off = {DSN, chunking}\n"
        "listener tls { tls = implicit address = {\"[::]:465\", \"0.0.0.0:465\"} }\n"
        "certificate \"*.example\" { certificate = /c key = /k }\n"
        "plugin a { maps = {x, \"y z\"} shadow = yes }\n");
    struct conf *second = NULL;
    struct buf printed;
    struct buf again;

    (void)state;
    buf_init(&printed, 0);
    buf_init(&again, 0);
    conf_print(first, &printed);
    buf_addf(&printed, "%c", '\0');
    write_file("printed.conf", buf_span(&printed).ptr);
    if (err_is(conf_load("printed.conf", &again, &second)))
        fail_msg("%.*s", SPAN_ARG(buf_span(&again)));
    conf_print(second, &again);
    buf_addf(&again, "%c", '\0');
    assert_string_equal(buf_span(&again).ptr, buf_span(&printed).ptr);
    buf_clear(&again);
    assert_true(conf_listener_find(second, "closed")->has_relay_networks);
    assert_false(conf_listener_find(second, "smtp")->has_relay_networks);
    assert_int_equal(conf_relay_domains(second, conf_listener_find(second, "smtp"))->count, 3);
    conf_restart_needed(first, second, &again);
    assert_int_equal(buf_len(&again), 0);
    buf_fini(&printed);
    buf_fini(&again);
    conf_unref(first);
    conf_unref(second);
}

static void test_byte_order_mark(void **state)
{
    (void)state;
    struct conf *conf = load_good("\xef\xbb\xbf" NAMED "workers = 3\n");
    assert_int_equal(conf->workers, 3);
    conf_unref(conf);
}

static void test_for_a_client(void **state)
{
    struct buf messages;
    struct conf *conf;

    (void)state;
    buf_init(&messages, 0);
    write_file("relay.conf", NAMED "credentials a { user = u password_file = \"/nonexistent\" }\n");
    assert_true(err_is(conf_load("relay.conf", &messages, &conf)));
    assert_false(err_is(conf_load_for_client("relay.conf", &messages, &conf)));
    assert_null(conf_credentials_find(conf, SPAN("a"))->secret);
    conf_unref(conf);
    buf_fini(&messages);
}

static void test_credentials(void **state)
{
    struct buf printed;

    (void)state;
    write_file("secret", "from a file\r\nand a comment\n");
    chmod("secret", 0640);
    struct conf *conf =
        load_good(NAMED "credentials one { user = \"u@a.test\" password = \"hidden\" }\n"
                        "credentials two { user = v password_file = secret }\n"
                        "route a { hosts = b credentials = two auth_without_tls = yes }\n");
    const struct conf_credentials *one = conf_credentials_find(conf, SPAN("one"));
    const struct conf_credentials *two = conf_credentials_find(conf, SPAN("two"));
    assert_string_equal(one->user, "u@a.test");
    assert_string_equal(one->secret, "hidden");
    assert_string_equal(two->secret, "from a file");
    assert_null(conf_credentials_find(conf, SPAN("On")));
    assert_string_equal(conf->routes[0].credentials, "two");
    assert_true(conf->routes[0].auth_without_tls);
    buf_init(&printed, 0);
    conf_print(conf, &printed);
    buf_addf(&printed, "%c", '\0');
    assert_non_null(strstr(buf_span(&printed).ptr, "password = \"***\"\n"));
    assert_null(strstr(buf_span(&printed).ptr, "hidden"));
    assert_null(strstr(buf_span(&printed).ptr, "from a file"));
    buf_fini(&printed);
    conf_unref(conf);
}

static void test_groups(void **state)
{
    struct buf printed;

    (void)state;
    struct conf *conf = load_good(
        NAMED "source out { addresses = {\"192.0.2.1*3\", \"2001:DB8::1\"} hello = o.test }\n"
              "route a { hosts = {\"[192.0.2.2]*5\", \"b:26\"} balance = weighted source = out }\n"
              "route b { hosts = c balance = sticky-domain }\n");
    const struct conf_origin *source = conf_origin_find(conf, SPAN("out"));
    assert_int_equal(source->address_count, 2);
    assert_int_equal(source->addresses[0].weight, 3);
    assert_int_equal(source->addresses[0].address.in4.sin_port, 0);
    assert_int_equal(source->addresses[1].weight, 1);
    assert_int_equal(source->addresses[1].address.any.sa_family, AF_INET6);
    assert_null(conf_origin_find(conf, SPAN("ou")));
    assert_int_equal(conf->routes[0].hosts[0].weight, 5);
    assert_int_equal(conf->routes[0].hosts[1].weight, 1);
    assert_int_equal(conf->routes[1].balance, CONF_BALANCE_STICKY_DOMAIN);
    buf_init(&printed, 0);
    conf_print(conf, &printed);
    buf_addf(&printed, "%c", '\0');
    const char *text = buf_span(&printed).ptr;
    assert_non_null(strstr(text, "hosts = {\"[192.0.2.2]:25*5\", \"b:26\"}\n"));
    assert_non_null(strstr(text, "addresses = {\"192.0.2.1*3\", \"2001:db8::1\"}\n"));
    assert_non_null(strstr(text, "balance = weighted\n"));
    buf_fini(&printed);
    conf_unref(conf);
}

static void test_plugins(void **state)
{
    (void)state;
    struct conf *conf = load_good(NAMED "plugin b {\n maps = {x, \"y \\\"z\"}\n strikes = 3\n}\n"
                                        "plugin a {\n other = 1\n maps = q\n process = yes }\n");
    struct buf text;

    assert_int_equal(conf->plugin_count, 2);
    const struct conf_plugin *first = &conf->plugins[0], *second = &conf->plugins[1];
    assert_string_equal(first->name, "b"); /* as in the file */
    assert_int_equal(first->strikes, 3);
    assert_int_equal(first->option_count, 1);
    assert_string_equal(first->options[0].name, "maps");
    assert_int_equal(first->options[0].count, 2);
    assert_string_equal(first->options[0].values[1], "y \"z");
    assert_int_equal(first->options[0].lines[1], 4);
    assert_true(second->process);
    assert_int_equal(second->option_count, 2);

    buf_init(&text, 0);
    conf_print_plugin(conf, 0, &text);
    buf_add(&text, span_of("", 1));
    assert_non_null(strstr(buf_span(&text).ptr, "maps = {\"x\", \"y \\\"z\"}\n"));
    buf_fini(&text);
    conf_unref(conf);
}

static void test_restart_needed(void **state)
{
    struct conf *now = load_good(NAMED "listener a { address = \"127.0.0.1:1\" }\n"
                                       "workers = 1 retry_first = 1m\n");
    struct conf *next = load_good("hostname = b listener b { address = \"127.0.0.1:2\" }\n"
                                  "listener smtp { address = \"127.0.0.1:26\" }\n"
                                  "workers = 2 retry_first = 2m store_path = x\n"
                                  "route a { discard = yes }\n");
    struct buf messages;

    (void)state;
    buf_init(&messages, 0);
    conf_restart_needed(now, next, &messages);
    buf_addf(&messages, "%c", '\0');
    assert_string_equal(buf_span(&messages).ptr, "workers needs a restart\n"
                                                 "store_path needs a restart\n"
                                                 "listener \"smtp\": address needs a restart\n"
                                                 "listener \"a\": removing it needs a restart\n"
                                                 "listener \"b\": adding it needs a restart\n");
    buf_fini(&messages);
    conf_unref(now);
    conf_unref(next);
}

static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 20);

    assert_non_null(file);
    assert_non_null(text);
    assert_int_not_equal(fread(text, 1, (1 << 20) - 1, file), 0);
    fclose(file);
    return text;
}

/* Whether the file holds what `print` makes of the schema. */
static void check_generated(const char *path, void (*print)(struct buf *), const char *option)
{
    char *text = read_whole(path);
    struct buf generated;

    buf_init(&generated, 0);
    print(&generated);
    buf_addf(&generated, "%c", '\0');
    if (strstr(text, buf_span(&generated).ptr) == NULL)
        fail_msg("%s does not agree with the schema; see smarthopd %s", path, option);
    buf_fini(&generated);
    free(text);
}

static void test_manual(void **state)
{
    (void)state;
    check_generated(SOURCE_DIR "/docs/relay.conf.5", conf_print_manual, "--print-manual");
}

static void test_sample(void **state)
{
    struct conf *conf = NULL;
    struct buf messages;

    (void)state;
    check_generated(SOURCE_DIR "/relay.conf.sample", conf_print_reference, "--print-reference");
    buf_init(&messages, 0);
    if (err_is(conf_load(SOURCE_DIR "/relay.conf.sample", &messages, &conf)))
        fail_msg("%.*s", SPAN_ARG(buf_span(&messages)));
    assert_int_equal(conf->listener_count, 2);
    assert_string_equal(conf->store_path, SOURCE_DIR "/var/queue");
    buf_fini(&messages);
    conf_unref(conf);
}

/* Each global key of the reference, taken out of its comment, is a line that loads. */
static void test_reference_loads(void **state)
{
    struct buf reference;
    struct buf text;

    (void)state;
    buf_init(&reference, 0);
    buf_init(&text, 0);
    conf_print_reference(&reference);
    struct span rest = buf_span(&reference);
    while (rest.len > 0) {
        struct span line = span_split(rest, '\n', &rest);
        bool opens_section = line.len > 0 && line.ptr[line.len - 1] == '{';
        if (line.len > 2 && ascii_is_alpha(line.ptr[1]) && !opens_section)
            buf_addf(&text, "%.*s\n", SPAN_ARG(span_from(line, 1)));
    }
    buf_addf(&text, LISTENER "%c", '\0');
    struct conf *conf = load_good(buf_span(&text).ptr);
    assert_int_equal(conf->window_per_destination, 1000);
    conf_unref(conf);
    buf_fini(&text);
    buf_fini(&reference);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_FOLDER(test_defaults),        IN_FOLDER(test_own_hostname),
        IN_FOLDER(test_notations),       IN_FOLDER(test_include),
        IN_FOLDER(test_route_find),      IN_FOLDER(test_route_fields),
        IN_FOLDER(test_networks),        IN_FOLDER(test_domains),
        IN_FOLDER(test_inherited_lists), IN_FOLDER(test_round_trip),
        IN_FOLDER(test_restart_needed),  IN_FOLDER(test_manual),
        IN_FOLDER(test_sample),          IN_FOLDER(test_reference_loads),
        IN_FOLDER(test_block_lists),     IN_FOLDER(test_words),
        IN_FOLDER(test_credentials),     IN_FOLDER(test_byte_order_mark),
        IN_FOLDER(test_for_a_client),    IN_FOLDER(test_groups),
        IN_FOLDER(test_plugins),         IN_FOLDER(test_client_certificates),
    };

    return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
