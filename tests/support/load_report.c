/*
 * load_report: the counts of smtp_load for people and for programs.
 */
#include "load.h"

static double seconds_since_start(const struct load_stats *stats, uint64_t when_ns)
{
    return when_ns > stats->start_ns
               ? (double)(when_ns - stats->start_ns) / (double)RIG_NS_PER_SECOND
               : 0.0;
}

static double accepted_per_s(const struct load_stats *stats)
{
    double took_s = seconds_since_start(stats, stats->last_accept_ns);

    return took_s > 0 ? (double)stats->accepted / took_s : 0.0;
}

void load_report_json(const struct load_stats *stats, FILE *out, bool late)
{
    const char *comma = "";

    rig_print_count(out, "{", "accepted", stats->accepted);
    rig_print_count(out, ", ", "failed", stats->failed);
    fprintf(out, ", \"accepted_per_s\": %.1f, \"duration_s\": %.4f, \"deadline_hit\": %s",
            accepted_per_s(stats), seconds_since_start(stats, rig_now_ns()),
            late ? "true" : "false");
    rig_print_count(out, ", ", "connections", stats->connections);
    rig_print_count(out, ", ", "connect_failures", stats->connect_failures);
    rig_print_count(out, ", ", "lost_connections", stats->lost_connections);
    rig_print_count(out, ", ", "tls_resumed", stats->tls_resumed);
    rig_print_count(out, ", ", "start_ns", stats->start_ns);
    fprintf(out, ", \"cpu_ms\": %.1f, ", rig_cpu_ms());
    histogram_print_json(out, "mail_to_ok_ms", &stats->from_mail);
    fputs(", ", out);
    histogram_print_json(out, "connect_to_ok_ms", &stats->from_connect);
    fputs(", \"portion_end_s\": [", out);
    for (unsigned i = 0; i < LOAD_PORTIONS; i++)
        fprintf(out, "%s%.4f", i ? ", " : "", seconds_since_start(stats, stats->portion_end_ns[i]));
    fputs("], \"replies\": {", out);
    for (unsigned code = 400; code < 600; code++) {
        if (stats->replies[code] > 0) {
            fprintf(out, "%s\"%u\": %llu", comma, code, (unsigned long long)stats->replies[code]);
            comma = ", ";
        }
    }
    fputs("}}\n", out);
}

static void print_latency(FILE *out, const char *what, const struct histogram *h)
{
    fprintf(out, "%s to 250, ms: p50 %.3f  p90 %.3f  p99 %.3f  max %.3f\n", what,
            histogram_quantile_ms(h, 0.50), histogram_quantile_ms(h, 0.90),
            histogram_quantile_ms(h, 0.99), (double)h->max / (double)RIG_NS_PER_MILLISECOND);
}

void load_report_text(const struct load_stats *stats, FILE *out, bool late)
{
    fprintf(out, "accepted %llu, failed %llu, %.1f messages/s%s\n",
            (unsigned long long)stats->accepted, (unsigned long long)stats->failed,
            accepted_per_s(stats), late ? ", stopped by the deadline" : "");
    print_latency(out, "MAIL", &stats->from_mail);
    print_latency(out, "connect", &stats->from_connect);
    fprintf(out, "connections %llu, not connected %llu, lost %llu; own CPU %.1f ms\n",
            (unsigned long long)stats->connections, (unsigned long long)stats->connect_failures,
            (unsigned long long)stats->lost_connections, rig_cpu_ms());
    for (unsigned code = 400; code < 600; code++)
        if (stats->replies[code] > 0)
            fprintf(out, "replies %u: %llu\n", code, (unsigned long long)stats->replies[code]);
}
