#include "unit/conf_folder.h"

struct bad_case {
    const char *name;
    const char *text;
    const char *messages;
};

static void check_bad(const struct bad_case *c)
{
    struct conf *conf = NULL;
    struct buf messages;

    write_file("relay.conf", c->text);
    buf_init(&messages, 0);
    struct err e = conf_load("relay.conf", &messages, &conf);
    if (!err_is(e))
        fail_msg("%s: was loaded", c->name);
    assert_null(conf);
    if (!span_equal(buf_span(&messages), span_cstr(c->messages)))
        fail_msg("%s:\n%.*sinstead of\n%s", c->name, SPAN_ARG(buf_span(&messages)), c->messages);
    buf_fini(&messages);
}

static const struct bad_case name_cases[] = {
    {"unknown key", "# one\n/* two\n */ retry_frist = 5m # x\n" NAMED,
     "relay.conf:3: unknown key retry_frist; the nearest known one is retry_first\n"},
    {"unknown keys beside each other", "alpha = 1\nbetagamma = {1, 2}\n" NAMED,
     "relay.conf:1: unknown key alpha\nrelay.conf:2: unknown key betagamma\n"},
    {"unknown key in a section", "listener a {\n adress = \"127.0.0.1:1\"\n}\n",
     "relay.conf:1: listener \"a\" lacks its address\n"
     "relay.conf:2: unknown key adress in listener; the nearest known one is address\n"},
    {"unknown section", "rout \"*\" {\n use_mx = yes\n inner { }\n}\n" NAMED,
     "relay.conf:1: unknown key rout; the nearest known one is route\n"},
    {"key of another place",
     "hosts = a.example\nlistener b { address = \"[::1]:1\"\nworkers = 2 }\n",
     "relay.conf:1: hosts belongs in a route section\n"
     "relay.conf:3: workers does not belong in a listener section\n"},
    {"two values", NAMED "log_target = my words\n", "relay.conf:3: unknown key words\n"},
    {"repeated key", "workers = 1\n" NAMED "workers = 1\n",
     "relay.conf:4: workers is given twice; first in relay.conf:1\n"},
    {"repeated key in a section", "listener a { tls = none\naddress = \"[::1]:1\"\ntls = none }\n",
     "relay.conf:3: tls is given twice; first in relay.conf:1\n"},
    {"repeated section", NAMED "listener 'SMTP' {\n nonsense = 1\n}\nworkers = x\n",
     "relay.conf:3: listener \"SMTP\" is given twice; first in relay.conf:2\n"
     "relay.conf:6: workers: \"x\" is not a number; expected a number from 0 to 256 (threads)\n"},
    {"repeated section, spelled otherwise", NAMED "listener \"\\x73mtp\" {\n}\n",
     "relay.conf:3: syntax error: found duplicate title 'smtp'\n"},
    {"repeated option of a plugin", NAMED "plugin a {\n maps = b\n maps = {c}\n}\n",
     "relay.conf:5: maps is given twice; first in relay.conf:4\n"},
    {"no name for an option", NAMED "plugin a {\n Maps = b\n}\n",
     "relay.conf:4: unknown key Maps in plugin\n"},
    {"key of a plugin's own", NAMED "plugin a {\n budget = no\n maps = b\n}\n",
     "relay.conf:4: budget: \"no\" is not a number; expected a duration from 1ms to 10s\n"},
    {"appending", NAMED "relay_networks += {\"::1\"}\n",
     "relay.conf:3: += is not allowed; write the whole list with =\n"},
};

#define NO_LIST                                                                                    \
    " is not a block list; expected one like zen.example or "                                      \
    "zen.example=127.0.0.2,127.0.0.4-127.0.0.7\n"
#define NO_ANSWER                                                                                  \
    " has a wrong answer; expected addresses like 127.0.0.2 or ranges like 127.0.0.4-127.0.0.7\n"
#define ASKING                                                                                     \
    "hostname = a tls_certificate = c tls_key = k\n"                                               \
    "listener x {\n address = \"127.0.0.1:1\" tls = starttls client_certificates = ask\n"

