/* Files opened with the rights of the master. It copies their bytes and parses
 * none of them. See v2_files.h. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_files.h"
#include "v2_log.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void v2_file_look(const char *path, v2_file_id_t *id);
static void v2_file_id(v2_file_id_t *id, const struct stat *st);
static int v2_file_copy(int from, const char *name, uint64_t size);
static v2_int_t v2_file_fill(int fd, const char *data, size_t len);


int
v2_file_load(const char *path, v2_file_id_t *id)
{
    int          fd, mem, err;
    struct stat  st;

    memset(id, 0, sizeof(v2_file_id_t));

    fd = open(path, O_RDONLY|O_NONBLOCK|O_NOCTTY|O_CLOEXEC);

    if (fd == -1) {
        return -1;
    }

    mem = -1;

    if (fstat(fd, &st) == -1) {
        err = errno;

    } else if (S_ISDIR(st.st_mode)) {
        err = EISDIR;

    } else if (!S_ISREG(st.st_mode)) {
        err = EINVAL;

    } else if (st.st_size > V2_FILE_MAX) {
        err = EFBIG;

    } else {
        v2_file_id(id, &st);
        mem = v2_file_copy(fd, "v2sp-file", (uint64_t) st.st_size);
        err = errno;
    }

    (void) close(fd);
    errno = err;

    return mem;
}


int
v2_file_changed(const char *path, const v2_file_id_t *id)
{
    v2_file_id_t  now;

    v2_file_look(path, &now);

    return memcmp(&now, id, sizeof(v2_file_id_t)) != 0;
}


int
v2_file_text(const char *name, const char *text, size_t len)
{
    int  fd;

    fd = memfd_create(name, MFD_CLOEXEC|MFD_ALLOW_SEALING);

    if (fd == -1) {
        v2_log(V2_LOG_ALERT, NULL, errno, "memfd_create() failed");
        return -1;
    }

    if (v2_file_fill(fd, text, len) != V2_OK) {
        v2_log(V2_LOG_ALERT, NULL, errno, "write() to a memfd failed");
        (void) close(fd);
        return -1;
    }

    if (v2_file_seal(fd) != V2_OK) {
        (void) close(fd);
        return -1;
    }

    return fd;
}


v2_int_t
v2_file_seal(int fd)
{
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK|F_SEAL_GROW|F_SEAL_WRITE
                               |F_SEAL_SEAL) == -1)
    {
        v2_log(V2_LOG_ALERT, NULL, errno, "fcntl(F_ADD_SEALS) failed");
        return V2_ERROR;
    }

    return V2_OK;
}


void
v2_pair_init(v2_pair_t *p)
{
    memset(p, 0, sizeof(v2_pair_t));
    p->cert = p->key = -1;
}


v2_int_t
v2_pair_load(v2_pair_t *p, const v2_node_conf_t *node, char *why, size_t size)
{
    v2_pair_init(p);

    p->cert = v2_file_load(node->cert_file, &p->cert_id);

    if (p->cert == -1) {
        (void) snprintf(why, size, "CertFile \"%.120s\" cannot be read "
                        "(%d: %.60s)", node->cert_file, errno,
                        strerror(errno));
        v2_file_look(node->cert_file, &p->cert_id);
        v2_file_look(node->key_file, &p->key_id);
        return V2_ERROR;
    }

    p->key = v2_file_load(node->key_file, &p->key_id);

    if (p->key == -1) {
        (void) snprintf(why, size, "KeyFile \"%.120s\" cannot be read "
                        "(%d: %.60s)", node->key_file, errno,
                        strerror(errno));
        v2_file_look(node->key_file, &p->key_id);
        (void) close(p->cert);
        p->cert = -1;
        return V2_ERROR;
    }

    return V2_OK;
}


void
v2_pair_close(v2_pair_t *p)
{
    if (p->cert != -1) {
        (void) close(p->cert);
    }

    if (p->key != -1) {
        (void) close(p->key);
    }

    p->cert = p->key = -1;
}


int
v2_file_log(const v2_rights_t *r, const char *path)
{
    int  fd;

    fd = open(path, O_WRONLY|O_APPEND|O_CREAT|O_NOCTTY|O_CLOEXEC|O_NONBLOCK,
              0640);

    if (fd == -1) {
        v2_log(V2_LOG_EMERG, NULL, errno, "open() \"%s\" failed", path);
        return -1;
    }

    /* with our group only, a log reader needs no rights of root */

    if (r->drop && fchown(fd, (uid_t) -1, r->gid) == -1) {
        v2_log(V2_LOG_WARN, NULL, errno, "fchown() \"%s\" failed", path);
    }

    return fd;
}


v2_int_t
v2_file_panel(const char *dir, int fds[3], char *why, size_t size)
{
    int                       i;
    static const char *const  names[] = { NULL, "push.jsonl", "alive.jsonl" };

    fds[1] = fds[2] = -1;
    fds[0] = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fds[0] == -1) {
        (void) snprintf(why, size, "the folder \"%.120s\" cannot be opened "
                        "(%d: %.60s)", dir, errno, strerror(errno));
        return V2_ERROR;
    }

    for (i = 1; i < 3; i++) {
        fds[i] = openat(fds[0], names[i],
                        O_WRONLY|O_APPEND|O_CREAT|O_NOFOLLOW|O_NOCTTY
                        |O_CLOEXEC, 0644);

        if (fds[i] != -1) {
            continue;
        }

        (void) snprintf(why, size, "\"%.120s/%s\" cannot be opened for "
                        "reports (%d: %.60s)", dir, names[i], errno,
                        strerror(errno));

        while (i-- > 0) {
            (void) close(fds[i]);
        }

        fds[0] = fds[1] = fds[2] = -1;
        return V2_ERROR;
    }

    return V2_OK;
}


static void
v2_file_look(const char *path, v2_file_id_t *id)
{
    struct stat  st;

    memset(id, 0, sizeof(v2_file_id_t));

    if (stat(path, &st) == 0) {
        v2_file_id(id, &st);
    }
}


static void
v2_file_id(v2_file_id_t *id, const struct stat *st)
{
    id->dev = st->st_dev;
    id->ino = st->st_ino;
    id->size = (uint64_t) st->st_size;
    id->mtime_ns = (int64_t) st->st_mtim.tv_sec * 1000000000
                   + st->st_mtim.tv_nsec;
}


/* The size is what fstat() said: a file that grows meanwhile is another one
 * at the next look. */

static int
v2_file_copy(int from, const char *name, uint64_t size)
{
    int       fd;
    char      buf[16384];
    ssize_t   n;
    uint64_t  left;

    fd = memfd_create(name, MFD_CLOEXEC|MFD_ALLOW_SEALING);

    if (fd == -1) {
        return -1;
    }

    for (left = size; left > 0; left -= (uint64_t) n) {
        n = read(from, buf, v2_min(left, sizeof(buf)));

        if (n == -1 && errno == EINTR) {
            n = 0;
            continue;
        }

        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            goto failed;
        }

        if (v2_file_fill(fd, buf, (size_t) n) != V2_OK) {
            goto failed;
        }
    }

    if (v2_file_seal(fd) == V2_OK) {
        return fd;
    }

failed:

    (void) close(fd);
    return -1;
}


static v2_int_t
v2_file_fill(int fd, const char *data, size_t len)
{
    size_t   done;
    ssize_t  n;

    for (done = 0; done < len; done += (size_t) n) {
        n = write(fd, data + done, len - done);

        if (n == -1 && errno == EINTR) {
            n = 0;
            continue;
        }

        if (n <= 0) {
            return V2_ERROR;
        }
    }

    return V2_OK;
}
