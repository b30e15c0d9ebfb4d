/* A disk that is full when a file says so: preloaded into processes that a test starts.

   While the file FULL_DISK_FLAG exists, whatever would write to, or lengthen, a file whose path
   begins with one of the lines in it fails with ENOSPC. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_full(int fd) {
    const char *flag = getenv("FULL_DISK_FLAG");
    char link[64], path[PATH_MAX], prefix[PATH_MAX];
    if (flag == NULL || access(flag, F_OK) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = '\0';
    FILE *listed = fopen(flag, "re");
    if (listed == NULL) return 0;
    int found = 0;
    while (!found && fgets(prefix, sizeof prefix, listed) != NULL) {
        size_t size = strcspn(prefix, "\n");
        found = size > 0 && strncmp(path, prefix, size) == 0;
    }
    fclose(listed);
    return found;
}

#define GUARDED(RESULT, NAME, DECLARED, PASSED) \
    RESULT NAME DECLARED { \
        static RESULT (*real) DECLARED; \
        int saved = errno; \
        if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #NAME); \
        if (is_full(fd)) { errno = ENOSPC; return -1; } \
        errno = saved; \
        return real PASSED; \
    }

GUARDED(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
GUARDED(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
GUARDED(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
GUARDED(int, ftruncate, (int fd, off_t size), (fd, size))
GUARDED(int, ftruncate64, (int fd, off64_t size), (fd, size))