static const struct bad_case value_cases[] = {
    {"not a number", NAMED "sessions_max = many\n",
     "relay.conf:3: sessions_max: \"many\" is not a number; expected a number from 1 to 1000000 "
     "(sessions)\n"},
    {"number too small", NAMED "recipients_max = 99\n",
     "relay.conf:3: recipients_max: \"99\" is out of range; expected a number from 100 to 100000 "
     "(recipients)\n"},
    {"number beyond 64 bits", NAMED "errors_max = 99999999999999999999\n",
     "relay.conf:3: errors_max: \"99999999999999999999\" is out of range; expected a number from 1 "
     "to 10000 (errors)\n"},
    {"negative number", NAMED "hops_max = -1\n",
     "relay.conf:3: hops_max: \"-1\" is not a number; expected a number from 1 to 1000 (fields)\n"},
    {"size unit", NAMED "message_size_max = 10MB\n",
     "relay.conf:3: message_size_max: \"10MB\" has no unit of KiB, MiB, GiB, TiB; expected a size "
     "from 1KiB to 4GiB\n"},
    {"size overflow", NAMED "message_size_max = 99999999999TiB\n",
     "relay.conf:3: message_size_max: \"99999999999TiB\" is out of range; expected a size from "
     "1KiB to 4GiB\n"},
    {"duration unit", NAMED "retry_first = \"5 m\"\n",
     "relay.conf:3: retry_first: \"5 m\" has no unit of ms, s, m, h, d; expected a duration from "
     "10ms to 1d\n"},
    {"duration range", NAMED "retry_first = 9ms\n",
     "relay.conf:3: retry_first: \"9ms\" is out of range; expected a duration from 10ms to 1d\n"},
    {"bool", NAMED "dsn_return_headers_only = maybe\n",
     "relay.conf:3: dsn_return_headers_only: \"maybe\" is neither; expected yes or no\n"},
    {"enum", NAMED "log_level = loud\n",
     "relay.conf:3: log_level: \"loud\" is none of them; expected error, warn, info or debug\n"},
    {"words", NAMED "ip_preference = ipv5\n",
     "relay.conf:3: ip_preference: \"ipv5\" is none of them; expected any, ipv4 or ipv6\n"},
    {"domain", LISTENER "hostname = \"my_host\"\n",
     "relay.conf:2: hostname: \"my_host\" is not a domain name; expected a domain name\n"},
    {"control characters", NAMED "user = \"a\\nb\"\n",
     "relay.conf:3: user: \"a?b\" has control characters; expected a text of at most 256 bytes\n"},
    {"empty path", NAMED "store_path = ''\n",
     "relay.conf:3: store_path: \"\" is empty; expected a path of at most 4095 bytes\n"},
    {"list for a scalar", NAMED "workers = {1, 2}\nhops_max = { }\n",
     "relay.conf:3: workers takes one value, not a list\n"
     "relay.conf:4: hops_max takes one value, not a list\n"},
    {"words", NAMED "extensions_off = {DSN, VRFY}\n",
     "relay.conf:3: extensions_off: \"VRFY\" is none of them; expected a list of PIPELINING, SIZE, "
     "8BITMIME, SMTPUTF8, CHUNKING, BINARYMIME, DSN, LIMITS, REQUIRETLS, MT-PRIORITY, "
     "FUTURERELEASE or DELIVERBY, or none\n"},
    {"networks", NAMED "relay_networks = {\"10.0.0.0/8\",\n \"10.0.0.1/8\", \"::1/129\",\n x}\n",
     "relay.conf:4: relay_networks: \"10.0.0.1/8\" has bits set behind its prefix\n"
     "relay.conf:4: relay_networks: \"::1/129\" has a wrong prefix; expected 0 to 128\n"
     "relay.conf:5: relay_networks: \"x\" is not a network; expected one like 10.0.0.0/8 or "
     "2001:db8::/32\n"},
    {"addresses",
     "listener a { address = {\"127.0.0.1\", \"::1:25\",\n\"[::1]:65536\", \"h:1\"} }\n",
     "relay.conf:1: address: \"127.0.0.1\" lacks its port; expected one like 127.0.0.1:25 or "
     "[::1]:25\n"
     "relay.conf:1: address: \"::1:25\" lacks its port; expected one like 127.0.0.1:25 or "
     "[::1]:25\n"
     "relay.conf:2: address: \"[::1]:65536\" has a wrong port; expected 0 to 65535\n"
     "relay.conf:2: address: \"h:1\" is not an address; expected one like 127.0.0.1:25 or "
     "[::1]:25\n"},
    {"domains", NAMED "relay_domains = {\"a.example\", \"*\",\n\"*.b\", \"b\xC3\xBC.example\"}\n",
     "relay.conf:3: relay_domains: \"*\" would let everybody send to everybody; expected a domain "
     "or "
     ".domain\n"
     "relay.conf:4: relay_domains: \"*.b\" is not a domain; expected one like example.org, "
     ".example.org for its subdomains, too, or in ASCII form, xn--bcher-kva.example\n"
     "relay.conf:4: relay_domains: \"b\xC3\xBC.example\" is not a domain; expected one like "
     "example.org, .example.org for its subdomains, too, or in ASCII form, "
     "xn--bcher-kva.example\n"},
    {"none among others", NAMED "relay_networks = {none, \"::1\"}\n",
     "relay.conf:3: relay_networks: \"none\" is not a network; expected one like 10.0.0.0/8 or "
     "2001:db8::/32\n"},
    {"none where one is needed", "listener a { address = none }\n",
     "relay.conf:1: address: \"none\" is not an address; expected one like 127.0.0.1:25 or "
     "[::1]:25\n"},
    {"block lists",
     NAMED "block_lists = {\"a b\", \"192.0.2.1/8\", \"l.test=\", \"l.test=192.0.2.1\",\n"
           "\"l.test=127.0.0.2,127.0.0.9-127.0.0.3\", \"=127.0.0.2\", \"l.test=127.0.0.1,127.0.0.2,"
           "127.0.0.3,127.0.0.4,127.0.0.5,127.0.0.6,127.0.0.7,127.0.0.8,127.0.0.9\"}\n",
     "relay.conf:3: block_lists: \"a b\"" NO_LIST
     "relay.conf:3: block_lists: \"192.0.2.1/8\"" NO_LIST
     "relay.conf:3: block_lists: \"l.test=\"" NO_ANSWER
     "relay.conf:3: block_lists: \"l.test=192.0.2.1\"" NO_ANSWER
     "relay.conf:4: block_lists: \"l.test=127.0.0.2,127.0.0.9-127.0.0.3\"" NO_ANSWER
     "relay.conf:4: block_lists: \"=127.0.0.2\"" NO_LIST
     "relay.conf:4: block_lists: \"l.test=127.0.0.1,127.0.0.2,127.0.0.3,127.0.0.4,127.0.0.5,"
     "127.0.0.6,127.0.0.7,127.0.0.8,127.0.0.9\" has too many answers; expected at most 8\n"},
    {"client certificates",
     ASKING "relay_certificates = {\"sha256:00\", \"dns:\",\n\"dns:*.a\", "
            "\"**\"} }\n",
     "relay.conf:4: relay_certificates: \"sha256:00\" is not one; expected sha256: with 64 "
     "hexadecimal digits, dns:host or *\n"
     "relay.conf:4: relay_certificates: \"dns:\" is not one; expected sha256: with 64 hexadecimal "
     "digits, dns:host or *\n"
     "relay.conf:5: relay_certificates: \"dns:*.a\" is not one; expected sha256: with 64 "
     "hexadecimal digits, dns:host or *\n"
     "relay.conf:5: relay_certificates: \"**\" is not one; expected sha256: with 64 hexadecimal "
     "digits, dns:host or *\n"},
    {"hosts", NAMED "route a { hosts = {\"a b\", \"[x\",\n \"a:0\", \"[::1]x\"} }\n",
     "relay.conf:3: hosts: \"a b\" is not a host; expected one like host, host:25 or "
     "[192.0.2.1]:25\n"
     "relay.conf:3: hosts: \"[x\" is not a host; expected one like host, host:25 or "
     "[192.0.2.1]:25\n"
     "relay.conf:4: hosts: \"a:0\" has a wrong port; expected 1 to 65535\n"
     "relay.conf:4: hosts: \"[::1]x\" is not a host; expected one like host, host:25 or "
     "[192.0.2.1]:25\n"},
};

