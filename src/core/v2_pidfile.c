/* The pid file. Runs in the master (as root, or who started it) and in the
 * short life of -s. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_pidfile.h"
#include "v2_log.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static pid_t v2_pidfile_number(int fd);

static int   v2_pidfile_fd = -1;
static char  v2_pidfile_path[PATH_MAX];


v2_int_t
v2_pidfile_open(const char *path)
{
    int    fd, err;
    char  *slash;

    if (path[0] == '\0') {
        return V2_OK;
    }

    (void) snprintf(v2_pidfile_path, sizeof(v2_pidfile_path), "%s", path);

    slash = strrchr(v2_pidfile_path, '/');

    if (slash != NULL && slash != v2_pidfile_path) {
        *slash = '\0';
        (void) mkdir(v2_pidfile_path, 0755);
        *slash = '/';
    }

    fd = open(path, O_RDWR|O_CREAT|O_CLOEXEC, 0644);

    if (fd == -1) {
        v2_log(V2_LOG_EMERG, NULL, errno, "open() \"%s\" failed", path);
        return V2_ERROR;
    }

    if (flock(fd, LOCK_EX|LOCK_NB) == -1) {
        err = errno;

        if (err == EWOULDBLOCK) {
            v2_log(V2_LOG_EMERG, NULL, 0, "already running, pid %d (\"%s\" is "
                   "locked)", (int) v2_pidfile_number(fd), path);

        } else {
            v2_log(V2_LOG_EMERG, NULL, err, "flock() \"%s\" failed", path);
        }

        (void) close(fd);
        return V2_ERROR;
    }

    v2_pidfile_fd = fd;

    return V2_OK;
}


v2_int_t
v2_pidfile_write(void)
{
    int   n;
    char  text[24];

    if (v2_pidfile_fd == -1) {
        return V2_OK;
    }

    n = snprintf(text, sizeof(text), "%d\n", (int) getpid());

    if (ftruncate(v2_pidfile_fd, 0) == -1
        || pwrite(v2_pidfile_fd, text, (size_t) n, 0) != n)
    {
        v2_log(V2_LOG_EMERG, NULL, errno, "write() to \"%s\" failed",
               v2_pidfile_path);
        return V2_ERROR;
    }

    return V2_OK;
}


void
v2_pidfile_close(void)
{
    if (v2_pidfile_fd == -1) {
        return;
    }

    if (unlink(v2_pidfile_path) == -1) {
        v2_log(V2_LOG_WARN, NULL, errno, "unlink() \"%s\" failed",
               v2_pidfile_path);
    }

    (void) close(v2_pidfile_fd);
    v2_pidfile_fd = -1;
}


pid_t
v2_pidfile_read(const char *path)
{
    int    fd;
    pid_t  pid;

    fd = open(path, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        v2_log(V2_LOG_EMERG, NULL, errno, "open() \"%s\" failed: is v2sp "
               "running, and is PidFile the same", path);
        return -1;
    }

    /* a lock that we get is one that nobody holds */

    if (flock(fd, LOCK_SH|LOCK_NB) == 0) {
        v2_log(V2_LOG_EMERG, NULL, 0, "v2sp is not running (\"%s\" is left "
               "over)", path);
        (void) close(fd);
        return -1;
    }

    pid = v2_pidfile_number(fd);
    (void) close(fd);

    if (pid <= 0) {
        v2_log(V2_LOG_EMERG, NULL, 0, "no pid in \"%s\"", path);
        return -1;
    }

    return pid;
}


static pid_t
v2_pidfile_number(int fd)
{
    char      text[24];
    ssize_t   n;
    long      pid;

    n = pread(fd, text, sizeof(text) - 1, 0);

    if (n <= 0) {
        return -1;
    }

    text[n] = '\0';
    pid = strtol(text, NULL, 10);

    return pid > 1 && pid <= INT_MAX ? (pid_t) pid : -1;
}
