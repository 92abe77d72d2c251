/* `plugin new`: a folder with a plugin that builds, from the templates of plugins/kit/skeleton. */
#include "base/buf.h"
#include "queue/ctl/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define TEMPLATE(name)                                                                             \
    extern const char skeleton_##name##_text[];                                                    \
    extern const size_t skeleton_##name##_size

TEMPLATE(plugin_c);
TEMPLATE(plugin_cc);
TEMPLATE(CMakeLists_txt);
TEMPLATE(Makefile);
TEMPLATE(test_sh);
TEMPLATE(README_md);

enum { NAME_MOST = 40, PATH_ROOM = 128, PLACES = 6 };

/* What stands for @KEY@. */
struct place {
    const char *key;
    const char *text;
};

struct skeleton {
    const char *name;
    struct place places[PLACES];
};

static bool is_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_digit(name.ptr[i]) && name.ptr[i] != '-' &&
            (name.ptr[i] < 'a' || name.ptr[i] > 'z'))
            return false;
    return name.len > 0 && name.len <= NAME_MOST && name.ptr[0] != '-';
}

/* Text between two @ that is no key stays as it is. */
static void fill(const struct skeleton *skeleton, struct span text, struct buf *out)
{
    while (text.len > 0) {
        struct span rest, before = span_split(text, '@', &rest);
        struct span key = span_head(rest, span_index(rest, '@'));
        const char *found = NULL;
        buf_add(out, before);
        for (int i = 0; i < PLACES && before.len < text.len; i++)
            if (span_equal(key, span_cstr(skeleton->places[i].key)))
                found = skeleton->places[i].text;
        if (found != NULL) {
            buf_add(out, span_cstr(found));
            text = span_from(rest, key.len + 1);
        } else {
            buf_add(out, before.len < text.len ? SPAN("@") : SPAN_NONE);
            text = rest;
        }
    }
}

static bool write_file(const struct skeleton *skeleton, const char *name, struct span template,
                       mode_t mode)
{
    char path[PATH_ROOM];
    struct buf text;

    snprintf(path, sizeof path, "%s/%s", skeleton->name, name);
    buf_init(&text, 0);
    fill(skeleton, template, &text);
    FILE *file = fopen(path, "wx");
    bool good =
        file != NULL && fwrite(buf_span(&text).ptr, 1, buf_len(&text), file) == buf_len(&text);
    good = file != NULL && fchmod(fileno(file), mode) == 0 && good;
    good = file != NULL && fclose(file) == 0 && good;
    buf_fini(&text);
    if (!good)
        ctl_complain("%s: %s", path, strerror(errno));
    return good;
}

#define SPAN_OF(name) span_of(skeleton_##name##_text, skeleton_##name##_size)

static bool write_all(const struct skeleton *skeleton, const char *source, bool is_cxx)
{
    return write_file(skeleton, source, is_cxx ? SPAN_OF(plugin_cc) : SPAN_OF(plugin_c), 0644) &&
           write_file(skeleton, "CMakeLists.txt", SPAN_OF(CMakeLists_txt), 0644) &&
           write_file(skeleton, "Makefile", SPAN_OF(Makefile), 0644) &&
           write_file(skeleton, "test.sh", SPAN_OF(test_sh), 0755) &&
           write_file(skeleton, "README.md", SPAN_OF(README_md), 0644);
}

enum ctl_exit ctl_plugin_new(struct ctl *ctl)
{
    const char *name = ctl->operands[0];
    bool is_cxx = (ctl->options & CTL_CXX) != 0;
    char source[PATH_ROOM];

    if (!is_name(span_cstr(name))) {
        ctl_complain("a plugin's name is of a-z, 0-9 and -, at most %d, not \"%s\"", NAME_MOST,
                     name);
        return CTL_USAGE;
    }
    snprintf(source, sizeof source, "%s.%s", name, is_cxx ? "cc" : "c");
    struct skeleton skeleton = {.name = name,
                                .places = {{"NAME", name},
                                           {"SOURCE", source},
                                           {"LANGUAGE", is_cxx ? "CXX" : "C"},
                                           {"STANDARD", is_cxx ? "c++11" : "c99"},
                                           {"COMPILER", is_cxx ? "CXX" : "CC"},
                                           {"COMPILER_FLAGS", is_cxx ? "CXXFLAGS" : "CFLAGS"}}};
    if (mkdir(name, 0755) != 0) {
        ctl_complain("%s: %s", name, strerror(errno));
        return CTL_FAILED;
    }
    if (!write_all(&skeleton, source, is_cxx))
        return CTL_FAILED;
    if (!ctl->json)
        printf("%s/: %s, CMakeLists.txt, Makefile, test.sh, README.md\n"
               "Next: cd %s && make && make test\n",
               name, source, name);
    else
        printf("{\"folder\":\"%s\",\"source\":\"%s\"}\n", name, source);
    return CTL_OK;
}
