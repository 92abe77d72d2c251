#include "queue/delivered.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEED 0x64656c6976657265u

/* id, due, group, nothing, checksum */
enum { AT_DUE = 8, AT_GROUP = 16, AT_CHECK = 24, NOTE = 32, SIZE = DELIVERED_NOTES * NOTE };

/* Blocks come first: a write to a page without one would end the process on a full disk. */
static struct err map_file(int fd, char **out)
{
    struct stat st;
    int rc = fstat(fd, &st) != 0 ? errno : 0;

    if (rc == 0 && st.st_size != SIZE)
        rc = ftruncate(fd, 0) != 0 ? errno : 0;
    if (rc == 0)
        rc = posix_fallocate(fd, 0, SIZE);
    if (rc != 0)
        return err_system(rc, "make room for notes of deliveries");
    void *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (map == MAP_FAILED)
        return err_system(errno, "map notes of deliveries");
    *out = map;
    return ERR_OK;
}

struct err delivered_open(struct delivered *d, const char *folder)
{
    struct buf path;

    d->map = NULL;
    atomic_init(&d->next, 0);
    buf_init(&path, 0);
    buf_addf(&path, "%s/delivered%c", folder, '\0');
    int fd = open(buf_span(&path).ptr, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    buf_fini(&path);
    if (fd < 0)
        return err_system(errno, "open notes of deliveries");
    struct err e = map_file(fd, &d->map);
    close(fd);
    return e;
}

void delivered_close(struct delivered *d)
{
    if (d->map != NULL)
        munmap(d->map, SIZE);
    d->map = NULL;
}

void delivered_note(struct delivered *d, const struct delivered_note *note)
{
    char bytes[NOTE] = {0};

    if (d->map == NULL)
        return;
    wire_put64(bytes, note->id);
    wire_put64(bytes + AT_DUE, note->due);
    wire_put32(bytes + AT_GROUP, note->group);
    wire_put64(bytes + AT_CHECK, hash64(span_of(bytes, AT_CHECK), SEED));
    unsigned place = atomic_fetch_add(&d->next, 1) % DELIVERED_NOTES;
    memcpy(d->map + (size_t)place * NOTE, bytes, NOTE);
}

bool delivered_read(const struct delivered *d, unsigned place, struct delivered_note *out)
{
    if (d->map == NULL)
        return false;
    const char *bytes = d->map + (size_t)place * NOTE;
    *out = (struct delivered_note){.id = wire_get64(bytes),
                                   .due = wire_get64(bytes + AT_DUE),
                                   .group = wire_get32(bytes + AT_GROUP)};
    return wire_get64(bytes + AT_CHECK) == hash64(span_of(bytes, AT_CHECK), SEED);
}