static const struct bad_case syntax_cases[] = {
    {"no value", "workers =\n" NAMED, "relay.conf:2: syntax error: unexpected token '='\n"},
    {"no equal sign", "workers 4\n" NAMED,
     "relay.conf:1: syntax error: missing equal sign after option 'workers'\n"},
    {"no title", "hostname = a\nlistener {\n}\n",
     "relay.conf:2: syntax error: missing title for section 'listener'\n"},
    {"no closing brace", NAMED "route a {\n# nothing\nhold = x\n",
     "relay.conf:3: the route section has no closing brace\n"},
    {"no closing brace of a list", NAMED "relay_networks = {\"::1\",\n",
     "relay.conf:3: syntax error: premature end of file\n"},
    {"brace too many", NAMED "\n\n}\n", "relay.conf:5: syntax error: unexpected closing brace\n"},
    {"quoted text without end", "# x\nhostname = \"abc\n\n",
     "relay.conf:2: syntax error: a quoted text has no end\n"},
    {"comment without end", NAMED "/* x\n", "relay.conf:3: syntax error: a comment has no end\n"},
    {"unquoted star", "route *.example { discard = yes }\n",
     "relay.conf:1: syntax error: a character that needs quotes around its text\n"},
    {"unquoted slash before a comment", "workers = {a/#x\n2}\n",
     "relay.conf:1: syntax error: a character that needs quotes around its text\n"},
    {"octal escape", "user = \"\\777\"\n",
     "relay.conf:1: syntax error: octal escapes are not allowed; write \\xHH\n"},
    {"variable without end", "user = \"${HOME\"\n",
     "relay.conf:1: syntax error: \"${\" without its \"}\"\n"},
    {"the next load starts afresh", "workers = 300\n" NAMED,
     "relay.conf:1: workers: \"300\" is out of range; expected a number from 0 to 256 (threads)\n"},
};

