/* Where plugins are, and what goes with them. */
#include "plugins/host/self.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_ROOM = 4096 };

char *place_beside(unsigned levels, const char *rest)
{
    char program[PATH_ROOM];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    char *place;

    program[len > 0 ? len : 0] = '\0';
    for (unsigned i = 0; i < levels; i++) {
        char *slash = strrchr(program, '/');
        if (slash != NULL)
            *slash = '\0';
    }
    if (asprintf(&place, "%s/%s", program, rest) < 0)
        abort();
    return place;
}

char *self_file(const struct conf *conf, const struct conf_plugin *section)
{
    char *file;

    if (section->file != NULL)
        return mem_strdup(section->file);
    char *folder =
        conf->plugin_path != NULL ? mem_strdup(conf->plugin_path) : place_beside(2, "lib/smarthop");
    if (asprintf(&file, "%s/%s.so", folder, section->name) < 0)
        abort();
    free(folder);
    return file;
}
