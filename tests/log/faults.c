/* Preloaded into a child process: at the N-th call of one kind on a file whose path ends so, something goes wrong.
   FAULT_CALL sync|write, FAULT_MATCH end of the path, FAULT_AT N, FAULT_ACTION eio|full|short|kill|unlink|replace|link|unwal,
   FAULT_LOG the log, FAULT_ASIDE where it goes, FAULT_OTHER what comes in its place. It says "!" when it has happened. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int seen = 0;
static ssize_t (*real_write)(int, const void *, size_t);

static int is_due(const char *call, int fd) {
    const char *kind = getenv("FAULT_CALL"), *match = getenv("FAULT_MATCH"), *at = getenv("FAULT_AT");
    char link[64], path[4096];
    if (!kind || strcmp(kind, call)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    size_t tail = strlen(match);
    if ((size_t)length < tail || strcmp(path + length - tail, match)) return 0;
    return ++seen == atoi(at);
}

/* Does it; returns 1 when the call is to fail. */
static int happens(void) {
    const char *action = getenv("FAULT_ACTION"), *log = getenv("FAULT_LOG"), *aside = getenv("FAULT_ASIDE");
    char ahead[4096], second[4096];
    snprintf(ahead, sizeof ahead, "%s-wal", log);
    snprintf(second, sizeof second, "%s.second", log);
    if (!real_write) real_write = dlsym(RTLD_NEXT, "write");
    real_write(1, "!\n", 2);
    if (!strcmp(action, "kill")) { kill(getpid(), SIGKILL); pause(); }
    if (!strcmp(action, "unlink")) rename(log, aside);
    if (!strcmp(action, "replace")) { rename(log, aside); rename(getenv("FAULT_OTHER"), log); }
    if (!strcmp(action, "link")) (void)!link(log, second);
    if (!strcmp(action, "unwal")) unlink(ahead);
    errno = strcmp(action, "full") ? EIO : ENOSPC;
    return !strcmp(action, "eio") || !strcmp(action, "full") || !strcmp(action, "short");
}

int fsync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    return is_due("sync", fd) && happens() ? -1 : real(fd);
}

int fdatasync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    return is_due("sync", fd) && happens() ? -1 : real(fd);
}

static ssize_t written(int fd, const void *data, size_t size, off64_t at) {
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    if (is_due("write", fd) && happens()) {
        if (!strcmp(getenv("FAULT_ACTION"), "short")) { real(fd, data, size / 2, at); errno = ENOSPC; }
        return -1;
    }
    return real(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return written(fd, data, size, at); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return written(fd, data, size, at); }