static const struct bad_case cross_cases[] = {
    {"no listener", "# nothing\n",
     "relay.conf: there is no listener section; at least one is needed\n"},
    {"listener name", "listener \"a b\" { address = \"127.0.0.1:1\" }\n",
     "relay.conf:1: \"a b\" does not name a listener; expected up to 64 letters, digits and "
     "-_.\n"},
    {"listener with TLS", "\nlistener a {\n address = \"127.0.0.1:1\"\n tls = implicit\n}\n",
     "relay.conf:2: listener \"a\" has TLS; tls_certificate and tls_key are needed\n"},
    {"client certificates without TLS",
     "listener a {\n address = \"127.0.0.1:1\" client_certificates = ask\n}\n",
     "relay.conf:1: listener \"a\": client_certificates needs TLS\n"},
    {"names of clients without authorities", ASKING "relay_certificates = {\"*\", \"dns:a.b\"} }\n",
     "relay.conf:2: listener \"x\": without client_ca relay_certificates takes fingerprints "
     "only\n"},
    {"authorities that are of no use",
     "listener a {\n address = \"127.0.0.1:1\" client_ca = x\n}\n",
     "relay.conf:1: listener \"a\": client_certificates is no, so that client_ca has no effect\n"},
    {"relaying where users log in",
     ASKING "role = submission client_ca = x relay_certificates = {\"*\"} }\n",
     "relay.conf:2: listener \"x\" is for users who log in, so that relay_certificates has no "
     "effect\n"},
    {"empty address", "listener a {\n address = {}\n}\n", "relay.conf:1: address is empty\n"},
    {"shared address",
     LISTENER "listener b { address = {\"[::1]:5\", \"127.0.0.1:25\", \"[::1]:5\"} }\n",
     "relay.conf:2: listener \"b\" has the address 127.0.0.1:25, which listener \"smtp\" has "
     "already\n"
     "relay.conf:2: listener \"b\" has the address [::1]:5, which listener \"b\" has already\n"},
    {"key without certificate", NAMED "tls_key = k\n",
     "relay.conf:3: tls_certificate and tls_key go together; one of them is missing\n"},
    {"certificate section", NAMED "certificate \"a_b\" {\n key = k\n}\n",
     "relay.conf:3: certificate \"a_b\" lacks its certificate\n"
     "relay.conf:3: \"a_b\" is not a server name; expected a domain or *.domain\n"},
    {"LMTP on port 25",
     "listener a {\n address = {\"127.0.0.1:24\", \"[::1]:25\"}\n role = lmtp\n}\n",
     "relay.conf:1: listener \"a\" is for LMTP, which may not be spoken on port 25; take another, "
     "such as 24\n"},
    {"relaying by a listener for users",
     NAMED
     "listener a {\n address = \"127.0.0.1:587\"\n role = submission\n relay_domains = b\n}\n"
     "listener b {\n address = \"127.0.0.1:588\"\n role = submission relay_networks = none\n}\n",
     "relay.conf:3: listener \"a\" is for submission, where only users may send; relay_networks "
     "and "
     "relay_domains mean nothing there\n"},
    {"postmaster's copy", NAMED "dsn_postmaster_copy = nobody\n",
     "relay.conf:3: dsn_postmaster_copy: \"nobody\" is not an address; expected one like "
     "admin@example.org\n"},
    {"postmaster", NAMED "\npostmaster_address = \"admin\"\n",
     "relay.conf:4: postmaster_address: \"admin\" is not an address; expected one like "
     "admin@example.org\n"},
    {"delimiter", NAMED "\nrecipient_delimiter = \"+.\"\n",
     "relay.conf:4: recipient_delimiter: \".\" cannot part an address; expected one of "
     "!#$%&'*+-/=?^_`{|}~\n"},
    {"retries of a destination", NAMED "destination \"a.test\" { retry_first = 2h }\n",
     "relay.conf:3: destination \"a.test\": retry_first is longer than retry_max\n"},
    {"retries", NAMED "retry_max = 30s\n", "relay.conf:3: retry_first is longer than retry_max\n"},
    {"greylisting", NAMED "greylist_window = 5m\n",
     "relay.conf:3: greylist_delay is not shorter than greylist_window\n"},
    {"the guard in the queue", NAMED "store_path = \"/x/y\"\nguard_path = \"/x/y\"\n",
     "relay.conf:4: guard_path and store_path are the same folder\n"},
    {"marks", NAMED "store_map_size = 1MiB\n",
     "relay.conf:3: store_low_water is not less than store_map_size\n"},
    {"route without action", NAMED "route a {\n tls = none\n}\n",
     "relay.conf:3: route \"a\" needs one of hosts, mx, use_mx, reject, discard, hold\n"},
    {"route with two actions", NAMED "route a {\n mx = b\n hold = x\n}\n",
     "relay.conf:5: mx and hold exclude each other\n"},
    {"route pattern", NAMED "route \"*.a\" { use_mx = yes }\n",
     "relay.conf:3: \"*.a\" is not a pattern; expected a domain, .domain or *\n"},
    {"mark", NAMED "route a { use_mx = no }\n",
     "relay.conf:3: use_mx: \"no\" is not yes; leave use_mx out where it does not apply\n"},
    {"rejection", NAMED "route a { reject = \"4.7.1 later\" }\nroute b { reject = \"5.7.1 \" }\n",
     "relay.conf:3: route \"a\": reject is not like \"5.7.1 text\"\n"
     "relay.conf:4: route \"b\": reject is not like \"5.7.1 text\"\n"},
    {"patterns differ in case only", NAMED "route A.b { discard = yes }\nroute a.B { hold = x }\n",
     "relay.conf:4: route \"a.B\" is given twice; first in relay.conf:3\n"},
};

static const struct bad_case next_hop_cases[] = {
    {"no such source", NAMED "route a { use_mx = yes source = s }\n",
     "relay.conf:3: route \"a\": there is no source \"s\"\n"},
    {"weights of what is in order", NAMED "route a { hosts = \"b*2\" }\n",
     "relay.conf:3: route \"a\": weights of hosts go with balance = weighted only\n"},
    {"balance of MX hosts", NAMED "route a { use_mx = yes balance = weighted }\n",
     "relay.conf:3: route \"a\": balance goes with hosts only\n"},
    {"weight", NAMED "route a { hosts = \"b*0\" balance = weighted }\n",
     "relay.conf:3: hosts: \"b*0\" has a wrong weight; expected *1 to *1000\n"},
    {"source's name", NAMED "source \"a;b\" { addresses = \"192.0.2.1\" }\n",
     "relay.conf:3: \"a;b\" does not name a source; expected up to 64 letters, digits and -_.\n"},
    {"source's port", NAMED "source a { addresses = \"192.0.2.1:25\" }\n",
     "relay.conf:3: addresses: \"192.0.2.1:25\" is not an address; expected one like 192.0.2.1, "
     "192.0.2.1*3 or 2001:db8::1\n"},
    {"host_retry", NAMED "host_retry_first = 2m\nhost_retry_max = 1m\n",
     "relay.conf:3: host_retry_first is longer than host_retry_max\n"},
    {"no password", NAMED "credentials a { user = u }\n",
     "relay.conf:3: credentials \"a\": either password or password_file is needed\n"},
    {"no user", NAMED "credentials a { password = p }\n",
     "relay.conf:3: credentials \"a\" lacks its user\n"},
    {"two passwords", NAMED "credentials a { user = u password = p password_file = f }\n",
     "relay.conf:3: credentials \"a\": either password or password_file is needed\n"},
    {"name", NAMED "credentials \"a;b\" { user = u password = p }\n",
     "relay.conf:3: credentials \"a;b\": the name may have up to 64 letters, digits and -_.\n"},
    {"a password is not shown", NAMED "credentials a { user = u\npassword = \"s\\x01ecret\" }\n",
     "relay.conf:3: credentials \"a\": either password or password_file is needed\n"
     "relay.conf:4: password: \"***\" has control characters; expected a text of at most 511 "
     "bytes\n"},
    {"no such file", NAMED "credentials a { user = u password_file = \"/nonexistent\" }\n",
     "relay.conf:3: credentials \"a\": cannot read /nonexistent: No such file or directory\n"},
    {"no file", NAMED "credentials a { user = u password_file = \"/dev/null\" }\n",
     "relay.conf:3: credentials \"a\": not a file: /dev/null\n"},
    {"unknown credentials", NAMED "route a { hosts = b credentials = c }\n",
     "relay.conf:3: route \"a\": there are no credentials \"c\"\n"},
    {"LMTP, but no hosts", NAMED "route a { use_mx = yes protocol = lmtp }\n",
     "relay.conf:3: route \"a\": protocol = lmtp goes with hosts only\n"},
    {"LMTP, but the port of SMTP", NAMED "route a { hosts = b protocol = lmtp }\n",
     "relay.conf:3: route \"a\": LMTP is not for port 25 (RFC 2033); write the port\n"},
    {"a socket, but no LMTP", NAMED "route a { hosts = \"unix:/x\" }\n",
     "relay.conf:3: route \"a\": unix: is for protocol = lmtp only\n"},
    {"smtps: without TLS", NAMED "route a { hosts = \"smtps:b\" tls = none }\n",
     "relay.conf:3: route \"a\": smtps: does not go with tls = none\n"},
    {"smtps:, but LMTP", NAMED "route a { hosts = \"smtps:b\" protocol = lmtp }\n",
     "relay.conf:3: route \"a\": smtps: is for protocol = smtp only\n"},
    {"smtps: and no host",
     NAMED "route a { hosts = {\"smtps:\", \"smtps:b:0\", \"smtps:unix:/x\"} }\n",
     "relay.conf:3: hosts: \"smtps:\" is not a host; expected one like host, host:25 or "
     "[192.0.2.1]:25\n"
     "relay.conf:3: hosts: \"smtps:b:0\" has a wrong port; expected 1 to 65535\n"
     "relay.conf:3: hosts: \"smtps:unix:/x\" has a wrong port; expected 1 to 65535\n"},
    {"a socket with TLS", NAMED "route a { hosts = \"unix:/x\" protocol = lmtp tls = required }\n",
     "relay.conf:3: route \"a\": there is no TLS over unix:\n"},
    {"a socket's path", NAMED "route a { hosts = {\"unix:/a;b\", \"unix:x\"} protocol = lmtp }\n",
     "relay.conf:3: hosts: \"unix:/a;b\" has a path with a comma or a semicolon\n"
     "relay.conf:3: hosts: \"unix:x\" has a wrong port; expected 1 to 65535\n"},
    {"credentials without hosts",
     NAMED "credentials c { user = u password = p }\nroute a { use_mx = yes credentials = c }\n",
     "relay.conf:4: route \"a\": credentials go with hosts only\n"},
};

#define RUN(cases)                                                                                 \
    for (unsigned i = 0; i < sizeof(cases) / sizeof *(cases); i++)                                 \
    check_bad(&(cases)[i])

static void test_names(void **state)
{
    (void)state;
    RUN(name_cases);
}

static void test_values(void **state)
{
    (void)state;
    RUN(value_cases);
}

static void test_syntax(void **state)
{
    (void)state;
    RUN(syntax_cases);
}

static void test_cross_checks(void **state)
{
    (void)state;
    RUN(cross_cases);
}

static void test_next_hops(void **state)
{
    (void)state;
    RUN(next_hop_cases);
}

/* What the file holds, and what is then wrong with it in the folder of *state. */
static void check_password_file(void **state, const char *text, mode_t mode, const char *what)
{
    struct bad_case bad = {what, NAMED "credentials a { user = u password_file = secret }\n", NULL};
    struct buf wanted;

    write_file("secret", text);
    assert_int_equal(chmod("secret", mode), 0);
    buf_init(&wanted, 0);
    buf_addf(&wanted, "relay.conf:3: credentials \"a\": ");
    buf_addf(&wanted, what, (const char *)*state);
    buf_addf(&wanted, "\n%c", '\0');
    bad.messages = buf_span(&wanted).ptr;
    check_bad(&bad);
    buf_fini(&wanted);
}

static void test_password_files(void **state)
{
    char text[600];

    check_password_file(state, "p", 0604,
                        "everybody may read %s/secret: take that right away (chmod o-r)");
    check_password_file(state, "", 0600, "the first line is no password in %s/secret");
    check_password_file(state, "\nsecret\n", 0600, "the first line is no password in %s/secret");
    memset(text, 'x', sizeof text);
    text[512] = '\0'; /* one too many */
    check_password_file(state, text, 0600, "the first line is no password in %s/secret");
    memcpy(text + 512, "xxx", 3);
    text[599] = '\0';
    check_password_file(state, text, 0600, "the first line is no password in %s/secret");
}

static void test_files(void **state)
{
    struct conf *conf;
    struct buf messages;

    (void)state;
    buf_init(&messages, 0);
    struct err e = conf_load("absent.conf", &messages, &conf);
    assert_int_equal(e.kind, ERR_NOT_FOUND);
    assert_true(
        span_equal(buf_span(&messages), SPAN("absent.conf: open: No such file or directory\n")));
    buf_clear(&messages);
    e = conf_load("/dev/zero", &messages, &conf);
    assert_int_equal(e.kind, ERR_INVALID);
    buf_fini(&messages);
}

static void test_includes(void **state)
{
    (void)state;
    assert_int_equal(mkdir("sub", 0700), 0);
    write_file("sub/x.conf", "# x\nworkers = 3\nhops_max = 0\n");
    write_file("more.conf", "include(\"sub/x.conf\")\n\n\nworkers = 4\n");
    check_bad(&(struct bad_case){
        "include", "# c\ninclude(\"more.conf\") hop_max = 1\n" NAMED,
        "sub/x.conf:3: hops_max: \"0\" is out of range; expected a number from 1 to 1000 (fields)\n"
        "more.conf:4: workers is given twice; first in sub/x.conf:2\n"
        "relay.conf:2: unknown key hop_max; the nearest known one is hops_max\n"});
}

static void test_include_faults(void **state)
{
    (void)state;
    check_bad(&(struct bad_case){
        "absent", "\ninclude(\"absent.conf\")\n",
        "relay.conf:2: cannot include absent.conf: open: No such file or directory\n"});
    write_file("more.conf", "include(more.conf)\n");
    check_bad(&(struct bad_case){"itself", "include(more.conf)\n",
                                 "more.conf:1: too many nested includes\n"});
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_FOLDER(test_names),          IN_FOLDER(test_values),    IN_FOLDER(test_syntax),
        IN_FOLDER(test_cross_checks),   IN_FOLDER(test_files),     IN_FOLDER(test_includes),
        IN_FOLDER(test_include_faults), IN_FOLDER(test_next_hops), IN_FOLDER(test_password_files),
    };

    return cmocka_run_group_tests_name("conf_errors", tests, NULL, NULL);
}
